"""Triples laid out in chunks for `gradient.full_gradient`. This module needs no TensorFlow."""

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from advrec_tf.perturbations.arguments import TripleArrays

CHUNK = 16  # triples of one user, or entries of one item, that are summed together
BLOCK = 64  # chunks in flight: 1,024 triples x D floats, small enough for a core's cache
PARTS = 4  # of users and of items that may be in threads of their own: no row is in two


class TripleChunks(NamedTuple):
    """Triples for `full_gradient`: rows padded to whole chunks, chunks to whole blocks, of which
    each part has S (users) or T (items).

    A slot is an index into the flattened `positive`. The user side holds each user's triples; a
    padded slot has the same positive and negative, hence no gradient. The item side holds, for
    each item, the triples it occurs in; a padded slot points at a zero.
    """

    user: np.ndarray  # int32 [PARTS, S, BLOCK]: the user of a chunk
    positive: np.ndarray  # int32 [PARTS, S, BLOCK, CHUNK]
    negative: np.ndarray  # int32 [PARTS, S, BLOCK, CHUNK]
    item: np.ndarray  # int32 [PARTS, T, BLOCK]: the item of a chunk
    slot: np.ndarray  # int32 [PARTS, T, BLOCK, CHUNK]: of a triple, plus their count if negative
    user_of_slot: np.ndarray  # int32 [PARTS, T, BLOCK, CHUNK]


def chunk_triples(triples: TripleArrays, n_users: int, n_items: int) -> TripleChunks:
    """Sort triples by user, and their items by item, once for all iterations and all attacks.

    triples: int arrays [N] of users, positives, negatives. Memory is O(N), whatever D is.
    Raises ValueError for arrays of different lengths, empty ones, and ids that are not integers or
    out of range.
    """
    _check(triples, n_users, n_items)
    users, positives, negatives = (np.asarray(ids, np.int32) for ids in triples)
    if np.any(users[1:] < users[:-1]):
        order = np.argsort(users, kind="stable")
        users, positives, negatives = users[order], positives[order], negatives[order]
    counts = np.bincount(users, minlength=n_users)
    slots, user = _slots(counts)
    size = user.size * CHUNK
    positive, negative = np.zeros((2, size), np.int32)
    positive[slots], negative[slots] = positives, negatives
    # Rows of the sparse matrix are users with their positives, then users with their negatives.
    starts = np.cumsum(np.concatenate([[0], counts, counts]), dtype=np.int32)
    values, items = np.concatenate([slots, slots + size]), np.concatenate([positives, negatives])
    matrix = csr_array((values, items, starts), shape=(2 * n_users, n_items))
    slot, user_of_slot, item = _by_item(matrix, size)
    shape = *user.shape, CHUNK
    return TripleChunks(
        user, positive.reshape(shape), negative.reshape(shape), item, slot, user_of_slot
    )


def _by_item(matrix: csr_array, size: int) -> TripleArrays:
    """Return `slot`, `user_of_slot` and `item` of a matrix [2 U, I] whose entries are slots.

    The conversion to columns sorts in linear time and keeps the order of rows.
    """
    columns, n_users = matrix.tocsc(), matrix.shape[0] // 2
    indices, item = _slots(np.diff(columns.indptr))
    slot, user_of_slot = np.zeros((2, PARTS, item.size // PARTS, CHUNK), np.int32)
    slot[:] = 2 * size  # the zero after the coefficients of positives and negatives
    slot.reshape(-1)[indices] = columns.data
    user_of_slot.reshape(-1)[indices] = columns.indices % n_users
    # Neighbours read users that are near each other, as a million users fit no cache. The chunks
    # of one item keep their order, positives first.
    keys = user_of_slot[..., 0] + np.where(slot[..., 0] < size, 0, n_users)
    order = np.argsort(keys, axis=1, kind="stable")
    slot, user_of_slot = (
        np.take_along_axis(x, order[..., None], 1).reshape(*item.shape, CHUNK)
        for x in (slot, user_of_slot)
    )
    item = np.take_along_axis(item.reshape(PARTS, -1), order, 1).reshape(item.shape)
    return slot, user_of_slot, item


def unchunked(chunks: TripleChunks) -> TripleArrays:
    """Return the triples of `chunk_triples`, sorted by user.

    Triples whose items are equal are left out: no loss depends on them.
    """
    positives, negatives = (np.asarray(ids).ravel() for ids in (chunks.positive, chunks.negative))
    users, filled = np.repeat(np.asarray(chunks.user).ravel(), CHUNK), positives != negatives
    return users[filled], positives[filled], negatives[filled]


def _check(triples, n_users: int, n_items: int) -> None:
    """Raise ValueError for triples that are not three integer arrays of one length, in range."""
    arrays = [np.asarray(ids) for ids in triples]
    shapes = {array.shape for array in arrays}
    if len(arrays) != 3 or len(shapes) != 1 or arrays[0].ndim != 1 or not arrays[0].size:
        raise ValueError(
            "triples must be three arrays (users, positives, negatives) of one length, not empty"
        )
    bounds = {"user": n_users, "positive": n_items, "negative": n_items}
    for ids, (name, bound) in zip(arrays, bounds.items()):
        if not np.issubdtype(ids.dtype, np.integer):
            raise ValueError(f"{name} ids must be integers, not {ids.dtype}")
        if ids.min() < 0 or ids.max() >= bound:
            raise ValueError(
                f"{name} ids must lie in 0 ... {bound - 1}, not {ids.min()} ... {ids.max()}"
            )


def _slots(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the slot of each entry when every row starts a new chunk, and the row of each chunk.

    counts: the entries of each row, which are sorted by row -> [N], [PARTS, S, BLOCK]
    """
    chunks = -(-counts // CHUNK)
    before = np.cumsum(chunks) - chunks
    part = np.minimum(before * PARTS // chunks.sum(), PARTS - 1)  # of every row
    in_part = np.bincount(part, chunks, PARTS).astype(np.int64)
    size = -(-in_part.max() // BLOCK) * BLOCK
    first_chunk = before + (size * np.arange(PARTS) - np.cumsum(in_part) + in_part)[part]
    first_entry = np.cumsum(counts) - counts
    slots = np.arange(counts.sum(), dtype=np.int32)
    slots += np.repeat((CHUNK * first_chunk - first_entry).astype(np.int32), counts)
    filled = np.arange(chunks.sum()) + np.repeat(first_chunk - before, chunks)
    row_of_chunk = np.zeros(PARTS * size, np.int32)
    row_of_chunk[filled] = np.repeat(np.arange(len(counts)), chunks)
    return slots, row_of_chunk.reshape(PARTS, -1, BLOCK)
