"""How far factors have moved, and what became of the lists."""

import numpy as np

from advrec_tf.execution.threads import side_by_side
from advrec_tf.perturbations.arguments import Tables

PERSISTENCE = 0.9  # of rank-biased overlap: what a reader goes on with
BLOCK = 4096  # users whose lists are compared at once


def units(tables: Tables) -> tuple[float, float]:
    """Return the RMS row norms of both tables, which are epsilon 1."""
    user, item = (float(np.sqrt(np.mean(np.sum(np.float64(x) ** 2, axis=1)))) for x in tables)
    return user, item


def epsilons(before: Tables, after: Tables) -> dict[str, float]:
    """Return how far rows have moved, in RMS row norms of their table.

    epsilon: the RMS of user_epsilon and item_epsilon, which are the RMS over rows; _p95, _most: the
    95th percentile and the largest of rows.
    """
    moved = {}
    for side, first, second, unit in zip(("user", "item"), before, after, units(before)):
        lengths = np.linalg.norm(np.float64(second) - first, axis=1) / unit
        moved[f"{side}_epsilon"] = float(np.sqrt(np.mean(lengths**2)))
        moved[f"{side}_p95"] = float(np.percentile(lengths, 95))
        moved[f"{side}_most"] = float(lengths.max())
    squares = moved["user_epsilon"] ** 2, moved["item_epsilon"] ** 2
    return {"epsilon": float(np.sqrt(np.mean(squares))), **moved}


def cosine(before: Tables, first: Tables, second: Tables) -> float | None:
    """Return the cosine between two changes, each in RMS row norms; None where one is none."""
    dots = np.zeros(3)
    for start, one, other in zip(before, first, second):
        weight = 1 / np.sum(np.float64(start) ** 2)
        a, b = (np.float64(x) - start for x in (one, other))
        dots += weight * np.array([np.sum(a * b), np.sum(a * a), np.sum(b * b)])
    norm = np.sqrt(dots[1] * dots[2])
    return float(dots[0] / norm) if norm else None


def list_changes(before: np.ndarray, after: np.ndarray) -> dict[str, float]:
    """Return what is left of lists [U, k], means over users.

    overlap: share of items that stay; RBO: rank-biased overlap (Webber et al. 2010, extrapolated);
    same_list, same_first: shares of users whose list and whose first item are the same.
    Empty slots (-1) are equal to each other.
    """
    count = before.shape[1]
    starts = range(0, len(before), BLOCK)

    def depths(start: int) -> np.ndarray:
        """Return for each user how many items have entered both lists at each depth."""
        return _shared(before[start : start + BLOCK], after[start : start + BLOCK])

    shared = np.concatenate(list(side_by_side(depths, starts))).cumsum(axis=1)
    depth = np.arange(1, count + 1)
    agreement = shared / depth
    weights = (1 - PERSISTENCE) / PERSISTENCE * PERSISTENCE**depth
    rbo = agreement @ weights + agreement[:, -1] * PERSISTENCE**count
    return {
        "overlap": float(agreement[:, -1].mean()),
        "RBO": float(rbo.mean()),
        "same_list": float(np.all(before == after, axis=1).mean()),
        "same_first": float(np.mean(before[:, 0] == after[:, 0])),
    }


def _shared(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return how many items of both lists are in both from each depth on: int [U, k]."""
    slots = np.arange(before.shape[1])
    first, second = (np.where(lists < 0, -1 - slots, lists) for lists in (before, after))
    users, slot, other_slot = np.nonzero(first[:, :, None] == second[:, None, :])
    depths = users * len(slots) + np.maximum(slot, other_slot)
    return np.bincount(depths, minlength=first.size).reshape(first.shape)
