"""WRMF with an adversary whose strength differs from user to user."""

import keras
import tensorflow as tf

from advrec_tf.recommenders.adversarial_wrmf_config import FitWRMFConfig, NormWRMFConfig
from advrec_tf.recommenders.wrmf import WRMF, batch_rows, weighted_gradient


class AdversarialWRMF(WRMF):
    """Minimises L(Theta) + adversarial_weight L(Theta + Delta), Delta held constant.

    Delta has the direction of the loss's gradient, row by row.  Its rows have a length relative
    to the factors, because c P and Q / c are the same recommender: for an item epsilon times the
    mean norm of items' factors, for a user epsilon v_u / mean v times the mean norm of users'
    factors.  Both means are over the mini-batch, and `strengths` returns v_u.
    """

    options = (*WRMF.options, "epsilon", "adversarial_weight")

    def strengths(self, p, q, pairs):
        """Return v_u of each user, [B].  p: [B, D], q: [I, D]; pairs as in `weighted_gradient`"""
        raise NotImplementedError

    def _update(self, users, *pairs):
        """Take one step on the losses of a batch with and without adversarial moves.

        Returns the loss without them.
        """
        P, Q = self.user_embedding, self.item_embedding
        p, q = batch_rows(P.value, users), tf.convert_to_tensor(Q.value)
        loss, dp, dq = weighted_gradient(p, q, pairs)
        user_step, item_step = self._steps(p, q, users, pairs)
        moved_p = p + user_step * tf.nn.l2_normalize(dp, 1)
        moved_q = q + item_step * tf.nn.l2_normalize(dq, 1)
        _, adversarial_dp, adversarial_dq = weighted_gradient(moved_p, moved_q, pairs)
        dp = dp + self.adversarial_weight * adversarial_dp
        dq = dq + self.adversarial_weight * adversarial_dq
        self.optimizer.apply([tf.math.unsorted_segment_sum(dp, users, self.n_users), dq], [P, Q])
        return loss

    def _steps(self, p, q, users, pairs):
        """Return the lengths of Delta's rows: [B, 1] for users and a number for items."""
        count = tf.reduce_sum(tf.cast(users >= 0, tf.float32))
        norms, strengths = tf.norm(p, axis=1), self.strengths(p, q, pairs)  # 0 without a user
        mean_strength = tf.maximum(tf.reduce_sum(strengths) / count, 1e-12)
        lengths = tf.reduce_sum(norms) / count * strengths / mean_strength
        item_length = tf.reduce_mean(tf.norm(q, axis=1))
        return self.epsilon * lengths[:, None], self.epsilon * item_length


@keras.saving.register_keras_serializable(package="advrec_tf")
class FitWRMF(AdversarialWRMF):
    """AdversarialWRMF that is stronger for users whose clicks are explained (VAT, 2409.17476)."""

    config_class = FitWRMFConfig

    def strengths(self, p, q, pairs):
        """Return how strong the adversary of each user is: by how well the clicks are explained."""
        return explained(p, q, pairs)


@keras.saving.register_keras_serializable(package="advrec_tf")
class NormWRMF(AdversarialWRMF):
    """AdversarialWRMF that is stronger for users with a large norm (PamaCF, 2410.22844)."""

    config_class = NormWRMFConfig

    def strengths(self, p, q, pairs):
        """Return how strong the adversary of each user is: the norm of the user's factors."""
        return tf.norm(p, axis=1)


def explained(p, q, pairs):
    """Return 1 - L_u / (L_u of a zero row) of each user, clipped to [0, 1]; 0 without clicks.

    p: [B, D], q: [I, D]; pairs as in `weighted_gradient` -> [B]
    """
    rows, items, targets, weights = pairs
    scores = tf.linalg.matvec(tf.gather(p, rows) * tf.gather(q, items), tf.ones(tf.shape(p)[1]))
    # The squared scores over all items, summed.
    squares = tf.reduce_sum(tf.matmul(p, tf.matmul(q, q, transpose_a=True)) * p, axis=1)
    corrections = weights * tf.square(targets - scores) - tf.square(scores)
    losses = squares + tf.math.unsorted_segment_sum(corrections, rows, tf.shape(p)[0])
    at_zero = tf.math.unsorted_segment_sum(weights * tf.square(targets), rows, tf.shape(p)[0])
    shares = tf.clip_by_value(1 - losses / tf.maximum(at_zero, 1e-12), 0.0, 1.0)
    return tf.where(at_zero > 0, shares, 0.0)
