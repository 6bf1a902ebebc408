"""The BPR loss and its gradient with respect to the rows of P and Q."""

import functools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from advrec_tf.execution.threads import side_by_side
from advrec_tf.perturbations.chunks import CHUNK, TripleChunks


def bpr_loss(margins: tf.Tensor) -> tf.Tensor:
    """Return the sum of -ln sigmoid(s_ui - s_uj), with differences clipped to [-80, 1e8].

    margins: any shape -> scalar
    """
    return tf.reduce_sum(tf.nn.softplus(-tf.clip_by_value(margins, -80.0, 1e8)))


def batch_gradient(
    p: tf.Tensor, q: tf.Tensor, users: tf.Tensor, positives: tf.Tensor, negatives: tf.Tensor
):
    """Return the loss of a mini-batch of triples and its gradient, dense in the rows given.

    p: [N, D], q: [M, D], ids: [B] into them -> loss, [N, D], [M, D]. Meant for the rows of a
    mini-batch, not for whole tables.
    """
    with tf.GradientTape() as tape:
        tape.watch([p, q])
        difference = tf.gather(q, positives) - tf.gather(q, negatives)  # [B, D]
        loss = bpr_loss(tf.reduce_sum(tf.gather(p, users) * difference, axis=1))
    dp, dq = tape.gradient(loss, [p, q])
    return loss, _sum_rows(dp, tf.shape(p)[0]), _sum_rows(dq, tf.shape(q)[0])


def _sum_rows(slices: tf.IndexedSlices, n_rows: tf.Tensor) -> tf.Tensor:
    """Return the dense table [n_rows, D] of sparse slices; slices of one row are added."""
    return tf.math.unsorted_segment_sum(slices.values, slices.indices, n_rows)


def full_gradient(p: tf.Tensor, q: tf.Tensor, chunks: TripleChunks) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the gradient of the BPR loss over all triples. p: [U, D], q: [I, D] -> the same

    The loss is the sum over triples of -ln sigmoid(margin), without regularisation.
    A first pass differentiates blocks of users' triples with respect to the users' rows and the
    margins. A margin is p_u . (q_i - q_j), so a second pass over items adds the margins'
    derivatives times p_u. Only chunk sums are scattered.
    """
    joined = TripleChunks(*(tf.reshape(x, [-1, *x.shape[2:]]) for x in chunks))
    dp, slopes = _by_users(p, q, *joined[:3])
    return dp, _by_items(p, q, _coefficients([slopes]), *joined[3:])


def _by_users(p, q, user, positive, negative) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the gradient in the rows of users [U, D], and the slope of the loss in each margin.

    p, q: factors [U, D] and [I, D]; user: [S, BLOCK], the user of each chunk of triples; positive,
    negative: its items [S, BLOCK, CHUNK], as are the slopes.
    """

    def block(step, dp, slopes):
        """Add a block of chunks to the gradient of users, and keep its slopes."""
        rows = tf.gather(p, user[step])  # [BLOCK, D]
        # [BLOCK, CHUNK, D]
        difference = tf.gather(q, positive[step]) - tf.gather(q, negative[step])
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
    """Return the weight of each entry of the items' gradient, at the index that is its `slot`.

    Slopes of positives come first, then negated slopes of negatives, then the 0 of padding. slopes:
    of `_by_users`, of all parts
    """
    flat = tf.reshape(tf.concat(slopes, axis=0), [-1])
    return tf.concat([flat, -flat, [0.0]], axis=0)


def _by_items(p, q, coefficients, item, slot, user_of_slot) -> tf.Tensor:
    """Return the gradient in the rows of items [I, D].

    coefficients: of `_coefficients`; item: [S, BLOCK], the item of each chunk; slot, user_of_slot:
    [S, BLOCK, CHUNK], where the weight of an entry is, and its user
    """

    def block(step, dq):
        """Add a block of chunks to the gradient of items."""
        weights, rows = tf.gather(coefficients, slot[step]), user_of_slot[step]  # [BLOCK, CHUNK]
        sums = tf.add_n([weights[:, t, None] * tf.gather(p, rows[:, t]) for t in range(CHUNK)])
        return step + 1, tf.tensor_scatter_nd_add(dq, item[step][:, None], sums)

    return tf.while_loop(lambda step, *_: step < tf.shape(item)[0], block, (0, tf.zeros_like(q)))[1]


# One process has tables of several sizes, hence reduce_retracing.
compiled = functools.partial(tf.function, jit_compile=True, reduce_retracing=True)
_of_users, _of_items = compiled(_by_users), compiled(_by_items)
_joined = compiled(_coefficients)


class Part(NamedTuple):
    """A part of users or of items: its chunks, whose rows count from `start`."""

    chunks: tuple[tf.Tensor, ...]  # user, positive, negative; or item, slot, user_of_slot
    start: int
    size: int  # the same in all parts, so that they have one program
    rows: slice  # the rows of this part among `size`

    def of(self, table: tf.Tensor) -> tf.Tensor:
        """Return the rows of the part, and as many others as make `size`."""
        return table[self.start : self.start + self.size]


class Parts(NamedTuple):
    """`TripleChunks` as tensors, part by part."""

    users: list[Part]
    items: list[Part]

    @classmethod
    def of(cls, chunks: TripleChunks, n_users: int, n_items: int) -> "Parts":
        """Split the chunks of a table of users and of a table of items into parts."""
        return cls(_in_parts(chunks[:3], n_users), _in_parts(chunks[3:], n_items))


def _in_parts(side: tuple[np.ndarray, ...], n_rows: int) -> list[Part]:
    """Return the chunks of one side, users or items, in parts that threads can compute separately.

    side: the row of each entry, increasing over the parts, and further arrays, all [parts, ...];
    n_rows: of the table. Each part adds to a block of rows. All blocks have one size, so that one
    compiled program serves them.
    """
    rows = np.asarray(side[0])
    ends = np.maximum.accumulate(rows.max(axis=(1, 2)) + 1)
    ends[-1] = n_rows
    firsts = np.concatenate([[0], ends[:-1]])
    size, parts = int((ends - firsts).max()), []
    for part, (first, end) in enumerate(zip(firsts.tolist(), ends.tolist())):
        start = min(first, n_rows - size)
        local = np.maximum(rows[part] - start, 0)  # padded chunks have row 0, and add nothing
        tensors = tf.identity(local), *(tf.identity(x[part]) for x in side[1:])
        parts.append(Part(tensors, start, size, slice(first - start, end - start)))
    return parts


def gradient_in_threads(factors: Sequence[tf.Tensor], parts: Parts) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the same bytes as `full_gradient`, from parts of users and then of items in threads.

    factors: P and Q. Not to be traced.
    """
    p, q = factors
    by_part, slopes = zip(
        *side_by_side(lambda part: _of_users(part.of(p), q, *part.chunks), parts.users)
    )
    dp = _all_rows(by_part, parts.users)
    del by_part  # as large as dp
    return dp, _items_in_threads(p, q, slopes, parts.items)


def _items_in_threads(p, q, slopes: Sequence[tf.Tensor], items: list[Part]) -> tf.Tensor:
    """Return the gradient of the item table [I, D] from the users' slopes, a thread a part."""
    coefficients = _joined(slopes)
    gradients = side_by_side(
        lambda part: _of_items(p, part.of(q), coefficients, *part.chunks), items
    )
    return _all_rows(gradients, items)


def _all_rows(gradients: Iterable[tf.Tensor], parts: list[Part]) -> tf.Tensor:
    """Return all rows, each from the part that has it."""
    return tf.concat([gradient[part.rows] for gradient, part in zip(gradients, parts)], axis=0)
