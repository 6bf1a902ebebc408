"""The interface of a defence."""

from pathlib import Path

import numpy as np

from advrec_tf.data import Interactions


class Defense:
    """A defence against poisoned data or perturbed factors; this base class changes nothing."""

    @property
    def feedback(self) -> str:
        """Return what the ratings of the cleaned data mean to WRMF (`recommenders.WRMF`)."""
        return "binary"

    @property
    def columns(self) -> dict:
        """Return the key columns of its rows in a results.csv."""
        return {"defense": "none"}

    def cleaned(self, data: Interactions, n_real: int, cache_dir: Path) -> Interactions:
        """Return the data to train on.  Slow parts are cached in `cache_dir`.

        Users from n_real on are fake.  Only the training of a detector may use that.
        """
        return data

    def bases(self, data: Interactions, cache_dir: Path) -> tuple[np.ndarray, np.ndarray] | None:
        """Orthonormal A [users, k] and B [items, k] if users are served from A A^T P and B B^T Q: an attacker differentiates through them
        (`perturbations.trajectory(through=...)`).  data: as they were before `cleaned`"""
        return None

    def transformed(
        self, P: np.ndarray, Q: np.ndarray, data: Interactions, cache_dir: Path
    ) -> tuple[np.ndarray, np.ndarray]:
        """The factors that users are served from.  data: as they were before `cleaned`"""
        found = self.bases(data, cache_dir)
        return (P, Q) if found is None else project(P, Q, *found)


def project(
    A: np.ndarray, B: np.ndarray, U: np.ndarray, V: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A' = U U^T A and B' = V V^T B, without the square matrices.  (Eq. 2)  A: [users, D], B: [items, D], U: [users, k], V: [items, k]"""
    return (U @ (U.T @ A)).astype(A.dtype), (V @ (V.T @ B)).astype(B.dtype)
