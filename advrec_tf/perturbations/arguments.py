"""What attacks take and return, and checks of it. This module needs no TensorFlow."""

from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

BALLS = ("linf", "l2")
TripleArrays = tuple[np.ndarray, np.ndarray, np.ndarray]  # users, positives and negatives
Tables = tuple[np.ndarray, np.ndarray]  # of users and of items


class Perturbation(NamedTuple):
    """What is added to the user factors [U, D] and to the item factors [I, D]."""

    user: np.ndarray
    item: np.ndarray


class FactorMap(Protocol):
    """The map from parameter tables to factors, in NumPy: `ServedMap`."""

    def __call__(self, user: np.ndarray, item: np.ndarray) -> Tables:
        """Return P and Q of the tables."""
        ...

    def slopes(self, gradient: Callable, user: np.ndarray, item: np.ndarray) -> Tables:
        """Return the gradient in both tables of a loss of the factors."""
        ...


class Budget(NamedTuple):
    """How far an attack may move: epsilon and the ball, and its step size, epsilon / 4 if None."""

    epsilon: float
    step_size: float | None = None
    ball: str = "linf"

    def checked(self) -> "Budget":
        """Return the budget in single precision. Raises ValueError for what is no budget."""
        if self.ball not in BALLS:
            raise ValueError(f"ball must be one of {', '.join(BALLS)}, not {self.ball!r}")
        epsilon = _checked_size(self.epsilon, "epsilon")
        step_size = None if self.step_size is None else _checked_size(self.step_size, "step_size")
        return Budget(epsilon, step_size, self.ball)


def _checked_size(value: float, name: str) -> float:
    """Return a size as the float32 number that is computed with. Raises ValueError for others."""
    if np.ndim(value) or not np.isfinite(np.float32(min(value, np.inf))) or value < 0:
        raise ValueError(f"{name} must be a number from 0 up, not {value}")
    return float(np.float32(value))


def checked_factors(P, Q, kind: npt.DTypeLike = np.float32) -> Tables:
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

    Raises ValueError for a table without two dimensions and for values that are not finite.
    """
    table = np.asarray(table, kind)
    if table.ndim != 2:
        raise ValueError(f"factors must be [rows, dim], not {table.shape}")
    if not np.isfinite(table).all():
        raise ValueError("the factors hold values that are not finite")
    return table


def checked_iterations(read_at: Iterable[int]) -> list[int]:
    """Return iteration counts, which must increase. Raises ValueError for anything else."""
    counts = list(read_at)
    if not counts or any(int(n) != n or n < 0 for n in counts) or counts != sorted(counts):
        raise ValueError(
            f"iterations must be whole numbers from 0 up, increasing and at least one, not {counts}"
        )
    return [int(n) for n in counts]
