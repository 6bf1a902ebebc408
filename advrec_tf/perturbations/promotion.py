"""Attacks that push an item into lists, by its own row or by all rows."""

import numpy as np

from advrec_tf.data import Interactions
from advrec_tf.evaluation.promotion import Rivals, knows, last_rivals
from advrec_tf.perturbations.arguments import Perturbation

OWN_STEPS = 40  # of the attack by the target's own row
ALL_STEPS = 8  # of the attack by all rows, each a pass over all scores
FIRST, LAST = 1.0, 0.05  # temperatures, in typical gaps


def promote_row(
    P: np.ndarray,
    q: np.ndarray,
    rival: Rivals,
    known: np.ndarray,
    length: float,
    start: np.ndarray | None = None,
) -> tuple[np.ndarray, float]:
    """Return a move of an item's row, at most `length` long, and the share of lists that it enters.

    The share is of all users.  Frank-Wolfe steps raise the smooth number of users whose last item
    is passed, sum_u sigmoid((p_u (q + e) - theta_u) / T), while T falls.  The best iterate is kept.

    P: [U, D]; q: [D]; rival: of `last_rivals`; known: users who know the item; start: a move
    """
    P = np.asarray(P, np.float64)
    gaps = rival.scores - P @ q
    open_to = ~known & np.isfinite(gaps)
    always = float(np.mean(~known & np.isneginf(gaps)))
    P, gaps = P[open_to], gaps[open_to]
    share = len(gaps) / len(known)
    spread = _spread(gaps)
    move = np.zeros(len(q)) if start is None else np.asarray(start, np.float64)
    best, most = move, _passed(P, gaps, move)
    for step in range(OWN_STEPS if length else 0):
        temperature = spread * FIRST * (LAST / FIRST) ** (step / (OWN_STEPS - 1))
        slope = _slope((P @ move - gaps) / temperature)
        direction = slope @ P
        norm = np.linalg.norm(direction)
        if not norm:
            break
        # Later steps weigh less, so that the move settles.
        weight = 2 / (step + 2)
        move = (1 - weight) * move + weight * length * direction / norm
        for each in (move, length * move / (np.linalg.norm(move) or 1)):
            if (passed := _passed(P, gaps, each)) > most:
                best, most = each, passed
    return best, always + most * share


def _passed(P: np.ndarray, gaps: np.ndarray, move: np.ndarray) -> float:
    """Return the share of these users whose last item is passed."""
    return float(np.mean(P @ move > gaps)) if len(gaps) else 0.0


def _spread(gaps: np.ndarray) -> float:
    """Return the typical size of gaps, 1 where there are none."""
    return max(gaps.std(), np.abs(gaps).mean()) or 1.0 if len(gaps) else 1.0


def _slope(x: np.ndarray) -> np.ndarray:
    """Return the derivative of the sigmoid."""
    y = np.exp(-np.abs(x))
    return y / (1 + y) ** 2


def promote_all(
    P: np.ndarray,
    Q: np.ndarray,
    data: Interactions,
    target: int,
    k: int,
    sizes: tuple[float, float],
) -> tuple[Perturbation, float]:
    """Return moves of all rows, and the share of lists with the target.

    sizes: the most that a user's and an item's row moves

    Frank-Wolfe steps raise the same smooth number as `promote_row`.  Each user's row turns from the
    last item of the list to the target, the target's row to the users, and last items' rows away.
    """
    known = knows(data, target)
    delta = [np.zeros(x.shape) for x in (P, Q)]
    best, most = Perturbation(delta[0], delta[1]), -1.0
    for step in range(ALL_STEPS + 1):
        user, item = np.float64(P) + delta[0], np.float64(Q) + delta[1]
        (rival,) = last_rivals(user, item, data, np.array([target]), k)
        margins = user @ item[target] - rival.scores
        share = float(np.mean(~known & (margins > 0)))
        if share > most:
            best, most = Perturbation(*(x.astype(np.float32) for x in delta)), share
        finite = np.isfinite(margins) & ~known
        temperature = _spread(margins[finite]) * FIRST * (LAST / FIRST) ** (step / ALL_STEPS)
        slope = np.where(finite, _slope(np.where(finite, margins, 0) / temperature), 0)
        gradients = _gradients(user, item, rival.items, target, slope)
        weight = 2 / (step + 2)
        for side, gradient in enumerate(gradients):
            norms = np.linalg.norm(gradient, axis=1, keepdims=True)
            rows = sizes[side] * np.divide(
                gradient, norms, out=np.zeros_like(gradient), where=norms > 0
            )
            delta[side] = (1 - weight) * delta[side] + weight * rows
    return best, most


def _gradients(
    user: np.ndarray, item: np.ndarray, last: np.ndarray, target: int, slope: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the gradients of the smooth number of users in both tables.

    last: each user's last item; slope: [U], 0 for users who do not count
    """
    of_users = (slope > 0)[:, None] * (item[target] - item[last])
    of_items = np.zeros_like(item)
    np.add.at(of_items, last, -slope[:, None] * user)
    of_items[target] = slope @ user
    return of_users, of_items
