"""Perturbations of factors that are projected on the data's singular vectors before they are used, by an attacker who knows it."""

import functools

import numpy as np
import tensorflow as tf

from advrec_tf.perturbations import Perturbation, TripleChunks, ascend, full_gradient


def through_projection(
    P: np.ndarray, Q: np.ndarray, U: np.ndarray, V: np.ndarray, chunks: TripleChunks, epsilon: float, iterations: int, step_size: float | None = None,
    ball: str = "linf", init: Perturbation | None = None,
) -> Perturbation:  # fmt: skip
    """BIM or PGD (`init`) against U U^T P and V V^T Q: the loss is taken there, and its gradient in P and Q through the projections.

    FGSM is one iteration with step_size = epsilon.  P: [users, D], Q: [items, D], U: [users, k], V: [items, k] -> [users, D], [items, D]
    """
    start = init if init is not None else Perturbation(np.zeros_like(P), np.zeros_like(Q))
    arrays = (np.float32(x) for x in (P, Q, U, V, *start))
    step_size = epsilon / 4 if step_size is None else step_size
    moved = _advance(*map(tf.constant, arrays), TripleChunks(*map(tf.constant, chunks)), iterations, np.float32(epsilon), np.float32(step_size), ball)
    return Perturbation(*(x.numpy() for x in moved))


@functools.partial(tf.function, jit_compile=True)
def _advance(P, Q, U, V, user, item, chunks: TripleChunks, iterations, epsilon, step_size, ball: str):
    def project(basis, x):
        return tf.matmul(basis, tf.matmul(basis, x, transpose_a=True))

    def gradient(du, di):
        return tuple(project(basis, g) for basis, g in zip((U, V), full_gradient(project(U, P + du), project(V, Q + di), chunks)))

    return ascend(gradient, (user, item), iterations, epsilon, step_size, ball)
