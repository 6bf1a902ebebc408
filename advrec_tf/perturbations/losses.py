"""Losses that the attacks of the ensemble maximise, and the Frank-Wolfe loop that maximises them.

The training loss that BIM maximises is not the harm that is measured, which is the rank of one item
among all. A smooth DCG is close to that rank; the softmax needs the training pairs alone. Each loss
has `gradient(side, P, Q)` in the rows of users (side 0) or of items (side 1).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import sparse

from advrec_tf.data import Interactions
from advrec_tf.evaluation import of_blocks, strongest
from advrec_tf.perturbations import NormalizedFactors, Perturbation

RIVALS = 20  # the strongest of each user's that a smooth DCG sees
CUTOFF, FADE = 4, 3  # ranks beyond k at which an item's weight begins to fade, and how fast
MOMENTA = (0.5, 0.85)  # of a Frank-Wolfe step on a smooth DCG, first and last


class Softmax:
    """-sum ln softmax(s_u)_i over users u and their training items i: every other item is a rival.

    The items' gradient is taken where the users' was.
    """

    def __init__(self, data: Interactions):
        self.data, self.sunk = data, data.matrix()
        self.counts = np.diff(self.sunk.indptr).astype(np.float32)
        self.items = np.empty(0)

    def gradient(self, side: int, P: np.ndarray, Q: np.ndarray) -> np.ndarray:
        """-> [U, D] or [I, D]"""
        if side == 1:
            return self.items

        def slopes(start: int, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            rows = slice(start, start + len(scores))
            scores -= scores.max(axis=1, keepdims=True)
            np.exp(scores, out=scores)
            weights = (self.counts[rows] / scores.sum(axis=1))[:, None]
            return weights * (scores @ Q), scores.T @ (weights * P[rows])

        self.items, users = np.zeros_like(Q), []
        for of_users, of_items in of_blocks(slopes, P, Q, self.data, masked=False):
            users.append(of_users)
            self.items += of_items
        self.items -= self.sunk.T @ P
        return np.concatenate(users) - self.sunk @ Q


class SmoothDCG:
    """-sum of w_i / log2(1 + r_i) over users and their items i that are to sink, smooth ranks

    r_i = 1 + sum over the RIVALS strongest items j of sigmoid((s_uj - s_ui) / (tau c)),

    c the standard deviation of the margins s_ui - s_uj before any perturbation. As tau falls to 0
    it becomes the DCG itself. Rivals are neither known from train nor to sink themselves. The
    weight of an item fades beyond rank k + CUTOFF: items' rows, which all users share, are spent on
    users whose item stands in the list or near it.

    sunk: int [U, n], the items that are to sink, -1 where there are fewer; weights: w [n], in their
    order; k: length of the lists.
    """

    def __init__(
        self,
        form: NormalizedFactors,
        data: Interactions,
        sunk: np.ndarray,
        weights: np.ndarray,
        k: int,
    ):
        self.data, self.sunk, self.weights, self.k = data, sunk, weights.astype(np.float32), k
        self.count, self.tau = min(max(RIVALS, 2 * k), data.n_items), 1.0
        self.user_weights = np.ones((len(sunk), 1, 1), np.float32)
        self.look(form.user, form.item)
        self.spread = spread_of(self.margins)

    def look(self, P: np.ndarray, Q: np.ndarray) -> float:
        """Looks for every user's strongest rivals; returns the DCG of the items that are to sink,
        their ranks counted among these rivals.
        """
        found = of_blocks(self._strongest, P, Q, self.data)
        self.rivals, self.margins = map(np.concatenate, zip(*found))
        ranks = 1 + np.sum(self.margins <= 0, axis=2)
        gains = np.where((self.sunk >= 0) & (ranks <= self.k), 1 / np.log2(1 + ranks), 0)
        return float(gains.sum(axis=0) @ self.weights)

    def gradient(self, side: int, P: np.ndarray, Q: np.ndarray) -> np.ndarray:
        """-> [U, D] or [I, D], with the rivals of the last look. Those of users are taken where it
        was, those of items at P and Q.
        """
        if side == 0:
            return self._slopes(self.margins) @ Q
        sinking, rivals = (
            np.einsum("ud,und->un", P, Q[items])
            for items in (np.maximum(self.sunk, 0), self.rivals)
        )
        margins = np.where(
            np.isfinite(self.margins), sinking[:, :, None] - rivals[:, None, :], np.inf
        )
        return self._slopes(margins).T @ P

    def _strongest(self, start: int, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The strongest rivals of a block of users, int [B, R], and the margins over them [B, n,
        R], infinite where there is none.
        """
        sunk = self.sunk[start : start + len(scores)]
        rows, known = np.arange(len(scores))[:, None], sunk >= 0
        values = np.where(known, scores[rows, sunk], np.inf)
        users, columns = np.nonzero(known)
        scores[users, sunk[users, columns]] = -np.inf
        rivals, highest = strongest(scores, self.count)
        return rivals, np.where(
            np.isfinite(highest)[:, None, :], values[:, :, None] - highest[:, None, :], np.inf
        )

    def _slopes(self, margins: np.ndarray) -> sparse.csr_matrix:
        """The derivative of the loss in every score, [U, I]: of every pair's, minus for the item
        that is to sink, plus for its rival.
        """
        slopes = self.pairs(margins)
        values = np.concatenate([-slopes.sum(axis=2), slopes.sum(axis=1)], axis=1)  # [U, n + R]
        columns = np.concatenate([np.maximum(self.sunk, 0), self.rivals], axis=1)
        rows = np.repeat(np.arange(self.data.n_users), columns.shape[1])
        return sparse.csr_matrix(
            (values.ravel(), (rows, columns.ravel())), shape=(self.data.n_users, self.data.n_items)
        )

    def pairs(self, margins: np.ndarray) -> np.ndarray:
        """By how much the loss of each pair falls with its margin, up to a factor that all share,
        [U, n, R].
        """
        above, slopes = logistic(margins / np.float32(self.tau * self.spread))
        ranks = 1 + above.sum(axis=2, keepdims=True)
        fading = np.exp(-np.maximum(ranks - self.k - CUTOFF, 0) / FADE)
        gains = self.weights[:, None] * fading / (np.log2(ranks + 1) ** 2 * (ranks + 1))
        return self.user_weights * gains * slopes


def logistic(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """sigmoid(-x) and sigmoid(x) sigmoid(-x), which do not underflow in single precision where x is
    finite; both are 0 where it is not.
    """
    tail = np.exp(-np.minimum(np.abs(x), 60))
    finite = np.isfinite(x)
    above = np.where(x > 0, tail, 1) / (1 + tail)
    return np.where(finite, above, 0), np.where(finite, tail / (1 + tail) ** 2, 0)


def spread_of(margins: np.ndarray) -> float:
    """The standard deviation of those margins that are finite; 1 where they do not differ."""
    finite = margins[np.isfinite(margins)]
    return float(finite.std()) or 1.0 if len(finite) else 1.0


def frank_wolfe(
    form: NormalizedFactors,
    gradient: Callable,
    sizes: tuple,
    ball: str,
    momentum: float,
    delta: list[np.ndarray],
) -> list[np.ndarray]:
    """One Frank-Wolfe step of both tables: Delta_P becomes momentum Delta_P + (1 - momentum)
    `linear_maximiser`, then Delta_Q, at the new P.

    A linear loss has a closed-form maximiser over the ball, so no step has a size (Frank and Wolfe
    1956). A row without gradient stays where it is.
    """
    moved = list(delta)
    for side in (0, 1):
        slope = gradient(side, form.user + moved[0], form.item + moved[1])
        step = momentum * moved[side] + (1 - momentum) * linear_maximiser(slope, sizes[side], ball)
        moved[side] = np.where(slope.any(axis=1, keepdims=True), step, moved[side])
    return moved


class Schedule(NamedTuple):
    """How many steps an annealed attack has, and its first and last temperature, in relative sizes
    of the perturbation: margins move in proportion.
    """

    steps: int
    first: float
    last: float

    def at(self, step: int, relative: float) -> tuple[float, float]:
        """The temperature, which falls geometrically, and the momentum, which rises linearly."""
        share = step / self.steps
        momentum = MOMENTA[0] + share * (MOMENTA[1] - MOMENTA[0])
        return relative * self.first * (self.last / self.first) ** share, momentum


def relative_size(form: NormalizedFactors, sizes: tuple, ball: str) -> float:
    """The largest l2 norm that a row of a perturbation may have over the row norms of the factors,
    root mean squares, averaged over both tables.
    """
    found = []
    for table, size in zip((form.user, form.item), sizes):
        elements = table.shape[1] if ball == "linf" else 1
        squares = np.sum(np.square(table, dtype=np.float64), axis=1)
        found.append(
            np.sqrt(elements * np.mean(np.square(size, dtype=np.float64)) / squares.mean())
        )
    return float(np.mean(found))


def anneal(
    form: NormalizedFactors,
    loss: SmoothDCG,
    sizes: tuple,
    ball: str,
    schedule: Schedule,
    start: Perturbation,
) -> tuple[float, Perturbation]:
    """Return the lowest DCG among the iterates of Frank-Wolfe steps on a smooth DCG whose
    temperature falls, and the iterate that has it. The search ends where no DCG is left.
    """
    relative, delta = relative_size(form, sizes, ball), list(start)
    least, best = np.inf, start
    for step in range(schedule.steps + 1):
        dcg = loss.look(form.user + delta[0], form.item + delta[1])
        if dcg < least:
            least, best = dcg, Perturbation(*delta)
        if step == schedule.steps or least == 0:
            break
        loss.tau, momentum = schedule.at(step, relative)
        delta = frank_wolfe(form, loss.gradient, sizes, ball, momentum, delta)
    return least, best


def linear_maximiser(gradient: np.ndarray, size: np.ndarray, ball: str) -> np.ndarray:
    """Where in the ball a linear function is largest: size g / ||g||, or size sign(g). gradient:
    [N, D], size: [1, 1] or [N, 1] -> [N, D]
    """
    if ball == "linf":
        return size * np.sign(gradient)
    largest = np.abs(gradient).max(axis=1, keepdims=True)
    # Divided by its largest element a row's squares do not underflow.
    upright = np.divide(gradient, largest, out=np.zeros_like(gradient), where=largest > 0)
    return size * upright / np.maximum(np.linalg.norm(upright, axis=1, keepdims=True), 1)
