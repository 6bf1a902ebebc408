"""Adagrad that reads and writes only the rows of a mini-batch."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="advrec_tf")
class RowAdagrad(keras.optimizers.Adagrad):
    """Equals keras.optimizers.Adagrad on the dense gradient, at the cost of a mini-batch's rows.

    Adagrad does not change a row without gradient, so only the mini-batch's rows are touched:
    A <- A + g^2, W <- W - learning_rate g / sqrt(A + epsilon), where g is summed over a row's
    duplicates beforehand.
    """

    def __init__(
        self,
        learning_rate=0.05,
        initial_accumulator_value=0.1,
        epsilon=1e-7,
        name="row_adagrad",
        **kwargs,
    ):
        super().__init__(learning_rate, initial_accumulator_value, epsilon, name=name, **kwargs)

    def update_rows(
        self, variable: keras.Variable, ids: tf.Tensor, rows: tf.Tensor, gradient: tf.Tensor
    ) -> None:
        """Update variable[ids] = rows in place.  ids: [B]; rows, gradient: [B, D]

        A row that occurs twice must have the same gradient twice.
        """
        accumulator = self._accumulators[self._get_variable_index(variable)].value
        squares = tf.gather(accumulator, ids) + tf.square(gradient)  # [B, D]
        accumulator.scatter_update(tf.IndexedSlices(squares, ids))
        step = self.learning_rate.value * gradient / tf.sqrt(squares + self.epsilon)
        variable.value.scatter_update(tf.IndexedSlices(rows - step, ids))
