"""Alternating least squares for weighted matrix factorisation (Hu et al. 2008, Eq. 4).

Every row of one side is solved in closed form while the other side is fixed.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from advrec_tf.data import Interactions
from advrec_tf.execution.threads import side_by_side

PAIRS = 1 << 17  # pairs, filled up ones included, that a thread works on at a time


class Block(NamedTuple):
    """Some rows of one side with all their pairs.

    A pair that only fills a row up has target 0 and weight 1, and so no effect.
    """

    rows: np.ndarray  # int32 [B]
    ids: np.ndarray  # int32 [B, M], of the other side
    targets: np.ndarray  # float32 [B, M]
    weights: np.ndarray  # float32 [B, M]


def blocks_of(
    rows: np.ndarray, ids: np.ndarray, targets: np.ndarray, weights: np.ndarray, n_rows: int
) -> Iterator[Block]:
    """Yield all rows that have pairs, in blocks of rows with about as many pairs each.

    rows, ids, targets, weights: [N]
    """
    order = np.argsort(rows, kind="stable")
    counts = np.bincount(rows, minlength=n_rows)
    starts = np.cumsum(counts) - counts
    by_size = np.argsort(counts, kind="stable")
    by_size = by_size[counts[by_size] > 0]
    while len(by_size):
        width = counts[by_size[-1]]  # blocks are cut from the largest row down
        size = max(1, PAIRS // width)
        chosen, by_size = by_size[-size:], by_size[:-size]
        columns = np.arange(width)
        filled = columns < counts[chosen][:, None]
        pairs = order[np.minimum(starts[chosen][:, None] + columns, len(order) - 1)]
        yield Block(
            chosen.astype(np.int32),
            np.where(filled, ids[pairs], 0).astype(np.int32),
            np.where(filled, targets[pairs], 0).astype(np.float32),
            np.where(filled, weights[pairs], 1).astype(np.float32),
        )


# Not compiled: TensorFlow runs the compiled functions of all threads in one thread.
def solve_block(Y, gram, ids, targets, weights, regularization):
    """Return argmin_x sum_i w_i (t_i - x . y_i)^2 + regularization |x|^2 over all rows y_i of Y.

    Off the pairs t = 0 and w = 1, so that
    x = (Y^T Y + sum over the pairs of (w - 1) y y^T + regularization I)^-1 sum w t y.
    Y: [N, D]; gram: Y^T Y -> [B, D]
    """
    y = tf.gather(Y, ids)  # [B, M, D]
    A = (
        gram
        + regularization * tf.eye(tf.shape(Y)[1])
        + tf.matmul((weights - 1)[..., None] * y, y, transpose_a=True)
    )  # [B, D, D]
    b = tf.matmul(y, (weights * targets)[..., None], transpose_a=True)  # [B, D, 1]
    return tf.linalg.cholesky_solve(tf.linalg.cholesky(A), b)[..., 0]


def half_sweep(Y: tf.Tensor, blocks: list[Block], n_rows: int, regularization: float) -> tf.Tensor:
    """Return all rows of one side, solved from the other side Y; rows without pairs are 0.

    -> [n_rows, D]
    """
    gram, solved = tf.matmul(Y, Y, transpose_a=True), np.zeros((n_rows, Y.shape[1]), np.float32)
    strength = tf.constant(regularization, tf.float32)

    def solve(block: Block) -> np.ndarray:
        """Return the solution of one block of rows."""
        return solve_block(Y, gram, *block[1:], strength).numpy()

    for block, rows in zip(blocks, side_by_side(solve, blocks)):
        solved[block.rows] = rows
    return tf.constant(solved)


def both_sides(
    data: Interactions, targets: np.ndarray, weights: np.ndarray
) -> tuple[list[Block], list[Block]]:
    """Return the blocks of users and those of items.  targets, weights: float32 [train pairs]"""
    users, items = data.train_users, data.train_items
    return (
        list(blocks_of(users, items, targets, weights, data.n_users)),
        list(blocks_of(items, users, targets, weights, data.n_items)),
    )
