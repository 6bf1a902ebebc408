"""Differentiate through the last sweeps of a surrogate that alternating least squares trains."""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from advrec_tf.data import Interactions
from advrec_tf.poisoning.unrolled import FakeRows
from advrec_tf.recommenders.als import Block, blocks_of, solve_block

_FAKES = 8  # whose systems over all items are held at a time


def _solve_fakes(Q, gram, rows: FakeRows, regularization):
    """Return the factors of fake users from all items.  Q: [I, D], rows: [f, I] -> [f, D]"""
    x, w = rows
    A = (
        gram
        + regularization * tf.eye(tf.shape(Q)[1])
        + tf.matmul((w - 1)[..., None] * Q, Q[None], transpose_a=True)
    )  # [f, D, D]
    return tf.linalg.cholesky_solve(tf.linalg.cholesky(A), tf.matmul(w * x, Q)[..., None])[..., 0]


def _solve_items(P, gram, fakes, rows: FakeRows, pairs, regularization):
    """Return the factors of some items from all users.

    The real users have pairs.  The fakes are dense, because their zeros have a derivative too.

    P: [U + F, D], gram = P^T P, fakes: [F, D], their rows of P; rows: [F, B];
    pairs: ids, targets and weights, [B, M] each -> [B, D]
    """
    (x, w), (ids, targets, weights) = rows, pairs
    y, dim = tf.gather(P, ids), tf.shape(P)[1]
    outer = tf.reshape(fakes[:, :, None] * fakes[:, None, :], [-1, dim * dim])  # [F, D D]
    A = (
        gram
        + regularization * tf.eye(dim)
        + tf.matmul((weights - 1)[..., None] * y, y, transpose_a=True)
    )
    A += tf.reshape(tf.matmul(w - 1, outer, transpose_a=True), tf.shape(A))
    b = tf.einsum("bm,bmd->bd", weights * targets, y) + tf.matmul(w * x, fakes, transpose_a=True)
    return tf.linalg.cholesky_solve(tf.linalg.cholesky(A), b[..., None])[..., 0]


def _with_vjp(solve, watched):
    """Return the compiled function, and its VJP in the inputs that `watched` picks."""

    @tf.function(reduce_retracing=True)
    def vjp(cotangent, *inputs):
        """Return the products of the cotangent with the Jacobians of `solve` by its sources."""
        sources = watched(*inputs)
        with tf.GradientTape() as tape:
            tape.watch(sources)
            solved = solve(*inputs)
        gradients = tape.gradient(
            solved, sources, output_gradients=cotangent, unconnected_gradients="zero"
        )
        return [tf.convert_to_tensor(gradient) for gradient in gradients]

    return tf.function(solve, reduce_retracing=True), vjp


class AlsUnroller:
    """A sweep over real and fake users as a function of Q and the fake rows, and its VJP."""

    def __init__(self, data: Interactions, n_fakes: int, weight: float, regularization: float):
        """Lay out the real pairs in blocks of users and of items, and compile all solvers.

        weight: of a click in WRMF's loss
        """
        self.n_users, self.n_fakes = data.n_users, n_fakes
        self.regularization = tf.constant(regularization, tf.float32)
        users, items = data.train_users, data.train_items
        self.users = list(_all_rows(users, items, data.n_users, weight))
        self.items = list(_all_rows(items, users, data.n_items, weight))
        self.solve_users, self.users_vjp = _with_vjp(solve_block, lambda Q, gram, *_: [Q, gram])
        self.solve_fakes, self.fakes_vjp = _with_vjp(
            _solve_fakes, lambda Q, gram, rows, _: [Q, gram, rows.X]
        )
        self.solve_items, self.items_vjp = _with_vjp(
            _solve_items, lambda P, gram, fakes, rows, *_: [P, gram, fakes, rows.X]
        )

    def sweep(self, Q: tf.Tensor, rows: FakeRows) -> tuple[tf.Tensor, tf.Tensor]:
        """Solve all users from Q, then all items from them.  Q: [I, D] -> P [U + F, D], Q [I, D]"""
        gram = tf.matmul(Q, Q, transpose_a=True)
        factors = np.zeros((self.n_users + self.n_fakes, Q.shape[1]), np.float32)
        for block in self.users:
            factors[block.rows] = self.solve_users(Q, gram, *_pairs(block), self.regularization)
        for part, part_rows in self._fake_parts(rows):
            factors[self.n_users :][part] = self.solve_fakes(
                Q, gram, part_rows, self.regularization
            )
        P, solved = tf.constant(factors), np.zeros(Q.shape, np.float32)
        for block, inputs in self._item_inputs(P, rows):
            solved[block.rows] = self.solve_items(*inputs)
        return P, tf.constant(solved)

    def sweep_vjp(self, Q, rows: FakeRows, P, dP, dQ) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the cotangents of Q before a sweep and of X, from those of P and Q after it."""
        dP, dX = dP.numpy().copy(), np.zeros(rows.X.shape, np.float32)
        self._add_items_vjp(rows, P, dQ, dP, dX)
        before, dgram = tf.zeros_like(Q), 0
        gram, fakes = tf.matmul(Q, Q, transpose_a=True), slice(self.n_users, None)
        for block in self.users:
            of_Q, of_gram = self.users_vjp(
                dP[block.rows], Q, gram, *_pairs(block), self.regularization
            )
            before, dgram = before + of_Q, dgram + of_gram
        for part, part_rows in self._fake_parts(rows):
            of_Q, of_gram, of_x = self.fakes_vjp(
                dP[fakes][part], Q, gram, part_rows, self.regularization
            )
            before, dgram = before + of_Q, dgram + of_gram
            dX[part] += of_x.numpy()
        return before + tf.matmul(Q, dgram + tf.transpose(dgram)), tf.constant(dX)

    def _add_items_vjp(self, rows: FakeRows, P, dQ, dP: np.ndarray, dX: np.ndarray) -> None:
        """Add to dP and dX what comes back through the second half of a sweep."""
        fakes, dgram = slice(self.n_users, None), 0
        for block, inputs in self._item_inputs(P, rows):
            of_P, of_gram, of_fakes, of_x = self.items_vjp(tf.gather(dQ, block.rows), *inputs)
            dP += of_P.numpy()
            dP[fakes] += of_fakes.numpy()
            dX[:, block.rows] += of_x.numpy()
            dgram += of_gram
        dP += tf.matmul(P, dgram + tf.transpose(dgram)).numpy()

    def _fake_parts(self, rows: FakeRows) -> Iterator[tuple[slice, FakeRows]]:
        """Yield slices of the fakes that fit in memory, and their rows."""
        for start in range(0, self.n_fakes, _FAKES):
            part = slice(start, min(start + _FAKES, self.n_fakes))
            yield part, FakeRows(rows.X[part], rows.W[part])

    def _item_inputs(self, P, rows: FakeRows) -> Iterator[tuple[Block, tuple]]:
        """Yield each block of items with the arguments of `_solve_items`."""
        gram, fakes = tf.matmul(P, P, transpose_a=True), P[self.n_users :]
        for block in self.items:
            columns = FakeRows(*(tf.gather(part, block.rows, axis=1) for part in rows))
            yield block, (P, gram, fakes, columns, _pairs(block), self.regularization)


def _pairs(block: Block) -> tuple:
    """Return ids, targets and weights as tensors."""
    return tuple(map(tf.constant, block[1:]))


def _all_rows(rows, ids, n_rows: int, weight: float) -> Iterator[Block]:
    """Return the blocks of all rows; a row without pairs gets one that has no effect."""
    alone = np.setdiff1d(np.arange(n_rows), rows)
    targets = np.r_[np.ones(len(rows)), np.zeros(len(alone))].astype(np.float32)
    weights = np.r_[np.full(len(rows), weight), np.ones(len(alone))].astype(np.float32)
    return blocks_of(np.r_[rows, alone], np.r_[ids, np.zeros_like(alone)], targets, weights, n_rows)
