"""Low-rank reconstruction (section III-B.2) and transformation (III-B.3) as defences."""

import math
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from advrec_tf.data import Interactions
from advrec_tf.defenses.choices import CHOICES, CONVERSIONS, FLOOR, PARTIAL
from advrec_tf.defenses.protocol import Defense, Projection
from advrec_tf.defenses.reconstruction import reconstruct, reconstruct_full, row_basis
from advrec_tf.defenses.training_interactions import training_interactions, training_ratings
from advrec_tf.errors import UserError
from advrec_tf.execution import storage

VERSION = 1  # of reconstructions and projections; increase it whenever their values change


def projection(matrix: sparse.csr_matrix, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """Return U_k [users, k] and V_k [items, k], the first `rank` singular vectors (Eq. 1).

    There are fewer when fewer singular values are above 0.  The vectors of the shorter side come
    from its Gram matrix; the others are their images, scaled.

    Raises UserError when the matrix cannot have this rank.
    """
    if not 1 <= rank <= min(matrix.shape):
        raise UserError(f"the rank {rank} must lie in 1 ... {min(matrix.shape)}")
    if matrix.shape[0] > matrix.shape[1]:
        return projection(matrix.T.tocsr(), rank)[::-1]
    U = row_basis(matrix.astype(np.float64), rank)
    images = matrix.T @ U  # [items, k], V_k times the singular values
    norms = np.linalg.norm(images, axis=0)
    kept = norms > 1e-6 * norms.max()
    return U[:, kept], images[:, kept] / norms[kept]


@dataclass(frozen=True)
class LowRank(Defense):
    """Local low-rank reconstruction as a defence.  Raises UserError for values out of range."""

    patch: int | None  # rows and columns of a patch; None for the entire matrix
    rank: int
    enter: str = "binarize"  # one of CONVERSIONS
    threshold: float = 0.5
    shuffle_seed: int | None = None
    share: float = 100.0  # of the new ratings, percent
    choose: str = "magnitude"
    keep_originals: bool = False
    partial: str = "keep"  # incomplete last patches

    def __post_init__(self):
        """Raise UserError for an unknown choice and for a threshold below FLOOR."""
        for value, choices, subject in (
            (self.enter, CONVERSIONS, "values enter by"),
            (self.choose, CHOICES, "new ratings are chosen by"),
            (self.partial, PARTIAL, "partial patches are treated by"),
        ):
            if value not in choices:
                raise UserError(f"{subject} one of {', '.join(choices)}, not {value!r}")
        if not FLOOR <= self.threshold < math.inf:
            raise UserError(
                f"the threshold must be a number from {FLOOR} up, not {self.threshold}: smaller"
                " reconstructed values are not stored"
            )

    @property
    def of_ratings(self) -> bool:
        """Return whether the matrix of ratings is rebuilt, not that of clicks."""
        return self.enter in ("ratings", "rating_matrix")

    @property
    def feedback(self) -> str:
        """Return what the reconstructed values mean to WRMF, see `WRMFConfig.feedback`."""
        return {"weights": "weights", "dense": "values"}.get(self.enter, "binary")

    @property
    def columns(self) -> dict:
        """Return the key columns of a row: defense, patch, rank and, for ratings, their share."""
        parts = ["low_rank"]
        if self.enter not in ("ratings", LowRank.enter):
            parts.append(self.enter)
        if self.partial == "drop":
            parts.append("drop")
        columns = {
            "defense": "new ratings" if self.keep_originals else ":".join(parts),
            "patch": "full" if self.patch is None else str(self.patch),
            "rank": self.rank,
        }
        return columns | ({"share": self.share} if self.enter == "ratings" else {})

    def cleaned(self, data: Interactions, n_real: int, cache_dir: Path) -> Interactions:
        """Return the data with train interactions from the reconstruction, which is cached."""
        rebuilt = self.rebuilt(data, cache_dir)
        if self.enter == "ratings":
            return training_ratings(data, rebuilt, self.share, self.choose, self.keep_originals)
        return training_interactions(data, rebuilt, self.enter, self.threshold)

    def rebuilt(self, data: Interactions, cache_dir: Path) -> sparse.csr_matrix:
        """Return the low-rank reconstruction of the train matrix: sparse [users, items].

        Values below FLOOR are left out. It is read from the cache if it is there.
        """
        matrix = data.matrix(self.of_ratings)

        def build():
            """Compute the arrays of the reconstruction."""
            if self.patch is None:
                return _parts_of(next(reconstruct_full(matrix, (self.rank,), FLOOR)))
            order = self.shuffle_seed, self.partial
            return _parts_of(reconstruct(matrix, self.patch, self.rank, FLOOR, *order))

        parts = storage.cached(Path(cache_dir) / "reconstructions", self.identity(data), build)
        return sparse.csr_matrix(
            (parts["data"], parts["indices"], parts["indptr"]), shape=matrix.shape
        )

    def identity(self, data: Interactions) -> dict:
        """Return what the reconstruction depends on."""
        identity: dict[str, Any] = {
            "version": VERSION,
            "patch": self.patch,
            "rank": self.rank,
            "shuffle": self.patch and self.shuffle_seed,
            "floor": FLOOR,
            "ratings": self.of_ratings,
            "data": data.ratings_fingerprint if self.of_ratings else data.fingerprint,
        }
        if self.patch and self.partial != LowRank.partial:
            identity["partial"] = self.partial
        return identity


@dataclass(frozen=True)
class Transformation(Defense):
    """Low-rank transformation as a defence.

    The factors learned from the data, or from what `before` makes of them, are projected on the
    first `rank` singular vectors of the data's matrix, of ratings where there are any.
    """

    rank: int
    before: LowRank | None = None
    clicks: bool = False  # whether the matrix is that of clicks even where there are ratings
    widest: int | None = None  # number of cached vectors, which lower ranks share; default: all

    @property
    def columns(self) -> dict:
        """Return the key columns of a row: those of the defence before this one, and the rank."""
        first = self.before.columns if self.before else {}
        name = "transformation" if self.before is None else f"{first['defense']} + transformation"
        return first | {"defense": name, "rank": self.rank}

    def cleaned(self, data: Interactions, n_real: int, cache_dir: Path) -> Interactions:
        """Return the data after the defence that comes before this one, if there is one."""
        return data if self.before is None else self.before.cleaned(data, n_real, cache_dir)

    def served(self, data: Interactions, cache_dir: Path) -> Projection:
        """Return the projection on the singular vectors, which are stored in cache_dir.

        Raises UserError for a rank that the matrix cannot have. If fewer singular values are above
        0, stderr says so.
        """
        of_ratings = data.train_ratings is not None and not self.clicks
        matrix = data.matrix(of_ratings)
        if not 1 <= self.rank <= min(matrix.shape):
            raise UserError(
                f"the rank {self.rank} of the transformation must lie in 1 ... {min(matrix.shape)}"
            )
        width = self.widest or min(matrix.shape)
        identity = {
            "version": VERSION,
            "ratings": of_ratings,
            "data": data.ratings_fingerprint if of_ratings else data.fingerprint,
            "vectors": width,
        }
        bases = storage.cached(
            Path(cache_dir) / "bases", identity, lambda: dict(zip("UV", projection(matrix, width)))
        )
        available = bases["U"].shape[1]
        if available < self.rank:
            print(
                f"advrec: {data.name} has {available} singular values above 0: "
                f"a projection of rank {self.rank} is that of rank {available}",
                file=sys.stderr,
            )
        return Projection(bases["U"], bases["V"]).of_rank(self.rank)


def prepare_full(data: Interactions, ranks: tuple[int, ...], cache_dir: Path) -> None:
    """Cache the reconstructions of the entire click matrix at several ranks.

    They share one decomposition.
    """
    folder = Path(cache_dir) / "reconstructions"
    identities = {rank: LowRank(None, rank).identity(data) for rank in ranks}
    missing = [rank for rank in ranks if not storage.entry(folder, identities[rank]).exists()]
    if missing:
        for rank, rebuilt in zip(missing, reconstruct_full(data.matrix(), tuple(missing), FLOOR)):
            storage.cached(folder, identities[rank], partial(_parts_of, rebuilt))


def _parts_of(matrix: sparse.csr_matrix) -> storage.Arrays:
    """Return the arrays that a sparse matrix is stored as."""
    matrix.sort_indices()
    return {"data": matrix.data, "indices": matrix.indices, "indptr": matrix.indptr}
