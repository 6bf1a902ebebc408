"""Factors as they are after they were stored in fewer numbers or fewer bits."""

import importlib.util
from collections.abc import Callable

import ml_dtypes
import numpy as np

from advrec_tf.perturbations.arguments import Tables

CENTROIDS_IN_BITS = 8  # of product quantisation: a byte for each part of a row


def rounded(table: np.ndarray, dtype: type) -> np.ndarray:
    """Return a table rounded to another type of floating-point numbers, float32."""
    return table.astype(dtype).astype(np.float32)


def integers(table: np.ndarray, bits: int, by_row: bool) -> np.ndarray:
    """Return a table stored as symmetric integers times one scale a row, or one in all, float32.

    The scale is the largest absolute number over 2^(bits - 1) - 1.
    """
    most = 2 ** (bits - 1) - 1
    scale = np.abs(table).max(axis=1 if by_row else None, keepdims=True) / np.float32(most)
    scale = np.where(scale > 0, scale, 1).astype(np.float32)
    return (np.rint(table / scale) * scale).astype(np.float32)


def product(table: np.ndarray, row_bytes: int, seed: int) -> np.ndarray:
    """Return a table after product quantisation (Jegou et al. 2011) to `row_bytes` a row, float32.

    Columns are turned by a random rotation first, so that all parts carry alike, and then cut into
    as many parts.  Each part is the nearest of at most 256 centroids of k-means (faiss).
    """
    import faiss

    rng = np.random.default_rng(seed)
    width = -(-table.shape[1] // row_bytes) * row_bytes
    padded = np.pad(table, ((0, 0), (0, width - table.shape[1]))).astype(np.float32)
    rotation = np.linalg.qr(rng.standard_normal((width, width)))[0].astype(np.float32)
    turned = np.ascontiguousarray(padded @ rotation)
    faiss.omp_set_num_threads(1)
    bits = min(CENTROIDS_IN_BITS, len(table).bit_length() - 1)
    quantizer = faiss.ProductQuantizer(width, row_bytes, bits)
    quantizer.cp.seed = int(rng.integers(1 << 31))
    quantizer.cp.min_points_per_centroid = 1  # small catalogues
    quantizer.train(turned)
    decoded = quantizer.decode(quantizer.compute_codes(turned))
    return (decoded @ rotation.T)[:, : table.shape[1]]


def _alike(store: Callable[[np.ndarray], np.ndarray]) -> Callable[[Tables, int], Tables]:
    """Return the change that stores both tables in one way."""
    return lambda tables, _: (store(tables[0]), store(tables[1]))


def _truncated(parts: int) -> Callable[[Tables, int], Tables]:
    """Return the change that keeps 1 / parts of the columns of canonical factors."""

    def change(tables: Tables, _: int) -> Tables:
        """Set all other columns to 0."""
        kept = max(1, tables[0].shape[1] // parts)
        user, item = (np.where(np.arange(x.shape[1]) < kept, x, 0) for x in tables)
        return user, item

    return change


def _product(row_bytes: int, sides: str) -> Callable[[Tables, int], Tables]:
    """Return the change that quantises the tables of users (u), of items (i) or both."""

    def change(tables: Tables, seed: int) -> Tables:
        """Quantise them."""
        user, item = tables
        user = product(user, row_bytes, seed) if "u" in sides else user
        return user, product(item, row_bytes, seed) if "i" in sides else item

    return change


# What is done to canonical factors (P, Q) with a seed, by name.
PRODUCT: dict[str, Callable[[Tables, int], Tables]] = {
    "PQ32 items": _product(32, "i"),
    "PQ16 items": _product(16, "i"),
    "PQ8 items": _product(8, "i"),
    "PQ16 users": _product(16, "u"),
    "PQ16 both": _product(16, "ui"),
}
NUMBERS: dict[str, Callable[[Tables, int], Tables]] = {
    "fp16": _alike(lambda table: rounded(table, np.float16)),
    "bfloat16": _alike(lambda table: rounded(table, ml_dtypes.bfloat16)),
    "int8 row": _alike(lambda table: integers(table, 8, by_row=True)),
    "int8 table": _alike(lambda table: integers(table, 8, by_row=False)),
    "int4 row": _alike(lambda table: integers(table, 4, by_row=True)),
    "int4 table": _alike(lambda table: integers(table, 4, by_row=False)),
    "half rank": _truncated(2),
    "quarter rank": _truncated(4),
}
STORAGE = NUMBERS | PRODUCT


def storage_changes() -> dict[str, Callable[[Tables, int], Tables]]:
    """Return what can be done here: without product quantisation where faiss is not installed."""
    return STORAGE if importlib.util.find_spec("faiss") else NUMBERS
