"""The BPR loss and its gradient with respect to the rows of P and Q."""

import functools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from scipy.sparse import csr_array

from advrec_tf.execution.threads import side_by_side

CHUNK = 16  # triples of one user, or entries of one item, that are summed together
BLOCK = 64  # chunks in flight: 1,024 triples x D floats, small enough for a core's cache
PARTS = 4  # of users and of items that may be in threads of their own: no row is in two


def bpr_loss(margins: tf.Tensor) -> tf.Tensor:
    """Sum of -ln sigmoid(s_ui - s_uj), the difference clipped to [-80, 1e8].  margins: any shape -> scalar"""
    return tf.reduce_sum(tf.nn.softplus(-tf.clip_by_value(margins, -80.0, 1e8)))


def batch_gradient(
    p: tf.Tensor, q: tf.Tensor, users: tf.Tensor, positives: tf.Tensor, negatives: tf.Tensor
):
    """Loss of a mini-batch of triples and its gradient, dense in the rows given.

    p: [N, D], q: [M, D], ids: [B] into them -> loss, [N, D], [M, D].  Made for a mini-batch's own rows.
    """
    with tf.GradientTape() as tape:
        tape.watch([p, q])
        difference = tf.gather(q, positives) - tf.gather(q, negatives)  # [B, D]
        loss = bpr_loss(tf.reduce_sum(tf.gather(p, users) * difference, axis=1))
    dp, dq = tape.gradient(loss, [p, q])
    return loss, _sum_rows(dp, tf.shape(p)[0]), _sum_rows(dq, tf.shape(q)[0])


def _sum_rows(slices: tf.IndexedSlices, n_rows: tf.Tensor) -> tf.Tensor:
    return tf.math.unsorted_segment_sum(slices.values, slices.indices, n_rows)


class TripleChunks(NamedTuple):
    """Triples laid out for `full_gradient`: rows padded to whole chunks, chunks to whole blocks, S or T of them in each part.

    The user side holds each user's triples; a padded place has the same positive and negative, hence no gradient.  The item
    side holds, for each item, the triples it occurs in; a padded place points at a zero.
    """

    user: np.ndarray  # int32 [PARTS, S, BLOCK]: the user of a chunk
    positive: np.ndarray  # int32 [PARTS, S, BLOCK, CHUNK]
    negative: np.ndarray  # int32 [PARTS, S, BLOCK, CHUNK]
    item: np.ndarray  # int32 [PARTS, T, BLOCK]: the item of a chunk
    place: np.ndarray  # int32 [PARTS, T, BLOCK, CHUNK]: where the triple stands on the user side, plus its size for a negative
    user_of_place: np.ndarray  # int32 [PARTS, T, BLOCK, CHUNK]


def chunk_triples(
    triples: tuple[np.ndarray, np.ndarray, np.ndarray], n_users: int, n_items: int
) -> TripleChunks:
    """Sorts triples by user and their items by item, once for all iterations of an attack, or for several attacks on the same triples.

    triples: int arrays [N] of users, positives, negatives; memory is O(N), with no D in it.
    Raises ValueError for arrays of different lengths, empty ones, and ids that are not integers or out of range.
    """
    _check(triples, n_users, n_items)
    users, positives, negatives = (np.asarray(ids, np.int32) for ids in triples)
    if np.any(users[1:] < users[:-1]):
        order = np.argsort(users, kind="stable")
        users, positives, negatives = users[order], positives[order], negatives[order]
    counts = np.bincount(users, minlength=n_users)
    places, user = _places(counts)
    size = user.size * CHUNK
    positive, negative = np.zeros((2, size), np.int32)
    positive[places], negative[places] = positives, negatives
    starts = np.cumsum(
        np.concatenate([[0], counts, counts]), dtype=np.int32
    )  # of users' positives, then of their negatives
    entries = (
        np.concatenate([places, places + size]),
        np.concatenate([positives, negatives]),
        starts,
    )
    place, user_of_place, item = _by_item(entries, n_users, n_items, size)
    shape = *user.shape, CHUNK
    return TripleChunks(
        user, positive.reshape(shape), negative.reshape(shape), item, place, user_of_place
    )


def _by_item(
    entries: tuple[np.ndarray, ...], n_users: int, n_items: int, size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`place`, `user_of_place` and `item` of chunks of a sparse matrix's entries, each its place; rows are users with positives, then with negatives.

    Its columns are sorted in linear time, and in the order of rows.
    """
    columns = csr_array(entries, shape=(2 * n_users, n_items)).tocsc()
    places, item = _places(np.diff(columns.indptr))
    place, user_of_place = np.zeros((2, PARTS, item.size // PARTS, CHUNK), np.int32)
    place[:] = 2 * size  # the zero after the coefficients of positives and negatives
    place.reshape(-1)[places], user_of_place.reshape(-1)[places] = (
        columns.data,
        columns.indices % n_users,
    )
    # Neighbours read users that are near each other, as a million users fit no cache; an item's own chunks, positives first, keep their order.
    order = np.argsort(
        user_of_place[..., 0] + np.where(place[..., 0] < size, 0, n_users), axis=1, kind="stable"
    )
    place, user_of_place = (
        np.take_along_axis(x, order[..., None], 1).reshape(*item.shape, CHUNK)
        for x in (place, user_of_place)
    )
    return (
        place,
        user_of_place,
        np.take_along_axis(item.reshape(PARTS, -1), order, 1).reshape(item.shape),
    )


def unchunked(chunks: TripleChunks) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The triples that `chunk_triples` laid out, by user; without those whose items are equal, which no loss sees."""
    positives, negatives = (np.asarray(ids).ravel() for ids in (chunks.positive, chunks.negative))
    there = positives != negatives
    return (
        np.repeat(np.asarray(chunks.user).ravel(), CHUNK)[there],
        positives[there],
        negatives[there],
    )


def _check(triples, n_users: int, n_items: int) -> None:
    arrays = tuple(np.asarray(ids) for ids in triples)
    if (
        len(arrays) != 3
        or any(a.ndim != 1 or len(a) != len(arrays[0]) for a in arrays)
        or not len(arrays[0])
    ):
        raise ValueError(
            "triples must be three arrays (users, positives, negatives) of one length, not empty"
        )
    for ids, bound, what in zip(
        arrays, (n_users, n_items, n_items), ("user", "positive", "negative")
    ):
        if not np.issubdtype(ids.dtype, np.integer):
            raise ValueError(f"{what} ids must be integers, not {ids.dtype}")
        if ids.min() < 0 or ids.max() >= bound:
            raise ValueError(
                f"{what} ids must lie in 0 ... {bound - 1}, not {ids.min()} ... {ids.max()}"
            )


def _places(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For sorted rows of so many entries: the place of each entry when every row starts a new chunk, and the row of each chunk [PARTS, S, BLOCK]."""
    chunks = -(-counts // CHUNK)
    before = np.cumsum(chunks) - chunks
    part = np.minimum(before * PARTS // chunks.sum(), PARTS - 1)  # of every row
    in_part = np.bincount(part, chunks, PARTS).astype(np.int64)
    size = -(-in_part.max() // BLOCK) * BLOCK
    first_chunk = before + (size * np.arange(PARTS) - np.cumsum(in_part) + in_part)[part]
    first_entry = np.cumsum(counts) - counts
    places = np.arange(counts.sum(), dtype=np.int32)
    places += np.repeat((CHUNK * first_chunk - first_entry).astype(np.int32), counts)
    row_of_chunk = np.zeros(PARTS * size, np.int32)
    row_of_chunk[np.arange(chunks.sum()) + np.repeat(first_chunk - before, chunks)] = np.repeat(
        np.arange(len(counts)), chunks
    )
    return places, row_of_chunk.reshape(PARTS, -1, BLOCK)


def full_gradient(p: tf.Tensor, q: tf.Tensor, chunks: TripleChunks) -> tuple[tf.Tensor, tf.Tensor]:
    """Gradient of the BPR loss over all triples.  p: [U, D], q: [I, D] -> [U, D], [I, D]

    A first pass differentiates blocks of users' triples with respect to the users' rows and the margins; since a margin is
    p_u . (q_i - q_j), a second pass over items adds the margins' derivatives times p_u.  Only chunk sums are scattered.
    """
    whole = TripleChunks(*(tf.reshape(x, [-1, *x.shape[2:]]) for x in chunks))
    dp, slopes = _by_users(p, q, *whole[:3])
    return dp, _by_items(p, q, _coefficients([slopes]), *whole[3:])


def _by_users(p, q, user, positive, negative) -> tuple[tf.Tensor, tf.Tensor]:
    """The gradient in the rows of users [U, D], and the derivative in the margins [S, BLOCK, CHUNK], of blocks of triples."""

    def block(step, dp, slopes):
        rows = tf.gather(p, user[step])  # [BLOCK, D]
        difference = tf.gather(q, positive[step]) - tf.gather(
            q, negative[step]
        )  # [BLOCK, CHUNK, D]
        margins = tf.einsum("ctd,cd->ct", difference, rows)
        with tf.GradientTape() as tape:
            tape.watch(margins)
            loss = bpr_loss(margins)
        slope = tape.gradient(loss, margins)  # [BLOCK, CHUNK]
        sums = tf.add_n([slope[:, t, None] * difference[:, t] for t in range(CHUNK)])
        dp = tf.tensor_scatter_nd_add(dp, user[step][:, None], sums)
        return step + 1, dp, tf.tensor_scatter_nd_update(slopes, [[step]], slope[None])

    return tf.while_loop(
        lambda step, *_: step < tf.shape(user)[0],
        block,
        (0, tf.zeros_like(p), tf.zeros(tf.shape(positive))),
    )[1:]


def _coefficients(slopes: Sequence[tf.Tensor]) -> tf.Tensor:
    """What stands at every `place`: the derivatives for positives, then for negatives, then the zero of what is padded.  slopes: of all parts"""
    flat = tf.reshape(tf.concat(slopes, axis=0), [-1])
    return tf.concat([flat, -flat, [0.0]], axis=0)


def _by_items(p, q, coefficients, item, place, user_of_place) -> tf.Tensor:
    """The gradient in the rows of items [I, D] of blocks of triples."""

    def block(step, dq):
        weights, rows = tf.gather(coefficients, place[step]), user_of_place[step]  # [BLOCK, CHUNK]
        sums = tf.add_n([weights[:, t, None] * tf.gather(p, rows[:, t]) for t in range(CHUNK)])
        return step + 1, tf.tensor_scatter_nd_add(dq, item[step][:, None], sums)

    return tf.while_loop(lambda step, *_: step < tf.shape(item)[0], block, (0, tf.zeros_like(q)))[1]


compiled = functools.partial(
    tf.function, jit_compile=True, reduce_retracing=True
)  # of several sizes in one process
_of_users, _of_items = compiled(_by_users), compiled(_by_items)
_joined = compiled(_coefficients)


class Part(NamedTuple):
    """A part of users or of items: its chunks, whose rows are counted from `start`, and which of `size` rows are its own."""

    chunks: tuple[tf.Tensor, ...]  # user, positive, negative; or item, place, user_of_place
    start: int
    size: int  # the same in all parts, so that they have one program
    own: slice

    def of(self, table: tf.Tensor) -> tf.Tensor:
        """Its rows, and as many others as make `size`."""
        return table[self.start : self.start + self.size]


class Parts(NamedTuple):
    """`TripleChunks` as tensors, part by part."""

    users: list[Part]
    items: list[Part]

    @classmethod
    def of(cls, chunks: TripleChunks, n_users: int, n_items: int) -> "Parts":
        return cls(_in_parts(chunks[:3], n_users), _in_parts(chunks[3:], n_items))


def _in_parts(side: tuple[np.ndarray, ...], n_rows: int) -> list[Part]:
    rows = np.asarray(side[0])
    ends = np.maximum.accumulate(rows.max(axis=(1, 2)) + 1)
    ends[-1] = n_rows
    firsts = np.concatenate([[0], ends[:-1]])
    size = int((ends - firsts).max())
    found = []
    for part, (first, end) in enumerate(zip(firsts.tolist(), ends.tolist())):
        start = min(first, n_rows - size)
        local = np.maximum(rows[part] - start, 0)  # padded chunks have row 0, and add nothing
        found.append(
            Part(
                (tf.identity(local), *(tf.identity(x[part]) for x in side[1:])),
                start,
                size,
                slice(first - start, end - start),
            )
        )
    return found


def gradient_in_threads(factors: Sequence[tf.Tensor], parts: Parts) -> tuple[tf.Tensor, tf.Tensor]:
    """`full_gradient` in P and Q, and its bytes: parts of users, and then of items, side by side.  Not to be traced."""
    p, q = factors
    by_part, slopes = zip(
        *side_by_side(lambda part: _of_users(part.of(p), q, *part.chunks), parts.users)
    )
    dp = _whole(by_part, parts.users)
    del by_part  # as large as dp
    return dp, _items_in_threads(p, q, slopes, parts.items)


def _items_in_threads(p, q, slopes: Sequence[tf.Tensor], items: list[Part]) -> tf.Tensor:
    coefficients = _joined(slopes)
    return _whole(
        side_by_side(lambda part: _of_items(p, part.of(q), coefficients, *part.chunks), items),
        items,
    )


def _whole(gradients: Iterable[tf.Tensor], parts: list[Part]) -> tf.Tensor:
    """All rows, each from the part that has it."""
    return tf.concat([gradient[part.own] for gradient, part in zip(gradients, parts)], axis=0)
