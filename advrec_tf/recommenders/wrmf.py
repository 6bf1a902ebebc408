"""WRMF: weighted regularised matrix factorisation of implicit feedback, by SGD or by ALS."""

from collections.abc import Iterator
from typing import ClassVar

import keras
import numpy as np
import tensorflow as tf

from advrec_tf.data import Interactions, UserBatches, user_batches
from advrec_tf.recommenders.als import both_sides, half_sweep
from advrec_tf.recommenders.factors import FactorModel
from advrec_tf.recommenders.wrmf_config import WRMFConfig

BLOCK = 512  # pairs whose rows are held at a time


@keras.saving.register_keras_serializable(package="advrec_tf")
class WRMF(FactorModel):
    """Minimises sum_u sum_i w_ui (x_ui - p_u . q_i)^2 over all users x items (Hu et al. 2008).

    w is `weight` where x > 0 and 1 elsewhere.  `weighted_gradient` makes the sum exact without
    the users x items matrix.  A mini-batch holds some users and all items, and its loss is
    summed.  The default optimiser is Adam(0.01) with weight decay 1e-5 in the gradient, as in
    the public code of Tang et al. (RecSys 2020).  Factors start normal with deviation 0.1, and
    there are no biases.

    solver: "sgd" as above.  With "als" an epoch solves all users and then all items in closed
    form, `regularization` times each row's squared norm is added to the loss, and mini-batches
    and the optimiser have no effect.
    feedback: with "binary" each interaction is an x of 1; with "values" the ratings are x; with
    "weights" x is 1 and w = 1 + (weight - 1) rating.
    """

    config_class = WRMFConfig
    options: ClassVar[tuple[str, ...]] = ("weight", "feedback", "solver", "regularization")

    @staticmethod
    def steps(data: Interactions, batch_size: int) -> int:
        """Return the number of mini-batches of users in an epoch."""
        return -(-data.n_users // batch_size)

    def batches(self, data: Interactions, batch_size: int, epoch: int) -> UserBatches:
        """Return the mini-batches of an epoch: shuffled users with all their pairs."""
        pairs = targets_and_weights(data, self.weight, self.feedback)
        return user_batches(data, *pairs, batch_size, self.seed, epoch)

    def fit(self, x=None, batch_size: int | None = None, initial_epoch: int = 0, **kwargs):
        """Train as `FactorModel.fit` does; with ALS an epoch is a sweep over Interactions."""
        if self.solver == "sgd" or not isinstance(x, Interactions):
            return super().fit(x, batch_size, initial_epoch, **kwargs)
        return self._fit_als(x, initial_epoch, **kwargs)

    def _fit_als(self, data, initial_epoch, *, epochs=1, callbacks=None, verbose=0):
        """Train by alternating least squares; an epoch solves for users, then for items."""
        pairs = targets_and_weights(data, self.weight, self.feedback)
        users, items = both_sides(data, *pairs)
        P, Q, strength = self.user_embedding, self.item_embedding, self.regularization

        def sweep(epoch: int) -> float:
            """Solve for all users, then for all items, and return the loss."""
            P.assign(half_sweep(Q.value, users, self.n_users, strength))
            Q.assign(half_sweep(P.value, items, self.n_items, strength))
            return weighted_loss(*self.factors, data, *pairs)

        return self.fit_by(sweep, initial_epoch, epochs, callbacks, verbose)

    def _update(self, users, *pairs):
        """Take one SGD step on a batch of users and return its loss."""
        P, Q = self.user_embedding, self.item_embedding
        loss, dp, dq = weighted_gradient(batch_rows(P.value, users), Q.value, pairs)
        self.optimizer.apply([tf.math.unsorted_segment_sum(dp, users, self.n_users), dq], [P, Q])
        return loss


def targets_and_weights(
    data: Interactions, weight: float, feedback: str = "binary"
) -> tuple[np.ndarray, np.ndarray]:
    """Return x and w of every train pair, float32 [N].

    Raises ValueError where `feedback` needs ratings and the data have none.
    """
    ones = np.ones(len(data.train_users), np.float32)
    if feedback == "binary":
        return ones, weight * ones
    ratings = data.train_ratings
    if ratings is None:
        raise ValueError(f"{data.name} has no ratings to use as {feedback}")
    if feedback == "values":
        return ratings, np.where(ratings > 0, np.float32(weight), 1).astype(np.float32)
    return ones, 1 + (np.float32(weight) - 1) * ratings


def batch_rows(P, users):
    """Return the rows of a mini-batch, 0 where there is no user (-1).

    P: [U, D], users: [B] -> [B, D]
    """
    return tf.where(users[:, None] >= 0, tf.gather(P, tf.maximum(users, 0)), 0.0)


def weighted_gradient(p, q, pairs, block: int | None = BLOCK):
    """Return a mini-batch's loss sum_u sum_i w (x - s)^2 over all items, and its gradient.

    s = p q is the score, and the pairs are distinct. x = 0 and w = 1 off the pairs, so the loss is
    sum s^2 + sum over the pairs of (w (x - s)^2 - s^2), and sum s^2 = <p^T p, q^T q> needs only
    two Gram matrices [D, D].
    Pairs are processed in blocks of `block`, whose rows stay in the cache.  None takes all pairs
    at once, which can be differentiated.

    p: [B, D], q: [I, D]; pairs: rows in p, items, targets x and weights w, [N] each
    -> loss, [B, D], [I, D]
    """
    user_gram, item_gram = (tf.matmul(x, x, transpose_a=True) for x in (p, q))  # [D, D]
    totals = (
        tf.reduce_sum(user_gram * item_gram),
        2 * tf.matmul(p, item_gram),
        2 * tf.matmul(q, user_gram),
    )
    if block is None:
        return _with_pairs(totals, p, q, pairs)
    missing = -tf.shape(pairs[0])[0] % block
    fillers = (0, 0, 0.0, 1.0)  # a pair without effect, as in `UserBatches`
    blocks = [
        tf.reshape(tf.pad(part, [[0, missing]], constant_values=filler), (-1, block))
        for part, filler in zip(pairs, fillers)
    ]
    n_blocks = tf.shape(blocks[0])[0]

    def body(n, *totals):
        return n + 1, *_with_pairs(totals, p, q, [part[n] for part in blocks])

    return tf.while_loop(lambda n, *_: n < n_blocks, body, (0, *totals))[1:]


def _with_pairs(totals, p, q, pairs):
    """Return loss and gradient after these pairs' part of the sum is added."""
    (loss, dp, dq), (rows, items, targets, weights) = totals, pairs
    pair_p, pair_q = tf.gather(p, rows), tf.gather(q, items)  # [N, D]
    # A product with ones is faster than a sum or an einsum.
    scores = tf.linalg.matvec(pair_p * pair_q, tf.ones(tf.shape(p)[1]))
    slope = 2 * ((weights - 1) * scores - weights * targets)[:, None]
    loss += tf.reduce_sum(weights * tf.square(targets - scores) - tf.square(scores))
    return (
        loss,
        tf.tensor_scatter_nd_add(dp, rows[:, None], slope * pair_q),
        tf.tensor_scatter_nd_add(dq, items[:, None], slope * pair_p),
    )


def weighted_loss(
    P: np.ndarray, Q: np.ndarray, data: Interactions, targets: np.ndarray, weights: np.ndarray
) -> float:
    """Return sum_u sum_i w (x - s)^2 over all users x items, as `weighted_gradient` does.

    P: [U, D], Q: [I, D]; targets, weights: [N], of the train pairs
    """
    grams = [np.asarray(x, np.float64).T @ np.asarray(x, np.float64) for x in (P, Q)]
    empty = np.zeros(0, np.result_type(P, Q))
    scores = np.concatenate([empty, *_pair_scores(P, Q, data)])
    return float(
        np.sum(np.prod(grams, axis=0))
        + np.sum(weights * (targets - scores) ** 2 - scores**2, dtype=np.float64)
    )


def _pair_scores(P, Q, data: Interactions, block: int = 1 << 16) -> Iterator[np.ndarray]:
    """Yield the scores of all train pairs in order, a block at a time."""
    for start in range(0, len(data.train_users), block):
        pairs = slice(start, start + block)
        yield np.einsum("nd,nd->n", P[data.train_users[pairs]], Q[data.train_items[pairs]])
