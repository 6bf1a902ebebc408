"""AMF: BPR-MF trained against perturbations of its own embeddings."""

import keras
import tensorflow as tf

from advrec_tf.perturbations import (
    EMBEDDING_ATTACKS,
    PGD_INIT,
    ascend,
    batch_gradient,
    default_step,
    normalize_rows,
)
from advrec_tf.recommenders.amf_config import AMFConfig
from advrec_tf.recommenders.bprmf import BPRMF


@keras.saving.register_keras_serializable(package="advrec_tf")
class AMF(BPRMF):
    """Minimises L(Theta) + adversarial_weight L(Theta + Delta) (Eq. 8), Delta held constant.

    The adversary makes Delta from the mini-batch's clean gradient: `fgsm` (the paper), or `bim`
    and `pgd` with `iterations` steps of `step_size` inside `ball`.
    The paper starts AMF from BPR-MF's weights.
    """

    config_class = AMFConfig
    options = ("adversary", "epsilon", "adversarial_weight", "iterations", "step_size", "ball")

    def loss_gradient(self, p, q, users, positives, negatives):
        """Return the loss of Eq. 8 and its gradient, with shapes as in BPRMF."""
        triples = users, positives, negatives
        loss, dp, dq = batch_gradient(p, q, *triples)
        du, di = self._perturbation(p, q, triples, (dp, dq))
        adversarial_loss, adversarial_dp, adversarial_dq = batch_gradient(p + du, q + di, *triples)
        weight = self.adversarial_weight
        return (
            loss + weight * adversarial_loss,
            dp + weight * adversarial_dp,
            dq + weight * adversarial_dq,
        )

    def _perturbation(self, p, q, triples, clean_gradient):
        """Return the adversary's perturbation of the factors of one batch."""
        attack = EMBEDDING_ATTACKS[self.adversary]
        if not attack.iterated:
            return [self.epsilon * normalize_rows(part) for part in clean_gradient]  # Eq. 4

        def gradient(du, di):
            """Return the gradient of the batch's loss at a perturbation."""
            return batch_gradient(p + du, q + di, *triples)[1:]

        start = self._random_start(p, q) if attack.init else (tf.zeros_like(p), tf.zeros_like(q))
        step = default_step(self.adversary, self.epsilon, self.step_size)
        return ascend(gradient, start, self.iterations, (self.epsilon,) * 2, (step,) * 2, self.ball)

    def _random_start(self, p, q):
        """Return PGD's start, uniform in [-PGD_INIT, PGD_INIT].

        It follows from the seed and from the number of mini-batches so far.
        """
        step = tf.cast(self.optimizer.iterations.value, tf.int32)

        def uniform(shape, seed):
            """Return uniform numbers in [-PGD_INIT, PGD_INIT] of this shape."""
            # Philox gives the same bits compiled and eager; floats drawn directly differ.
            bits = tf.random.stateless_uniform(
                shape, [seed, step], None, None, tf.uint32, alg="philox"
            )
            return PGD_INIT * (tf.cast(tf.bitwise.right_shift(bits, 8), tf.float32) * 2.0**-23 - 1)

        return uniform(tf.shape(p), 2 * self.seed), uniform(tf.shape(q), 2 * self.seed + 1)
