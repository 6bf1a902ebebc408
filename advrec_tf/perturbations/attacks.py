"""FGSM, BIM and PGD on a pair of factor matrices: one loop of gradient, normalise, step, project, and its presets."""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from advrec_tf.perturbations.gradient import TripleChunks, chunk_triples, full_gradient

BALLS = ("linf", "l2")
PGD_INIT = 0.05


class Perturbation(NamedTuple):
    """What is added to the user factors [U, D] and to the item factors [I, D]."""

    user: np.ndarray
    item: np.ndarray


def normalize_rows(x: tf.Tensor) -> tf.Tensor:
    """Scales each row to unit l2 norm; zero rows stay zero.  x: [N, D] -> [N, D].  (Pi / ||Pi||, Eq. 4)"""
    return tf.math.l2_normalize(x, axis=1, epsilon=1e-12)


def project_linf(x: tf.Tensor, epsilon) -> tf.Tensor:
    """Clips every element to [-epsilon, epsilon] (Eq. 6, Clip): rows of D elements may reach an l2 norm of epsilon sqrt(D)."""
    return tf.clip_by_value(x, -epsilon, epsilon)


def project_l2(x: tf.Tensor, epsilon) -> tf.Tensor:
    """Scales every row longer than epsilon back to l2 norm epsilon, the budget of FGSM.  x: [N, D] -> [N, D]"""
    norms = tf.norm(x, axis=1, keepdims=True)
    return x * tf.minimum(1.0, epsilon / tf.maximum(norms, 1e-12))


_PROJECTIONS = {"linf": project_linf, "l2": project_l2}


def ascend(gradient: Callable, delta: tuple, iterations, epsilon, step_size, ball: str) -> tuple:
    """The loop of Eq. 7, to be called inside a tf.function: `iterations` times delta <- project(delta + step_size Pi / ||Pi||).

    gradient(du, di) -> Pi for users and items at Theta + Delta; delta: ([U, D], [I, D]), the start.
    """
    project = _PROJECTIONS[ball]

    def body(step, user, item):
        moved = (x + step_size * normalize_rows(g) for x, g in zip((user, item), gradient(user, item)))
        return step + 1, *(project(x, epsilon) for x in moved)

    return tf.while_loop(lambda step, *_: step < iterations, body, (0, *delta))[1:]


@functools.partial(tf.function, jit_compile=True)
def _advance(p, q, user, item, free, chunks: TripleChunks, iterations, epsilon, step_size, ball: str):
    def gradient(du, di):
        return tuple(columns * g for columns, g in zip(free, full_gradient(p + du, q + di, chunks)))

    return ascend(gradient, (user, item), iterations, epsilon, step_size, ball)


def trajectory(
    P: np.ndarray,
    Q: np.ndarray,
    triples: tuple[np.ndarray, np.ndarray, np.ndarray] | TripleChunks,
    epsilon: float = 0.5,
    step_size: float | None = None,
    ball: str = "linf",
    init: Perturbation | None = None,
    read_at: Sequence[int] = (1, 10, 20),
    fixed: tuple[np.ndarray, np.ndarray] | None = None,
) -> Iterator[Perturbation]:
    """Yields the multi-step perturbation after each iteration count of `read_at`, in one run (Eq. 5 to 7).

    P: [U, D], Q: [I, D]; triples: three int arrays [N] (user, positive, negative), or what `chunk_triples` makes of them, to be
    shared by several attacks; nothing is changed.  The step size is epsilon / 4 unless given; `init` is where the attack starts
    (zero by default); `fixed` marks columns of P and of Q (bool [D] each) that are constants, not parameters, such as the column of ones
    beside a bias.  The perturbation at L iterations is a prefix of that at more, so a grid costs as much as its last point.

    Raises ValueError for shapes that do not fit, ids out of range, factors that are not finite, an epsilon or step size that is
    negative or not finite, and iteration counts that are empty, negative or not increasing.
    """
    P, Q = _checked_factors(P, Q)
    epsilon, step_size = _checked_budget(epsilon, step_size, ball)
    read_at = _checked_iterations(read_at)
    chunks = triples if isinstance(triples, TripleChunks) else chunk_triples(triples, len(P), len(Q))
    delta = init if init is not None else Perturbation(np.zeros_like(P), np.zeros_like(Q))
    if np.shape(delta.user) != P.shape or np.shape(delta.item) != Q.shape:
        raise ValueError(f"init has shapes {np.shape(delta.user)}, {np.shape(delta.item)} where the factors have {P.shape}, {Q.shape}")

    free = tuple(1 - np.float32(columns) for columns in fixed) if fixed is not None else (np.ones(P.shape[1], np.float32),) * 2
    if any(columns.shape != P.shape[1:] for columns in free):
        raise ValueError(f"fixed must be two arrays [{P.shape[1]}], one value a column")

    def run():
        state, done = tuple(tf.constant(x, tf.float32) for x in delta), 0
        p, q, parts = tf.constant(P), tf.constant(Q), TripleChunks(*map(tf.constant, chunks))
        for stop in read_at:
            state = _advance(p, q, *state, free, parts, tf.constant(stop - done), tf.constant(epsilon), tf.constant(step_size), ball)
            done = stop
            yield Perturbation(*(x.numpy() for x in state))

    return run()


def fgsm(P: np.ndarray, Q: np.ndarray, triples, epsilon: float = 0.5, init: Perturbation | None = None, fixed=None) -> Perturbation:
    """The single-step perturbation epsilon Pi / ||Pi|| (Eq. 4): rows of l2 norm epsilon, zero where there is no gradient.

    The gradient is taken at P, Q, or at P + init.user, Q + init.item.  Errors as in `trajectory`.
    """
    if init is not None:
        P, Q = np.asarray(P) + init.user, np.asarray(Q) + init.item
    return next(trajectory(P, Q, triples, epsilon, step_size=epsilon, read_at=(1,), fixed=fixed))


def bim(P, Q, triples, epsilon: float = 0.5, iterations: int = 25, step_size: float | None = None, ball: str = "linf") -> Perturbation:
    """The basic iterative method: `iterations` steps from zero (Eq. 7).  Arguments and errors as in `trajectory`."""
    return next(trajectory(P, Q, triples, epsilon, step_size, ball, read_at=(iterations,)))


def pgd(
    P, Q, triples, epsilon: float = 0.5, iterations: int = 25, step_size: float | None = None, ball: str = "linf", seed: int = 0,
    init_range: float = PGD_INIT,
) -> Perturbation:  # fmt: skip
    """Projected gradient descent: BIM from a uniform random start.  Arguments and errors as in `trajectory`."""
    return next(trajectory(P, Q, triples, epsilon, step_size, ball, uniform_start(P, Q, seed, init_range), read_at=(iterations,)))


def uniform_start(P: np.ndarray, Q: np.ndarray, seed: int = 0, init_range: float = PGD_INIT) -> Perturbation:
    """PGD's start: every element uniform in [-init_range, init_range], whatever epsilon is; the first projection mends it."""
    if not (np.isfinite(init_range) and init_range >= 0):
        raise ValueError(f"init_range must be a number from 0 up, not {init_range}")
    rng = np.random.default_rng(seed)
    return Perturbation(*(rng.uniform(-init_range, init_range, np.shape(x)).astype(np.float32) for x in (P, Q)))


def noise(P: np.ndarray, Q: np.ndarray, epsilon: float = 0.5, seed: int = 0) -> Perturbation:
    """Random baseline: Gaussian rows scaled to l2 norm epsilon, the budget of FGSM."""
    P, Q = _checked_factors(P, Q)
    epsilon, _ = _checked_budget(epsilon, None, "l2")
    rng = np.random.default_rng(seed)
    rows = (rng.standard_normal(x.shape, np.float32) for x in (P, Q))
    return Perturbation(*(epsilon * x / np.linalg.norm(x, axis=1, keepdims=True) for x in rows))


def _checked_factors(P, Q) -> tuple[np.ndarray, np.ndarray]:
    P, Q = (np.asarray(x, np.float32) for x in (P, Q))
    if P.ndim != 2 or Q.ndim != 2 or P.shape[1] != Q.shape[1]:
        raise ValueError(f"factors must be [users, dim] and [items, dim], not {P.shape} and {Q.shape}")
    if not (np.isfinite(P).all() and np.isfinite(Q).all()):
        raise ValueError("the factors hold values that are not finite")
    return P, Q


def _checked_budget(epsilon: float, step_size: float | None, ball: str) -> tuple[np.float32, np.float32]:
    if ball not in BALLS:
        raise ValueError(f"ball must be one of {', '.join(BALLS)}, not {ball!r}")
    for value, what in ((epsilon, "epsilon"), (0 if step_size is None else step_size, "step_size")):
        if np.ndim(value) or not np.isfinite(value) or value < 0:
            raise ValueError(f"{what} must be a number from 0 up, not {value}")
    return np.float32(epsilon), np.float32(epsilon / 4 if step_size is None else step_size)


def _checked_iterations(read_at: Iterable[int]) -> list[int]:
    counts = list(read_at)
    if not counts or any(int(n) != n or n < 0 for n in counts) or counts != sorted(counts):
        raise ValueError(f"iterations must be whole numbers from 0 up, increasing and at least one, not {counts}")
    return [int(n) for n in counts]
