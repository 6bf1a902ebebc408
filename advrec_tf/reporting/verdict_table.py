"""Texts of verdicts, made from the fields of a claim and its estimates."""

import math
from collections.abc import Sequence

import pandas as pd

from advrec_tf.evaluation.verdicts import Claim, Estimate, Replication, Verdict, Word

Case = tuple[Claim, list[Estimate]]
SHOWN_PARTS = 6  # of a claim of more, the counts and the weakest part are shown


def estimate(label: str, values: pd.Series, others: pd.Series | None = None) -> Estimate:
    """Return the estimate of replicates, or of their differences to `others`, paired by index."""
    if others is None:
        return Estimate.of(label, values)
    both = pd.concat([values, others], axis=1, join="inner")
    return Estimate.of(label, both.iloc[:, 0], both.iloc[:, 1])


def percent(part: pd.Series, total: pd.Series) -> pd.Series:
    """Return a quantity in percent of another one of the same replicates."""
    return 100 * part / total


def note(verdicts: Sequence[Verdict]) -> str:
    """Say how the verdicts of a page were reached."""
    tested = sum(not math.isnan(verdict.p) for verdict in verdicts)
    return (
        "Equality *holds* by two one-sided t-tests and *fails* where the mean lies outside of the "
        "margin. Other relations have a one-sided t-test each way. A claim of several parts holds "
        "if all parts hold, and fails if one fails (p times the number of parts). p is corrected "
        f"over the {tested} tested claims of this page (Holm); p *alone* is not. "
        "The 95% intervals are Student's, each of one part alone: they are not corrected. "
        "Sub-samples lie within each other, and folds share training data, so tests over them are "
        "optimistic. *Follows* says whether the relation is true of the paper's own numbers.\n"
    )


def counts(verdicts: Sequence[Verdict]) -> str:
    """Say how many claims have each verdict."""
    words = [verdict.word for verdict in verdicts]
    texts = [f"{words.count(word)} {word.plural}" for word in Word if word in words]
    return f"Of {len(words)} claims {', '.join(texts)}."


def measured(verdict: Verdict) -> str:
    """Return the estimates of a verdict with their intervals, and what the intervals are over."""
    claim, parts = verdict.claim, verdict.parts
    if not parts:
        return ""
    shown, text = list(parts), ""
    if len(parts) > SHOWN_PARTS:
        met = sum(claim.is_met_by(part.mean) for part in parts)
        shown = [min(parts, key=lambda part: _support(claim, part))]
        text = f"{met} of {len(parts)} parts; the weakest: "
    text += "; ".join(_part(claim, part) for part in shown)
    if claim.replication is Replication.EXACT:
        return text
    counts = sorted({part.count for part in parts})
    return f"{text} (95% over {' or '.join(map(str, counts))} {claim.replication.value})"


def _support(claim: Claim, part: Estimate) -> float:
    """Return how many standard errors a part lies on the claim's side, 0 without an error."""
    if not part.testable:
        return 0.0
    difference = (part.mean - claim.reference) / part.error
    if claim.margin:
        return claim.margin / part.error - abs(difference)
    return difference if claim.relation.upwards else -difference


def follows(claim: Claim, parts: Sequence[Estimate]) -> str:
    """Say whether the relation is true of the published numbers, "" where there are none."""
    if not parts or not all(part.count for part in parts):
        return ""
    met = [claim.is_met_by(part.mean) for part in parts]
    if len(parts) > SHOWN_PARTS:
        return f"{'yes' if all(met) else 'no'} ({sum(met)} of {len(parts)} parts)"
    return f"{'yes' if all(met) else 'no'} ({'; '.join(_part(claim, part) for part in parts)})"


def stated(verdict: Verdict) -> str:
    """Return the word of a verdict, with p (corrected and alone) or the reason."""
    facts = [] if math.isnan(verdict.p) else [f"p {verdict.p:.2g}, alone {verdict.alone:.2g}"]
    facts += [verdict.reason] if verdict.reason else []
    if verdict.claim.replication is Replication.EXACT and verdict.word is not Word.UNMEASURED:
        facts.append("exact")
    return verdict.word.value + (f" ({'; '.join(facts)})" if facts else "")


def _part(claim: Claim, part: Estimate) -> str:
    """Return an estimate as text: label, mean or both values of a pair, and interval."""
    low, high = (_number(end, claim.unit) for end in part.interval)
    interval = f" [{low}, {high}]" if part.testable else ""
    label = f"{part.label} " if part.label else ""
    mean = _number(part.mean, claim.unit)
    if part.pair is None:
        return f"{label}{mean}{claim.unit}{interval}"
    first, second = (f"{_number(value, claim.unit)}{claim.unit}" for value in part.pair)
    return f"{label}{first} against {second}, difference {mean}{interval}"


def _number(value: float, unit: str) -> str:
    """Return percentages with 2 decimals, values below 1 with 4, others with 4 digits."""
    if unit == "%":
        return f"{value:.2f}"
    if abs(value) < 1:
        return f"{value:.4f}"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
