"""The claims of the low-rank defences paper about Gowalla (section IV-A), and the page of all."""

from functools import partial
from itertools import product

import pandas as pd

from advrec_tf.evaluation.verdicts import Claim, Relation, Replication, Word, judge
from advrec_tf.reporting.verdict_table import (
    Case,
    counts,
    estimate,
    follows,
    measured,
    note,
    percent,
    stated,
)
from advrec_tf.reporting.vocabulary import markdown

from . import effects
from .attack_claims import readings, several_attacks
from .claim_kinds import equals, keeps, lowers
from .evidence import EMPTY, LowRankEvidence, published_evidence
from .pmf_claims import new_ratings, ranks, transformation

FINDS = Claim(
    "IV-A.2",
    "The SVM finds about 85% of the fakes",
    "recall of degree 2 at 20 components",
    Relation.EQUAL,
    Replication.FOLD,
    reference=85.0,
    margin=5.0,
    unit="%",
    published="85%",
)
BEST = Claim(
    "IV-A.2",
    "Degree 2 at 20 components has the highest recall",
    "its recall",
    Relation.GREATER_THAN_OTHER,
    Replication.FOLD,
    other="that of the best other setting (by its mean)",
    unit="%",
    published="Figure 2",
)
DROPS = equals(
    "IV-A.2",
    "Without the fakes that it finds target HR drops by about 4 points",
    "target HR attacked - after the detector",
    (4.0, 0.5),
    "4% (.1415 to .1095)",
)
CLOSE = equals(
    "IV-A.2",
    "which is very close to clean data",
    "target HR after the detector / of clean data",
    (100.0, 10.0),
    "Table I",
)
UNHARMED = equals(
    "IV-A.2",
    "The detector does not harm the overall performance",
    "Recall and HR after the detector / of clean data",
    (100.0, 1.0),
    "Table I",
)
UNNOTICED = equals(
    "IV-A",
    "The attack keeps the overall performance",
    "Recall and HR attacked / clean",
    (100.0, 1.0),
    "Table I",
)
LOWERS = lowers(
    "IV-A.3",
    "Local reconstruction lowers target HR",
    "target HR after, each setting that changes the data",
    "Table II",
)
KEEPS = keeps(
    "IV-A.3",
    "while the overall performance is kept",
    "HR after / before, each setting that changes the data",
    "Table II",
)
RETURNS = Claim(
    "IV-A.3",
    "[100, 90] returns the data as they are (ours)",
    "largest change of a metric of a victim, clean or attacked",
    Relation.EQUAL,
    Replication.EXACT,
)


def cases(e: LowRankEvidence) -> list[Case]:
    """Return every claim with its estimates, in the paper's order."""
    made = []
    for part in (
        *(_detector, _without_flagged, _local, ranks, transformation, new_ratings),
        *(several_attacks, readings),
    ):
        made += part(e)
    return made


def _detector(e: LowRankEvidence) -> list[Case]:
    best, other = EMPTY, EMPTY
    if "figure2" in e.tables:
        rows = e.tables["figure2"].query("sampling == 'imbalanced'")
        recalls = 100 * rows.pivot_table("recall", "fold", ["kernel", "components"])
        best = recalls.get(("poly2", 20), EMPTY)
        others = recalls.drop(columns=[("poly2", 20)], errors="ignore")
        other = others[others.mean().idxmax()] if len(others.columns) else EMPTY
    return [(FINDS, [estimate("", best)]), (BEST, [estimate("", best, other)])]


def _without_flagged(e: LowRankEvidence) -> list[Case]:
    """Return the claims about recommenders without the users that the detector flags."""
    table = partial(e.values, "table1")
    attacked, after = table("target_HR", "attacked"), table("target_HR", "attacked", "svm")
    unharmed, unnoticed = [], []
    for metric in ("Recall", "HR"):
        clean = table(metric, "none")
        unharmed.append(estimate(metric, percent(table(metric, "attacked", "svm"), clean)))
        unnoticed.append(estimate(metric, percent(table(metric, "attacked"), clean)))
    return [
        (DROPS, [estimate("", 100 * (attacked - after))]),
        (CLOSE, [estimate("", percent(after, table("target_HR", "none")))]),
        (UNHARMED, unharmed),
        (UNNOTICED, unnoticed),
    ]


def _local(e: LowRankEvidence) -> list[Case]:
    """Return the claims of Table II.

    A setting that returns the data as they are is tested exactly, and left out of the others.
    """
    table = partial(e.values, "table2")
    lower, kept = [], []
    for point in e.points("table2"):
        if _largest_change(e, point) == 0:
            continue
        name = f"[{point['patch']}, {point['rank']:.0f}]"
        after = partial(table, attack="attacked", defense="low_rank", **point)
        lower.append(estimate(name, after("target_HR"), table("target_HR", "attacked")))
        kept.append(estimate(name, percent(after("HR"), table("HR", "attacked"))))
    largest = _largest_change(e, {"patch": "100", "rank": 90.0})
    return [(LOWERS, lower), (KEEPS, kept), (RETURNS, [estimate("", pd.Series([largest]))])]


def _largest_change(e: LowRankEvidence, point: dict) -> float:
    """Return the largest change of a metric of Table II by a setting; NaN if not measured."""
    changes = [EMPTY]
    metrics = ("Recall", "HR", "target_Recall", "target_HR")
    for metric, attack in product(metrics, ("none", "attacked")):
        after = e.values("table2", metric, attack, "low_rank", **point)
        changes.append((after - e.values("table2", metric, attack)).abs())
    return float(pd.concat(changes).max())


def report(evidence: LowRankEvidence) -> tuple[str, str]:
    """Return a short answer, and the claims as a table with the effects of the defences.

    Both are "" if nothing is measured.
    """
    verdicts = judge(cases(evidence))
    if all(verdict.word is Word.UNMEASURED for verdict in verdicts):
        return "", ""
    published = {case[0].sentence: case for case in cases(published_evidence())}
    lines = []
    for verdict in verdicts:
        claim = verdict.claim
        fields = [claim.section, claim.sentence, claim.check, claim.published]
        of_paper = follows(*published[claim.sentence])
        lines.append([*fields, of_paper, measured(verdict), stated(verdict)])
    header = ["where", "claim", "check", "published", "follows from its tables"]
    table = markdown([*header, "measured", "verdict"], lines)
    title = "## Claims of the low-rank defences paper\n"
    head = [title, counts(verdicts), "", note(verdicts)]
    return counts(verdicts), "\n".join([*head, table, effects.report(evidence)])
