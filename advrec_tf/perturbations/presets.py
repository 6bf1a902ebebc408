"""What tells noise, FGSM, BIM and PGD apart, and the points at which they are measured.  No TensorFlow."""

from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from advrec_tf.perturbations.arguments import Perturbation, checked_budget
from advrec_tf.perturbations.canonical import NormalizedFactors, normalized_factors

PGD_INIT = 0.05
VERSION = 1  # of the attacks, one more whenever their bytes change


class Attack(NamedTuple):
    """What tells one perturbation from another.

    start: what results call the place where it starts; init(P, Q, seed, init_range): that place, if it is not zero; step: the step size that is
    used unless one is given, in epsilons; iterated: whether it goes on for some iterations inside a ball, or is one step; draw(form, epsilon,
    seed): what it is instead, where no gradient is followed.
    """

    start: str = ""
    init: Callable[..., Perturbation] | None = None
    step: float = 0.25
    iterated: bool = True
    draw: Callable[..., Perturbation] | None = None


def uniform_start(
    P: np.ndarray, Q: np.ndarray, seed: int = 0, init_range: float = PGD_INIT
) -> Perturbation:
    """PGD's start: every element uniform in [-init_range, init_range], whatever epsilon is; the first projection mends it."""
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
    """Return the random baseline: rows in Gaussian directions, of l2 norm epsilon as in FGSM.

    unit: of epsilon, see `normalized_factors`.
    """
    form = normalized_factors(P, Q, unit)
    return form.to_original(gaussian_rows(form, epsilon, seed))


def gaussian_rows(
    form: NormalizedFactors, epsilon: float, seed: int | list[int] = 0
) -> Perturbation:
    """Return a perturbation of a form, with rows in Gaussian directions of l2 norm epsilon."""
    length, _ = checked_budget(epsilon, None, "l2")
    rng = np.random.default_rng(seed)
    rows = (rng.standard_normal(x.shape, np.float32) for x in (form.user, form.item))
    user, item = (np.float32(length) * x / np.linalg.norm(x, axis=1, keepdims=True) for x in rows)
    return form.scaled(Perturbation(user, item))


EMBEDDING_ATTACKS = {
    "noise": Attack(iterated=False, draw=gaussian_rows),
    "fgsm": Attack("clean", step=1.0, iterated=False),
    "bim": Attack("zero"),
    "pgd": Attack("uniform", uniform_start),
}


def default_step(attack: str, epsilon: float, step_size: float | None = None) -> float:
    """The step size of an attack: the one given, if it is iterated, else its own share of epsilon."""
    return (
        step_size
        if step_size is not None and EMBEDDING_ATTACKS[attack].iterated
        else float(epsilon * EMBEDDING_ATTACKS[attack].step)
    )


def points(
    attack: str,
    epsilons: Sequence[float],
    iterations: Sequence[int] = (1,),
    ball: str = "linf",
    step_size: float | None = None,
    start: str = "",
    unit: str = "absolute",
) -> list[dict]:
    """The key columns of one attack at every budget and, if it is iterated, every number of iterations; what means nothing to it is left out.

    start: where it starts in place of its own start: "after_NAME" is where an attack of that name has ended.
    """
    kind, found = EMBEDDING_ATTACKS[attack], []
    for epsilon, count in product(map(float, epsilons), iterations if kind.iterated else (1,)):
        steps = {
            "start": start or kind.start,
            "step_size": default_step(attack, epsilon, step_size),
            "iterations": count,
        }
        point = (
            {"attack": attack, "epsilon": epsilon}
            | ({"ball": ball} if kind.iterated else {})
            | ({} if kind.draw else steps)
        )
        found.append(point | ({} if unit == "absolute" else {"unit": unit}))
    return found
