"""PMF: probabilistic matrix factorisation of ratings (Mnih and Salakhutdinov 2007)."""

import keras
import numpy as np
import tensorflow as tf

from advrec_tf.data import Interactions, RatingBatches, rating_batches
from advrec_tf.recommenders.factors import FactorModel
from advrec_tf.recommenders.pmf_config import PMFConfig


@keras.saving.register_keras_serializable(package="advrec_tf")
class PMF(FactorModel):
    """Minimises over the ratings the sum of (r - mean - p_u . q_i)^2 + regularization |.|^2.

    |.|^2 is |p_u|^2 + |q_i|^2.  This is the log-posterior under Gaussian noise and Gaussian
    priors on the factors.  A row's prior counts once for each of its ratings, as in mini-batches.
    With `biases`, b_u + b_i is added to the prediction and their squares to the prior.
    The mean is that of the training ratings.  The default optimiser is SGD with momentum, and a
    mini-batch's loss is summed.
    """

    config_class = PMFConfig
    options = ("regularization", "biases")

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.mean = self.add_weight(shape=(), initializer="zeros", trainable=False, name="mean")
        if self.biases:
            self.user_bias = self._bias(self.n_users, "user_bias")
            self.item_bias = self._bias(self.n_items, "item_bias")

    def _bias(self, n_rows: int, name: str) -> keras.Variable:
        """Add a bias for each row, 0 at first."""
        return self.add_weight(shape=(n_rows,), initializer="zeros", name=name)

    @property
    def factors(self) -> tuple[np.ndarray, np.ndarray]:
        """P [U, D] and Q [I, D], whose inner products are the predictions minus the mean.

        Biases are two more columns.
        """
        P, Q = super().factors
        if not self.biases:
            return P, Q
        ones = [np.ones(len(x), np.float32) for x in (P, Q)]
        return (
            np.column_stack([P, self.user_bias.numpy(), ones[0]]),
            np.column_stack([Q, ones[1], self.item_bias.numpy()]),
        )

    @staticmethod
    def steps(data: Interactions, batch_size: int) -> int:
        """Return the number of mini-batches of ratings in an epoch."""
        return -(-len(data.train_users) // batch_size)

    def batches(self, data: Interactions, batch_size: int, epoch: int) -> RatingBatches:
        """Return the mini-batches of an epoch, of shuffled ratings."""
        return rating_batches(data, batch_size, self.seed, epoch)

    def fit(self, x=None, *args, **kwargs):
        """Train as `FactorModel.fit` does.  Raises ValueError for data without ratings."""
        if isinstance(x, Interactions):
            if x.train_ratings is None:
                raise ValueError(f"{x.name} has no ratings, which PMF needs")
            self.mean.assign(x.train_ratings.mean(dtype=np.float64))
        return super().fit(x, *args, **kwargs)

    def _update(self, users, items, ratings, present):
        """Take one step on a batch of ratings; return squared errors plus Gaussian priors.

        users, items, ratings: [B]; present: [B], 0 for padding
        """
        with tf.GradientTape() as tape:
            p = tf.gather(self.user_embedding.value, users)  # [B, D]
            q = tf.gather(self.item_embedding.value, items)  # [B, D]
            predicted = self.mean.value + tf.einsum("bd,bd->b", p, q)
            priors = tf.reduce_sum(p**2 + q**2, axis=1)
            if self.biases:
                user_bias = tf.gather(self.user_bias.value, users)
                item_bias = tf.gather(self.item_bias.value, items)
                predicted = predicted + (user_bias + item_bias)
                priors = priors + user_bias**2 + item_bias**2
            errors = (ratings - predicted) ** 2
            loss = tf.reduce_sum(present * (errors + self.regularization * priors))
        variables = [variable.value for variable in self.trainable_variables]
        gradients = [tf.convert_to_tensor(g) for g in tape.gradient(loss, variables)]
        self.optimizer.apply(gradients, self.trainable_variables)
        return loss


def rmse(P: np.ndarray, Q: np.ndarray, mean: float, data: Interactions) -> float:
    """Return the root mean squared error of the test ratings.

    Predictions are clipped to the range of the training ratings.
    """
    p, q = P[data.test_users], Q[data.test_items]
    predicted = mean + np.einsum("nd,nd->n", p, q, dtype=np.float64)
    clipped = np.clip(predicted, *data.rating_scale)
    return float(np.sqrt(np.mean((clipped - data.test_ratings) ** 2)))
