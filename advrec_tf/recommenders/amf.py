"""AMF: BPR-MF trained against perturbations of its own embeddings (adversarial personalised ranking)."""

import keras
import tensorflow as tf

from advrec_tf.perturbations import (
    BALLS,
    EMBEDDING_ATTACKS,
    PGD_INIT,
    ascend,
    batch_gradient,
    default_step,
    normalize_rows,
)
from advrec_tf.recommenders.bprmf import BPRMF

ADVERSARIES = tuple(name for name, attack in EMBEDDING_ATTACKS.items() if not attack.draw)


@keras.saving.register_keras_serializable(package="advrec_tf")
class AMF(BPRMF):
    """Minimises L(Theta) + adversarial_weight L(Theta + Delta) (Eq. 8), Delta held constant.

    Delta is what the adversary makes of the mini-batch's clean gradient: `fgsm` (the paper), or `bim` and `pgd` with
    `iterations` steps of `step_size` (epsilon / 4 unless given) inside `ball`.  The paper warm-starts it from BPR-MF.
    """

    def __init__(
        self,
        n_users: int,
        n_items: int,
        embedding_dim: int = 64,
        seed: int = 0,
        *,
        adversary: str = "fgsm",
        epsilon: float = 0.5,
        adversarial_weight: float = 1.0,
        iterations: int = 5,
        step_size: float | None = None,
        ball: str = "linf",
        **kwargs,
    ):
        super().__init__(n_users, n_items, embedding_dim, seed, **kwargs)
        if adversary not in ADVERSARIES or ball not in BALLS:
            raise ValueError(
                f"adversary must be one of {', '.join(ADVERSARIES)} and ball one of {', '.join(BALLS)}, not {adversary}, {ball}"
            )
        for name, value in (
            ("epsilon", epsilon),
            ("adversarial_weight", adversarial_weight),
            ("step_size", step_size or 0),
        ):
            if not value >= 0 or value == float("inf"):
                raise ValueError(f"{name} must be a number from 0 up, not {value}")
        if iterations < 1:
            raise ValueError(f"iterations must be at least 1, not {iterations}")
        self.adversary, self.epsilon, self.adversarial_weight = (
            adversary,
            epsilon,
            adversarial_weight,
        )
        self.iterations, self.step_size, self.ball = iterations, step_size, ball

    def loss_gradient(self, p, q, users, positives, negatives):
        """Loss of Eq. 8 and its gradient; the adversary's tape runs inside the same compiled step."""
        loss, dp, dq = batch_gradient(p, q, users, positives, negatives)

        def gradient(du, di):
            return batch_gradient(p + du, q + di, users, positives, negatives)[1:]

        kind = EMBEDDING_ATTACKS[self.adversary]
        if kind.iterated:
            start = self._random_start(p, q) if kind.init else (tf.zeros_like(p), tf.zeros_like(q))
            step_size = default_step(self.adversary, self.epsilon, self.step_size)
            du, di = ascend(
                gradient, start, self.iterations, (self.epsilon,) * 2, (step_size,) * 2, self.ball
            )
        else:
            du, di = (self.epsilon * normalize_rows(g) for g in (dp, dq))  # Eq. 4
        adversarial_loss, adversarial_dp, adversarial_dq = batch_gradient(
            p + du, q + di, users, positives, negatives
        )
        weight = self.adversarial_weight
        return (
            loss + weight * adversarial_loss,
            dp + weight * adversarial_dp,
            dq + weight * adversarial_dq,
        )

    def _random_start(self, p, q):
        """PGD's start: uniform in [-PGD_INIT, PGD_INIT], a function of the seed and of how many mini-batches there have been."""
        step = tf.cast(self.optimizer.iterations.value, tf.int32)

        def uniform(shape, seed):
            # Philox gives the same bits compiled and eager; floats drawn directly differ.
            bits = tf.random.stateless_uniform(
                shape, [seed, step], None, None, tf.uint32, alg="philox"
            )
            return PGD_INIT * (tf.cast(tf.bitwise.right_shift(bits, 8), tf.float32) * 2.0**-23 - 1)

        return uniform(tf.shape(p), 2 * self.seed), uniform(tf.shape(q), 2 * self.seed + 1)

    def get_config(self):
        names = ("adversary", "epsilon", "adversarial_weight", "iterations", "step_size", "ball")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
