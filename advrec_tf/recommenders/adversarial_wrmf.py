"""WRMF with an adversary whose strength differs from user to user."""

import keras
import tensorflow as tf

from advrec_tf.recommenders.wrmf import WRMF, batch_rows, weighted_gradient

SIZES = ("fit", "norm")


@keras.saving.register_keras_serializable(package="advrec_tf")
class AdversarialWRMF(WRMF):
    """WRMF that minimises L(Theta) + adversarial_weight L(Theta + Delta), where Delta are the loss's own gradients, row by row scaled to a length.

    An item's row has epsilon times the mean length of an item's factors, a user's epsilon v_u / mean v times that of a user's, over the mini-batch
    (a length of its own would mean nothing: c P, Q / c is the same recommender).  What is well fitted has most to lose: v_u is either
    how much of a user's clicks is explained (`fit`, as in VAT, 2409.17476), 1 - L_u / (L_u of a zero row), from 0 to 1, or the length of his own
    row (`norm`, as in PamaCF, 2410.22844).  Delta is held fixed in the gradient.
    """

    def __init__(
        self,
        *args,
        sizes: str = "fit",
        epsilon: float = 0.05,
        adversarial_weight: float = 1.0,
        **kwargs,
    ):
        super().__init__(*args, **kwargs)
        if sizes not in SIZES or self.solver != "sgd":
            raise ValueError(
                f"sizes must be one of {', '.join(SIZES)} and the solver sgd, not {sizes}, {self.solver}"
            )
        self.sizes, self.epsilon, self.adversarial_weight = sizes, epsilon, adversarial_weight

    def _update(self, users, rows, items, targets, weights):
        P, Q = self.user_embedding, self.item_embedding
        p, q = batch_rows(P.value, users), tf.convert_to_tensor(Q.value)
        loss, dp, dq = weighted_gradient(p, q, rows, items, targets, weights)
        norms, count = (
            tf.norm(p, axis=1),
            tf.reduce_sum(tf.cast(users >= 0, tf.float32)),
        )  # rows of no user are 0
        size = norms if self.sizes == "norm" else explained(p, q, rows, items, targets, weights)
        lengths = (
            tf.reduce_sum(norms) / count * size / tf.maximum(tf.reduce_sum(size) / count, 1e-12)
        )  # [B]
        user_step, item_step = (
            self.epsilon * lengths[:, None],
            self.epsilon * tf.reduce_mean(tf.norm(q, axis=1)),
        )
        moved = p + user_step * tf.nn.l2_normalize(dp, 1), q + item_step * tf.nn.l2_normalize(dq, 1)
        _, more_dp, more_dq = weighted_gradient(*moved, rows, items, targets, weights)
        dp, dq = dp + self.adversarial_weight * more_dp, dq + self.adversarial_weight * more_dq
        self.optimizer.apply([tf.math.unsorted_segment_sum(dp, users, self.n_users), dq], [P, Q])
        return loss

    def get_config(self):
        return {
            **super().get_config(),
            "sizes": self.sizes,
            "epsilon": self.epsilon,
            "adversarial_weight": self.adversarial_weight,
        }


def explained(p, q, rows, items, targets, weights):
    """1 - L_u / (L_u of a zero row), from 0 to 1, 0 for users without clicks.  p: [B, D], q: [I, D]; of the pairs as `weighted_gradient` -> [B]"""
    scores = tf.linalg.matvec(tf.gather(p, rows) * tf.gather(q, items), tf.ones(tf.shape(p)[1]))
    unclicked = tf.reduce_sum(
        tf.matmul(p, tf.matmul(q, q, transpose_a=True)) * p, axis=1
    )  # sum of squared scores over all items
    losses = unclicked + tf.math.unsorted_segment_sum(
        weights * tf.square(targets - scores) - tf.square(scores), rows, tf.shape(p)[0]
    )
    at_zero = tf.math.unsorted_segment_sum(weights * tf.square(targets), rows, tf.shape(p)[0])
    return tf.where(
        at_zero > 0, tf.clip_by_value(1 - losses / tf.maximum(at_zero, 1e-12), 0.0, 1.0), 0.0
    )
