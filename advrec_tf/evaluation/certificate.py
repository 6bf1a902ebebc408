"""What no perturbation can do: certified lower bounds of HR@K and nDCG@K."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from advrec_tf.data import Interactions
from advrec_tf.evaluation.metrics import rank_metrics
from advrec_tf.evaluation.ranking import block_starts, strongest
from advrec_tf.execution.threads import side_by_side

CERTIFICATES = 3  # the version of the radii, one more whenever their bytes change
PAIRS = 1 << 13  # of a test item and a rival that are worked on at a time
HALVINGS = 40  # of the interval around a root
_ROUNDING = 2.0**-24  # of a number in single precision


def certified_radii(
    P: np.ndarray,
    Q: np.ndarray,
    data: Interactions,
    ball: str = "l2",
    k: int = 10,
    units: tuple[npt.ArrayLike, npt.ArrayLike] = (1, 1),
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
    p d + min(s epsilon^2 - epsilon |s p + d|, -s epsilon^2 - epsilon |s p - d|).  Their sum falls as epsilon grows; its root is found by bisection.

    Only rivals that can be among the k nearest are looked at in double precision.  The l2 radius, and over sqrt(D) a bound of the other, is
    r g / sqrt(1 + g^2) with g = m / (h + s r); single precision and what it can be wrong by give a g that is not above that one.

    P: [U, D], Q: [I, D]; units: of users and items, numbers or one a row.  Raises ValueError for an unknown ball, and for users with several test
    items.
    """
    if ball not in ("l2", "linf"):
        raise ValueError(f"ball must be l2 or linf, not {ball!r}")
    if not data.has_one_test_item_each:
        raise ValueError("certificates need one test item a user")
    P, Q = (np.asarray(x, np.float64) for x in (P, Q))
    own = [
        np.broadcast_to(np.asarray(unit, np.float64).reshape(-1, 1), (len(x), 1))
        for unit, x in zip(units, (P, Q))
    ]
    P = np.divide(P, own[0], out=np.zeros_like(P), where=own[0] > 0)  # a row of no size is 0
    return np.concatenate(list(_nearest(P, Q, own[1][:, 0], data, ball, k)))


def _nearest(
    P: np.ndarray, Q: np.ndarray, units: np.ndarray, data: Interactions, ball: str, k: int
) -> Iterator[np.ndarray]:
    """The k smallest radii [B, k] in blocks of test rows; train items and the test item itself are no rivals (infinite)."""
    step, shelf = block_starts(data).step, _Shelf.of(Q, units)

    def nearest(start: int) -> np.ndarray:
        users, items = (ids[start : start + step] for ids in (data.test_users, data.test_items))
        closeness = -_least_ratios(P[users], items, shelf)
        rows = np.arange(len(users))
        known = np.concatenate(
            [data.train_items[data.indptr[u] : data.indptr[u + 1]] for u in users]
        )
        closeness[np.repeat(rows, np.diff(data.indptr)[users]), known] = closeness[
            rows, items
        ] = -np.inf
        return _smallest(closeness, P[users], Q, units, items, ball, k)

    return side_by_side(nearest, range(0, len(data.test_users), step))


class _Shelf(NamedTuple):
    """All items in single precision, in units of the largest norm, as g has no scale."""

    rows: np.ndarray  # [I, D]
    norms: np.ndarray  # [I, 1]
    sizes: np.ndarray  # [I, 1], of what a row may move by

    @classmethod
    def of(cls, Q: np.ndarray, units: np.ndarray) -> "_Shelf":
        norms = np.linalg.norm(Q, axis=1, keepdims=True)
        return cls(
            *((x / (norms.max() or 1.0)).astype(np.float32) for x in (Q, norms, units[:, None]))
        )


def _least_ratios(p: np.ndarray, items: np.ndarray, shelf: _Shelf) -> np.ndarray:
    """g of every test item and rival, or less where single precision cannot tell: float32 [B, I].  p: [B, D], items: [B]"""
    rows, norms, sizes = shelf
    length = np.linalg.norm(p, axis=1, keepdims=True)
    direction = np.divide(p, length, out=np.zeros_like(p), where=length > 0).astype(np.float32)
    length = length.astype(np.float32)
    both = 1 + norms[items]  # at least the sum of the norms of both items
    wrong = (
        np.float32((p.shape[1] + 6) * _ROUNDING) * both
    )  # how much m may be; |d|^2, and m^2 of such an m, together twice this and the sum
    margin = np.sum(direction * rows[items], axis=1, keepdims=True) - wrong - direction @ rows.T
    across = (-2 * rows[items]) @ rows.T  # becomes |d|^2 - m^2, then h, then h + s r
    across += np.square(norms).T
    across += np.square(norms[items]) + 2 * wrong * both
    across -= margin * margin
    np.maximum(across, 2 * wrong * both, out=across)
    np.sqrt(across, out=across)
    across += length * sizes.T
    across += length * sizes[items]
    return np.divide(margin, across, out=margin)


def _smallest(
    closeness: np.ndarray,
    p: np.ndarray,
    Q: np.ndarray,
    units: np.ndarray,
    items: np.ndarray,
    ball: str,
    k: int,
) -> np.ndarray:
    """The k smallest radii [B, k].  closeness: [B, I], of every rival not below -g, -inf for what is none"""
    found, left, count = np.full((len(p), k), np.inf), np.arange(len(p)), 2 * k
    slack = (1 - 16 * _ROUNDING) / (np.sqrt(Q.shape[1]) if ball == "linf" else 1)
    while len(left):
        count = min(count, len(Q))
        rivals, close = strongest(closeness[left], count)
        radii = _radii(p[left], Q, units, items[left], rivals, np.isfinite(close), ball, k)
        nearest = np.sort(radii, axis=1)[:, :k]
        g = np.maximum(-close[:, -1].astype(np.float64), 0)
        beyond = (
            slack * np.linalg.norm(p[left], axis=1) * np.sin(np.arctan(g))
        )  # no rival that is left out is nearer
        done = (nearest[:, -1] <= beyond) | np.isinf(g) | (count == len(Q))
        found[left[done], : nearest.shape[1]] = nearest[done]
        left, count = left[~done], 4 * count
    return found


def _radii(p, Q, units, items, rivals, there, ball: str, k: int) -> np.ndarray:
    """The radius of every rival [B, C], infinite where there is none; a user with k that are 0 gets no other.  rivals: [B, C]"""
    margins = np.full(rivals.shape, np.inf)
    for at in _pairs(there):
        margins[at] = np.sum(p[at[0]] * (Q[items[at[0]]] - Q[rivals[at]]), axis=1)
    radii = np.where(margins > 0, np.inf, 0)
    for at in _pairs(there & (margins > 0) & (np.sum(margins <= 0, axis=1, keepdims=True) < k)):
        user, own, rival = p[at[0]], items[at[0]], rivals[at]
        radii[at] = (_l2_radii if ball == "l2" else _linf_radii)(
            user, Q[own] - Q[rival], units[own] + units[rival], margins[at]
        )
    return radii


def _pairs(chosen: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows and places of what is chosen, PAIRS at a time."""
    rows, places = np.nonzero(chosen)
    for start in range(0, len(rows), PAIRS):
        yield rows[start : start + PAIRS], places[start : start + PAIRS]


def _l2_radii(user: np.ndarray, d: np.ndarray, s: np.ndarray, margin: np.ndarray) -> np.ndarray:
    """user, d: [N, D], s, margin: [N], positive"""
    norm = np.linalg.norm(user, axis=1)
    along = margin / norm
    across = np.sqrt(np.maximum(np.sum(d * d, axis=1) - along**2, 0))
    return norm * along / np.sqrt(along**2 + (across + s * norm) ** 2)


def _linf_radii(user: np.ndarray, d: np.ndarray, s: np.ndarray, margin: np.ndarray) -> np.ndarray:
    """Where the worst margin in the box is 0, from below, to eleven digits.  Arguments as of `_l2_radii`"""
    # The l2 ball lies around the box; and each side alone.  Half of what lies between for every binary digit.
    least = _l2_radii(user, d, s, margin) / np.sqrt(user.shape[1])
    most = margin / np.maximum(np.sum(np.abs(d), axis=1), s * np.sum(np.abs(user), axis=1))
    wide = s[:, None]
    plus, minus = np.abs(wide * user + d), np.abs(wide * user - d)
    for _ in range(HALVINGS):
        middle = (least + most) / 2
        e = middle[:, None]
        worst = margin + np.sum(
            np.minimum(wide * e**2 - e * plus, -wide * e**2 - e * minus), axis=1
        )
        least, most = np.where(worst > 0, middle, least), np.where(worst > 0, most, middle)
    return least


def certified_metrics(radii: np.ndarray, epsilon: float) -> dict[str, float]:
    """Lower bounds of HR@k and nDCG@k under every perturbation of at most epsilon.  radii: [M, k] of `certified_radii`"""
    return rank_metrics(1 + np.sum(radii <= epsilon, axis=1), radii.shape[1])
