"""The claims of the low-rank defences paper as data, and their page.

"Lowers", "improves" and "stronger" are strict relations; "is kept" allows for a loss of 5%; a
printed number is an equality, and its margin is said.
"""

from collections.abc import Iterable
from functools import partial
from itertools import product

import pandas as pd

from advrec_tf.evaluation.verdicts import Claim, Relation, Replication, Word, judge
from advrec_tf.reporting import lowrank_effects
from advrec_tf.reporting.lowrank_evidence import (
    NOTHING,
    LowRankEvidence,
    published_evidence,
    values_of,
)
from advrec_tf.reporting.verdict_table import Case, estimate, follows, measured, note, stated
from advrec_tf.reporting.vocabulary import markdown

_victims = partial(Claim, replication=Replication.VICTIM)
_folds = partial(Claim, replication=Replication.FOLD)
KEPT = 95.0  # percent of before that count as kept
GAINS_TO = 120  # rank
ATTACKS = ("recsys19", "recsys20", "recsys19+recsys20")
READINGS = ("dense", "rating_matrix", "weights")  # of a reconstruction, beside that of Table III


def cases(e: LowRankEvidence) -> list[Case]:
    """Every claim with its estimates, in the paper's order; not measured: estimates of nothing."""
    parts = (_detector, _without_the_fakes, _local, _ranks, _transformation, _new_ratings, _attacks)
    return [case for part in (*parts, _readings) for case in part(e)]


def _percent(after: pd.Series, before: pd.Series) -> pd.Series:
    return 100 * after / before


def _name(point: dict) -> str:
    return f"[{point['patch']}, {point['rank']:.0f}]"


def _detector(e: LowRankEvidence) -> list[Case]:
    finds = _folds(
        "IV-A.2", "The SVM finds about 85% of the fakes", "recall of degree 2 at 20 components",
        Relation.EQUAL, reference=85.0, margin=5.0, unit="%", published="85%",
    )  # fmt: skip
    best = _folds(
        "IV-A.2", "Degree 2 at 20 components has the highest recall", "its recall",
        Relation.GREATER_THAN_OTHER, other="that of the best other setting (by its mean)",
        unit="%", published="Figure 2",
    )  # fmt: skip
    rows = e.tables.get("figure2")
    own, other = NOTHING, NOTHING
    if rows is not None:
        rows = rows[rows["sampling"] == "imbalanced"]
        wide = 100 * rows.pivot_table("recall", "fold", ["kernel", "components"])
        own = wide.get(("poly2", 20), NOTHING)
        rest = wide.drop(columns=[("poly2", 20)], errors="ignore")
        other = rest[rest.mean().idxmax()] if len(rest.columns) else NOTHING
    return [(finds, [estimate("", own)]), (best, [estimate("", own, other)])]


def _without_the_fakes(e: LowRankEvidence) -> list[Case]:
    table = partial(e.values, "table1")
    drops = _victims(
        "IV-A.2", "Without the fakes that it finds target HR drops by about 4 points",
        "target HR attacked - after the detector", Relation.EQUAL, reference=4.0, margin=0.5,
        unit="%", published="4% (.1415 to .1095)",
    )  # fmt: skip
    drop = 100 * (table("target_HR", "attacked") - table("target_HR", "attacked", "svm"))
    close = _victims(
        "IV-A.2", "which is very close to clean data",
        "target HR after the detector / of clean data", Relation.EQUAL, reference=100.0,
        margin=10.0, unit="%", published="Table I",
    )  # fmt: skip
    near = _percent(table("target_HR", "attacked", "svm"), table("target_HR", "none"))
    unharmed = _victims(
        "IV-A.2", "The detector does not harm the overall performance",
        "Recall and HR after the detector / of clean data", Relation.EQUAL, reference=100.0,
        margin=1.0, unit="%", published="Table I",
    )  # fmt: skip
    keeps = _victims(
        "IV-A", "The attack keeps the overall performance", "Recall and HR attacked / clean",
        Relation.EQUAL, reference=100.0, margin=1.0, unit="%", published="Table I",
    )  # fmt: skip
    both = ("Recall", "HR")
    after = [estimate(m, _percent(table(m, "attacked", "svm"), table(m, "none"))) for m in both]
    attacked = [estimate(m, _percent(table(m, "attacked"), table(m, "none"))) for m in both]
    return [
        (drops, [estimate("", drop)]), (close, [estimate("", near)]),
        (unharmed, after), (keeps, attacked),
    ]  # fmt: skip


def _local(e: LowRankEvidence) -> list[Case]:
    """A setting that returns the data as they are is judged exactly, and left out of the tests."""
    table, points = partial(e.values, "table2"), e.points("table2")
    same = [p for p in points if _largest_change(e, p) == 0]
    changing = [p for p in points if p not in same]
    lowers = _victims(
        "IV-A.3", "Local reconstruction lowers target HR",
        "target HR after, each setting that changes the data", Relation.LESS_THAN_OTHER,
        other="before", published="Table II",
    )  # fmt: skip
    keeps = _victims(
        "IV-A.3", "while the overall performance is kept",
        "HR after / before, each setting that changes the data", Relation.GREATER, reference=KEPT,
        unit="%", published="Table II",
    )  # fmt: skip
    fallen, kept = [], []
    for p in changing:
        after = {m: table(m, "attacked", "low_rank", **p) for m in ("target_HR", "HR")}
        fallen.append(estimate(_name(p), after["target_HR"], table("target_HR", "attacked")))
        kept.append(estimate(_name(p), _percent(after["HR"], table("HR", "attacked"))))
    returns = Claim(
        "IV-A.3", "[100, 90] returns the data as they are (ours)",
        "largest change of a metric of a victim, clean or attacked", Relation.EQUAL,
        Replication.EXACT,
    )  # fmt: skip
    largest = _largest_change(e, {"patch": "100", "rank": 90.0})
    return [(lowers, fallen), (keeps, kept), (returns, [estimate("", pd.Series([largest]))])]


def _largest_change(e: LowRankEvidence, point: dict) -> float:
    """The largest change of Table II's metrics by a setting, over all victims; NaN: not measured."""
    changes = [NOTHING]
    for metric, attack in product(("Recall", "HR", "target_Recall", "target_HR"), ("none", "attacked")):
        after = e.values("table2", metric, attack, "low_rank", **point)
        changes.append((after - e.values("table2", metric, attack)).abs())
    return float(pd.concat(changes).max())


def _ranks(e: LowRankEvidence) -> list[Case]:
    table = partial(e.values, "figure3", "Recall")
    ranks = [point["rank"] for point in e.points("figure3", names=("rank",))]
    low, high = [r for r in ranks if r <= GAINS_TO], [r for r in ranks if r > GAINS_TO]
    gains = _victims(
        "IV-B.2", "Clean and attacked data gain from low rank up to 120 (PMF)",
        "Recall@10 after, each rank to 120", Relation.GREATER_THAN_OTHER, other="before",
        published="Figure 3",
    )  # fmt: skip
    parts = [
        estimate(f"{name}, rank {rank:.0f}", table(attack, "low_rank", rank=rank), table(attack))
        for (name, attack), rank in product({"clean": "none", "attacked": "attacked"}.items(), low)
    ]
    drops = _victims(
        "IV-B.2", "Ranks above 120 let the attack back in (PMF)",
        "Recall@10 of each rank above 120, attacked", Relation.LESS_THAN_OTHER,
        other="that of the rank to 120 of the highest mean", published="Figure 3",
    )  # fmt: skip
    curve = {rank: table("attacked", "low_rank", rank=rank) for rank in ranks}
    best = curve[max(low, key=lambda rank: curve[rank].mean())] if low else NOTHING
    lost = [estimate(f"rank {rank:.0f}", curve[rank], best) for rank in high]
    dims = _victims(
        "IV-B.2", "Low-rank reconstruction improves PMF of every length",
        "Recall@10 after, each length and rank, attacked", Relation.GREATER_THAN_OTHER,
        other="before", published="Figure 4",
    )  # fmt: skip
    return [(gains, parts), (drops, lost), (dims, [_of_length(e, p) for p in _lengths(e)])]


def _lengths(e: LowRankEvidence) -> list[dict]:
    return e.points("figure4", names=("model", "rank"))


def _of_length(e: LowRankEvidence, point: dict):
    after = e.values("figure4", "Recall", "attacked", "low_rank", **point)
    before = e.values("figure4", "Recall", "attacked", model=point["model"])
    return estimate(f"{point['model']}, rank {point['rank']:.0f}", after, before)


def _transformation(e: LowRankEvidence) -> list[Case]:
    table = partial(e.values, "figure5", "Recall", "attacked")
    improves = _victims(
        "IV-B.2", "The transformation alone improves (PMF)", "Recall@10 after, each rank, attacked",
        Relation.GREATER_THAN_OTHER, other="before", published="Figure 5",
    )  # fmt: skip
    ranks = [point["rank"] for point in e.points("figure5", "transformation", ("rank",))]
    better = [estimate(f"rank {r:.0f}", table("transformation", rank=r), table()) for r in ranks]
    return [(improves, better)]


def _new_ratings(e: LowRankEvidence) -> list[Case]:
    def recall(rank: int, share: int, transformed: bool) -> pd.Series:
        defense = "new ratings + transformation" if transformed else "new ratings"
        return e.values("figure6", "Recall", "attacked", defense, rank=rank, share=share)

    ranks = [int(point["rank"]) for point in e.points("figure6", "new ratings", ("rank",))]
    nothing = _victims(
        "IV-B.2", "New ratings change nothing at rank 50 (PMF)", "Recall@10 with all / with none",
        Relation.EQUAL, reference=100.0, margin=5.0, unit="%", published="Figure 6",
    )  # fmt: skip
    helps = _victims(
        "IV-B.2", "New ratings help at rank 150 (PMF)", "Recall@10 with all",
        Relation.GREATER_THAN_OTHER, other="with none", published="Figure 6",
    )  # fmt: skip
    more = _victims(
        "IV-B.2", "The transformation gains much more than new ratings (PMF)",
        "gain of Recall@10 by the transformation alone, each rank", Relation.GREATER_THAN_OTHER,
        other="by all new ratings alone", published="Figure 6",
    )  # fmt: skip
    gains = [estimate(f"rank {r}", recall(r, 0, True) - recall(r, 0, False), recall(r, 100, False) - recall(r, 0, False)) for r in ranks]
    together = _victims(
        "IV-B.2", "Transformation and new ratings help more together than alone (PMF)",
        "Recall@10 with both, each rank", Relation.GREATER_THAN_OTHER,
        other="with either alone", published="Figure 6",
    )  # fmt: skip
    alone = {"transformation": (0, True), "new ratings": (100, False)}.items()
    jointly = [estimate(f"rank {r}, {name}", recall(r, 100, True), recall(r, *how)) for r, (name, how) in product(ranks, alone)]
    found: list[Case] = [
        (nothing, [estimate("", _percent(recall(50, 100, False), recall(50, 0, False)))]),
        (helps, [estimate("", recall(150, 100, False), recall(150, 0, False))]),
        (more, gains), (together, jointly),
    ]  # fmt: skip
    for sentence, share, relation in (
        ("slightly without new ratings (read as: by less than 10%)", 0, Relation.LESS),
        ("significantly with all of them (read as: by more than 10%)", 100, Relation.GREATER),
    ):
        claim = _victims(
            "IV-B.2", f"The transformation improves {sentence} (PMF)",
            f"Recall@10 after / before, {share}% of new ratings, each rank", relation,
            reference=110.0, unit="%", published="Figure 6",
        )  # fmt: skip
        parts = [estimate(f"rank {r}", _percent(recall(r, share, True), recall(r, share, False))) for r in ranks]
        found.append((claim, parts))
    mimic = _victims(
        "IV-B.2", "Ranks 100 and 200 behave as 50 and 150 (PMF)", "Recall@10 at 100 / at 50",
        Relation.EQUAL, reference=100.0, margin=5.0, unit="%", published="no plot",
    )  # fmt: skip
    other = [estimate("", _percent(recall(100, 100, False), recall(50, 100, False)))]
    return [*found, (mimic, other)]


def _attacks(e: LowRankEvidence) -> list[Case]:
    """Of undefended victims there are more seeds where RecSys19 is taken apart."""
    undefended = "recsys19" if "recsys19" in e.tables else "table3"

    def target_hr(attack: str) -> pd.Series:
        return e.values(undefended, "target_HR", attack, model="WRMF")

    raises = _victims(
        "IV-C", "RecSys19 raises target HR from .1432 to .1505", "target HR under RecSys19",
        Relation.GREATER_THAN_OTHER, other="on clean data", published=".1432, .1505",
    )  # fmt: skip
    stronger = _victims(
        "IV-C", "Both attacks together are stronger than each", "target HR under both",
        Relation.GREATER_THAN_OTHER, other="under each", published="Table III",
    )  # fmt: skip
    together = [estimate(a, target_hr(ATTACKS[2]), target_hr(a)) for a in ATTACKS[:2]]
    point = (e.points("table3") or [{}])[0]
    table = partial(e.values, "table3")
    lower = {a: estimate(a, table("target_HR", a, "low_rank", **point), table("target_HR", a)) for a in ATTACKS}
    falls = _victims(
        "IV-C", "Under both together reconstruction lowers target HR", "target HR after",
        Relation.LESS_THAN_OTHER, other="before", published=".2354, .1569",
    )  # fmt: skip
    every = _victims(
        "IV-C", "Reconstruction lowers target HR under every attack", "target HR after",
        Relation.LESS_THAN_OTHER, other="before", published="Table III",
    )  # fmt: skip
    keeps = _victims(
        "abstract", "Reconstruction keeps the overall performance (Table III)",
        "HR after / before, each attack and clean data", Relation.GREATER, reference=KEPT,
        unit="%", published="Table III",
    )  # fmt: skip
    kept = [estimate(a, _percent(table("HR", a, "low_rank", **point), table("HR", a))) for a in ("none", *ATTACKS)]
    return [
        (raises, [estimate("", target_hr("recsys19"), target_hr("none"))]), (stronger, together),
        (falls, [lower[ATTACKS[2]]]), (every, list(lower.values())), (keeps, kept),
    ]  # fmt: skip


def _readings(e: LowRankEvidence) -> list[Case]:
    """Table III once more, where a reconstruction enters the victim in another way."""
    rows, found = e.controls.get("ml-100k"), []
    for reading in READINGS:
        lowers = _victims(
            "IV-C", f"Reconstruction lowers target HR, entered as {reading}",
            "target HR after, each attack", Relation.LESS_THAN_OTHER, other="before",
            published="Table III",
        )  # fmt: skip
        keeps = _victims(
            "abstract", f"and keeps the overall performance, entered as {reading}",
            "HR after / before, each attack", Relation.GREATER, reference=KEPT, unit="%",
            published="Table III",
        )  # fmt: skip
        lower, kept = [], []
        for attack in ATTACKS[1:]:
            after, before = (
                {m: NOTHING if rows is None else values_of(rows, m, attack, d) for m in ("target_HR", "HR")} for d in (f"low_rank:{reading}", "none")
            )
            lower.append(estimate(attack, after["target_HR"], before["target_HR"]))
            kept.append(estimate(attack, _percent(after["HR"], before["HR"])))
        found += [(lowers, lower), (keeps, kept)]
    return found


def report(evidence: LowRankEvidence) -> str:
    """The claims as a table, and what the defences do to the targets; "" for nothing measured."""
    verdicts = judge(cases(evidence))
    if all(verdict.word is Word.UNMEASURED for verdict in verdicts):
        return ""
    printed = _by_sentence(cases(published_evidence()))
    lines = []
    for verdict in verdicts:
        claim = verdict.claim
        fields = [claim.section, claim.sentence, claim.check, claim.published]
        own = follows(*printed[claim.sentence])
        lines.append([*fields, own, measured(verdict), stated(verdict)])
    header = ["where", "claim", "check", "published", "follows from its tables", "measured", "verdict"]
    table = markdown(header, lines)
    title = "## Claims of the low-rank defences paper\n"
    return "\n".join([title, note(verdicts), table, lowrank_effects.report(evidence)])


def _by_sentence(found: Iterable[Case]) -> dict[str, Case]:
    return {case[0].sentence: case for case in found}
