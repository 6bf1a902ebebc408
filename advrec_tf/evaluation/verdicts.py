"""Claims as data, and the one function that judges all claims of a page."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from advrec_tf.evaluation.statistics import holm

ALPHA = 0.05


class Relation(Enum):
    """How a quantity relates to a number, or to another quantity of the same replicate."""

    EQUAL = "equal to"
    GREATER = "greater than"
    LESS = "less than"
    GREATER_THAN_OTHER = "greater than other"
    LESS_THAN_OTHER = "less than other"

    @property
    def paired(self) -> bool:
        """True if the relation is to another quantity."""
        return self in (Relation.GREATER_THAN_OTHER, Relation.LESS_THAN_OTHER)

    @property
    def words(self) -> str:
        """The relation without its reference."""
        if self is Relation.EQUAL:
            return "equal to"
        return "greater than" if self.upwards else "less than"

    @property
    def upwards(self) -> bool:
        """True if larger values support the claim."""
        return self in (Relation.GREATER, Relation.GREATER_THAN_OTHER)


class Replication(Enum):
    """What differs between two replicates of a quantity; an exact quantity has no error."""

    TRAINING = "training seeds"
    ATTACK = "attack seeds"
    VICTIM = "victim seeds"
    FOLD = "folds"
    USER = "users"
    SUBSAMPLE = "sub-samples"
    EXACT = "exact"


class Word(Enum):
    """The possible verdicts."""

    HOLDS = "holds"
    FAILS = "fails"
    UNDECIDED = "not decidable"
    UNMEASURED = "not measured"

    @property
    def plural(self) -> str:
        """Return the predicate of several claims, such as `hold` and `are not decidable`."""
        return self.value.rstrip("s") if self in (Word.HOLDS, Word.FAILS) else f"are {self.value}"


@dataclass(frozen=True)
class Claim:
    """A sentence of a paper and the relation that has to be true for it.

    section: of the paper; quantity: what each replicate measures, in `unit`; published: the
    paper's value, as a text.  The quantity is related to `reference`, or else to the quantity that
    `other` names.  Raises ValueError for fields that do not fit.
    """

    section: str
    sentence: str
    quantity: str
    relation: Relation
    replication: Replication
    reference: float = 0.0
    margin: float = 0.0
    other: str = ""
    unit: str = ""
    published: str = ""

    def __post_init__(self) -> None:
        """Raise ValueError if margin, relation and the other part do not go together."""
        exact = self.replication is Replication.EXACT
        if (self.margin > 0) != (self.relation is Relation.EQUAL and not exact):
            raise ValueError(f"{self.sentence}: a margin goes with equality, and only there")
        if bool(self.other) != self.relation.paired:
            raise ValueError(f"{self.sentence}: {self.relation} does not fit {self.other!r}")

    @property
    def check(self) -> str:
        """The relation in words."""
        target = self.other or f"{self.reference:g}{self.unit}"
        unit = (" point" if self.margin == 1 else " points") if self.unit == "%" else self.unit
        within = f" within {self.margin:.3g}{unit}" if self.margin else ""
        return f"{self.quantity}: {self.relation.words} {target}{within}"

    def is_met_by(self, value: float) -> bool:
        """Return whether the relation holds for a value, or a difference to the other quantity."""
        difference = value - self.reference
        if self.relation is Relation.EQUAL:
            return abs(difference) <= self.margin
        return difference > 0 if self.relation.upwards else difference < 0


@dataclass(frozen=True)
class Estimate:
    """One part of a claim: a mean, its standard error and degrees of freedom (NaN, 0: none).

    A claim about every cell has a part for each cell.  For a relation to another quantity, `mean`
    is the mean difference and `pair` holds the means of both quantities.
    """

    label: str
    mean: float
    error: float
    degrees: int
    count: int
    pair: tuple[float, float] | None = None

    @classmethod
    def of(
        cls, label: str, values: npt.ArrayLike, others: npt.ArrayLike | None = None
    ) -> "Estimate":
        """Return the estimate from replicates [N], paired with `others` [N]; NaN are left out."""
        first = np.asarray(values, np.float64)
        second = np.zeros(len(first)) if others is None else np.asarray(others, np.float64)
        known = np.isfinite(first) & np.isfinite(second)
        first, second = first[known], second[known]
        difference, count = first - second, len(first)
        if not count:
            return cls(label, math.nan, math.nan, 0, 0)
        constant = count < 2 or bool(np.ptp(difference) < 1e-12 * max(1.0, abs(difference).max()))
        spread = 0.0 if constant else float(difference.std(ddof=1))
        error = spread / math.sqrt(count) if count > 1 else math.nan
        pair = None if others is None else (float(first.mean()), float(second.mean()))
        return cls(label, float(difference.mean()), error, count - 1, count, pair)

    @classmethod
    def of_slope(cls, label: str, x: npt.ArrayLike, y: npt.ArrayLike) -> "Estimate":
        """Return the least-squares slope of y [N] over x [N], with points taken as independent.

        Pairs that are not finite are left out. For fewer than three different x the slope is NaN,
        and the degrees of freedom and the count are 0.
        """
        xs, ys = np.asarray(x, np.float64), np.asarray(y, np.float64)
        known = np.isfinite(xs) & np.isfinite(ys)
        xs, ys = xs[known], ys[known]
        if len(np.unique(xs)) < 3:
            return cls(label, math.nan, math.nan, degrees=0, count=0)
        line = stats.linregress(xs, ys)
        return cls(label, float(line.slope), float(line.stderr), len(xs) - 2, len(xs))

    @property
    def testable(self) -> bool:
        """True if there is an error to test against."""
        return self.degrees > 0 and self.error > 0

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval of the mean (Student's t), not corrected; NaN if not testable."""
        reach = stats.t.ppf(0.975, self.degrees) * self.error if self.testable else math.nan
        return self.mean - reach, self.mean + reach

    def p_above(self, bound: float) -> float:
        """Return the one-sided p of the hypothesis that the mean is at most `bound`."""
        return float(stats.t.sf((self.mean - bound) / self.error, self.degrees))

    def p_below(self, bound: float) -> float:
        """Return the one-sided p of the hypothesis that the mean is at least `bound`."""
        return float(stats.t.cdf((self.mean - bound) / self.error, self.degrees))


class Verdict(NamedTuple):
    """The verdict on a claim.

    p: of the deciding test, corrected over all claims of the page; the smaller one of both tests
    for a claim that is not decidable.  alone: this p before the correction over claims.  Both are
    NaN if no test was made.
    """

    claim: Claim
    parts: tuple[Estimate, ...]
    word: Word
    p: float = math.nan
    alone: float = math.nan
    reason: str = ""


def part_p(claim: Claim, part: Estimate) -> tuple[float, float]:
    """Return p of the tests that a part holds and that it fails; NaN without an error.

    Equality holds by two one-sided tests (the larger p).  It fails by a two-sided test that the
    mean lies outside of the margin (twice the smaller p).  Other relations have a one-sided test
    each way.
    """
    if not part.testable:
        return math.nan, math.nan
    low, high = claim.reference - claim.margin, claim.reference + claim.margin
    if claim.relation is Relation.EQUAL:
        inside = max(part.p_above(low), part.p_below(high))
        return inside, min(1.0, 2 * min(part.p_below(low), part.p_above(high)))
    above, below = part.p_above(claim.reference), part.p_below(claim.reference)
    return (above, below) if claim.relation.upwards else (below, above)


def claim_p(claim: Claim, parts: Sequence[Estimate]) -> tuple[float, float]:
    """Return p of the tests that a claim holds and that it fails, not corrected for other claims.

    A claim holds if all parts hold (intersection-union: the largest p; a part that cannot be
    tested counts as 1).  It fails if one part fails (the smallest p times the number of tested
    parts).  An exact claim and one that was not measured get NaN.
    """
    if claim.replication is Replication.EXACT or not all(part.count for part in parts):
        return math.nan, math.nan
    pairs = [part_p(claim, part) for part in parts]
    tested = [fails for _, fails in pairs if not math.isnan(fails)]
    if not tested:
        return math.nan, math.nan
    largest = max(1.0 if math.isnan(holds) else holds for holds, _ in pairs)
    return largest, min(1.0, len(tested) * min(tested))


def judge(cases: Sequence[tuple[Claim, Sequence[Estimate]]]) -> list[Verdict]:
    """Return the verdicts on all claims of a page.

    Holm's correction is over all tests that claims hold, and again over all tests that they fail:
    with 95% confidence no *holds* of the page is wrong, and with 95% confidence no *fails* is.
    """
    raw = [claim_p(claim, parts) for claim, parts in cases]
    corrected = zip(holm([holds for holds, _ in raw]), holm([fails for _, fails in raw]))
    return [
        _verdict(claim, tuple(parts), alone, both)
        for (claim, parts), alone, both in zip(cases, raw, corrected)
    ]


def _verdict(
    claim: Claim,
    parts: tuple[Estimate, ...],
    alone: tuple[float, float],
    corrected: tuple[float, float],
) -> Verdict:
    """Return the verdict from p of the tests that the claim holds and that it fails."""
    if not parts or not all(part.count for part in parts):
        return Verdict(claim, (), Word.UNMEASURED)
    if claim.replication is Replication.EXACT:
        met = all(claim.is_met_by(part.mean) for part in parts)
        return Verdict(claim, parts, Word.HOLDS if met else Word.FAILS)
    for side, word in enumerate((Word.HOLDS, Word.FAILS)):
        if corrected[side] < ALPHA:
            return Verdict(claim, parts, word, float(corrected[side]), alone[side])
    side = int(alone[1] < alone[0])
    reason = _reason(claim, parts)
    return Verdict(claim, parts, Word.UNDECIDED, float(corrected[side]), alone[side], reason)


def _reason(claim: Claim, parts: Sequence[Estimate]) -> str:
    """Return which parts could not be tested and why; "" if all were."""
    single = [part.label for part in parts if part.degrees < 1]
    constant = [part.label for part in parts if part.degrees > 0 and not part.testable]
    reasons = []
    for labels, why in ((single, "fewer than 2"), (constant, "no variance over")):
        if labels:
            named = f"{', '.join(filter(None, labels))}: " if any(labels) else ""
            reasons.append(f"{named}{why} {claim.replication.value}")
    return "; ".join(reasons)
