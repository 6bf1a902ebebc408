"""Models whose loss a tape differentiates, and adversarial training of their tables (APR)."""

from typing import ClassVar

import tensorflow as tf

from advrec_tf.perturbations import normalize_rows
from advrec_tf.recommenders.factors import FactorModel


class AdversarialModel(FactorModel):
    """Minimises L(Theta) + adversarial_weight L(Theta + Delta), Delta held constant.

    This is APR (He et al. 2018; Eq. 8 of the multi-step paper) for models whose factors are served
    from their parameter tables.  Delta is FGSM's step on both tables, in rows of `epsilon` times
    the root mean square row norm of each table.  With an epsilon of 0 there is no adversary.  L is
    the whole loss of the model, with its regularisation and the same dropout.
    A subclass defines `batch_loss`.
    """

    options: ClassVar[tuple[str, ...]] = ("epsilon", "adversarial_weight")

    def batch_loss(self, values: list[tf.Tensor], *batch: tf.Tensor) -> tf.Tensor:
        """Return the loss of a mini-batch at these values of the trainable variables.

        The two tables come first.
        """
        raise NotImplementedError

    def _update(self, *batch):
        """Take one step on a mini-batch and return its loss."""
        values = [variable.value for variable in self.trainable_variables]
        loss, gradient = self._loss_gradient(values, batch)
        if self.epsilon:
            moved = [
                table + self.epsilon * rms_norm(table) * normalize_rows(slope)
                for table, slope in zip(values[:2], gradient)
            ]
            harmed, slopes = self._loss_gradient(moved + values[2:], batch)
            loss += self.adversarial_weight * harmed
            gradient = [
                clean + self.adversarial_weight * slope for clean, slope in zip(gradient, slopes)
            ]
        self.optimizer.apply(gradient, self.trainable_variables)
        return loss

    def _loss_gradient(self, values, batch):
        """Return the loss of a mini-batch, and its dense gradient in every trainable variable."""
        with tf.GradientTape() as tape:
            tape.watch(values)
            loss = self.batch_loss(values, *batch)
        return loss, [tf.convert_to_tensor(slope) for slope in tape.gradient(loss, values)]


def rms_norm(table: tf.Tensor) -> tf.Tensor:
    """Return the root mean square norm of a table's rows.  table: [N, D] -> scalar"""
    return tf.sqrt(tf.reduce_mean(tf.reduce_sum(tf.square(table), axis=1)))
