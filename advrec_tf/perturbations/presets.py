"""What tells noise, FGSM, BIM and PGD apart, the points at which they are measured, and checks of their arguments.  No TensorFlow."""

from collections.abc import Callable, Iterable, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

BALLS = ("linf", "l2")
PGD_INIT = 0.05
VERSION = 1  # of the attacks, one more whenever their bytes change


class Perturbation(NamedTuple):
    """What is added to the user factors [U, D] and to the item factors [I, D]."""

    user: np.ndarray
    item: np.ndarray


class Attack(NamedTuple):
    """What tells one perturbation from another.

    start: what results call the place where it starts; init(P, Q, seed, init_range): that place, if it is not zero; step: the step size that is
    used unless one is given, in epsilons; iterated: whether it goes on for some iterations inside a ball, or is one step; draw(P, Q, epsilon, seed):
    what it is instead, where no gradient is followed.
    """

    start: str = ""
    init: Callable[..., Perturbation] | None = None
    step: float = 0.25
    iterated: bool = True
    draw: Callable[..., Perturbation] | None = None


def uniform_start(P: np.ndarray, Q: np.ndarray, seed: int = 0, init_range: float = PGD_INIT) -> Perturbation:
    """PGD's start: every element uniform in [-init_range, init_range], whatever epsilon is; the first projection mends it."""
    if not (np.isfinite(init_range) and init_range >= 0):
        raise ValueError(f"init_range must be a number from 0 up, not {init_range}")
    rng = np.random.default_rng(seed)
    return Perturbation(*(rng.uniform(-init_range, init_range, np.shape(x)).astype(np.float32) for x in (P, Q)))


def noise(P: np.ndarray, Q: np.ndarray, epsilon: float = 0.5, seed: int = 0) -> Perturbation:
    """Random baseline: Gaussian rows scaled to l2 norm epsilon, the budget of FGSM."""
    P, Q = checked_factors(P, Q)
    length, _ = checked_budget(epsilon, None, "l2")
    rng = np.random.default_rng(seed)
    rows = (rng.standard_normal(x.shape, np.float32) for x in (P, Q))
    return Perturbation(*(length * x / np.linalg.norm(x, axis=1, keepdims=True) for x in rows))


ATTACKS = {
    "noise": Attack(iterated=False, draw=noise),
    "fgsm": Attack("clean", step=1.0, iterated=False),
    "bim": Attack("zero"),
    "pgd": Attack("uniform", uniform_start),
}


def default_step(attack: str, epsilon: float, step_size: float | None = None) -> float:
    """The step size of an attack: the one given, if it is iterated, else its own share of epsilon."""
    return step_size if step_size is not None and ATTACKS[attack].iterated else float(epsilon * ATTACKS[attack].step)


def points(
    attack: str, epsilons: Sequence[float], iterations: Sequence[int] = (1,), ball: str = "linf", step_size: float | None = None, start: str = ""
) -> list[dict]:
    """The key columns of one attack at every budget and, if it is iterated, every number of iterations; what means nothing to it is left out.

    start: where it starts in place of its own start: "after_NAME" is where an attack of that name has ended.
    """
    kind, found = ATTACKS[attack], []
    for epsilon, count in product(map(float, epsilons), iterations if kind.iterated else (1,)):
        steps = {"start": start or kind.start, "step_size": default_step(attack, epsilon, step_size), "iterations": count}
        found.append({"attack": attack, "epsilon": epsilon} | ({"ball": ball} if kind.iterated else {}) | ({} if kind.draw else steps))
    return found


def checked_factors(P, Q) -> tuple[np.ndarray, np.ndarray]:
    """P and Q as float32.  Raises ValueError for shapes that do not fit and for values that are not finite."""
    P, Q = (np.asarray(x, np.float32) for x in (P, Q))
    if P.ndim != 2 or Q.ndim != 2 or P.shape[1] != Q.shape[1]:
        raise ValueError(f"factors must be [users, dim] and [items, dim], not {P.shape} and {Q.shape}")
    if not (np.isfinite(P).all() and np.isfinite(Q).all()):
        raise ValueError("the factors hold values that are not finite")
    return P, Q


def checked_budget(epsilon: float, step_size: float | None, ball: str) -> tuple[np.float32, np.float32]:
    """Epsilon and step size as float32, the step a quarter of epsilon unless given.  Raises ValueError for what is no budget."""
    if ball not in BALLS:
        raise ValueError(f"ball must be one of {', '.join(BALLS)}, not {ball!r}")
    for value, what in ((epsilon, "epsilon"), (0 if step_size is None else step_size, "step_size")):
        if np.ndim(value) or not np.isfinite(np.float32(min(value, np.inf))) or value < 0:
            raise ValueError(f"{what} must be a number from 0 up, not {value}")
    return np.float32(epsilon), np.float32(default_step("bim", epsilon) if step_size is None else step_size)


def checked_iterations(read_at: Iterable[int]) -> list[int]:
    """Increasing whole numbers from 0 up.  Raises ValueError for anything else."""
    counts = list(read_at)
    if not counts or any(int(n) != n or n < 0 for n in counts) or counts != sorted(counts):
        raise ValueError(f"iterations must be whole numbers from 0 up, increasing and at least one, not {counts}")
    return [int(n) for n in counts]
