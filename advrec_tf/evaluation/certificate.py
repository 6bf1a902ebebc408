"""What no perturbation can do: certified lower bounds of HR@K and nDCG@K."""

from collections.abc import Iterator

import numpy as np
from scipy.spatial.distance import cdist

from advrec_tf.data import Interactions
from advrec_tf.evaluation.metrics import rank_metrics
from advrec_tf.evaluation.ranking import block_starts


def certified_radii(P: np.ndarray, Q: np.ndarray, data: Interactions, ball: str = "l2", k: int = 10) -> np.ndarray:
    """The k smallest certified radii of every test row: float64 [M, k], ascending.

    The radius of a user u, test item t and rival j is an epsilon below which u's margin of t over j stays positive under EVERY
    perturbation that moves each row of P and Q by at most epsilon in the ball's norm.  Hence the rank of t is at most 1 + the number of
    radii <= epsilon, whatever the attack; a margin that is not positive has radius 0.

    With p = p_u, r = |p|, d = q_t - q_j, and rows moved by a (user) and e = b - c (items, |e| <= 2 epsilon):

    `l2` (exact for each rival).  min over |a| <= epsilon of (p + a).(d + e) is p.w - epsilon |w| with w = d + e, so the margin stays
    positive iff the ball of radius 2 epsilon around d lies in the open cone p.w > epsilon |w|, of half-angle phi, cos phi = epsilon / r.
    The distance of d, at angle theta < phi from p, to the cone's edge is |d| sin(phi - theta) = m sqrt(1 - epsilon^2 / r^2) - h epsilon / r
    with m = p.d / r and h^2 = |d|^2 - m^2; that it exceeds 2 epsilon solves to
    epsilon < r m / sqrt(m^2 + (h + 2 r)^2).  This is never less than the root of p.d - epsilon |d| - 2 epsilon r - 2 epsilon^2, which bounds the
    three terms of the moved margin one by one.

    `linf`.  The same three terms under element-wise budgets, p.d - epsilon (|d|_1 + 2 |p|_1) - 2 D epsilon^2, whose positive root is a
    certified radius; so is the l2 radius over sqrt(D), since the ball lies in that l2 ball.  The larger is taken.

    P: [U, D], Q: [I, D].  Raises ValueError for an unknown ball and for users with several test items.
    """
    if ball not in ("l2", "linf"):
        raise ValueError(f"ball must be l2 or linf, not {ball!r}")
    if not data.has_one_test_item_each:
        raise ValueError("certificates need one test item a user")
    P, Q = (np.asarray(x, np.float64) for x in (P, Q))
    blocks = [np.sort(np.partition(radii, k - 1, axis=1)[:, :k], axis=1) for radii in _radii(P, Q, data, ball, k)]
    return np.concatenate(blocks)


def _radii(P: np.ndarray, Q: np.ndarray, data: Interactions, ball: str, k: int) -> Iterator[np.ndarray]:
    """Radii of all rivals [B, I] in blocks of test rows; train items and the test item itself are no rivals (infinite)."""
    squares, dim = np.sum(Q**2, axis=1), Q.shape[1]
    step = block_starts(data).step
    for start in range(0, len(data.test_users), step):
        users, items = (ids[start : start + step] for ids in (data.test_users, data.test_items))
        p, q = P[users], Q[items]  # [B, D]
        norm = np.linalg.norm(p, axis=1)[:, None]
        margin = np.sum(p * q, axis=1)[:, None] - p @ Q.T  # [B, I], p.d
        length = np.maximum(squares[items][:, None] + squares - 2 * q @ Q.T, 0)  # |d|^2
        along = margin / np.maximum(norm, 1e-300)
        across = np.sqrt(np.maximum(length - along**2, 0))
        with np.errstate(invalid="ignore"):
            radii = norm * along / np.sqrt(along**2 + (across + 2 * norm) ** 2)
        if ball == "linf":
            linear = cdist(q, Q, "cityblock") + 2 * np.sum(np.abs(p), axis=1)[:, None]
            root = (np.sqrt(linear**2 + 8 * dim * np.maximum(margin, 0)) - linear) / (4 * dim)
            radii = np.maximum(radii / np.sqrt(dim), root)
        radii = np.where(margin > 0, radii, 0)
        rows = np.arange(len(users))
        known = np.concatenate([data.train_items[data.indptr[u] : data.indptr[u + 1]] for u in users])
        radii[np.repeat(rows, np.diff(data.indptr)[users]), known] = np.inf
        radii[rows, items] = np.inf
        yield np.pad(radii, ((0, 0), (0, max(0, k - data.n_items))), constant_values=np.inf)


def certified_metrics(radii: np.ndarray, epsilon: float) -> dict[str, float]:
    """Lower bounds of HR@k and nDCG@k under every perturbation of at most epsilon.  radii: [M, k] of `certified_radii`"""
    return rank_metrics(1 + np.sum(radii <= epsilon, axis=1), radii.shape[1])
