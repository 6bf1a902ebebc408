"""Losses that the attacks of the ensemble maximise, and the Frank-Wolfe loop that maximises them.

The harm that is measured is the rank of one item among all, which is not the training loss that
BIM maximises. A smooth DCG is close to that rank; the softmax needs only the training pairs. Each
loss has `gradient(side, P, Q)` in the rows of users (side 0) or of items (side 1).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import sparse

from advrec_tf.data import Interactions
from advrec_tf.evaluation import of_blocks, strongest
from advrec_tf.perturbations import NormalizedFactors, Perturbation
from advrec_tf.perturbations.arguments import Tables

RIVALS = 20  # how many of each user's strongest rivals a smooth DCG sees
CUTOFF, FADE = 4, 3  # ranks beyond k at which an item's weight begins to fade, and how fast
MOMENTA = (0.5, 0.85)  # of a Frank-Wolfe step on a smooth DCG, first and last


class Softmax:
    """The loss -sum ln softmax(s_u)_i over users u and their training items i.

    Every other item is a rival. The items' gradient is taken where the users' was.
    """

    def __init__(self, data: Interactions):
        self.data, self.train = data, data.matrix()
        self.counts = np.diff(self.train.indptr).astype(np.float32)
        self.of_items = np.empty(0)

    def gradient(self, side: int, P: np.ndarray, Q: np.ndarray) -> np.ndarray:
        """Return the gradient in the rows of one table, [U, D] or [I, D]."""
        if side == 1:
            return self.of_items

        def slopes(start: int, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            """Return the gradients that a block of users adds: to their rows, and to all items."""
            rows = slice(start, start + len(scores))
            scores -= scores.max(axis=1, keepdims=True)
            np.exp(scores, out=scores)
            weights = (self.counts[rows] / scores.sum(axis=1))[:, None]
            return weights * (scores @ Q), scores.T @ (weights * P[rows])

        self.of_items, users = np.zeros_like(Q), []
        for of_users, of_items in of_blocks(slopes, P, Q, self.data, masked=False):
            users.append(of_users)
            self.of_items += of_items
        self.of_items -= self.train.T @ P
        return np.concatenate(users) - self.train @ Q


class SmoothDCG:
    """The demotion loss -sum of w_i / log2(1 + r_i) over users and their items i, smooth ranks

    r_i = 1 + sum over the RIVALS strongest items j of sigmoid((s_uj - s_ui) / (tau c)),

    c the standard deviation of the margins s_ui - s_uj before any perturbation. As tau falls to 0
    it becomes the DCG itself. A rival is neither a training item nor one of the demoted items. The
    weight of an item fades beyond rank k + CUTOFF: items' rows, which all users share, are then
    spent on users whose item is in the list or near it.

    factors: P [U, D] and Q [I, D]. items: int [U, n], the items to demote, -1 where there are
    fewer. weights: w [n], in their order. k: length of the lists.
    """

    def __init__(
        self,
        factors: Tables,
        data: Interactions,
        items: np.ndarray,
        weights: np.ndarray,
        k: int,
    ):
        self.data, self.items, self.weights, self.k = data, items, weights.astype(np.float32), k
        self.count, self.tau = min(max(RIVALS, 2 * k), data.n_items), 1.0
        self.user_weights = np.ones((len(items), 1, 1), np.float32)
        self.look(*factors)
        self.spread = spread_of(self.margins)

    def look(self, P: np.ndarray, Q: np.ndarray) -> float:
        """Find every user's strongest rivals, and return the DCG of the items to demote.

        Their ranks are among these rivals.
        """
        blocks = of_blocks(self._strongest, P, Q, self.data)
        self.rivals, self.margins = map(np.concatenate, zip(*blocks))
        ranks = 1 + np.sum(self.margins <= 0, axis=2)
        gains = np.where((self.items >= 0) & (ranks <= self.k), 1 / np.log2(1 + ranks), 0)
        return float(gains.sum(axis=0) @ self.weights)

    def gradient(self, side: int, P: np.ndarray, Q: np.ndarray) -> np.ndarray:
        """Return the gradient of the loss, to be raised, in the rows of one table.

        side: 0 for users [U, D], 1 for items [I, D]. The rivals are those of the last `look`. Users
        are stepped first, so that their gradient is taken where `look` was, and that of items at
        P and Q.
        """
        if side == 0:
            return self._slopes(self.margins) @ Q
        demoted, rivals = (
            np.einsum("ud,und->un", P, Q[ids]) for ids in (np.maximum(self.items, 0), self.rivals)
        )
        margins = demoted[:, :, None] - rivals[:, None, :]
        return self._slopes(np.where(np.isfinite(self.margins), margins, np.inf)).T @ P

    def _strongest(self, start: int, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the strongest rivals of a block of users, int [B, R], and margins over them.

        The margins are [B, n, R], infinite where there is no item or no rival.
        """
        items = self.items[start : start + len(scores)]
        rows, known = np.arange(len(scores))[:, None], items >= 0
        values = np.where(known, scores[rows, items], np.inf)
        users, columns = np.nonzero(known)
        scores[users, items[users, columns]] = -np.inf
        rivals, highest = strongest(scores, self.count)
        margins = values[:, :, None] - highest[:, None, :]
        return rivals, np.where(np.isfinite(highest)[:, None, :], margins, np.inf)

    def _slopes(self, margins: np.ndarray) -> sparse.csr_matrix:
        """Return the derivative of the loss in every score, sparse [U, I].

        Each pair of an item to demote and a rival adds its slope: minus for the item, plus for the
        rival.
        """
        slopes = self.pairs(margins)
        values = np.concatenate([-slopes.sum(axis=2), slopes.sum(axis=1)], axis=1)  # [U, n + R]
        columns = np.concatenate([np.maximum(self.items, 0), self.rivals], axis=1)
        rows = np.repeat(np.arange(self.data.n_users), columns.shape[1])
        return sparse.csr_matrix(
            (values.ravel(), (rows, columns.ravel())), shape=(self.data.n_users, self.data.n_items)
        )

    def pairs(self, margins: np.ndarray) -> np.ndarray:
        """Return by how much the loss of each pair falls with its margin: [U, n, R].

        A factor that all pairs share is left out.
        """
        above, slopes = logistic(margins / np.float32(self.tau * self.spread))
        ranks = 1 + above.sum(axis=2, keepdims=True)
        fading = np.exp(-np.maximum(ranks - self.k - CUTOFF, 0) / FADE)
        gains = self.weights[:, None] * fading / (np.log2(ranks + 1) ** 2 * (ranks + 1))
        return self.user_weights * gains * slopes


def logistic(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return sigmoid(-x) and sigmoid(x) sigmoid(-x), both 0 where x is not finite.

    They do not underflow in single precision.
    """
    tail = np.exp(-np.minimum(np.abs(x), 60))
    finite = np.isfinite(x)
    above = np.where(x > 0, tail, 1) / (1 + tail)
    return np.where(finite, above, 0), np.where(finite, tail / (1 + tail) ** 2, 0)


def spread_of(margins: np.ndarray) -> float:
    """Return the standard deviation of the finite margins, or 1 if they do not differ."""
    finite = margins[np.isfinite(margins)]
    return float(finite.std()) or 1.0 if len(finite) else 1.0


def frank_wolfe(
    factors: NormalizedFactors,
    gradient: Callable,
    sizes: tuple,
    ball: str,
    momentum: float,
    delta: list[np.ndarray],
) -> list[np.ndarray]:
    """Take one Frank-Wolfe step of both tables, users first, and return the new perturbations.

    Delta_P becomes momentum Delta_P + (1 - momentum) `linear_maximiser`; then Delta_Q does so, at
    the new P. A Frank-Wolfe step has no size, because a linear loss has a closed-form maximiser
    over the ball (Frank and Wolfe 1956). A row without gradient does not move.

    Where factors are served from the tables, both tables step along the gradient at Delta.

    gradient(side, P, Q): of a loss of this module; sizes: epsilon in the rows of each table; delta:
    [U, D] and [I, D]
    """
    moved = list(delta)
    if factors.served is not None:
        tables = factors.user + delta[0], factors.item + delta[1]
        slopes = factors.served.slopes(gradient, *tables)
    for side in (0, 1):
        if factors.served is None:
            slope = gradient(side, factors.user + moved[0], factors.item + moved[1])
        else:
            slope = slopes[side]
        step = momentum * moved[side] + (1 - momentum) * linear_maximiser(slope, sizes[side], ball)
        moved[side] = np.where(slope.any(axis=1, keepdims=True), step, moved[side])
    return moved


class Schedule(NamedTuple):
    """The steps of an annealed attack, and its first and last temperature.

    Temperatures are in relative sizes of the perturbation, as margins move in proportion to it.
    """

    steps: int
    first: float
    last: float

    def at(self, step: int, relative: float) -> tuple[float, float]:
        """Return the temperature and the momentum of a step.

        The temperature falls geometrically, the momentum rises linearly. relative: of
        `relative_size`
        """
        share = step / self.steps
        momentum = MOMENTA[0] + share * (MOMENTA[1] - MOMENTA[0])
        return relative * self.first * (self.last / self.first) ** share, momentum


def relative_size(factors: NormalizedFactors, sizes: tuple, ball: str) -> float:
    """Return the largest l2 norm of a perturbation's rows over the norm of the factors' rows.

    Both are root mean squares; the ratio is averaged over both tables.
    """
    ratios = []
    for table, size in zip((factors.user, factors.item), sizes):
        elements = table.shape[1] if ball == "linf" else 1
        rows = np.mean(np.sum(np.square(table, dtype=np.float64), axis=1))
        ratios.append(np.sqrt(elements * np.mean(np.square(size, dtype=np.float64)) / rows))
    return float(np.mean(ratios))


def anneal(
    factors: NormalizedFactors,
    loss: SmoothDCG,
    sizes: tuple,
    ball: str,
    schedule: Schedule,
    start: Perturbation,
) -> tuple[float, Perturbation]:
    """Return the lowest DCG among the iterates of an annealed attack, and the iterate that has it.

    The attack takes Frank-Wolfe steps on a smooth DCG whose temperature falls. It ends where no DCG
    is left.
    """
    relative, delta = relative_size(factors, sizes, ball), list(start)
    least, best = np.inf, start
    for step in range(schedule.steps + 1):
        dcg = loss.look(*factors.moved(*delta))
        if dcg < least:
            least, best = dcg, Perturbation(*delta)
        if step == schedule.steps or least == 0:
            break
        loss.tau, momentum = schedule.at(step, relative)
        delta = frank_wolfe(factors, loss.gradient, sizes, ball, momentum, delta)
    return least, best


def linear_maximiser(gradient: np.ndarray, size: np.ndarray, ball: str) -> np.ndarray:
    """Return the point of the ball where a linear function is largest: [N, D].

    It is size g / ||g|| in the l2 ball, and size sign(g) in the linf ball. gradient: g [N, D];
    size: [1, 1] or [N, 1]
    """
    if ball == "linf":
        return size * np.sign(gradient)
    largest = np.abs(gradient).max(axis=1, keepdims=True)
    # Divided by its largest element a row's squares do not underflow.
    upright = np.divide(gradient, largest, out=np.zeros_like(gradient), where=largest > 0)
    return size * upright / np.maximum(np.linalg.norm(upright, axis=1, keepdims=True), 1)
