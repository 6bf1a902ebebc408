"""How far rows must move before an item enters a user's list: what no promotion can beat."""

from typing import NamedTuple

import numpy as np

from advrec_tf.data import Interactions
from advrec_tf.evaluation.certificate import l2_radii
from advrec_tf.evaluation.ranking import of_blocks, strongest

Units = tuple[float, float]  # what epsilon 1 is for users' rows and for items' rows


class Rivals(NamedTuple):
    """The item at the end of each user's list, without a target in it.

    items: int [U], -1 where a user has fewer unknown items than the list is long; scores: [U], -inf
    there
    """

    items: np.ndarray
    scores: np.ndarray


def last_rivals(
    P: np.ndarray, Q: np.ndarray, data: Interactions, targets: np.ndarray, k: int
) -> list[Rivals]:
    """Return for each target the rival that it must beat to enter each user's list of k.

    P: [U, D], Q: [I, D]. Costs one pass over the scores for all targets.
    """
    count = min(k + 1, data.n_items)
    parts = of_blocks(lambda _, scores: strongest(scores, count), P, Q, data)
    items, scores = (np.concatenate(each) for each in zip(*parts))
    rivals = []
    for target in targets:
        inside = (items[:, :k] == target).any(axis=1)
        slot = np.where(inside, k, k - 1)
        rows = np.arange(len(items))
        short = slot >= count
        slot = np.minimum(slot, count - 1)
        values = np.where(short, -np.inf, scores[rows, slot])
        last = np.where(np.isneginf(values), -1, items[rows, slot])
        rivals.append(Rivals(last, values))
    return rivals


def knows(data: Interactions, target: int) -> np.ndarray:
    """Return which users have an item in train, so that no list shows it to them: bool [U]."""
    known = np.zeros(data.n_users, bool)
    known[data.train_users[data.train_items == target]] = True
    return known


def own_row_radii(
    P: np.ndarray, Q: np.ndarray, data: Interactions, targets: np.ndarray, k: int, units: Units
) -> np.ndarray:
    """Return the epsilon at which each target enters each user's list by its own row: [T, U].

    The row of the target moves and nothing else does.  The target enters where it reaches the half
    space p_u q > theta_u of the k-th other item's score theta_u, at the distance
    (theta_u - p_u q_t) / |p_u|.  So for one user the value is exact.  It is 0 for a target that is
    in the list and infinite for a user who knows it.  No single move of the row puts the target
    into more lists than there are values below its epsilon.
    """
    P, Q = np.asarray(P, np.float64), np.asarray(Q, np.float64)
    lengths = np.linalg.norm(P, axis=1)
    radii = []
    for target, rival in zip(targets, last_rivals(P, Q, data, targets, k)):
        gaps = np.maximum(rival.scores - P @ Q[target], 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = np.where(gaps > 0, gaps / (lengths * units[1]), 0)
        radii.append(np.where(knows(data, int(target)), np.inf, distance))
    return np.array(radii)


def all_rows_radii(
    P: np.ndarray, Q: np.ndarray, data: Interactions, targets: np.ndarray, k: int, units: Units
) -> np.ndarray:
    """Return an epsilon below which no move of all rows puts a target into a user's list: [T, U].

    To enter, the target must pass all but k - 1 of the items above it.  The radius of each of them
    is exact for itself (`certificate.l2_radii`), so as many of the smallest must be below epsilon.
    """
    P, Q = np.asarray(P, np.float64) / units[0], np.asarray(Q, np.float64)
    radii = np.empty((len(targets), data.n_users))

    def of_block(start: int, scores: np.ndarray) -> None:
        """Fill in the radii of a block of users."""
        rows = slice(start, start + len(scores))
        for number, target in enumerate(targets):
            radii[number, rows] = _needed(P[rows], Q, scores, int(target), k, units[1])

    list(of_blocks(of_block, P, Q, data))
    for number, target in enumerate(targets):
        radii[number, knows(data, int(target))] = np.inf
    return radii


def _needed(
    p: np.ndarray, Q: np.ndarray, scores: np.ndarray, target: int, k: int, unit: float
) -> np.ndarray:
    """Return the radius of the last item that a target must pass to enter each list, [B].

    p: [B, D], over the users' unit; scores: [B, I], -inf for items that a user knows
    """
    target_scores = p @ Q[target]
    above = scores > target_scores[:, None]
    above[:, target] = False
    rows, items = np.nonzero(above)
    margins = scores[rows, items] - target_scores[rows]
    radii = np.full(scores.shape, np.inf)
    twice = np.full(len(rows), 2 * unit)
    for begin in range(0, len(rows), 1 << 16):
        part = slice(begin, begin + (1 << 16))
        differences = Q[items[part]] - Q[target]
        radii[rows[part], items[part]] = l2_radii(
            p[rows[part]], differences, twice[part], margins[part]
        )
    passed = above.sum(axis=1) - (k - 1)  # how many must be passed
    radii.sort(axis=1)
    last = radii[np.arange(len(p)), np.clip(passed - 1, 0, None)]
    return np.where(passed <= 0, 0, last)
