"""What no perturbation can do: certified lower bounds of HR@K and nDCG@K."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

from advrec_tf.data import Interactions
from advrec_tf.evaluation.metrics import rank_metrics
from advrec_tf.evaluation.ranking import block_starts

CERTIFICATES = 2  # the version of the radii, one more whenever their bytes change
PAIRS = 1 << 13  # of a test item and a rival whose roots are looked for at a time
HALVINGS = 40  # of the interval around a root


def certified_radii(
    P: np.ndarray, Q: np.ndarray, data: Interactions, ball: str = "l2", k: int = 10, units: tuple[npt.ArrayLike, npt.ArrayLike] = (1, 1)
) -> np.ndarray:
    """The k smallest certified radii of every test row: float64 [M, k], ascending.

    The radius of a user u, test item t and rival j is an epsilon below which u's margin of t over j stays positive under EVERY
    perturbation that moves each row of P and Q by at most epsilon, times the row's unit, in the ball's norm.  Hence the rank of t is at most
    1 + the number of radii <= epsilon, whatever the attack; a margin that is not positive has radius 0.  Both balls are exact for each rival; that
    one perturbation of u and t faces all rivals at once is not used.

    As a factor on a user's row changes no margin's sign, p = p_u over the user's unit moves by at most epsilon.  With r = |p|, d = q_t - q_j and s
    the sum of both items' units, d moves by at most s epsilon.

    `l2`.  min over |a| <= epsilon of (p + a).w is p.w - epsilon |w|, so the margin stays positive iff the ball of radius s epsilon around d lies in
    the open cone p.w > epsilon |w|, of half-angle phi, cos phi = epsilon / r.
    The distance of d, at angle theta < phi from p, to the cone's edge is |d| sin(phi - theta) = m sqrt(1 - epsilon^2 / r^2) - h epsilon / r
    with m = p.d / r and h^2 = |d|^2 - m^2; that it exceeds s epsilon solves to
    epsilon < r m / sqrt(m^2 + (h + s r)^2).

    `linf`.  The worst margin is separable: for each element the least of (p + a)(d + e) over the corners a = +- epsilon, e = +- s epsilon, which is
    p d + min(s epsilon^2 - epsilon |s p + d|, -s epsilon^2 - epsilon |s p - d|).  Their sum falls as epsilon grows; its root is found by bisection,
    for rivals that can be among the k nearest by a bound that costs little.

    P: [U, D], Q: [I, D]; units: of users and items, numbers or one a row.  Raises ValueError for an unknown ball, and for users with several test
    items.
    """
    if ball not in ("l2", "linf"):
        raise ValueError(f"ball must be l2 or linf, not {ball!r}")
    if not data.has_one_test_item_each:
        raise ValueError("certificates need one test item a user")
    P, Q = (np.asarray(x, np.float64) for x in (P, Q))
    own = [np.broadcast_to(np.asarray(unit, np.float64).reshape(-1, 1), (len(x), 1)) for unit, x in zip(units, (P, Q))]
    P = np.divide(P, own[0], out=np.zeros_like(P), where=own[0] > 0)  # a row of no size is 0
    return np.concatenate(list(_nearest(P, Q, own[1][:, 0], data, ball, k)))


def _nearest(P: np.ndarray, Q: np.ndarray, units: np.ndarray, data: Interactions, ball: str, k: int) -> Iterator[np.ndarray]:
    """The k smallest radii [B, k] in blocks of test rows; train items and the test item itself are no rivals (infinite)."""
    squares = np.sum(Q**2, axis=1)
    step = block_starts(data).step
    for start in range(0, len(data.test_users), step):
        users, items = (ids[start : start + step] for ids in (data.test_users, data.test_items))
        p, q, both = P[users], Q[items], units[items][:, None] + units  # [B, D], [B, D], [B, I]
        norm = np.linalg.norm(p, axis=1)[:, None]
        margin = np.sum(p * q, axis=1)[:, None] - p @ Q.T  # [B, I], p.d
        length = np.maximum(squares[items][:, None] + squares - 2 * q @ Q.T, 0)  # |d|^2
        along = margin / np.maximum(norm, 1e-300)
        across = np.sqrt(np.maximum(length - along**2, 0))
        with np.errstate(invalid="ignore"):
            radii = norm * along / np.sqrt(along**2 + (across + both * norm) ** 2)
        if ball == "linf":  # a bound from below: that l2 ball lies around, and the three terms of the moved margin one by one
            dim = Q.shape[1]
            linear = cdist(q, Q, "cityblock") + both * np.sum(np.abs(p), axis=1)[:, None]
            root = (np.sqrt(linear**2 + 4 * dim * both * np.maximum(margin, 0)) - linear) / (2 * dim * both)
            radii = np.maximum(radii / np.sqrt(dim), root)
        radii = np.where(margin > 0, radii, 0)
        rows = np.arange(len(users))
        known = np.concatenate([data.train_items[data.indptr[u] : data.indptr[u + 1]] for u in users])
        radii[np.repeat(rows, np.diff(data.indptr)[users]), known] = np.inf
        radii[rows, items] = np.inf
        radii = np.pad(radii, ((0, 0), (0, max(0, k - data.n_items))), constant_values=np.inf)
        yield _exact_linf(radii, p, q, Q, both, k) if ball == "linf" else np.sort(np.partition(radii, k - 1, axis=1)[:, :k], axis=1)


def _exact_linf(bounds: np.ndarray, p: np.ndarray, q: np.ndarray, Q: np.ndarray, both: np.ndarray, k: int) -> np.ndarray:
    """The k smallest exact radii [B, k].  bounds: [B, I], none above the radius itself"""
    found, left, count = np.empty((len(p), k)), np.arange(len(p)), 4 * k
    while len(left):
        count = min(count, bounds.shape[1])
        order = np.argpartition(bounds[left], count - 1, axis=1)[:, :count]
        low = np.take_along_axis(bounds[left], order, axis=1)  # [B, C]
        rivals = np.minimum(order, len(Q) - 1)  # a place beyond all items has an infinite bound
        exact = np.sort(_roots(low, p[left], q[left], Q[rivals], np.take_along_axis(both[left], rivals, axis=1)), axis=1)[:, :k]
        done = (exact[:, -1] <= low.max(axis=1)) | (count == bounds.shape[1])  # no rival that was left out can be nearer
        found[left[done]] = exact[done]
        left, count = left[~done], 4 * count
    return found


def _roots(low: np.ndarray, p: np.ndarray, q: np.ndarray, rivals: np.ndarray, both: np.ndarray) -> np.ndarray:
    """Where the worst margin in the box is 0, from below, to twelve digits.  low: [B, C], bounds from below; rivals: [B, C, D]"""
    rows, places = np.nonzero((low > 0) & np.isfinite(low))
    found = low.copy()
    for start in range(0, len(rows), PAIRS):
        at = rows[start : start + PAIRS], places[start : start + PAIRS]
        user, s = p[at[0]], both[at][:, None]  # [N, D], [N, 1]
        d = q[at[0]] - rivals[at]
        margin, plus, minus = np.sum(user * d, axis=1), np.abs(s * user + d), np.abs(s * user - d)
        # Either side alone, and half of what lies between for every digit.
        least, most = low[at], margin / np.maximum(np.sum(np.abs(d), axis=1), s[:, 0] * np.sum(np.abs(user), axis=1))
        for _ in range(HALVINGS):
            middle = (least + most) / 2
            e = middle[:, None]
            worst = margin + np.sum(np.minimum(s * e**2 - e * plus, -s * e**2 - e * minus), axis=1)
            least, most = np.where(worst > 0, middle, least), np.where(worst > 0, most, middle)
        found[at] = least
    return found


def certified_metrics(radii: np.ndarray, epsilon: float) -> dict[str, float]:
    """Lower bounds of HR@k and nDCG@k under every perturbation of at most epsilon.  radii: [M, k] of `certified_radii`"""
    return rank_metrics(1 + np.sum(radii <= epsilon, axis=1), radii.shape[1])
