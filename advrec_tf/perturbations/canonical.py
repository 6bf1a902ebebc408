"""The form that all factors of the same lists share, and budgets that are relative to it.  No TensorFlow.

Lists stay as they are when all rows of Q are shifted alike, when P and Q become P A and Q A^-T, and when a user's row is multiplied by a positive
number; a budget in units of the factors' own numbers does not.
"""

from typing import NamedTuple

import numpy as np

from advrec_tf.errors import UserError
from advrec_tf.perturbations.arguments import Perturbation, checked_factors, checked_table

UNITS = ("absolute", "relative", "row")
_STEP = (
    2.0**-22
)  # of a column's largest number: above what double precision leaves open, near the end of single precision
_RANK = 1e-5  # of the largest singular value: below, a direction is rounding of single precision
_BLOCK = 1 << 10  # triples whose margins are taken at once, as many as a core's cache holds


def canonical(P: np.ndarray, Q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """P' = U sqrt(S) and Q' = V sqrt(S) from the singular values of P (Q - mean row of Q)^T: float32 [users, D], [items, D], the same lists.

    Equal for P A, Q A^-T + 1 b^T with any invertible A and any b, up to rounding; columns beyond the rank are zeros.
    Raises ValueError for shapes that do not fit, values that are not finite, and factors that give a user the same score for every item.
    """
    balanced = _balance(*checked_factors(P, Q, np.float64))
    missing = ((0, 0), (0, P.shape[1] - balanced.user.shape[1]))
    return np.pad(balanced.user, missing).astype(np.float32), np.pad(balanced.item, missing).astype(
        np.float32
    )


def quantized_canonical(P: np.ndarray, Q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`canonical` with a largest singular value of 1 and coarser numbers, float32 [users, r], [items, r]: the same bytes for P A, Q A^-T + 1 b^T but
    for rare ties, so that not even rounding, which attacks with signs in them amplify, tells a scale, a basis or a shift.

    Raises ValueError as `canonical`.
    """
    balanced = _balance(*checked_factors(P, Q, np.float64))
    root = np.linalg.norm(balanced.user[:, 0])  # of the largest singular value
    return _coarse(balanced.user / root), _coarse(balanced.item / root)


def _coarse(table: np.ndarray) -> np.ndarray:
    """In steps of a power of two: about _STEP of each column's largest number."""
    step = _STEP * np.exp2(np.floor(np.log2(np.abs(table).max(axis=0))))
    return (np.round(table / step) * step).astype(np.float32)


def truncate(P: np.ndarray, Q: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """The factors of `rank` whose scores, less each user's mean, are closest to those of P and Q (Eckart and Young 1936): float32 [users, r],
    [items, r], the first columns of `canonical`, all of them where there are fewer.

    Raises ValueError as `canonical`, and for a rank below 1.
    """
    if rank < 1:
        raise ValueError(f"the rank must be at least 1, not {rank}")
    user, item = canonical(P, Q)
    return user[:, :rank], item[:, :rank]


def normalize_users(P: np.ndarray, Q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """P with every user's row divided by the norm of his scores of all items, Q's mean row taken off, and Q: the same lists.

    No list changes by a factor on a user's row, but the relative budget, a share of the root mean square of all rows, takes a short one first.  In
    canonical form rows are then of similar lengths, whatever factor each had.
    Raises ValueError for shapes that do not fit and values that are not finite.
    """
    wide, tall = checked_factors(P, Q, np.float64)
    return (wide / _score_norms(wide, tall)).astype(np.float32), tall.astype(np.float32)


def _score_norms(P: np.ndarray, Q: np.ndarray) -> np.ndarray:
    """[U, 1], 1 where all scores are equal."""
    _, R = np.linalg.qr(Q - Q.mean(axis=0))
    norms = np.linalg.norm(P @ R.T, axis=1, keepdims=True)
    norms[norms == 0] = 1
    return norms


class _Balanced(NamedTuple):
    user: np.ndarray  # [U, r]
    item: np.ndarray  # [I, r]
    to_user: np.ndarray  # [r, D]: what is added to `user` is added to P times this
    to_item: np.ndarray  # [r, D]


def _balance(P: np.ndarray, Q: np.ndarray) -> _Balanced:
    """Without users x items: P = A R and Q - mean = B T by QR, and the singular values of R T^T."""
    (A, R), (B, T) = np.linalg.qr(P), np.linalg.qr(Q - Q.mean(axis=0))
    left, values, right = np.linalg.svd(R @ T.T)
    rank = int(np.sum(values > _RANK * values[0])) if values[0] > 0 else 0
    if not rank:
        raise UserError("the factors give every item the same score")
    roots, left, right = np.sqrt(values[:rank]), left[:, :rank], right[:rank].T
    item = (B @ right) * roots
    signs = np.sign(
        item[np.abs(item).argmax(axis=0), np.arange(rank)]
    )  # singular vectors have none of their own
    user, item, left, right = (A @ left) * roots * signs, item * signs, left * signs, right * signs
    return _Balanced(user, item, (left / roots).T @ R, (right / roots).T @ T)


class NormalizedFactors(NamedTuple):
    """Factors as an attack sees them under a budget, and the way back.

    user [U, r], item [I, r]: float32; units: what epsilon 1 is in the rows of each, [1, 1] or [N, 1].
    """

    user: np.ndarray
    item: np.ndarray
    units: tuple[np.ndarray, np.ndarray]
    back_to: tuple[np.ndarray, np.ndarray] | None = None  # [r, D] each
    factors: np.ndarray = np.ones((1, 1))  # on users' own rows

    def sizes(self, epsilon: float) -> tuple[np.ndarray, np.ndarray]:
        """A budget or step as the length that the rows of both tables have."""
        user, item = (
            np.asarray(np.float32(epsilon) * unit.astype(np.float32)) for unit in self.units
        )
        return user, item

    def scaled(self, delta: Perturbation) -> Perturbation:
        """A perturbation in units of the budget as one of this form."""
        user, item = (unit.astype(np.float32) * part for unit, part in zip(self.units, delta))
        return Perturbation(user, item)

    def to_original(self, delta: Perturbation) -> Perturbation:
        """A perturbation of this form as one of the factors that were given: the lists are the same."""
        if self.back_to is None:
            return delta
        user, item = (part.astype(np.float64) @ to for part, to in zip(delta, self.back_to))
        return Perturbation((self.factors * user).astype(np.float32), item.astype(np.float32))

    def from_original(self, delta: Perturbation) -> Perturbation:
        """The other way, for what lies in the span of the factors."""
        if self.back_to is None:
            return delta
        user, item = (
            np.asarray(part, np.float64) @ np.linalg.pinv(to)
            for part, to in zip(delta, self.back_to)
        )
        return Perturbation((user / self.factors).astype(np.float32), item.astype(np.float32))


def normalized_factors(
    P: np.ndarray, Q: np.ndarray, unit: str = "absolute", triples=None
) -> NormalizedFactors:
    """P and Q as they are (absolute), or in canonical form with the margins of the triples divided by their standard deviation, so that no scale
    saturates a loss.

    Epsilon is then a share of the root mean square of the table's row norms (relative) or of the row's own norm (row).  For `row` each
    user's row is first divided by the norm of its scores, so that not even a factor on one user's row matters.
    triples: three int arrays [N] (user, positive, negative), or None where no loss is taken.
    Raises ValueError as `canonical`, and for another budget.
    """
    if unit not in UNITS:
        raise ValueError(f"unit must be one of {', '.join(UNITS)}, not {unit!r}")
    if unit == "absolute":
        return NormalizedFactors(*checked_factors(P, Q), (np.ones((1, 1)), np.ones((1, 1))))
    (wide, tall), factors = checked_factors(P, Q, np.float64), np.ones((1, 1))
    if unit == "row":
        factors = _score_norms(wide, tall)
        wide = wide / factors
    balanced = _balance(wide, tall)
    spread = 1.0 if triples is None else _spread(balanced.user, balanced.item, triples)
    root = np.sqrt(spread)
    tables = [(table / root).astype(np.float32) for table in (balanced.user, balanced.item)]
    units = [_norms(table) if unit == "row" else _rms_norm(table) for table in tables]
    return NormalizedFactors(
        tables[0],
        tables[1],
        (units[0], units[1]),
        (balanced.to_user * root, balanced.to_item * root),
        factors,
    )


def parameter_tables(P: np.ndarray, Q: np.ndarray, unit: str = "absolute") -> NormalizedFactors:
    """Return two parameter tables as they are, with epsilon in numbers of them (absolute) or in the
    RMS row norm of each (relative).

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
    """[1, 1]"""
    return np.sqrt(np.mean(np.square(_norms(table)), keepdims=True))


def _norms(table: np.ndarray) -> np.ndarray:
    """[N, 1]"""
    return np.linalg.norm(table, axis=1, keepdims=True)


def _spread(P: np.ndarray, Q: np.ndarray, triples) -> float:
    """Standard deviation of the triples' margins; 1 where they do not differ."""
    users, positives, negatives = (np.asarray(ids) for ids in triples)
    margins = np.empty(len(users))
    for start in range(0, len(users), _BLOCK):
        part = slice(start, start + _BLOCK)
        margins[part] = np.einsum(
            "nd,nd->n", P[users[part]], Q[positives[part]] - Q[negatives[part]]
        )
    return float(margins.std()) or 1.0
