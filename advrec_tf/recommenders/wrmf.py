"""WRMF: weighted regularised matrix factorisation of implicit feedback (Hu, Koren and Volinsky 2008), by SGD or by ALS."""

import keras
import numpy as np
import tensorflow as tf

from advrec_tf.data import Interactions, UserBatches, user_batches
from advrec_tf.recommenders.adam import CoupledAdam
from advrec_tf.recommenders.als import both_sides, half_sweep
from advrec_tf.recommenders.factors import FactorModel

SOLVERS = ("sgd", "als")
FEEDBACK = ("binary", "values", "weights")
BLOCK = 512  # pairs whose rows are held at a time


@keras.saving.register_keras_serializable(package="advrec_tf")
class WRMF(FactorModel):
    """Minimises sum_u sum_i w_ui (x_ui - p_u . q_i)^2 over ALL users x items, w = `weight` where x > 0 and 1 elsewhere.

    The sum is exact without the users x items matrix (see `weighted_gradient`).  A mini-batch holds some users and all items, and its loss
    is summed; the default optimiser is Adam(0.01) with weight decay 1e-5 in the gradient, as in the public code of Tang et al. (RecSys 2020).
    Embeddings start normal with deviation 0.1; there are no biases.

    solver: "sgd" as above, or "als": every epoch solves all users and then all items in closed form, with `regularization` |.|^2 of each row added
    to the loss; mini-batches and the optimiser mean nothing then.
    feedback: what the ratings of the data mean: nothing, each interaction is a 1 (`binary`); they are the x (`values`);
    or x is 1 and w = 1 + (weight - 1) rating (`weights`).
    """

    default_batch_size = 2048
    default_optimizer = CoupledAdam

    def __init__(
        self,
        n_users: int,
        n_items: int,
        embedding_dim: int = 128,
        seed: int = 0,
        *,
        weight: float = 20.0,
        feedback: str = "binary",
        solver: str = "sgd",
        regularization: float = 10.0,
        **kwargs,
    ):
        super().__init__(
            n_users, n_items, embedding_dim, seed, keras.initializers.RandomNormal, 0.1, **kwargs
        )
        if feedback not in FEEDBACK or not 0 < weight < float("inf"):
            raise ValueError(
                f"feedback must be one of {', '.join(FEEDBACK)} and weight a number above 0, not {feedback}, {weight}"
            )
        if solver not in SOLVERS or not 0 <= regularization < float("inf"):
            raise ValueError(
                f"solver must be one of {', '.join(SOLVERS)} and regularization a number from 0 up, not {solver}, {regularization}"
            )
        self.weight, self.feedback, self.solver, self.regularization = (
            weight,
            feedback,
            solver,
            regularization,
        )

    @staticmethod
    def steps(data: Interactions, batch_size: int) -> int:
        return -(-data.n_users // batch_size)

    def batches(self, data: Interactions, batch_size: int, epoch: int) -> UserBatches:
        return user_batches(
            data,
            *targets_and_weights(data, self.weight, self.feedback),
            batch_size,
            self.seed,
            epoch,
        )

    def fit(
        self,
        x=None,
        batch_size: int | None = None,
        initial_epoch: int = 0,
        *,
        epochs: int = 1,
        callbacks=None,
        verbose=0,
        **kwargs,
    ):
        """As `FactorModel.fit`; by ALS, `epochs` sweeps over Interactions."""
        if self.solver == "sgd" or not isinstance(x, Interactions):
            return super().fit(
                x,
                batch_size,
                initial_epoch,
                epochs=epochs,
                callbacks=callbacks,
                verbose=verbose,
                **kwargs,
            )
        pairs = targets_and_weights(x, self.weight, self.feedback)
        users, items = both_sides(x, *pairs)

        def sweep(epoch: int) -> float:
            self.user_embedding.assign(
                half_sweep(self.item_embedding.value, users, self.n_users, self.regularization)
            )
            self.item_embedding.assign(
                half_sweep(self.user_embedding.value, items, self.n_items, self.regularization)
            )
            return weighted_loss(*self.factors, x, *pairs)

        return self.fit_by(sweep, initial_epoch, epochs, callbacks, verbose)

    def _update(self, users, rows, items, targets, weights):
        P, Q = self.user_embedding, self.item_embedding
        loss, dp, dq = weighted_gradient(
            batch_rows(P.value, users), Q.value, rows, items, targets, weights
        )
        self.optimizer.apply([tf.math.unsorted_segment_sum(dp, users, self.n_users), dq], [P, Q])
        return loss

    def get_config(self):
        own = {
            "weight": self.weight,
            "feedback": self.feedback,
            "solver": self.solver,
            "regularization": self.regularization,
        }
        return {**super().get_config(), **own}


def targets_and_weights(
    data: Interactions, weight: float, feedback: str = "binary"
) -> tuple[np.ndarray, np.ndarray]:
    """x and w of every train pair, float32 [N].  Raises ValueError when the ratings are asked for and there are none."""
    ones = np.ones(len(data.train_users), np.float32)
    if feedback == "binary":
        return ones, weight * ones
    if data.train_ratings is None:
        raise ValueError(f"{data.name} has no ratings to use as {feedback}")
    if feedback == "values":
        return data.train_ratings, np.where(data.train_ratings > 0, np.float32(weight), 1).astype(
            np.float32
        )
    return ones, 1 + (np.float32(weight) - 1) * data.train_ratings


def batch_rows(P, users):
    """The rows of a mini-batch, 0 where there is no user (-1).  P: [U, D], users: [B] -> [B, D]"""
    return tf.where(users[:, None] >= 0, tf.gather(P, tf.maximum(users, 0)), 0.0)


def weighted_gradient(p, q, rows, items, targets, weights, block: int | None = BLOCK):
    """Loss sum_u sum_i w (x - s)^2 of a mini-batch over ALL items and its gradient, without a score for every pair.

    As x = 0 and w = 1 off the pairs given, the loss is sum s^2 + sum over the pairs of (w (x - s)^2 - s^2), and
    sum s^2 = <p^T p, q^T q>: two Gram matrices [D, D].  The pairs go by in blocks whose rows stay in the cache; None takes them all at once,
    which can be differentiated.

    p: [B, D], q: [I, D]; of the pairs, rows (places in p), items, targets x and weights w: [N] -> loss, [B, D], [I, D]
    """
    user_gram, item_gram = (
        tf.matmul(p, p, transpose_a=True),
        tf.matmul(q, q, transpose_a=True),
    )  # [D, D]
    start = (
        tf.reduce_sum(user_gram * item_gram),
        2 * tf.matmul(p, item_gram),
        2 * tf.matmul(q, user_gram),
    )

    def corrected(loss, dp, dq, rows, items, targets, weights):
        pair_p, pair_q = tf.gather(p, rows), tf.gather(q, items)  # [N, D]
        scores = tf.linalg.matvec(
            pair_p * pair_q, tf.ones(tf.shape(p)[1])
        )  # faster than a sum or an einsum
        slope = (
            2 * ((weights - 1) * scores - weights * targets)[:, None]
        )  # the derivative of the correction
        loss += tf.reduce_sum(weights * tf.square(targets - scores) - tf.square(scores))
        return (
            loss,
            tf.tensor_scatter_nd_add(dp, rows[:, None], slope * pair_q),
            tf.tensor_scatter_nd_add(dq, items[:, None], slope * pair_p),
        )

    if block is None:
        return corrected(*start, rows, items, targets, weights)
    missing = -tf.shape(rows)[0] % block
    fillers = ((rows, 0), (items, 0), (targets, 0.0), (weights, 1.0))  # as in `UserBatches`
    pairs = [
        tf.reshape(tf.pad(part, [[0, missing]], constant_values=filler), (-1, block))
        for part, filler in fillers
    ]
    blocks = tf.shape(pairs[0])[0]

    def body(at, *found):
        return at + 1, *corrected(*found, *(part[at] for part in pairs))

    return tf.while_loop(lambda at, *_: at < blocks, body, (0, *start))[1:]


def weighted_loss(
    P: np.ndarray, Q: np.ndarray, data: Interactions, targets: np.ndarray, weights: np.ndarray
) -> float:
    """sum_u sum_i w (x - s)^2 over ALL users x items, through Gram matrices as `weighted_gradient`.  P: [U, D], Q: [I, D]"""
    grams = (np.asarray(x, np.float64).T @ np.asarray(x, np.float64) for x in (P, Q))
    scores = (
        np.concatenate([np.einsum("nd,nd->n", P[u], Q[i]) for u, i in _in_blocks(data)])
        if len(targets)
        else np.zeros(0)
    )
    return float(
        np.sum(np.prod(list(grams), axis=0))
        + np.sum(weights * (targets - scores) ** 2 - scores**2, dtype=np.float64)
    )


def _in_blocks(data: Interactions, size: int = 1 << 16):
    return (
        (data.train_users[at : at + size], data.train_items[at : at + size])
        for at in range(0, len(data.train_users), size)
    )
