"""Each user attacked alone, with all items' rows to himself, as the certificate grants it."""

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


def alone(
    form: NormalizedFactors, data: Interactions, sizes: tuple, ball: str, k: int, schedule: Schedule
) -> np.ndarray:
    """The worst rank found of every test item, int [M], when its user is the only one that matters:
    all items' rows serve to harm him.

    Of a perturbed p the best that items' rows can do is known: with t the size of a row and |p|*
    the dual norm (l2, or the sum of absolute values), s_uj = p q_j + t_j |p|* for every rival, and
    s_ui = p q_i - t_i |p|*. What is left, a search in the user's own row, is made by Frank-Wolfe
    steps on the smooth rank of `losses.SmoothDCG`, with the same schedule. Any rank on the way
    counts, and a user whose item has left the list of k is done. Needs one test item a user. The
    search finds no more than there is, so the certificate holds; it may miss what there is.
    """
    step, relative = block_starts(data).step, relative_size(form, sizes, ball)
    user_sizes, item_sizes = (
        np.broadcast_to(size, (len(x), 1)) for size, x in zip(sizes, (form.user, form.item))
    )

    def ranks(start: int) -> np.ndarray:
        search = _Search(form, data, ball, item_sizes[:, 0], slice(start, start + step))
        return search.ranks(
            user_sizes, k, [schedule.at(n, relative) for n in range(schedule.steps + 1)]
        )

    return np.concatenate(list(side_by_side(ranks, range(0, len(data.test_users), step))))


class _Search:
    """The search for a block of test rows."""

    def __init__(
        self,
        form: NormalizedFactors,
        data: Interactions,
        ball: str,
        reach: np.ndarray,
        block: slice,
    ):
        self.Q, self.data, self.ball, self.reach = form.item, data, ball, reach
        self.users, self.items = data.test_users[block], data.test_items[block]
        self.P = form.user[self.users]

    def ranks(
        self, user_sizes: np.ndarray, k: int, schedule: list[tuple[float, float]]
    ) -> np.ndarray:
        """The worst rank found of every row.  schedule: temperature and momentum of every step"""
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
            gradient = self._gradient(
                left, rivals[inside], margins[inside] / (tau * spread), along[inside]
            )
            step = linear_maximiser(gradient, user_sizes[self.users[left]], self.ball).astype(
                np.float32
            )
            delta[left] = momentum * delta[left] + (1 - momentum) * step
        return worst

    def _look(self, left: np.ndarray, moved: np.ndarray) -> tuple[np.ndarray, ...]:
        """Ranks [B], the strongest rivals [B, R], margins over them, and the direction in which
        items' rows move, when rows `left` are `moved`.
        """
        dual = np.linalg.norm(moved, axis=1) if self.ball == "l2" else np.abs(moved).sum(axis=1)
        rows, users, items = np.arange(len(left)), self.users[left], self.items[left]
        scores = moved @ self.Q.T + dual[:, None] * self.reach  # [B, I]
        own = scores[rows, items] - 2 * dual * self.reach[items]
        known = np.concatenate(
            [self.data.train_items[self.data.indptr[u] : self.data.indptr[u + 1]] for u in users]
        )
        scores[np.repeat(rows, np.diff(self.data.indptr)[users]), known] = scores[
            rows, items
        ] = -np.inf
        rivals, highest = strongest(scores, min(RIVALS, self.data.n_items))
        along = moved / np.maximum(dual, 1e-30)[:, None] if self.ball == "l2" else np.sign(moved)
        return (
            1 + np.count_nonzero(scores >= own[:, None], axis=1),
            rivals,
            own[:, None] - highest,
            along,
        )

    def _gradient(
        self, left: np.ndarray, rivals: np.ndarray, margins: np.ndarray, along: np.ndarray
    ) -> np.ndarray:
        """Of the smooth rank in the user's row, up to a factor for each user. margins: over the
        temperature, infinite where there is no rival
        """
        _, weights = logistic(margins)
        items, total = self.items[left], weights.sum(axis=1)
        lengths = np.sum(weights * (self.reach[rivals] + self.reach[items][:, None]), axis=1)
        return (
            np.einsum("br,brd->bd", weights, self.Q[rivals])
            - total[:, None] * self.Q[items]
            + lengths[:, None] * along
        )
