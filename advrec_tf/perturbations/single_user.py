"""Attacks on single users: all items' rows serve to harm one user, as the certificate grants."""

import numpy as np

from advrec_tf.data import Interactions
from advrec_tf.evaluation import block_starts, strongest
from advrec_tf.execution.threads import side_by_side
from advrec_tf.perturbations import NormalizedFactors
from advrec_tf.perturbations.losses import (
    RIVALS,
    Schedule,
    linear_maximiser,
    logistic,
    relative_size,
    spread_of,
)


def worst_ranks(
    factors: NormalizedFactors,
    data: Interactions,
    sizes: tuple,
    ball: str,
    k: int,
    schedule: Schedule,
) -> np.ndarray:
    """Return the worst rank found of every test item, int [M], each under an attack on its user.

    The best that items' rows can do against a perturbed p is known. With t the size of a row and
    |p|* the dual norm (l2, or the sum of absolute values), s_uj = p q_j + t_j |p|* for every
    rival, and s_ui = p q_i - t_i |p|*. What is left is a search in the user's own row. It takes
    Frank-Wolfe steps on the smooth rank of `losses.SmoothDCG`, with the same schedule. Every rank
    on the way counts, and the search ends for a user whose item has left the list of k.

    Needs one test item a user. A rank that is found is possible, so the certificate holds for it;
    the search may miss a worse one.
    """
    step, relative = block_starts(data).step, relative_size(factors, sizes, ball)
    steps = [schedule.at(n, relative) for n in range(schedule.steps + 1)]
    user_sizes, item_sizes = (
        np.broadcast_to(size, (len(x), 1)) for size, x in zip(sizes, (factors.user, factors.item))
    )

    def ranks(start: int) -> np.ndarray:
        """Return the worst ranks of the block of test rows from `start` on."""
        search = _Search(factors, data, ball, item_sizes[:, 0], slice(start, start + step))
        return search.ranks(user_sizes, k, steps)

    return np.concatenate(list(side_by_side(ranks, range(0, len(data.test_users), step))))


class _Search:
    """The search for a block of test rows. reach: by how much each item's row may move, [I]"""

    def __init__(
        self,
        factors: NormalizedFactors,
        data: Interactions,
        ball: str,
        reach: np.ndarray,
        block: slice,
    ):
        """Take the users and test items of the test rows in `block`, a slice.

        reach: [I], epsilon of each item
        """
        self.Q, self.data, self.ball, self.reach = factors.item, data, ball, reach
        self.users, self.items = data.test_users[block], data.test_items[block]
        self.P = factors.user[self.users]

    def ranks(
        self, user_sizes: np.ndarray, k: int, schedule: list[tuple[float, float]]
    ) -> np.ndarray:
        """Return the worst rank found of every row. schedule: temperature and momentum of a step"""
        left, delta = np.arange(len(self.users)), np.zeros_like(self.P)
        worst, spread = np.zeros(len(self.users), np.int64), 0.0
        for tau, momentum in schedule:
            ranks, rivals, margins, along = self._look(left, self.P[left] + delta[left])
            worst[left] = np.maximum(worst[left], ranks)
            spread = spread or spread_of(margins)
            inside = worst[left] <= k
            if not inside.any():
                break
            left = left[inside]
            scaled = margins[inside] / (tau * spread)
            gradient = self._gradient(left, rivals[inside], scaled, along[inside])
            step = linear_maximiser(gradient, user_sizes[self.users[left]], self.ball)
            delta[left] = momentum * delta[left] + (1 - momentum) * step.astype(np.float32)
        return worst

    def _look(self, left: np.ndarray, moved: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return what users' rows `moved` [B, D] lead to, when all items move against each user.

        left: [B], which rows of the block these are. The result is ranks of the test items [B], the
        strongest rivals [B, R], margins over them [B, R], and the direction [B, D] in which items
        move.
        """
        dual = np.linalg.norm(moved, axis=1) if self.ball == "l2" else np.abs(moved).sum(axis=1)
        rows, users, items = np.arange(len(left)), self.users[left], self.items[left]
        scores = moved @ self.Q.T + dual[:, None] * self.reach  # [B, I]
        tested = scores[rows, items] - 2 * dual * self.reach[items]
        starts = self.data.indptr
        known = np.concatenate([self.data.train_items[starts[u] : starts[u + 1]] for u in users])
        scores[np.repeat(rows, np.diff(starts)[users]), known] = -np.inf
        scores[rows, items] = -np.inf
        rivals, highest = strongest(scores, min(RIVALS, self.data.n_items))
        along = moved / np.maximum(dual, 1e-30)[:, None] if self.ball == "l2" else np.sign(moved)
        ranks = 1 + np.count_nonzero(scores >= tested[:, None], axis=1)
        return ranks, rivals, tested[:, None] - highest, along

    def _gradient(
        self, left: np.ndarray, rivals: np.ndarray, margins: np.ndarray, along: np.ndarray
    ) -> np.ndarray:
        """Return the gradient of the smooth rank in users' rows, up to a factor for each user.

        margins: over the temperature, infinite where there is no rival
        """
        _, weights = logistic(margins)
        items, total = self.items[left], weights.sum(axis=1)
        lengths = np.sum(weights * (self.reach[rivals] + self.reach[items][:, None]), axis=1)
        return (
            np.einsum("br,brd->bd", weights, self.Q[rivals])
            - total[:, None] * self.Q[items]
            + lengths[:, None] * along
        )
