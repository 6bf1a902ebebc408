"""Each user attacked alone, with all items' rows to himself, as the certificate grants it."""

import numpy as np

from advrec_tf.data import Interactions
from advrec_tf.evaluation import block_starts, strongest
from advrec_tf.perturbations import Form
from advrec_tf.robustness.losses import RIVALS, response, spread_of
from advrec_tf.threads import side_by_side


def alone(form: Form, data: Interactions, sizes: tuple, ball: str, iterations: int) -> np.ndarray:
    """The worst rank found of every test item, int [M], when its user is the only one that matters: all items' rows serve to harm him.

    Of a perturbed p the best that items' rows can do is known: with t the size of a row and |p|* the dual norm (l2, or the sum of absolute values),
    s_uj = p q_j + t_j |p|* for every rival, and s_ui = p q_i - t_i |p|*.  What is left, a search in the user's own row, is made by `response` with
    momentum .5 on sum of ln(1 + exp(-(s_ui - s_uj) / c)) over his RIVALS strongest, c the deviation of the margins of a block of users.  Any rank on
    the way counts.  Needs one test item a user.  The search finds no more than there is, so the certificate holds; it may miss what there is.
    """
    step = block_starts(data).step
    user_sizes, item_sizes = (np.broadcast_to(size, (len(x), 1)) for size, x in zip(sizes, (form.user, form.item)))

    def ranks(start: int) -> np.ndarray:
        users, items = (ids[start : start + step] for ids in (data.test_users, data.test_items))
        return _ranks(form.user[users], form.item, user_sizes[users], item_sizes[:, 0], users, items, data, ball, iterations)

    return np.concatenate(list(side_by_side(ranks, range(0, len(data.test_users), step))))


def _ranks(P, Q, size, reach, users, items, data: Interactions, ball: str, iterations: int) -> np.ndarray:
    rows, delta = np.arange(len(users)), np.zeros_like(P)
    known = np.concatenate([data.train_items[data.indptr[u] : data.indptr[u + 1]] for u in users])
    holders = np.repeat(rows, np.diff(data.indptr)[users])
    worst, spread, count = np.zeros(len(users), np.int64), 0.0, min(RIVALS, data.n_items)
    for _ in range(iterations + 1):
        moved = P + delta
        dual = np.linalg.norm(moved, axis=1) if ball == "l2" else np.abs(moved).sum(axis=1)
        scores = moved @ Q.T + dual[:, None] * reach  # [B, I]
        own = scores[rows, items] - 2 * dual * reach[items]
        scores[holders, known] = scores[rows, items] = -np.inf
        worst = np.maximum(worst, 1 + np.count_nonzero(scores >= own[:, None], axis=1))
        rivals, highest = strongest(scores, count)
        margins = own[:, None] - highest  # infinite where there is no rival
        spread = spread or spread_of(margins)
        weights = 1 / (1 + np.exp(np.clip(margins / spread, -80, 80)))
        along = moved / np.maximum(dual, 1e-30)[:, None] if ball == "l2" else np.sign(moved)
        total = weights.sum(axis=1)
        lengths = np.sum(weights * (reach[rivals] + reach[items][:, None]), axis=1)
        gradient = np.einsum("br,brd->bd", weights, Q[rivals]) - total[:, None] * Q[items] + lengths[:, None] * along
        delta = (delta + response(gradient, size, ball).astype(np.float32)) / 2
    return worst
