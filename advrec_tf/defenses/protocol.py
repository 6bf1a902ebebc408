"""The interface of a defence."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from advrec_tf.data import Interactions


class Projection(NamedTuple):
    """Users are served from U U^T P and V V^T Q, with orthonormal U [users, k] and V [items, k]."""

    U: np.ndarray
    V: np.ndarray

    def __call__(self, user, item):
        """Return U U^T `user` and V V^T `item`.

        user: [users, D]; item: [items, D]. Arrays give arrays, and tensors give differentiable
        tensors.
        """
        if isinstance(user, np.ndarray):
            return project(user, item, self.U, self.V)
        import tensorflow as tf  # takes seconds

        return tuple(
            tf.matmul(basis, tf.matmul(basis, table, transpose_a=True))
            for basis, table in zip(self, (user, item))
        )

    def of_rank(self, rank: int) -> "Projection":
        """Return the projection on the first `rank` vectors of U and V."""
        return Projection(self.U[:, :rank], self.V[:, :rank])


def project(
    A: np.ndarray, B: np.ndarray, U: np.ndarray, V: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return A' = U U^T A and B' = V V^T B, without the square matrices (Eq. 2).

    A: [users, D]; B: [items, D]; U: [users, k]; V: [items, k]
    """
    return (U @ (U.T @ A)).astype(A.dtype), (V @ (V.T @ B)).astype(B.dtype)


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

    def served(self, data: Interactions, cache_dir: Path) -> Projection | None:
        """Return how users are served from trained factors, None if from the factors themselves.

        `perturbations.trajectory(served=...)` takes it: an attacker differentiates through it.
        data: as they were before `cleaned`
        """
        return None

    def transformed(
        self, P: np.ndarray, Q: np.ndarray, data: Interactions, cache_dir: Path
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the factors that users are served from. data: as they were before `cleaned`"""
        served = self.served(data, cache_dir)
        return (P, Q) if served is None else served(P, Q)
