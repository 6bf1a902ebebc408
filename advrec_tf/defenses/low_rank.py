"""Local low-rank reconstruction of interactions (section III-B.2), and low-rank transformation of factors (section III-B.3)."""

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from scipy import linalg, sparse

from advrec_tf.data import Interactions
from advrec_tf.defenses.entering import CHOICES, ENTER, entered, entered_ratings
from advrec_tf.defenses.protocol import Defense
from advrec_tf.errors import UserError
from advrec_tf.execution import storage

PARTIAL = ("keep", "drop")
VERSION = 1  # of reconstructions and projections, one more whenever their bytes change
FLOOR = 0.1  # a reconstruction is kept without what is smaller: neither a rating nor a click comes of it
_ROWS = 512  # rows of a wide product that are held at a time
_WIDE = 4096  # above this many rows a patch is decomposed in single precision


def row_basis(block: np.ndarray | sparse.csr_matrix, rank: int) -> np.ndarray:
    """The left singular vectors of the `rank` largest singular values, [m, rank], from the Gram matrix of the block's rows.  block: [m, n]"""
    kind = np.float32 if block.shape[0] > _WIDE else np.float64
    wide: Any = block.astype(kind)
    gram = wide @ wide.T
    gram = gram.toarray() if sparse.issparse(gram) else gram
    return linalg.eigh(gram, driver="evd", overwrite_a=True, check_finite=False)[1][:, ::-1][
        :, :rank
    ]


def truncated(block: np.ndarray, rank: int) -> np.ndarray:
    """The best approximation of a dense block of at most that rank, U_k U_k^T X; a block that cannot have a higher rank as it is."""
    if min(block.shape) <= rank:
        return block
    if block.shape[0] > block.shape[1]:
        return truncated(block.T, rank).T
    basis = row_basis(block, rank)
    return basis @ (basis.T @ block)


def reconstruct_strip(
    strip: sparse.csr_matrix, size: int, rank: int, threshold: float
) -> sparse.csr_matrix:
    """Low-rank approximations of the patches of one strip of rows, side by side, without what is not above the threshold in magnitude.

    Empty rows and columns of a patch stay empty in its approximation, so they are left out of it.  strip: [size, items]
    """
    rows, columns, values = [], [], []
    by_column = strip.tocsc()
    for start in range(0, strip.shape[1], size):
        patch = by_column[:, start : start + size].tocoo()
        if not patch.nnz:
            continue
        kept_rows, row_places = np.unique(patch.row, return_inverse=True)
        kept_columns, column_places = np.unique(patch.col, return_inverse=True)
        block = np.zeros((len(kept_rows), len(kept_columns)))
        block[row_places, column_places] = patch.data
        low = truncated(block, rank)
        r, c = np.nonzero(np.abs(low) > threshold)
        rows.append(kept_rows[r])
        columns.append(kept_columns[c] + start)
        values.append(low[r, c].astype(np.float32))
    parts = [np.concatenate(part) if part else np.empty(0) for part in (values, rows, columns)]
    return sparse.csr_matrix(
        (parts[0].astype(np.float32), (parts[1].astype(int), parts[2].astype(int))),
        shape=strip.shape,
    )


def reconstruct(
    matrix: sparse.csr_matrix,
    size: int,
    rank: int,
    threshold: float = 0.0,
    workers: int = 1,
    seed: int | None = None,
    partial: str = "keep",
) -> sparse.csr_matrix:
    """The matrix rebuilt from rank-`rank` approximations of its size x size patches, entries not above the threshold in magnitude left out.

    Patches are cut in the order of rows and columns, or of both shuffled by `seed`.  The rows and columns that are left for incomplete last patches
    are reconstructed like the others, or left out (partial="drop").  Strips of patches are worked on in `workers` threads and come back in order, so
    that the number of workers changes nothing; dense are only the patches in work, and what is kept of the others is sparse.
    """
    _check(size, rank)
    orders = [
        np.arange(n) if seed is None else np.random.default_rng([seed, axis]).permutation(n)
        for axis, n in enumerate(matrix.shape)
    ]
    shuffled = matrix if seed is None else matrix[orders[0]][:, orders[1]]
    if partial == "drop":
        whole = [n // size * size for n in matrix.shape]
        shuffled = shuffled[: whole[0], : whole[1]]
        shuffled.resize(matrix.shape)
    strips = (shuffled[start : start + size] for start in range(0, matrix.shape[0], size))
    pool = joblib.Parallel(
        workers, backend="threading", return_as="generator", pre_dispatch=2 * workers
    )
    rebuilt = sparse.vstack(
        list(
            pool(
                joblib.delayed(reconstruct_strip)(strip, size, rank, threshold) for strip in strips
            )
        ),
        format="csr",
    )
    if seed is None:
        return rebuilt
    back = [np.argsort(order) for order in orders]
    return rebuilt[back[0]][:, back[1]]


def reconstruct_full(
    matrix: sparse.csr_matrix, ranks: tuple[int, ...], threshold: float = 0.0
) -> Iterator[sparse.csr_matrix]:
    """`reconstruct` with one patch for the whole matrix, for several ranks at the price of one decomposition; yields them in the order of `ranks`."""
    for rank in ranks:
        _check(max(matrix.shape), rank)
    flip = matrix.shape[0] > matrix.shape[1]
    narrow = (matrix.T if flip else matrix).tocsr()
    filled = [np.flatnonzero(np.diff(part.indptr)) for part in (narrow, narrow.tocsc())]
    inner = narrow[filled[0]][:, filled[1]]
    basis = row_basis(inner, max(ranks))
    for rank in ranks:
        if rank >= min(inner.shape):
            low = inner.copy()
            low.data[np.abs(low.data) <= threshold] = 0
        else:
            right = (inner.T @ basis[:, :rank]).T.astype(basis.dtype)  # [rank, n]
            low = sparse.vstack(
                [
                    _above(basis[start : start + _ROWS, :rank] @ right, threshold)
                    for start in range(0, inner.shape[0], _ROWS)
                ]
            )
        low = low.tocoo()
        full = sparse.csr_matrix(
            (low.data, (filled[0][low.row], filled[1][low.col])), shape=narrow.shape
        )
        full.eliminate_zeros()
        yield full.T.tocsr() if flip else full


def _above(block: np.ndarray, threshold: float) -> sparse.csr_matrix:
    return sparse.csr_matrix(np.where(np.abs(block) > threshold, block, 0).astype(np.float32))


def _check(size: int, rank: int) -> None:
    if size < 1 or rank < 1:
        raise UserError(f"a patch and its rank must be at least 1, not [{size}, {rank}]")
    if rank > size:
        raise UserError(
            f"the rank {rank} is more than the patch size {size}: nothing would be left out"
        )


def projection(matrix: sparse.csr_matrix, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """U_k [users, k] and V_k [items, k], the singular vectors of the `rank` largest singular values (Eq. 1), or of all above 0 if there are fewer.

    The vectors of the shorter side come from its Gram matrix, and the others are their images, scaled.
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
    """Local low-rank reconstruction as a defence: [patch, rank], patch None for the whole matrix."""

    patch: int | None
    rank: int
    enter: str = "binarize"
    threshold: float = 0.5
    shuffle_seed: int | None = None
    share: float = 100.0  # of the new ratings, percent
    choose: str = "magnitude"
    keep_originals: bool = False
    partial: str = "keep"  # incomplete last patches

    def __post_init__(self):
        if self.enter not in ENTER or self.choose not in CHOICES or self.partial not in PARTIAL:
            asked = f"{self.enter}, {self.choose}, {self.partial}"
            raise UserError(
                f"values enter by {', '.join(ENTER)}, are chosen by {', '.join(CHOICES)} and keep or drop partial patches, not {asked}"
            )
        if not FLOOR <= self.threshold < math.inf:
            raise UserError(
                f"the threshold must be a number from {FLOOR} up, as what is smaller is not kept, not {self.threshold}"
            )

    @property
    def of_ratings(self) -> bool:
        """Whether the matrix of ratings is rebuilt, or that of clicks."""
        return self.enter in ("ratings", "rating_matrix")

    @property
    def feedback(self) -> str:
        return {"weights": "weights", "dense": "values"}.get(self.enter, "binary")

    @property
    def columns(self) -> dict:
        plain = self.enter in ("ratings", LowRank.enter)
        name = ":".join(
            [
                "low_rank",
                *([] if plain else [self.enter]),
                *(["drop"] if self.partial == "drop" else []),
            ]
        )
        own = {
            "defense": "new ratings" if self.keep_originals else name,
            "patch": "full" if self.patch is None else str(self.patch),
            "rank": self.rank,
        }
        return own | ({"share": self.share} if self.enter == "ratings" else {})

    def cleaned(
        self, data: Interactions, n_real: int, cache_dir: Path, workers: int = 1
    ) -> Interactions:
        """The data with what a reconstruction, which is kept in cache_dir, makes of them."""
        rebuilt = self.rebuilt(data, cache_dir, workers)
        if self.enter == "ratings":
            return entered_ratings(data, rebuilt, self.share, self.choose, self.keep_originals)
        return entered(data, rebuilt, self.enter, self.threshold)

    def rebuilt(self, data: Interactions, cache_dir: Path, workers: int = 1) -> sparse.csr_matrix:
        """The reconstruction without what is below FLOOR, from the cache when it was made before."""
        matrix = data.matrix(self.of_ratings)

        def build():
            if self.patch is None:
                return _parts_of(next(reconstruct_full(matrix, (self.rank,), FLOOR)))
            return _parts_of(
                reconstruct(
                    matrix, self.patch, self.rank, FLOOR, workers, self.shuffle_seed, self.partial
                )
            )

        parts = storage.cached(Path(cache_dir) / "reconstructions", self.identity(data), build)
        return sparse.csr_matrix(
            (parts["data"], parts["indices"], parts["indptr"]), shape=matrix.shape
        )

    def identity(self, data: Interactions) -> dict:
        """What the reconstruction depends on."""
        fingerprint = data.ratings_fingerprint if self.of_ratings else data.fingerprint
        settings: dict[str, Any] = {
            "patch": self.patch,
            "rank": self.rank,
            "shuffle": self.patch and self.shuffle_seed,
            "floor": FLOOR,
            "ratings": self.of_ratings,
        }
        if self.patch and self.partial != LowRank.partial:
            settings["partial"] = self.partial
        return {"version": VERSION, **settings, "data": fingerprint}


@dataclass(frozen=True)
class Transformation(Defense):
    """Low-rank transformation as a defence: the factors learnt from the data (or from what `before` makes of them) are projected on the first
    `rank` singular vectors of the data's own matrix, of ratings where there are any."""

    rank: int
    before: LowRank | None = None
    clicks: bool = False  # whether of the clicks also where there are ratings
    widest: int | None = None  # how many vectors are kept for this and other ranks; all there are

    @property
    def columns(self) -> dict:
        first = self.before.columns if self.before else {}
        name = "transformation" if self.before is None else f"{first['defense']} + transformation"
        return first | {"defense": name, "rank": self.rank}

    def cleaned(self, data: Interactions, n_real: int, cache_dir: Path) -> Interactions:
        return data if self.before is None else self.before.cleaned(data, n_real, cache_dir)

    def bases(self, data: Interactions, cache_dir: Path) -> tuple[np.ndarray, np.ndarray]:
        """Raises UserError when the matrix has no such rank, and says so on stderr when fewer of its singular values are above 0."""
        of_ratings = data.train_ratings is not None and not self.clicks
        matrix = data.matrix(of_ratings)
        if not 1 <= self.rank <= min(matrix.shape):
            raise UserError(
                f"the rank {self.rank} of the transformation must lie in 1 ... {min(matrix.shape)}"
            )
        fingerprint, width = (
            data.ratings_fingerprint if of_ratings else data.fingerprint,
            self.widest or min(matrix.shape),
        )
        identity = {
            "version": VERSION,
            "ratings": of_ratings,
            "data": fingerprint,
            "vectors": width,
        }
        found = storage.cached(
            Path(cache_dir) / "bases", identity, lambda: dict(zip("UV", projection(matrix, width)))
        )
        have = found["U"].shape[1]
        if have < self.rank:
            print(
                f"advrec: {data.name} has {have} singular values above 0: a projection of rank {self.rank} is that of rank {have}",
                file=sys.stderr,
            )
        return found["U"][:, : self.rank], found["V"][:, : self.rank]


def prepare_full(data: Interactions, ranks: tuple[int, ...], cache_dir: Path) -> None:
    """Puts the reconstructions of the whole matrix of clicks at several ranks into the cache, from one decomposition."""
    entries = {rank: LowRank(None, rank).identity(data) for rank in ranks}
    missing = [
        rank
        for rank in ranks
        if not storage.entry(Path(cache_dir) / "reconstructions", entries[rank]).exists()
    ]
    for rank, rebuilt in zip(
        missing, reconstruct_full(data.matrix(), tuple(missing), FLOOR) if missing else ()
    ):
        storage.cached(
            Path(cache_dir) / "reconstructions", entries[rank], partial(_parts_of, rebuilt)
        )


def _parts_of(matrix: sparse.csr_matrix) -> dict[str, np.ndarray]:
    matrix.sort_indices()
    return {"data": matrix.data, "indices": matrix.indices, "indptr": matrix.indptr}
