"""WRMF: weighted regularised matrix factorisation of implicit feedback (Hu, Koren and Volinsky 2008), by SGD or by ALS."""

import keras
import numpy as np
import tensorflow as tf

from advrec_tf.data import Interactions, UserBatches, user_batches
from advrec_tf.models.adam import CoupledAdam
from advrec_tf.models.factors import FactorModel, mini_batches

FEEDBACK = ("binary", "values", "weights")


@keras.saving.register_keras_serializable(package="advrec_tf")
class WRMF(FactorModel):
    """Minimises sum_u sum_i w_ui (x_ui - p_u . q_i)^2 over ALL users x items, w = `weight` where x > 0 and 1 elsewhere.

    The sum is exact without the users x items matrix (see `weighted_gradient`).  A mini-batch holds some users and all items, and its loss
    is summed; the default optimiser is Adam(0.01) with weight decay 1e-5 in the gradient, as in the public code of Tang et al. (RecSys 2020).
    Embeddings start normal with deviation 0.1; there are no biases.

    feedback: what the ratings of the data mean: nothing, each interaction is a 1 (`binary`); they are the x (`values`);
    or x is 1 and w = 1 + (weight - 1) rating (`weights`).
    """

    default_batch_size = 2048
    default_optimizer = CoupledAdam

    def __init__(
        self, n_users: int, n_items: int, embedding_dim: int = 128, seed: int = 0, *, weight: float = 20.0, feedback: str = "binary", **kwargs
    ):
        super().__init__(n_users, n_items, embedding_dim, seed, keras.initializers.RandomNormal, 0.1, **kwargs)
        if feedback not in FEEDBACK or not 0 < weight < float("inf"):
            raise ValueError(f"feedback must be one of {', '.join(FEEDBACK)} and weight a number above 0, not {feedback}, {weight}")
        self.weight, self.feedback = weight, feedback

    @staticmethod
    def steps(data: Interactions, batch_size: int) -> int:
        return -(-data.n_users // batch_size)

    def batches(self, data: Interactions, batch_size: int, epoch: int) -> UserBatches:
        return user_batches(data, *targets_and_weights(data, self.weight, self.feedback), batch_size, self.seed, epoch)

    def train_step(self, data) -> dict[str, tf.Tensor]:
        """Mini-batch updates, one after the other.  data: the arrays of `UserBatches`"""
        return mini_batches([part for part in tf.nest.flatten(data) if part is not None], self._update)

    def _update(self, users, rows, items, targets, weights):
        P, Q = self.user_embedding, self.item_embedding
        loss, dp, dq = weighted_gradient(batch_rows(P.value, users), Q.value, rows, items, targets, weights)
        self.optimizer.apply([tf.math.unsorted_segment_sum(dp, users, self.n_users), dq], [P, Q])
        return loss

    def get_config(self):
        return {**super().get_config(), "weight": self.weight, "feedback": self.feedback}


def targets_and_weights(data: Interactions, weight: float, feedback: str = "binary") -> tuple[np.ndarray, np.ndarray]:
    """x and w of every train pair, float32 [N].  Raises ValueError when the ratings are asked for and there are none."""
    ones = np.ones(len(data.train_users), np.float32)
    if feedback == "binary":
        return ones, weight * ones
    if data.train_ratings is None:
        raise ValueError(f"{data.name} has no ratings to use as {feedback}")
    if feedback == "values":
        return data.train_ratings, weight * ones
    return ones, 1 + (np.float32(weight) - 1) * data.train_ratings


def batch_rows(P, users):
    """The rows of a mini-batch, 0 where there is no user (-1).  P: [U, D], users: [B] -> [B, D]"""
    return tf.where(users[:, None] >= 0, tf.gather(P, tf.maximum(users, 0)), 0.0)


def weighted_gradient(p, q, rows, items, targets, weights):
    """Loss sum_u sum_i w (x - s)^2 of a mini-batch over ALL items and its gradient, without a score for every pair.

    As x = 0 and w = 1 off the pairs given, the loss is sum s^2 + sum over the pairs of (w (x - s)^2 - s^2), and
    sum s^2 = <p^T p, q^T q>: two Gram matrices [D, D].

    p: [B, D], q: [I, D]; of the pairs, rows (places in p), items, targets x and weights w: [N] -> loss, [B, D], [I, D]
    """
    user_gram, item_gram = tf.matmul(p, p, transpose_a=True), tf.matmul(q, q, transpose_a=True)  # [D, D]
    pair_p, pair_q = tf.gather(p, rows), tf.gather(q, items)  # [N, D]
    scores = tf.einsum("nd,nd->n", pair_p, pair_q)
    slope = (weights - 1) * scores - weights * targets  # [N], half the derivative of the correction
    dp = 2 * (tf.matmul(p, item_gram) + tf.math.unsorted_segment_sum(slope[:, None] * pair_q, rows, tf.shape(p)[0]))
    dq = 2 * (tf.matmul(q, user_gram) + tf.math.unsorted_segment_sum(slope[:, None] * pair_p, items, tf.shape(q)[0]))
    loss = tf.reduce_sum(user_gram * item_gram) + tf.reduce_sum(weights * tf.square(targets - scores) - tf.square(scores))
    return loss, dp, dq
