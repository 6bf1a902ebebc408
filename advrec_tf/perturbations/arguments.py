"""What attacks take and give, and whether it makes sense.  No TensorFlow."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

BALLS = ("linf", "l2")


class Perturbation(NamedTuple):
    """What is added to the user factors [U, D] and to the item factors [I, D]."""

    user: np.ndarray
    item: np.ndarray


def checked_factors(P, Q, kind: npt.DTypeLike = np.float32) -> tuple[np.ndarray, np.ndarray]:
    """Return P and Q as numbers of a kind.

    Raises ValueError for shapes that do not fit and for values that are not finite.
    """
    P, Q = checked_table(P, kind), checked_table(Q, kind)
    if P.shape[1] != Q.shape[1]:
        raise ValueError(
            f"factors must be [users, dim] and [items, dim], not {P.shape} and {Q.shape}"
        )
    return P, Q


def checked_table(table, kind: npt.DTypeLike = np.float32) -> np.ndarray:
    """Return a table of factors or parameters as numbers of a kind.

    Raises ValueError if it has not two dimensions, and for values that are not finite.
    """
    table = np.asarray(table, kind)
    if table.ndim != 2:
        raise ValueError(f"factors must be [rows, dim], not {table.shape}")
    if not np.isfinite(table).all():
        raise ValueError("the factors hold values that are not finite")
    return table


def checked_budget(
    epsilon: float, step_size: float | None, ball: str
) -> tuple[float, float | None]:
    """Epsilon and step size, if one is given, in single precision.  Raises ValueError for what is no budget."""
    if ball not in BALLS:
        raise ValueError(f"ball must be one of {', '.join(BALLS)}, not {ball!r}")
    for value, what in ((epsilon, "epsilon"), (0 if step_size is None else step_size, "step_size")):
        if np.ndim(value) or not np.isfinite(np.float32(min(value, np.inf))) or value < 0:
            raise ValueError(f"{what} must be a number from 0 up, not {value}")
    return float(np.float32(epsilon)), None if step_size is None else float(np.float32(step_size))


def checked_iterations(read_at: Iterable[int]) -> list[int]:
    """Increasing whole numbers from 0 up.  Raises ValueError for anything else."""
    counts = list(read_at)
    if not counts or any(int(n) != n or n < 0 for n in counts) or counts != sorted(counts):
        raise ValueError(
            f"iterations must be whole numbers from 0 up, increasing and at least one, not {counts}"
        )
    return [int(n) for n in counts]
