"""Adam with weight decay in the gradient: a Keras optimiser and a differentiable function."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="advrec_tf")
class CoupledAdam(keras.optimizers.Adam):
    """Adam whose weight decay is added to the gradient and so goes through the moments.

    Every step changes every row of a table, also rows without a gradient:
    g <- g + decay W, m <- beta_1 m + (1 - beta_1) g, v <- beta_2 v + (1 - beta_2) g^2,
    W <- W - learning_rate (m / (1 - beta_1^t)) / (sqrt(v / (1 - beta_2^t)) + epsilon)
    """

    def __init__(
        self,
        learning_rate=0.01,
        decay=1e-5,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        name="coupled_adam",
        **kwargs,
    ):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, name=name, **kwargs)
        self.decay = decay

    def stepped(self, value, gradient, momentum, velocity, step, learning_rate):
        """Return value, momentum and velocity after one step.  step: float, from 1"""
        gradient = gradient + self.decay * value
        momentum = self.beta_1 * momentum + (1 - self.beta_1) * gradient
        velocity = self.beta_2 * velocity + (1 - self.beta_2) * tf.square(gradient)
        # The root has no derivative at 0, which is the velocity of a row without any gradient.
        root = tf.sqrt(tf.maximum(velocity / (1 - self.beta_2**step), 1e-30))
        return (
            value - learning_rate * momentum / (1 - self.beta_1**step) / (root + self.epsilon),
            momentum,
            velocity,
        )

    def update_step(self, gradient, variable, learning_rate):
        """Apply one step to a variable and its two moments, as Keras asks of an optimiser."""
        index = self._get_variable_index(variable)
        variables = variable, self._momentums[index], self._velocities[index]
        value, *moments = map(tf.convert_to_tensor, variables)
        step = tf.cast(self.iterations.value + 1, tf.float32)
        after = self.stepped(value, gradient, *moments, step, learning_rate)
        for target, tensor in zip(variables, after):
            self.assign(target, tensor)

    def get_config(self):
        return {**super().get_config(), "decay": self.decay}
