"""MarginMF: users of equal length, trained on the worst that a perturbation can make of the items that are held out of their history."""

import keras
import numpy as np
import tensorflow as tf

from advrec_tf.data import Interactions, user_batches
from advrec_tf.data.seeds import generator
from advrec_tf.recommenders.factors import FactorModel
from advrec_tf.recommenders.wrmf import WRMF

SWEEPS = 15  # of ALS, from whose items training starts
ITEM_NORM, INPUT_SIZE = 3.0, 0.05  # at the start: the mean row norm of Q, the mean element of W
EMPTY = 1e-3  # of the largest singular value: below, a direction of ALS is empty
TINY = 1e-12


@keras.saving.register_keras_serializable(package="advrec_tf")
class MarginMF(FactorModel):
    """Scores s(u, i) = p_u . q_i with p_u = h_u / |h_u|, h_u the sum of w_j over the items j of user u, a linear autoencoder.

    Of every user one item i, drawn anew each epoch, is held out of h_u; the loss is the mean of (1 - a^exponent) / exponent, or of -ln a where the
    exponent is 0 (Zhang and Sabuncu 2018), of a = 1 / (1 + sum exp(-m_uij)) over all items j that he does not know.  m_uij bounds what is left of the
    margin when every row moves by rho of its table's root mean square row norm, in closed form (`worst_margins`): in the model's own basis, which is
    nearly that of `perturbations.canonical`.  Users with fewer than two items teach nothing.

    It starts from the items of ALS (`WRMF`, of this `weight` and `regularization`), w_j = (Q^T Q + regularization I)^-1 q_j; directions that it
    leaves empty, as on small data, start at random.  A mini-batch holds some users and all items: about ten arrays [B, I].
    """

    default_batch_size = 512

    def __init__(
        self,
        n_users: int,
        n_items: int,
        embedding_dim: int = 32,
        seed: int = 0,
        *,
        rho: float = 0.05,
        exponent: float = 0.1,
        regularization: float = 30.0,
        weight: float = 2.0,
        **kwargs,
    ):
        super().__init__(
            n_users, n_items, embedding_dim, seed, keras.initializers.RandomNormal, 0.1, **kwargs
        )
        for name, value in (("rho", rho), ("exponent", exponent)):
            if not 0 <= value < float("inf"):
                raise ValueError(f"{name} must be a number from 0 up, not {value}")
        self.rho, self.exponent, self.regularization, self.weight = (
            rho,
            exponent,
            regularization,
            weight,
        )
        self.input_embedding = self.add_weight(
            shape=(n_items, embedding_dim), initializer="zeros", name="input_embedding"
        )
        self.user_embedding.trainable = False  # they follow from what each has clicked

    @staticmethod
    def default_optimizer() -> keras.optimizers.Optimizer:
        return keras.optimizers.Adam(0.005)

    @staticmethod
    def steps(data: Interactions, batch_size: int) -> int:
        return -(-data.n_users // batch_size)

    def batches(self, data: Interactions, batch_size: int, epoch: int) -> tuple[np.ndarray, ...]:
        """Of some users each: their pairs (rows, items, and whether there is one), and the item of every user that is held out, -1 for none."""
        degree, ones = np.diff(data.indptr), np.ones(len(data.train_users), np.float32)
        users, rows, items, present, _ = user_batches(
            data, ones, ones, batch_size, self.seed, epoch
        )
        places = data.indptr[:-1] + (
            generator([self.seed, epoch, 1]).random(data.n_users) * degree
        ).astype(np.int64)
        held = np.where(
            degree > 1, data.train_items[np.minimum(places, len(data.train_items) - 1)], -1
        )
        return rows, items, present, np.where(users >= 0, held[users], -1).astype(np.int32)

    def fit(
        self,
        x=None,
        batch_size: int | None = None,
        initial_epoch: int = 0,
        *,
        callbacks=None,
        **kwargs,
    ):
        """As `FactorModel.fit`, at first from ALS on; users' factors are made anew after every epoch."""
        if not isinstance(x, Interactions):
            return super().fit(x, batch_size, initial_epoch, callbacks=callbacks, **kwargs)
        if not int(self.optimizer.iterations):
            self._start(x)
        serving = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: self.serve(x))
        return super().fit(
            x,
            batch_size,
            initial_epoch,
            callbacks=[serving, *tf.nest.flatten(callbacks or [])],
            **kwargs,
        )

    def _start(self, data: Interactions) -> None:
        als = WRMF(
            self.n_users,
            self.n_items,
            self.embedding_dim,
            self.seed,
            weight=self.weight,
            solver="als",
            regularization=self.regularization,
        )
        als.compile()
        als.fit(data, epochs=SWEEPS)
        Q = als.factors[1].astype(np.float64)
        W = np.linalg.solve(Q.T @ Q + self.regularization * np.eye(self.embedding_dim), Q.T).T
        _, values, basis = np.linalg.svd(Q, full_matrices=False)
        empty = basis[values <= EMPTY * values[0]]
        at_random = self.item_embedding.numpy() @ empty.T @ empty
        self.item_embedding.assign(
            ITEM_NORM / max(np.linalg.norm(Q, axis=1).mean(), TINY) * Q + at_random
        )
        self.input_embedding.assign(INPUT_SIZE / max(np.abs(W).mean(), TINY) * W)

    def serve(self, data: Interactions) -> None:
        """Makes the factors of users of what each of them has clicked."""
        self.user_embedding.assign(
            tf.nn.l2_normalize(data.matrix() @ self.input_embedding.numpy(), axis=1)
        )

    def _update(self, rows, items, present, held):
        trained = [self.input_embedding, self.item_embedding]
        with tf.GradientTape() as tape:
            loss = self.batch_loss(*(each.value for each in trained), rows, items, present, held)
        gradients = map(tf.convert_to_tensor, tape.gradient(loss, [each.value for each in trained]))
        self.optimizer.apply(list(gradients), trained)
        return loss

    def batch_loss(self, W, Q, rows, items, present, held):
        """The loss of a mini-batch.  W, Q: [I, D]; of its pairs, rows, items and presence: [N]; held: [B]"""
        at = tf.maximum(held, 0)
        history = tf.math.unsorted_segment_sum(
            present[:, None] * tf.gather(W, items), rows, tf.shape(held)[0]
        ) - tf.gather(W, at)
        margins = worst_margins(tf.nn.l2_normalize(history, 1), Q, at, self.rho)
        known = tf.scatter_nd(tf.stack([rows, items], 1), present, tf.shape(margins))
        rivals = tf.where(known > 0, -np.inf, -margins)  # the item held out is known, too
        log_share = -tf.math.softplus(tf.reduce_logsumexp(rivals, 1))
        losses = (
            -tf.math.expm1(self.exponent * log_share) / self.exponent
            if self.exponent
            else -log_share
        )
        tested = tf.cast(held >= 0, tf.float32)
        return tf.math.divide_no_nan(tf.reduce_sum(tested * losses), tf.reduce_sum(tested))

    def get_config(self):
        own = {
            name: getattr(self, name) for name in ("rho", "exponent", "regularization", "weight")
        }
        return {**super().get_config(), **own}


def worst_margins(p, Q, items, rho: float):
    """A bound below which no margin s_ui - s_uj can be brought when every row moves by rho of its table's root mean square row norm, for all items j.

    (p + dp)(q_i + di - q_j - dj) >= p (q_i - q_j) - rho |q_i - q_j| - 2 (1 + rho) rho r, where |p| = 1 and r is the root mean square of the norms
    of Q's rows, its mean row taken off, which changes no margin.   p: [B, D] of norm 1, Q: [I, D], items i: [B] -> [B, I]
    """
    q = Q - tf.reduce_mean(Q, 0)
    own, squares = tf.gather(q, items), tf.reduce_sum(tf.square(q), 1)
    apart = tf.gather(squares, items)[:, None] + squares - 2 * tf.matmul(own, q, transpose_b=True)
    distances = tf.sqrt(tf.maximum(apart, 1e-12))  # the root has no derivative at 0
    margins = tf.reduce_sum(p * own, 1, keepdims=True) - tf.matmul(p, q, transpose_b=True)
    return margins - rho * distances - 2 * (1 + rho) * rho * tf.sqrt(tf.reduce_mean(squares))
