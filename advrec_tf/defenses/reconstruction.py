"""Local low-rank reconstruction of a sparse matrix (section III-B.2)."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import linalg, sparse

from advrec_tf.errors import UserError

_ROWS = 512  # rows of a wide product that are held at a time
_WIDE = 4096  # above this many rows a patch is decomposed in single precision


def row_basis(block: np.ndarray | sparse.csr_matrix, rank: int) -> np.ndarray:
    """Return the left singular vectors of the `rank` largest singular values, [m, rank].

    They come from the Gram matrix of the rows.  block: [m, n]
    """
    kind = np.float32 if block.shape[0] > _WIDE else np.float64
    wide: Any = block.astype(kind)
    gram = wide @ wide.T
    gram = gram.toarray() if sparse.issparse(gram) else gram
    vectors = linalg.eigh(gram, driver="evd", overwrite_a=True, check_finite=False)[1]
    return vectors[:, ::-1][:, :rank]


def truncated(block: np.ndarray, rank: int) -> np.ndarray:
    """Return the best approximation of a dense block of at most that rank, U_k U_k^T X.

    A block that cannot have a higher rank is returned unchanged.
    """
    if min(block.shape) <= rank:
        return block
    if block.shape[0] > block.shape[1]:
        return truncated(block.T, rank).T
    basis = row_basis(block, rank)
    return basis @ (basis.T @ block)


def reconstruct_strip(
    strip: sparse.csr_matrix, size: int, rank: int, threshold: float
) -> sparse.csr_matrix:
    """Approximate each patch of a strip of rows and drop values not above the threshold.

    Empty rows and columns of a patch stay empty in its approximation, so they are left out of it.
    strip: [size, items]
    """
    rows, columns, values = [], [], []
    by_column = strip.tocsc()
    for start in range(0, strip.shape[1], size):
        patch = by_column[:, start : start + size].tocoo()
        if not patch.nnz:
            continue
        kept_rows, row_index = np.unique(patch.row, return_inverse=True)
        kept_columns, column_index = np.unique(patch.col, return_inverse=True)
        block = np.zeros((len(kept_rows), len(kept_columns)))
        block[row_index, column_index] = patch.data
        low = truncated(block, rank)
        r, c = np.nonzero(np.abs(low) > threshold)
        rows.append(kept_rows[r])
        columns.append(kept_columns[c] + start)
        values.append(low[r, c].astype(np.float32))
    if not values:
        return sparse.csr_matrix(strip.shape, dtype=np.float32)
    indices = np.concatenate(rows).astype(int), np.concatenate(columns).astype(int)
    return sparse.csr_matrix((np.concatenate(values), indices), shape=strip.shape)


def reconstruct(
    matrix: sparse.csr_matrix,
    size: int,
    rank: int,
    threshold: float = 0.0,
    seed: int | None = None,
    partial: str = "keep",
) -> sparse.csr_matrix:
    """Rebuild a matrix from rank-`rank` approximations of its size x size patches.

    Entries that are not above the threshold in magnitude are dropped.  Patches are cut in the order
    of rows and columns, or of both shuffled by `seed`.  Incomplete last patches are reconstructed
    like the others, or dropped (partial="drop").  Only the patches in work are dense.

    Raises UserError for an impossible size or rank.
    """
    _check(size, rank)
    shuffled, orders = matrix, []
    if seed is not None:
        generators = (np.random.default_rng([seed, axis]) for axis in (0, 1))
        orders = [rng.permutation(n) for rng, n in zip(generators, matrix.shape)]
        shuffled = matrix[orders[0]][:, orders[1]]
    if partial == "drop":
        complete = [n // size * size for n in matrix.shape]
        shuffled = shuffled[: complete[0], : complete[1]]
        shuffled.resize(matrix.shape)
    strips = (shuffled[start : start + size] for start in range(0, matrix.shape[0], size))
    rebuilt = sparse.vstack(
        [reconstruct_strip(strip, size, rank, threshold) for strip in strips], format="csr"
    )
    if seed is None:
        return rebuilt
    rows, columns = map(np.argsort, orders)
    return rebuilt[rows][:, columns]


def reconstruct_full(
    matrix: sparse.csr_matrix, ranks: tuple[int, ...], threshold: float = 0.0
) -> Iterator[sparse.csr_matrix]:
    """Yield `reconstruct` with one patch for the entire matrix, for each of the ranks.

    All ranks share one decomposition.
    """
    for rank in ranks:
        _check(max(matrix.shape), rank)
    flip = matrix.shape[0] > matrix.shape[1]
    narrow = (matrix.T if flip else matrix).tocsr()
    rows, columns = (np.flatnonzero(np.diff(part.indptr)) for part in (narrow, narrow.tocsc()))
    inner = narrow[rows][:, columns]
    basis = row_basis(inner, max(ranks))
    for rank in ranks:
        low = _approximation(inner, basis, rank, threshold).tocoo()
        full = sparse.csr_matrix((low.data, (rows[low.row], columns[low.col])), shape=narrow.shape)
        full.eliminate_zeros()
        yield full.T.tocsr() if flip else full


def _approximation(
    inner: sparse.csr_matrix, basis: np.ndarray, rank: int, threshold: float
) -> sparse.csr_matrix:
    """Return the best approximation of `inner` of this rank, without values up to the threshold.

    inner: [m, n]; basis: [m, r], its left singular vectors, those of large values first. At full
    rank it is `inner` itself. Rows are computed in blocks, because the result is dense at first.
    """
    if rank >= min(inner.shape):
        low = inner.copy()
        low.data[np.abs(low.data) <= threshold] = 0
        return low
    right = (inner.T @ basis[:, :rank]).T.astype(basis.dtype)  # [rank, n]
    starts = range(0, inner.shape[0], _ROWS)
    blocks = (basis[start : start + _ROWS, :rank] @ right for start in starts)
    return sparse.vstack([_above(block, threshold) for block in blocks])


def _above(block: np.ndarray, threshold: float) -> sparse.csr_matrix:
    """Return a dense block as a sparse one, without values up to the threshold."""
    return sparse.csr_matrix(np.where(np.abs(block) > threshold, block, 0).astype(np.float32))


def _check(size: int, rank: int) -> None:
    """Raise UserError for a patch size or rank below 1, or a rank above the size."""
    if size < 1 or rank < 1:
        raise UserError(f"a patch and its rank must be at least 1, not [{size}, {rank}]")
    if rank > size:
        raise UserError(
            f"the rank {rank} is more than the patch size {size}: nothing would be left out"
        )
