"""Defences against poisoned interactions: finding the fakes, or low-rank data and factors."""

from pathlib import Path
from typing import Protocol

from advrec_tf.data import Interactions


class Defense(Protocol):
    """What is done to poisoned data before anything is trained on them."""

    def applied(self, data: Interactions, n_real: int, cache_dir: Path) -> Interactions:
        """The data to train on; users from n_real on are fake, which only a detector's training may know.  Slow parts are kept in cache_dir."""
        ...


__all__ = ["Defense"]
