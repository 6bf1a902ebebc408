"""What a defence is."""

from pathlib import Path

import numpy as np

from advrec_tf.data import Interactions


class Defense:
    """Something done about poisoned data or perturbed factors; as it stands here, nothing is.

    feedback: what the ratings of the data that come out mean to WRMF; columns: what tells its rows apart in a results.csv.
    """

    @property
    def feedback(self) -> str:
        """What the ratings of the cleaned data mean to WRMF (`models.WRMF`)."""
        return "binary"

    @property
    def columns(self) -> dict:
        """The key columns of its rows."""
        return {"defense": "none"}

    def cleaned(self, data: Interactions, n_real: int, cache_dir: Path) -> Interactions:
        """The data to train on; users from n_real on are fake, which only a detector's training may know.  Slow parts are kept in cache_dir."""
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
