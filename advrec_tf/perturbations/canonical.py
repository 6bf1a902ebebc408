"""The scale-free form of factors, and the units of epsilon. This module needs no TensorFlow.

Lists do not change when all rows of Q are shifted alike, when P and Q become P A and Q A^-T, or
when a user's row is multiplied by a positive number. An epsilon in numbers of the factors changes
its meaning under each of them.
"""

from typing import NamedTuple

import numpy as np

from advrec_tf.errors import UserError
from advrec_tf.perturbations.arguments import (
    FactorMap,
    Perturbation,
    Tables,
    checked_factors,
    checked_table,
)

UNITS = ("absolute", "relative", "row")
# In largest numbers of a column: more than double precision leaves open, and close to the last
# digit of single precision.
_STEP = 2.0**-22
_RANK = 1e-5  # in largest singular values: below, a direction is rounding of single precision
_BLOCK = 1 << 10  # triples whose margins are taken at once, as many as a core's cache holds


def canonical(P: np.ndarray, Q: np.ndarray) -> Tables:
    """Return P' = U sqrt(S) and Q' = V sqrt(S), from the singular values of P (Q - mean row)^T.

    float32 [users, D], [items, D], with the same lists. They are equal, up to rounding, for P A
    and Q A^-T + 1 b^T with any invertible A and any b. Columns beyond the rank are zeros.
    Raises ValueError for shapes that do not fit, values that are not finite, and factors that give
    a user the same score for every item.
    """
    balanced = _balance(*checked_factors(P, Q, np.float64))
    missing = ((0, 0), (0, P.shape[1] - balanced.user.shape[1]))
    user, item = (np.pad(x, missing).astype(np.float32) for x in (balanced.user, balanced.item))
    return user, item


def quantized_canonical(P: np.ndarray, Q: np.ndarray) -> Tables:
    """Return `canonical` factors in coarser numbers, float32 [users, r] and [items, r].

    The largest singular value is 1. The bytes are the same for P A and Q A^-T + 1 b^T, except for
    rare ties. Attacks with signs in them amplify rounding, which here depends on no scale, basis or
    shift. Raises ValueError as `canonical`.
    """
    balanced = _balance(*checked_factors(P, Q, np.float64))
    root = np.linalg.norm(balanced.user[:, 0])  # of the largest singular value
    return _coarse(balanced.user / root), _coarse(balanced.item / root)


def _coarse(table: np.ndarray) -> np.ndarray:
    """Round to steps of a power of two, about _STEP of each column's largest number."""
    step = _STEP * np.exp2(np.floor(np.log2(np.abs(table).max(axis=0))))
    return (np.round(table / step) * step).astype(np.float32)


def truncate(P: np.ndarray, Q: np.ndarray, rank: int) -> Tables:
    """Return the best rank-`rank` approximation: float32 [users, r], [items, r].

    Its scores, less each user's mean, are closest to those of P and Q (Eckart and Young 1936).
    These are the first columns of `canonical`, or all of them if there are fewer.
    Raises ValueError as `canonical`, and for a rank below 1.
    """
    if rank < 1:
        raise ValueError(f"the rank must be at least 1, not {rank}")
    user, item = canonical(P, Q)
    return user[:, :rank], item[:, :rank]


def normalize_users(P: np.ndarray, Q: np.ndarray) -> Tables:
    """Return P with users of equal score norm, Q's mean row taken off, and Q: the same lists.

    A relative epsilon, a share of the RMS norm of all rows, breaks users with short rows first. A
    factor on a user's row changes no list, and this removes it.
    Raises ValueError for shapes that do not fit and values that are not finite.
    """
    user, item = checked_factors(P, Q, np.float64)
    return (user / _score_norms(user, item)).astype(np.float32), item.astype(np.float32)


def _score_norms(P: np.ndarray, Q: np.ndarray) -> np.ndarray:
    """Return the norm of each user's scores less their mean, [U, 1], or 1 where it is 0."""
    _, R = np.linalg.qr(Q - Q.mean(axis=0))
    norms = np.linalg.norm(P @ R.T, axis=1, keepdims=True)
    norms[norms == 0] = 1
    return norms


class _Balanced(NamedTuple):
    user: np.ndarray  # [U, r]
    item: np.ndarray  # [I, r]
    to_user: np.ndarray  # [r, D]: adding X to `user` adds X to_user to P
    to_item: np.ndarray  # [r, D]


def _balance(P: np.ndarray, Q: np.ndarray) -> _Balanced:
    """Return the canonical tables in double precision, without a matrix of users x items.

    P = A R and Q - mean = B T by QR; the singular values are those of R T^T.
    """
    (A, R), (B, T) = np.linalg.qr(P), np.linalg.qr(Q - Q.mean(axis=0))
    left, values, right = np.linalg.svd(R @ T.T)
    rank = int(np.sum(values > _RANK * values[0])) if values[0] > 0 else 0
    if not rank:
        raise UserError("the factors give every item the same score")
    roots, left, right = np.sqrt(values[:rank]), left[:, :rank], right[:rank].T
    item = (B @ right) * roots
    # Singular vectors have no sign of their own.
    signs = np.sign(item[np.abs(item).argmax(axis=0), np.arange(rank)])
    user, item, left, right = (A @ left) * roots * signs, item * signs, left * signs, right * signs
    return _Balanced(user, item, (left / roots).T @ R, (right / roots).T @ T)


class NormalizedFactors(NamedTuple):
    """Factors as an attack sees them in a unit, and the maps from and to the original ones.

    user [U, r], item [I, r]: float32. units: what epsilon 1 is in the rows of each, [1, 1] or
    [N, 1]. served: the map to the factors, where user and item are parameter tables before it.
    """

    user: np.ndarray
    item: np.ndarray
    units: Tables
    to_tables: Tables | None = None  # [r, D] each
    user_scale: np.ndarray = np.ones((1, 1))  # by which users' rows were divided
    served: FactorMap | None = None

    @property
    def zeros(self) -> Perturbation:
        """No perturbation of these factors."""
        return Perturbation(np.zeros_like(self.user), np.zeros_like(self.item))

    def moved(self, user: np.ndarray, item: np.ndarray) -> Tables:
        """Return P and Q after a perturbation of these factors, or of these parameter tables."""
        tables = self.user + user, self.item + item
        return tables if self.served is None else self.served(*tables)

    def sizes(self, epsilon: float) -> Tables:
        """Return an epsilon or step size as a length of rows, for both tables."""
        user, item = (
            np.asarray(np.float32(epsilon) * unit.astype(np.float32)) for unit in self.units
        )
        return user, item

    def scaled(self, delta: Perturbation) -> Perturbation:
        """Return a perturbation that is in units of epsilon as one of these factors."""
        user, item = (unit.astype(np.float32) * part for unit, part in zip(self.units, delta))
        return Perturbation(user, item)

    def to_original(self, delta: Perturbation) -> Perturbation:
        """Return a perturbation of these factors as one of the original factors: the same lists."""
        if self.to_tables is None:
            return delta
        user, item = (part.astype(np.float64) @ to for part, to in zip(delta, self.to_tables))
        return Perturbation((self.user_scale * user).astype(np.float32), item.astype(np.float32))

    def from_original(self, delta: Perturbation) -> Perturbation:
        """Return a perturbation of the original factors, within their span, as one of these."""
        if self.to_tables is None:
            return delta
        user, item = (
            np.asarray(part, np.float64) @ np.linalg.pinv(to)
            for part, to in zip(delta, self.to_tables)
        )
        return Perturbation((user / self.user_scale).astype(np.float32), item.astype(np.float32))


def normalized_factors(
    P: np.ndarray, Q: np.ndarray, unit: str = "absolute", triples=None
) -> NormalizedFactors:
    """Return P and Q as they are (absolute), or in canonical form (relative, row).

    The canonical tables are divided so that the triples' margins have standard deviation 1, hence
    no scale saturates a loss. Epsilon is a share of the RMS row norm of each table (relative) or
    of each row's own norm (row). For row, users are also normalised to equal score norm.

    triples: three int arrays [N] (user, positive, negative), or None where no loss is taken.
    Raises ValueError as `canonical`, and for another unit.
    """
    if unit not in UNITS:
        raise ValueError(f"unit must be one of {', '.join(UNITS)}, not {unit!r}")
    if unit == "absolute":
        return parameter_tables(*checked_factors(P, Q))
    (wide, item), user_scale = checked_factors(P, Q, np.float64), np.ones((1, 1))
    if unit == "row":
        user_scale = _score_norms(wide, item)
    balanced = _balance(wide / user_scale, item)
    spread = 1.0 if triples is None else _spread(balanced.user, balanced.item, triples)
    root = np.sqrt(spread)
    tables = [(table / root).astype(np.float32) for table in (balanced.user, balanced.item)]
    units = [_norms(table) if unit == "row" else _rms_norm(table) for table in tables]
    return NormalizedFactors(
        tables[0],
        tables[1],
        (units[0], units[1]),
        (balanced.to_user * root, balanced.to_item * root),
        user_scale,
    )


def parameter_tables(P: np.ndarray, Q: np.ndarray, unit: str = "absolute") -> NormalizedFactors:
    """Return two parameter tables as they are, with a unit for epsilon.

    unit: absolute is numbers of the tables; relative is shares of the RMS row norm of each.

    P: [U, D], Q: [I, D']. Raises ValueError for tables that are not of two dimensions or not
    finite, and for another unit: the canonical form is that of factors.
    """
    if unit not in ("absolute", "relative"):
        raise ValueError(f"with served the unit must be absolute or relative, not {unit!r}")
    user, item = checked_table(P), checked_table(Q)
    if unit == "absolute":
        return NormalizedFactors(user, item, (np.ones((1, 1)), np.ones((1, 1))))
    return NormalizedFactors(user, item, (_rms_norm(user), _rms_norm(item)))


def _rms_norm(table: np.ndarray) -> np.ndarray:
    """Return the root mean square of the rows' l2 norms, [1, 1]."""
    return np.sqrt(np.mean(np.square(_norms(table)), keepdims=True))


def _norms(table: np.ndarray) -> np.ndarray:
    """Return the l2 norm of each row, [N, 1]."""
    return np.linalg.norm(table, axis=1, keepdims=True)


def _spread(P: np.ndarray, Q: np.ndarray, triples) -> float:
    """Return the standard deviation of the triples' margins, or 1 if they do not differ."""
    users, positives, negatives = (np.asarray(ids) for ids in triples)
    margins = np.empty(len(users))
    for start in range(0, len(users), _BLOCK):
        part = slice(start, start + _BLOCK)
        differences = Q[positives[part]] - Q[negatives[part]]
        margins[part] = np.einsum("nd,nd->n", P[users[part]], differences)
    return float(margins.std()) or 1.0
