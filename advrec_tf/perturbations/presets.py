"""The registry of noise, FGSM, BIM and PGD, and the points at which they are measured.

This module needs no TensorFlow.
"""

from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from advrec_tf.perturbations.arguments import Budget, Perturbation
from advrec_tf.perturbations.canonical import NormalizedFactors, normalized_factors

PGD_INIT = 0.05
VERSION = 1  # of the attacks, one more whenever their bytes change


class Attack(NamedTuple):
    """What distinguishes one attack from another.

    start: the name of its start in results. init(P, Q, seed, init_range): the start, if it is not
    zero. step: the default step size, in epsilons. iterated: whether it takes many steps inside a
    ball, or one. draw(factors, epsilon, seed): the perturbation, if it follows no gradient.
    """

    start: str = ""
    init: Callable[..., Perturbation] | None = None
    step: float = 0.25
    iterated: bool = True
    draw: Callable[..., Perturbation] | None = None


def uniform_start(
    P: np.ndarray, Q: np.ndarray, seed: int = 0, init_range: float = PGD_INIT
) -> Perturbation:
    """Return PGD's start: every element uniform in [-init_range, init_range].

    The range does not depend on epsilon; the first projection brings the start into the ball.
    """
    if not (np.isfinite(init_range) and init_range >= 0):
        raise ValueError(f"init_range must be a number from 0 up, not {init_range}")
    rng = np.random.default_rng(seed)
    return Perturbation(
        *(rng.uniform(-init_range, init_range, np.shape(x)).astype(np.float32) for x in (P, Q))
    )


def noise(
    P: np.ndarray,
    Q: np.ndarray,
    epsilon: float = 0.5,
    seed: int | list[int] = 0,
    unit: str = "absolute",
) -> Perturbation:
    """Return the random baseline: a perturbation of P and Q in Gaussian directions.

    Each row has l2 norm epsilon in `unit`, see `normalized_factors`.
    """
    factors = normalized_factors(P, Q, unit)
    return factors.to_original(gaussian_rows(factors, epsilon, seed))


def gaussian_rows(
    factors: NormalizedFactors, epsilon: float, seed: int | list[int] = 0
) -> Perturbation:
    """Return rows in Gaussian directions of l2 norm epsilon, as a perturbation of `factors`."""
    length = Budget(epsilon).checked().epsilon
    rng = np.random.default_rng(seed)
    rows = (rng.standard_normal(x.shape, np.float32) for x in (factors.user, factors.item))
    user, item = (np.float32(length) * x / np.linalg.norm(x, axis=1, keepdims=True) for x in rows)
    return factors.scaled(Perturbation(user, item))


EMBEDDING_ATTACKS = {
    "noise": Attack(iterated=False, draw=gaussian_rows),
    "fgsm": Attack("clean", step=1.0, iterated=False),
    "bim": Attack("zero"),
    "pgd": Attack("uniform", uniform_start),
}


def default_step(attack: str, epsilon: float, step_size: float | None = None) -> float:
    """Return the step size of an attack: the given one if it is iterated, else its default."""
    if step_size is not None and EMBEDDING_ATTACKS[attack].iterated:
        return step_size
    return float(epsilon * EMBEDDING_ATTACKS[attack].step)


def points(
    attack: str,
    epsilons: Sequence[float],
    iterations: Sequence[int] = (1,),
    ball: str = "linf",
    step_size: float | None = None,
    start: str = "",
) -> list[dict]:
    """Return the key columns of an attack at every epsilon and, if iterated, iteration count.

    Columns without a meaning for the attack are left out. start: another start than the attack's
    own; "after_NAME" is where an attack of that name has ended.
    """
    kind, keys = EMBEDDING_ATTACKS[attack], []
    for epsilon, count in product(map(float, epsilons), iterations if kind.iterated else (1,)):
        key = {"attack": attack, "epsilon": epsilon}
        if kind.iterated:
            key["ball"] = ball
        if not kind.draw:
            step = default_step(attack, epsilon, step_size)
            key |= {"start": start or kind.start, "step_size": step, "iterations": count}
        keys.append(key)
    return keys
