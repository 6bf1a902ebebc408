"""Differentiating through the last sweeps of a surrogate that alternating least squares trains."""

import numpy as np
import tensorflow as tf

from advrec_tf.data import Interactions
from advrec_tf.recommenders.als import blocks_of, solve_block

_FAKES = 8  # whose systems over all items are held at a time


def _solve_fakes(Q, gram, x, w, regularization):
    """The rows of fake users from all items.  Q: [I, D], x, w: [f, I] -> [f, D]"""
    A = (
        gram
        + regularization * tf.eye(tf.shape(Q)[1])
        + tf.matmul((w - 1)[..., None] * Q, Q[None], transpose_a=True)
    )  # [f, D, D]
    return tf.linalg.cholesky_solve(tf.linalg.cholesky(A), tf.matmul(w * x, Q)[..., None])[..., 0]


def _solve_items(P, gram, fakes, x, w, ids, targets, weights, regularization):
    """The rows of some items from all users: the real ones by their pairs, the fakes densely, as their zeros have a derivative too.

    P: [U + F, D], gram = P^T P, fakes: [F, D], their rows of P; x, w: [F, B]; ids, targets, weights: [B, M] -> [B, D]
    """
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


def _with_vjp(solve, n_watched):
    """The function compiled, and its vector-Jacobian product in its first arguments."""

    @tf.function(reduce_retracing=True)
    def vjp(cotangent, *inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs[:n_watched])
            solved = solve(*inputs)
        gradients = tape.gradient(
            solved, inputs[:n_watched], output_gradients=cotangent, unconnected_gradients="zero"
        )
        return [tf.convert_to_tensor(gradient) for gradient in gradients]

    return tf.function(solve, reduce_retracing=True), vjp


class AlsUnroller:
    """A sweep over real and fake users as a function of the item factors and of the fake rows, and its vector-Jacobian product."""

    def __init__(self, data: Interactions, n_fakes: int, weight: float, regularization: float):
        self.n_users, self.n_items, self.n_fakes = data.n_users, data.n_items, n_fakes
        self.regularization = tf.constant(regularization, tf.float32)
        pairs = (
            (data.train_users, data.train_items, data.n_users),
            (data.train_items, data.train_users, data.n_items),
        )
        self.users, self.items = (list(_all_rows(*each, weight)) for each in pairs)
        self.solve_users, self.users_vjp = _with_vjp(solve_block, 2)
        self.solve_fakes, self.fakes_vjp = _with_vjp(_solve_fakes, 3)
        self.solve_items, self.items_vjp = _with_vjp(_solve_items, 4)

    def sweep(self, Q: tf.Tensor, X: tf.Tensor, W: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """All users from Q, then all items from them.  Q: [I, D], X, W: [F, I] -> P [U + F, D], Q [I, D]"""
        P, gram = (
            np.zeros((self.n_users + self.n_fakes, Q.shape[1]), np.float32),
            tf.matmul(Q, Q, transpose_a=True),
        )
        for block in self.users:
            P[block.rows] = self.solve_users(
                Q, gram, *map(tf.constant, block[1:]), self.regularization
            )
        for part in self._fake_parts():
            P[self.n_users :][part] = self.solve_fakes(
                Q, gram, X[part], W[part], self.regularization
            )
        P, solved = tf.constant(P), np.zeros(Q.shape, np.float32)
        for block, inputs in self._item_inputs(P, X, W):
            solved[block.rows] = self.solve_items(*inputs)
        return P, tf.constant(solved)

    def sweep_vjp(self, Q, X, W, P, dP, dQ) -> tuple[tf.Tensor, tf.Tensor]:
        """The cotangent of the item factors before a sweep, and of the fake rows, from those of P and Q after it."""
        dX, fakes, dgram = np.zeros(X.shape, np.float32), slice(self.n_users, None), 0
        dP = dP.numpy().copy()
        for block, inputs in self._item_inputs(P, X, W):
            own, gram, of_fakes, x = self.items_vjp(tf.gather(dQ, block.rows), *inputs)
            dP += own.numpy()
            dP[fakes] += of_fakes.numpy()
            dX[:, block.rows] += x.numpy()
            dgram += gram
        dP += tf.matmul(P, dgram + tf.transpose(dgram)).numpy()
        before, gram, dgram = tf.zeros_like(Q), tf.matmul(Q, Q, transpose_a=True), 0
        for block in self.users:
            own, of_gram = self.users_vjp(
                dP[block.rows], Q, gram, *map(tf.constant, block[1:]), self.regularization
            )
            before, dgram = before + own, dgram + of_gram
        for part in self._fake_parts():
            own, of_gram, x = self.fakes_vjp(
                dP[fakes][part], Q, gram, X[part], W[part], self.regularization
            )
            before, dgram = before + own, dgram + of_gram
            dX[part] += x.numpy()
        return before + tf.matmul(Q, dgram + tf.transpose(dgram)), tf.constant(dX)

    def _fake_parts(self):
        return (
            slice(start, min(start + _FAKES, self.n_fakes))
            for start in range(0, self.n_fakes, _FAKES)
        )

    def _item_inputs(self, P, X, W):
        gram, fakes = tf.matmul(P, P, transpose_a=True), P[self.n_users :]
        for block in self.items:
            x, w = (tf.gather(part, block.rows, axis=1) for part in (X, W))
            yield block, (P, gram, fakes, x, w, *map(tf.constant, block[1:]), self.regularization)


def _all_rows(rows, ids, n_rows: int, weight: float):
    """The blocks of all rows: one without pairs gets a pair that has no effect."""
    alone = np.setdiff1d(np.arange(n_rows), rows)
    targets, weights = (
        np.r_[np.full(len(rows), value), np.full(len(alone), filler)].astype(np.float32)
        for value, filler in ((1, 0), (weight, 1))
    )
    return blocks_of(np.r_[rows, alone], np.r_[ids, np.zeros_like(alone)], targets, weights, n_rows)
