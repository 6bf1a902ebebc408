"""Defences against poisoned interactions: finding the fakes, or low-rank data and factors."""

from pathlib import Path
from typing import Protocol

from advrec_tf.data import Interactions
from advrec_tf.defenses.detection import KERNELS, Svm, sanitize, unsupervised_scores
from advrec_tf.defenses.low_rank import ENTER, LowRank, Transformation, projection, reconstruct, reconstruct_full, transform


class Defense(Protocol):
    """What is done to poisoned data before anything is trained on them."""

    def applied(self, data: Interactions, n_real: int, cache_dir: Path) -> Interactions:
        """The data to train on; users from n_real on are fake, which only a detector's training may know.  Slow parts are kept in cache_dir."""
        ...


__all__ = [
    "ENTER", "KERNELS", "Defense", "LowRank", "Svm", "Transformation", "projection", "reconstruct", "reconstruct_full", "sanitize",
    "transform", "unsupervised_scores",
]  # fmt: skip
