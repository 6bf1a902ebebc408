"""Certified lower bounds of HR@k and nDCG@k, which hold against every perturbation."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from advrec_tf.data import Interactions
from advrec_tf.evaluation.metrics import rank_metrics
from advrec_tf.evaluation.ranking import block_starts, strongest
from advrec_tf.execution.threads import side_by_side

CERTIFICATES = 3  # the version of the radii, one more whenever their bytes change
PAIRS = 1 << 13  # of a test item and a rival, that are held in memory together
BISECTIONS = 40  # of the interval around a root
Elements = tuple[np.ndarray, np.ndarray]  # rows and columns of a matrix
ROUNDING = 2.0**-24  # relative error of a number in single precision


def certified_radii(
    P: np.ndarray,
    Q: np.ndarray,
    data: Interactions,
    ball: str = "l2",
    k: int = 10,
    units: tuple[npt.ArrayLike, npt.ArrayLike] = (1, 1),
) -> np.ndarray:
    """Return the k smallest certified radii of every test item: float64 [M, k], ascending.

    The radius of a user u, test item t and rival j is an epsilon.  Below it, u's margin of t over
    j stays positive under EVERY perturbation that moves each row of P and Q by at most epsilon
    times the row's unit.  So the rank of t is at most 1 + the number of radii <= epsilon.  A
    margin that is not positive has radius 0.  Both balls are exact for each rival alone.  They do
    not use that one perturbation of u and t faces all rivals at once.

    P: [U, D], Q: [I, D]; units: of users and of items, a number or one a row.
    Raises ValueError for an unknown ball, and for users with several test items.
    """
    if ball not in ("l2", "linf"):
        raise ValueError(f"ball must be l2 or linf, not {ball!r}")
    if not data.has_one_test_item_each:
        raise ValueError("certificates need one test item a user")
    P, Q = (np.asarray(x, np.float64) for x in (P, Q))
    user_units, item_units = (
        np.broadcast_to(np.asarray(unit, np.float64).reshape(-1, 1), (len(x), 1))
        for unit, x in zip(units, (P, Q))
    )
    # A factor on a user's row changes no margin's sign.  A row with unit 0 becomes 0.
    P = np.divide(P, user_units, out=np.zeros_like(P), where=user_units > 0)
    catalogue = Catalogue(Q, item_units[:, 0])
    step = block_starts(data).step

    def nearest(start: int) -> np.ndarray:
        users, items = (ids[start : start + step] for ids in (data.test_users, data.test_items))
        ratios = least_ratios(P[users], items, catalogue)
        ratios[_no_rivals(users, items, data)] = np.inf
        return _smallest(ratios, _Rivals(P[users], items, catalogue, ball), k)

    return np.concatenate(list(side_by_side(nearest, range(0, len(data.test_users), step))))


def certified_metrics(radii: np.ndarray, epsilon: float) -> dict[str, float]:
    """Return lower bounds of HR@k and nDCG@k under every perturbation of at most epsilon.

    radii: [M, k] of `certified_radii`
    """
    return rank_metrics(1 + np.sum(radii <= epsilon, axis=1), radii.shape[1])


def _no_rivals(users: np.ndarray, items: np.ndarray, data: Interactions) -> Elements:
    """Return rows and columns of the test items themselves and of the users' train items."""
    known = [data.train_items[data.indptr[user] : data.indptr[user + 1]] for user in users]
    rows = np.arange(len(users))
    all_rows = np.concatenate([rows, np.repeat(rows, np.diff(data.indptr)[users])])
    return all_rows, np.concatenate([items, *known])


@dataclass(frozen=True, eq=False)
class Catalogue:
    """All items, also in single precision over the largest norm; `least_ratios` has no scale."""

    factors: np.ndarray  # float64 [I, D]
    units: np.ndarray  # float64 [I]

    @cached_property
    def single(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The items' factors [I, D], norms [I, 1] and units [I, 1] in single precision."""
        norms = np.linalg.norm(self.factors, axis=1, keepdims=True)
        scale = norms.max() or 1.0
        rows, norms, units = (
            (x / scale).astype(np.float32) for x in (self.factors, norms, self.units[:, None])
        )
        return rows, norms, units


def least_ratios(p: np.ndarray, items: np.ndarray, catalogue: Catalogue) -> np.ndarray:
    """Return g of every test item and rival, or less by rounding errors: float32 [B, I].

    With r = |p|, d = q_t - q_j, m = p.d / r, h^2 = |d|^2 - m^2 and s the sum of both items' units,
    g = m / (h + s r).  The l2 radius is r g / sqrt(1 + g^2), and over sqrt(D) this is a lower
    bound of the linf radius.  So g tells which rivals can be among the k nearest.

    p: [B, D], over the users' units; items: [B], the test items
    """
    rows, norms, units = catalogue.single
    length = np.linalg.norm(p, axis=1, keepdims=True)
    direction = np.divide(p, length, out=np.zeros_like(p), where=length > 0).astype(np.float32)
    length = length.astype(np.float32)
    both = 1 + norms[items]  # at least the sum of the norms of both items
    # The error of m.  The errors of |d|^2 and of m^2 add up to twice its product with `both`.
    error = np.float32((p.shape[1] + 6) * ROUNDING) * both
    margin = np.sum(direction * rows[items], axis=1, keepdims=True) - error - direction @ rows.T
    across = (-2 * rows[items]) @ rows.T  # becomes |d|^2 - m^2, then h, then h + s r
    across += np.square(norms).T
    across += np.square(norms[items]) + 2 * error * both
    across -= margin * margin
    np.maximum(across, 2 * error * both, out=across)
    np.sqrt(across, out=across)
    across += length * units.T
    across += length * units[items]
    return np.divide(margin, across, out=margin)


@dataclass(frozen=True, eq=False)
class _Rivals:
    """The users of a block, their test items, and what radii of rivals depend on."""

    users: np.ndarray  # float64 [B, D], over the users' units
    items: np.ndarray  # [B], the test items
    catalogue: Catalogue
    ball: str

    def radii(self, rows: np.ndarray, rivals: np.ndarray, k: int) -> np.ndarray:
        """Return the radii of the rivals of some rows, [R, C].

        The radius of -1, which stands for no rival, is infinite.  Once k radii of a row are 0, its
        others are not computed and are infinite.
        """
        margins = np.full(rivals.shape, np.inf)
        for pairs in _pairs(rivals >= 0):
            users, differences, _ = self._of_pairs(rows, rivals, pairs)
            margins[pairs] = np.sum(users * differences, axis=1)
        radii = np.where(margins > 0, np.inf, 0)
        undecided = np.sum(margins <= 0, axis=1, keepdims=True) < k
        radius = l2_radii if self.ball == "l2" else linf_radii
        for pairs in _pairs((rivals >= 0) & (margins > 0) & undecided):
            radii[pairs] = radius(*self._of_pairs(rows, rivals, pairs), margins[pairs])
        return radii

    def _of_pairs(
        self, rows: np.ndarray, rivals: np.ndarray, pairs: Elements
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return p and d [N, D], and s [N]."""
        users, items, others = rows[pairs[0]], self.items[rows[pairs[0]]], rivals[pairs]
        factors, units = self.catalogue.factors, self.catalogue.units
        return self.users[users], factors[items] - factors[others], units[items] + units[others]


def _smallest(ratios: np.ndarray, block: _Rivals, k: int) -> np.ndarray:
    """Return the k smallest radii [B, k].  ratios: [B, I] of `least_ratios`, inf for no rival."""
    n_items, dim = block.catalogue.factors.shape
    smallest, left, count = np.full((len(ratios), k), np.inf), np.arange(len(ratios)), 2 * k
    slack = (1 - 16 * ROUNDING) / (np.sqrt(dim) if block.ball == "linf" else 1)
    while len(left):
        count = min(count, n_items)
        rivals, closeness = strongest(-ratios[left], count)
        radii = block.radii(left, np.where(np.isfinite(closeness), rivals, -1), k)
        nearest = np.sort(radii, axis=1)[:, :k]
        # A lower bound of the radii of all rivals that are left out.
        g = np.maximum(-closeness[:, -1].astype(np.float64), 0)
        beyond = slack * np.linalg.norm(block.users[left], axis=1) * np.sin(np.arctan(g))
        done = (nearest[:, -1] <= beyond) | np.isinf(g) | (count == n_items)
        smallest[left[done], : nearest.shape[1]] = nearest[done]
        left, count = left[~done], 4 * count
    return smallest


def _pairs(mask: np.ndarray) -> Iterator[Elements]:
    """Yield rows and columns of a mask's elements, PAIRS at a time."""
    rows, columns = np.nonzero(mask)
    for start in range(0, len(rows), PAIRS):
        yield rows[start : start + PAIRS], columns[start : start + PAIRS]


def l2_radii(p: np.ndarray, d: np.ndarray, s: np.ndarray, margin: np.ndarray) -> np.ndarray:
    """Return exact radii in the l2 ball.  p, d: [N, D]; s, margin: [N], the margins positive.

    Notation as in `least_ratios`.  min over |a| <= epsilon of (p + a).w is p.w - epsilon |w|.  So
    the margin stays positive iff the ball of radius s epsilon around d lies in the open cone
    p.w > epsilon |w|, whose half-angle phi has cos phi = epsilon / r.  The distance of d, at the
    angle theta < phi from p, to the cone's edge is |d| sin(phi - theta)
    = m sqrt(1 - epsilon^2 / r^2) - h epsilon / r.  It exceeds s epsilon iff
    epsilon < r m / sqrt(m^2 + (h + s r)^2).
    """
    norm = np.linalg.norm(p, axis=1)
    along = margin / norm
    across = np.sqrt(np.maximum(np.sum(d * d, axis=1) - along**2, 0))
    return norm * along / np.sqrt(along**2 + (across + s * norm) ** 2)


def linf_radii(p: np.ndarray, d: np.ndarray, s: np.ndarray, margin: np.ndarray) -> np.ndarray:
    """Return radii in the linf ball, from below, to eleven digits.  Arguments as of `l2_radii`.

    The worst margin is separable.  Each element is the least of (p + a)(d + e) over the corners
    a = +- epsilon, e = +- s epsilon, which is
    p d + min(s epsilon^2 - epsilon |s p + d|, -s epsilon^2 - epsilon |s p - d|).
    The sum falls as epsilon grows; its root is found by bisection.
    """
    # The l2 ball encloses the box.  Above, each side moves alone.
    least = l2_radii(p, d, s, margin) / np.sqrt(p.shape[1])
    most = margin / np.maximum(np.sum(np.abs(d), axis=1), s * np.sum(np.abs(p), axis=1))
    wide = s[:, None]
    plus, minus = np.abs(wide * p + d), np.abs(wide * p - d)
    for _ in range(BISECTIONS):
        middle = (least + most) / 2
        e = middle[:, None]
        worst = np.minimum(wide * e**2 - e * plus, -wide * e**2 - e * minus)
        positive = margin + np.sum(worst, axis=1) > 0
        least, most = np.where(positive, middle, least), np.where(positive, most, middle)
    return least
