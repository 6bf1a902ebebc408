"""What an attack climbs: the pairwise loss of training, and losses on lists themselves.

The training loss that BIM climbs is not the harm that is measured, the place of one item among all.  The losses on lists are on that place: items are
to sink below whoever is strongest beside them at that moment.  Each has `gradient(side, P, Q)`, in the users' rows (side 0) or the items' (side 1).
"""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy import sparse

from advrec_tf import perturbations
from advrec_tf.data import Interactions
from advrec_tf.evaluation import of_blocks, strongest
from advrec_tf.perturbations import Form

RIVALS = 20  # the strongest of each user's that `Sinking` sees
SLACK = 0.1  # deviations of margins by which an item that `Hinge` sinks is to fall below the list


class Pairwise:
    """sum ln(1 + exp(-(s_ui - s_uj))) over triples (u, i, j), the training loss (Rendle et al. 2009), averaged over draws of its negatives: one for
    each iteration, in turn.  draws: of `perturbations.chunk_triples`"""

    def __init__(self, draws: Sequence[perturbations.TripleChunks]):
        self.draws, self.calls = draws, 0

    def gradient(self, side: int, P: np.ndarray, Q: np.ndarray) -> np.ndarray:
        draw = self.draws[self.calls // 2 % len(self.draws)]
        self.calls += 1
        return perturbations.pairwise_gradient(P, Q, draw, side).numpy()


class Sinking:
    """sum over users, their items i that are to sink and their RIVALS strongest items j of ln(1 + exp(-(s_ui - s_uj) / c)).

    Rivals are neither known from train nor to sink themselves, and are looked for anew whenever users are to move; c is the standard deviation of
    the margins before any perturbation.  sunk: int [U, n], the items that are to sink, -1 where there are fewer; k: of the lists.
    """

    def __init__(self, form: Form, data: Interactions, sunk: np.ndarray, k: int):
        self.data, self.sunk = data, sunk
        self.count, self.last = min(max(RIVALS, k), data.n_items), min(k, data.n_items) - 1
        self.rivals, margins = self._strongest(form.user, form.item)
        self.spread = spread_of(margins)

    def gradient(self, side: int, P: np.ndarray, Q: np.ndarray) -> np.ndarray:
        if side == 0:
            self.rivals, margins = self._strongest(P, Q)
            return self._slopes(margins) @ Q
        own, others = (np.einsum("ud,und->un", P, Q[items]) for items in (np.maximum(self.sunk, 0), self.rivals))
        return self._slopes(np.where(self.sunk >= 0, own, np.inf)[:, :, None] - np.where(self.there, others, -np.inf)[:, None, :]).T @ P

    def _strongest(self, P: np.ndarray, Q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The strongest rivals of every user, int [U, R], strongest first, and margins over them [U, n, R], infinite where there is none."""

        def found(start: int, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            sunk = self.sunk[start : start + len(scores)]
            rows, there = np.arange(len(scores))[:, None], sunk >= 0
            values = np.where(there, scores[rows, sunk], np.inf)  # [B, n]
            at = np.nonzero(there)
            scores[at[0], sunk[at]] = -np.inf
            rivals, highest = strongest(scores, self.count)
            return rivals, np.isfinite(highest), values[:, :, None] - highest[:, None, :]

        rivals, self.there, margins = map(np.concatenate, zip(*of_blocks(found, P, Q, self.data)))
        return rivals, margins

    def _slopes(self, margins: np.ndarray) -> sparse.csr_matrix:
        """The derivative of the loss in every score, [U, I]: of every pair's, minus for the item that is to sink, plus for its rival."""
        slopes = np.where(np.isfinite(margins), self.pairs(margins), 0)
        values = np.concatenate([-slopes.sum(axis=2), slopes.sum(axis=1)], axis=1)  # [U, n + R]
        columns = np.concatenate([np.maximum(self.sunk, 0), self.rivals], axis=1)
        rows = np.repeat(np.arange(self.data.n_users), columns.shape[1])
        return sparse.csr_matrix((values.ravel(), (rows, columns.ravel())), shape=(self.data.n_users, self.data.n_items))

    def pairs(self, margins: np.ndarray) -> np.ndarray:
        """By how much the loss of each pair falls with its margin, [U, n, R]."""
        return 1 / (1 + np.exp(np.clip(margins / self.spread, -80, 80))) / self.spread


class Hinge(Sinking):
    """-sum of max(0, s_ui - s_uj + SLACK c) over the items i that are to sink, j the k-th strongest rival: only what stands in a list, or next to
    it, is pushed, until it does not."""

    def pairs(self, margins: np.ndarray) -> np.ndarray:
        slopes = np.zeros_like(margins)
        slopes[:, :, self.last] = margins[:, :, self.last] > -SLACK * self.spread
        return slopes


class AllRivals:
    """-sum ln softmax(s_u / c)_i over users and their items i that are to sink: every other item is a rival.

    sunk: sparse [U, I]; masked: whether items known from train are no rivals; spread: c.  The items' gradient is taken where the users' was.
    """

    def __init__(self, data: Interactions, sunk: sparse.csr_matrix, masked: bool, spread: float):
        self.data, self.sunk, self.masked, self.spread = data, sunk, masked, spread
        self.counts = np.diff(sunk.indptr).astype(np.float32)
        self.items = np.empty(0)

    def gradient(self, side: int, P: np.ndarray, Q: np.ndarray) -> np.ndarray:
        if side == 1:
            return self.items

        def slopes(start: int, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            part = slice(start, start + len(scores))
            scores -= scores.max(axis=1, keepdims=True)
            np.exp(scores, out=scores)
            weights = (self.counts[part] / scores.sum(axis=1))[:, None]
            return weights * (scores @ Q), scores.T @ (weights * P[part])

        self.items, users = np.zeros_like(Q), []
        for own, others in of_blocks(slopes, P / np.float32(self.spread), Q, self.data, self.masked):
            users.append(own)
            self.items += others
        self.items -= self.sunk.T @ P
        return np.concatenate(users) - self.sunk @ Q


def spread_of(margins: np.ndarray) -> float:
    """The standard deviation of those margins that are finite; 1 where they do not differ."""
    finite = margins[np.isfinite(margins)]
    return float(finite.std()) or 1.0 if len(finite) else 1.0


def responses(form: Form, loss, sizes: tuple, ball: str, read_at: Sequence[int], momentum: float = 0.5) -> Iterator[perturbations.Perturbation]:
    """Yields the perturbation of a form after each iteration count of `read_at`: an iteration moves Delta_P to momentum Delta_P + (1 - momentum)
    `response`, and then Delta_Q with the gradient at what P has become.

    What a table can do best against a linearisation of the loss is in closed form: no step has a size.
    """
    delta, done = [np.zeros_like(form.user), np.zeros_like(form.item)], 0
    for stop in read_at:
        for side in (0, 1) * (stop - done):
            gradient = loss.gradient(side, form.user + delta[0], form.item + delta[1])
            moved = momentum * delta[side] + (1 - momentum) * response(gradient, sizes[side], ball)
            delta[side] = np.where(gradient.any(axis=1, keepdims=True), moved, delta[side])  # where nothing is to be gained a row stays
        done = stop
        yield perturbations.Perturbation(*delta)


def response(gradient: np.ndarray, size: np.ndarray, ball: str) -> np.ndarray:
    """Where in the ball a linear function is largest: size g / ||g||, or size sign(g).  gradient: [N, D], size: [1, 1] or [N, 1] -> [N, D]"""
    if ball == "linf":
        return size * np.sign(gradient)
    largest = np.abs(gradient).max(axis=1, keepdims=True)
    upright = np.divide(gradient, largest, out=np.zeros_like(gradient), where=largest > 0)  # whose squares do not underflow
    return size * upright / np.maximum(np.linalg.norm(upright, axis=1, keepdims=True), 1)
