"""Attacks on lists themselves: the items that are to fall against whoever is strongest beside them at that moment.

The training loss that BIM climbs is not the harm that is measured, the place of one item among all.  Here the loss is on that place, and the step has
no size: the loss is convex in each table, so what a table can do best against its linearisation is in closed form.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from scipy import sparse

from advrec_tf.data import Interactions
from advrec_tf.evaluation.ranking import masked_scores
from advrec_tf.perturbations.arguments import Perturbation, checked_budget, checked_iterations
from advrec_tf.perturbations.canonical import Form, form_of

RIVALS = 20  # the strongest of each user's that a loss sees
MOMENTUM = 0.5
ITERATIONS = 25


def response(gradient: np.ndarray, size: np.ndarray, ball: str) -> np.ndarray:
    """Where in the ball a linear function is largest: size g / ||g||, or size sign(g).  gradient: [N, D], size: [1, 1] or [N, 1] -> [N, D]"""
    if ball == "linf":
        return size * np.sign(gradient)
    return size * gradient / np.maximum(np.linalg.norm(gradient, axis=1, keepdims=True), 1e-30)


def responses(form: Form, gradient: Callable[[int, np.ndarray, np.ndarray], np.ndarray], sizes: tuple, ball: str, read_at: Sequence[int]):
    """Yields the perturbation of a form after each iteration count of `read_at`: an iteration moves Delta_P to MOMENTUM Delta_P + (1 - MOMENTUM)
    `response`, and then Delta_Q with the gradient at what P has become.

    gradient(side, P + Delta_P, Q + Delta_Q): of the loss in the users' rows (side 0) or the items'.
    """
    delta, done = [np.zeros_like(form.user), np.zeros_like(form.item)], 0
    for stop in read_at:
        for side in (0, 1) * (stop - done):
            step = response(gradient(side, form.user + delta[0], form.item + delta[1]), sizes[side], ball)
            delta[side] = MOMENTUM * delta[side] + (1 - MOMENTUM) * step
        done = stop
        yield Perturbation(*delta)


def sinking(
    P: np.ndarray, Q: np.ndarray, data: Interactions, sunk: np.ndarray, epsilon: float, ball: str = "l2", budget: str = "relative",
    read_at: Sequence[int] = (ITERATIONS,),
) -> Iterator[Perturbation]:  # fmt: skip
    """Yields the perturbation that sinks items of every user, after each iteration count of `read_at` (`responses`).

    The loss of a user is the sum over his items i that are to sink and his RIVALS strongest items j that he does not know, at that moment, of
    ln(1 + exp(-(s_ui - s_uj) / c)), with c the standard deviation of these margins before any perturbation.

    sunk: int [U, n], the items that are to sink, -1 where there are fewer.  Raises ValueError as `trajectory`, and for a `sunk` of other shape.
    """
    form = form_of(P, Q, budget)
    size, _ = checked_budget(epsilon, None, ball)
    stops = checked_iterations(read_at)
    if sunk.ndim != 2 or len(sunk) != data.n_users or sunk.max(initial=-1) >= data.n_items:
        raise ValueError(f"sunk must be items of {data.n_users} users, not {sunk.shape}")
    loss = _Sinking(form, data, sunk)
    return map(form.back, responses(form, loss.gradient, form.sizes(size), ball, stops))


class _Sinking:
    """The loss of `sinking`; rivals are looked for anew whenever users are to move."""

    def __init__(self, form: Form, data: Interactions, sunk: np.ndarray):
        self.data, self.sunk = data, sunk
        self.rivals, margins = _margins(form.user, form.item, data, sunk)
        self.spread = float(margins[np.isfinite(margins)].std()) or 1.0

    def gradient(self, side: int, P: np.ndarray, Q: np.ndarray) -> np.ndarray:
        if side == 0:
            self.rivals, margins = _margins(P, Q, self.data, self.sunk)
            return _slopes(margins, self.rivals, self.sunk, self.spread, self.data) @ Q
        margins = _margins_over(P, Q, self.sunk, self.rivals)
        return _slopes(margins, self.rivals, self.sunk, self.spread, self.data).T @ P


def _margins(P: np.ndarray, Q: np.ndarray, data: Interactions, sunk: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The strongest rivals of every user, int [U, R], and the margins of his sunk items over them, [U, n, R], infinite where there is none."""
    count = min(RIVALS, data.n_items)
    rivals = np.empty((data.n_users, count), np.int64)
    margins = np.empty((data.n_users, sunk.shape[1], count), np.float32)
    for start, scores in masked_scores(P, Q, data):
        part = slice(start, start + len(scores))
        rows, there = np.arange(len(scores))[:, None], sunk[part] >= 0
        values = np.where(there, scores[rows, sunk[part]], np.inf)  # [B, n]
        at = np.nonzero(there)
        scores[at[0], sunk[part][at]] = -np.inf  # no item is its own rival, nor another's that is to sink
        rivals[part] = np.argpartition(-scores, count - 1, axis=1)[:, :count]
        margins[part] = values[:, :, None] - scores[rows, rivals[part]][:, None, :]
    return rivals, margins


def _margins_over(P: np.ndarray, Q: np.ndarray, sunk: np.ndarray, rivals: np.ndarray) -> np.ndarray:
    """The margins over rivals that are known: [U, n, R]."""
    own, others = (np.einsum("ud,und->un", P, Q[items]) for items in (np.maximum(sunk, 0), rivals))
    return np.where(sunk >= 0, own, np.inf)[:, :, None] - others[:, None, :]


def _slopes(margins: np.ndarray, rivals: np.ndarray, sunk: np.ndarray, spread: float, data: Interactions) -> sparse.csr_matrix:
    """The derivative of the loss in every score, [U, I]: -sigmoid(-margin / c) / c for a sunk item, the opposite for a rival, summed over pairs."""
    slopes = 1 / (1 + np.exp(np.clip(margins / spread, -80, 80))) / spread
    slopes[~np.isfinite(margins)] = 0
    values = np.concatenate([-slopes.sum(axis=2), slopes.sum(axis=1)], axis=1)  # [U, n + R]
    columns = np.concatenate([np.maximum(sunk, 0), rivals], axis=1)
    rows = np.repeat(np.arange(data.n_users), columns.shape[1])
    return sparse.csr_matrix((values.ravel(), (rows, columns.ravel())), shape=(data.n_users, data.n_items))
