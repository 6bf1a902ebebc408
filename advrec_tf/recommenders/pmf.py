"""PMF: probabilistic matrix factorisation of ratings (Mnih and Salakhutdinov 2007)."""

import keras
import numpy as np
import tensorflow as tf

from advrec_tf.data import Interactions, RatingBatches, rating_batches
from advrec_tf.recommenders.factors import FactorModel


@keras.saving.register_keras_serializable(package="advrec_tf")
class PMF(FactorModel):
    """Minimises over the observed ratings the sum of (r - mean - p_u . q_i)^2 + regularization (|p_u|^2 + |q_i|^2).

    That is the logarithm of the posterior under Gaussian noise and Gaussian priors on the factors, the prior of a row counted once for each of
    its ratings, as mini-batches do; with `biases` b_u + b_i is added to the prediction, and their squares to the prior.  The mean is that of the
    training ratings.  The default optimiser is SGD with momentum on mini-batches of ratings, whose loss is summed.
    """

    default_batch_size = 1000

    def __init__(
        self,
        n_users: int,
        n_items: int,
        embedding_dim: int = 10,
        seed: int = 0,
        *,
        regularization: float = 0.1,
        biases: bool = False,
        **kwargs,
    ):
        super().__init__(
            n_users, n_items, embedding_dim, seed, keras.initializers.RandomNormal, 0.1, **kwargs
        )
        if not 0 <= regularization < float("inf"):
            raise ValueError(f"regularization must be a number from 0 up, not {regularization}")
        self.regularization, self.biases = regularization, biases
        self.mean = self.add_weight(shape=(), initializer="zeros", trainable=False, name="mean")
        if biases:
            self.user_bias, self.item_bias = (
                self.add_weight(shape=(n,), initializer="zeros", name=name)
                for n, name in ((n_users, "user_bias"), (n_items, "item_bias"))
            )

    @staticmethod
    def default_optimizer():
        return keras.optimizers.SGD(0.002, momentum=0.8)

    @property
    def factors(self) -> tuple[np.ndarray, np.ndarray]:
        """P [U, D] and Q [I, D], whose inner products are the predictions less the mean; biases are two more columns."""
        P, Q = super().factors
        if not self.biases:
            return P, Q
        ones = [np.ones((len(x), 1), np.float32) for x in (P, Q)]
        return np.hstack([P, self.user_bias.numpy()[:, None], ones[0]]), np.hstack(
            [Q, ones[1], self.item_bias.numpy()[:, None]]
        )

    @staticmethod
    def steps(data: Interactions, batch_size: int) -> int:
        return -(-len(data.train_users) // batch_size)

    def batches(self, data: Interactions, batch_size: int, epoch: int) -> RatingBatches:
        return rating_batches(data, batch_size, self.seed, epoch)

    def fit(self, x=None, *args, **kwargs):
        """As `FactorModel.fit`.  Raises ValueError for data without ratings."""
        if isinstance(x, Interactions):
            if x.train_ratings is None:
                raise ValueError(f"{x.name} has no ratings, which PMF needs")
            self.mean.assign(x.train_ratings.mean(dtype=np.float64))
        return super().fit(x, *args, **kwargs)

    def _update(self, users, items, ratings, present):
        with tf.GradientTape() as tape:
            p, q = (
                tf.gather(self.user_embedding.value, users),
                tf.gather(self.item_embedding.value, items),
            )  # [B, D]
            predicted, priors = (
                self.mean.value + tf.einsum("bd,bd->b", p, q),
                tf.reduce_sum(p**2 + q**2, axis=1),
            )
            if self.biases:
                bias = (
                    tf.gather(self.user_bias.value, users),
                    tf.gather(self.item_bias.value, items),
                )
                predicted, priors = predicted + sum(bias), priors + bias[0] ** 2 + bias[1] ** 2
            loss = tf.reduce_sum(
                present * ((ratings - predicted) ** 2 + self.regularization * priors)
            )
        variables = [variable.value for variable in self.trainable_variables]
        self.optimizer.apply(
            [tf.convert_to_tensor(g) for g in tape.gradient(loss, variables)],
            self.trainable_variables,
        )
        return loss

    def get_config(self):
        return {
            **super().get_config(),
            "regularization": self.regularization,
            "biases": self.biases,
        }


def rmse(P: np.ndarray, Q: np.ndarray, mean: float, data: Interactions) -> float:
    """Root mean squared error of the test ratings, predictions clipped to the range of the training ratings."""
    predicted = mean + np.einsum(
        "nd,nd->n", P[data.test_users], Q[data.test_items], dtype=np.float64
    )
    clipped = np.clip(predicted, *data.rating_scale)
    return float(np.sqrt(np.mean((clipped - data.test_ratings) ** 2)))
