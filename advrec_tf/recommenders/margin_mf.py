"""MarginMF: user-normalised factors, trained to keep held-out items ahead under perturbation."""

import keras
import numpy as np
import tensorflow as tf

from advrec_tf.data import Interactions, user_batches
from advrec_tf.data.seeds import generator
from advrec_tf.recommenders.factors import FactorModel
from advrec_tf.recommenders.margin_mf_config import MarginMFConfig
from advrec_tf.recommenders.wrmf import WRMF

SWEEPS = 15  # of the ALS that training starts from
INITIAL_ITEM_NORM = 3.0  # mean row norm of Q
INITIAL_INPUT_SIZE = 0.05  # mean absolute element of W
EMPTY = 1e-3  # relative to the largest singular value; below it ALS leaves a direction empty
TINY = 1e-12


@keras.saving.register_keras_serializable(package="advrec_tf")
class MarginMF(FactorModel):
    """Scores s(u, i) = p_u . q_i with p_u = h_u / |h_u|, a linear autoencoder.

    h_u is the sum of w_j over the items j of user u.  Each epoch holds one random item i of every
    user out of h_u.  With a = 1 / (1 + sum exp(-m_uij)) over all items j that are unknown to the
    user, the loss is the mean of (1 - a^exponent) / exponent, or of -ln a where the exponent is 0
    (Zhang and Sabuncu 2018).  m_uij is the closed-form bound of `worst_margins` on the margin
    when every row moves by rho of its table's root mean square row norm.  The bound holds in the
    model's own basis, which is nearly that of `perturbations.canonical`.  Users with fewer than
    two items have no loss.

    Training starts from the items of ALS (`WRMF` with this `weight` and `regularization`) and
    w_j = (Q^T Q + regularization I)^-1 q_j.  Directions that ALS leaves empty, as on small data,
    start at random.  A mini-batch holds some users and all items, in about ten arrays [B, I].
    """

    config_class = MarginMFConfig
    options = ("rho", "exponent", "regularization", "weight")

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.input_embedding = self.add_weight(
            shape=(self.n_items, self.embedding_dim), initializer="zeros", name="input_embedding"
        )
        self.user_embedding.trainable = False  # `serve` makes it from the users' items

    @staticmethod
    def steps(data: Interactions, batch_size: int) -> int:
        """Return the number of mini-batches of users in an epoch."""
        return -(-data.n_users // batch_size)

    def batches(self, data: Interactions, batch_size: int, epoch: int) -> tuple[np.ndarray, ...]:
        """Return the pairs of each mini-batch and the held-out item of each user.

        -> rows, items and presence of the pairs, [steps, N] each; held-out items, [steps, B],
        -1 for none
        """
        degree, ones = np.diff(data.indptr), np.ones(len(data.train_users), np.float32)
        users, rows, items, present, _ = user_batches(
            data, ones, ones, batch_size, self.seed, epoch
        )
        draws = generator([self.seed, epoch, 1]).random(data.n_users)
        pairs = data.indptr[:-1] + (draws * degree).astype(np.int64)
        drawn = data.train_items[np.minimum(pairs, len(data.train_items) - 1)]
        held = np.where(degree > 1, drawn, -1)
        return rows, items, present, np.where(users >= 0, held[users], -1).astype(np.int32)

    def fit(self, x=None, batch_size: int | None = None, initial_epoch: int = 0, **kwargs):
        """Train as `FactorModel.fit` does, starting from ALS.

        Users' factors are made again after every epoch.
        """
        if not isinstance(x, Interactions):
            return super().fit(x, batch_size, initial_epoch, **kwargs)
        if not int(self.optimizer.iterations):
            self._start(x)
        serving = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: self.serve(x))
        callbacks = [serving, *tf.nest.flatten(kwargs.pop("callbacks", None) or [])]
        return super().fit(x, batch_size, initial_epoch, callbacks=callbacks, **kwargs)

    def _start(self, data: Interactions) -> None:
        """Start from ALS: its item factors, and weights that give users from their items.

        Directions that ALS left empty keep their random values. Both tables are scaled to fixed
        sizes.
        """
        sizes = self.n_users, self.n_items, self.embedding_dim, self.seed
        ridge = self.regularization
        als = WRMF(*sizes, weight=self.weight, solver="als", regularization=ridge)
        als.compile()
        als.fit(data, epochs=SWEEPS)
        Q = als.factors[1].astype(np.float64)
        W = np.linalg.solve(Q.T @ Q + ridge * np.eye(self.embedding_dim), Q.T).T
        _, values, basis = np.linalg.svd(Q, full_matrices=False)
        empty = basis[values <= EMPTY * values[0]]
        at_random = self.item_embedding.numpy() @ empty.T @ empty
        item_norm = max(np.linalg.norm(Q, axis=1).mean(), TINY)
        self.item_embedding.assign(INITIAL_ITEM_NORM / item_norm * Q + at_random)
        self.input_embedding.assign(INITIAL_INPUT_SIZE / max(np.abs(W).mean(), TINY) * W)

    def serve(self, data: Interactions) -> None:
        """Set each user's factors from the items that the user has clicked."""
        histories = data.matrix() @ self.input_embedding.numpy()
        self.user_embedding.assign(tf.nn.l2_normalize(histories, axis=1))

    def _update(self, rows, items, present, held):
        """Take one step on a batch and return its loss."""
        trained = [self.input_embedding, self.item_embedding]
        values = [variable.value for variable in trained]
        with tf.GradientTape() as tape:
            loss = self.batch_loss(*values, rows, items, present, held)
        gradients = map(tf.convert_to_tensor, tape.gradient(loss, values))
        self.optimizer.apply(list(gradients), trained)
        return loss

    def batch_loss(self, W, Q, rows, items, present, held):
        """Return the loss of a mini-batch.

        W, Q: [I, D]; rows, items and presence of its pairs: [N]; held: [B]
        """
        tested = tf.maximum(held, 0)
        clicked = present[:, None] * tf.gather(W, items)
        histories = tf.math.unsorted_segment_sum(clicked, rows, tf.shape(held)[0])
        p = tf.nn.l2_normalize(histories - tf.gather(W, tested), 1)
        margins = worst_margins(p, Q, tested, self.rho)
        known = tf.scatter_nd(tf.stack([rows, items], 1), present, tf.shape(margins))
        rivals = tf.where(known > 0, -np.inf, -margins)  # the held-out item is known, too
        losses = tf.math.softplus(tf.reduce_logsumexp(rivals, 1))  # -ln a
        if self.exponent:
            losses = -tf.math.expm1(self.exponent * -losses) / self.exponent
        has_test = tf.cast(held >= 0, tf.float32)
        return tf.math.divide_no_nan(tf.reduce_sum(has_test * losses), tf.reduce_sum(has_test))


def worst_margins(p, Q, items, rho: float):
    """Return a lower bound of the margins s_ui - s_uj for all items j, under perturbation.

    Every row may move by rho of its table's root mean square row norm:
    (p + dp)(q_i + di - q_j - dj) >= p (q_i - q_j) - rho |q_i - q_j| - 2 (1 + rho) rho r.
    |p| = 1, and r is the root mean square norm of Q's rows after their mean is subtracted, which
    changes no margin.   p: [B, D] of norm 1, Q: [I, D], items i: [B] -> [B, I]
    """
    q = Q - tf.reduce_mean(Q, 0)
    q_i, squares = tf.gather(q, items), tf.reduce_sum(tf.square(q), 1)
    apart = tf.gather(squares, items)[:, None] + squares - 2 * tf.matmul(q_i, q, transpose_b=True)
    distances = tf.sqrt(tf.maximum(apart, 1e-12))  # the root has no derivative at 0
    margins = tf.reduce_sum(p * q_i, 1, keepdims=True) - tf.matmul(p, q, transpose_b=True)
    return margins - rho * distances - 2 * (1 + rho) * rho * tf.sqrt(tf.reduce_mean(squares))
