"""The claims of the low-rank paper about PMF (section IV-B) as data."""

from functools import partial
from itertools import product

import pandas as pd

from advrec_tf.evaluation.verdicts import Claim, Estimate, Relation, Replication
from advrec_tf.reporting.verdict_table import Case, estimate, percent

from .evidence import NOTHING, LowRankEvidence

_victims = partial(Claim, replication=Replication.VICTIM)
GAINS_TO = 120  # rank


def ranks(e: LowRankEvidence) -> list[Case]:
    """Claims of Figures 3 and 4: what low-rank reconstruction does to Recall."""
    table = partial(e.values, "figure3", "Recall")
    every = [point["rank"] for point in e.points("figure3", names=("rank",))]
    low, high = [r for r in every if r <= GAINS_TO], [r for r in every if r > GAINS_TO]
    gains = _victims(
        "IV-B.2",
        "Clean and attacked data gain from low rank up to 120 (PMF)",
        "Recall@10 after, each rank to 120",
        Relation.GREATER_THAN_OTHER,
        other="before",
        published="Figure 3",
    )
    parts = [
        estimate(f"{name}, rank {rank:.0f}", table(attack, "low_rank", rank=rank), table(attack))
        for (name, attack), rank in product({"clean": "none", "attacked": "attacked"}.items(), low)
    ]
    drops = _victims(
        "IV-B.2",
        "Ranks above 120 let the attack back in (PMF)",
        "Recall@10 of each rank above 120, attacked",
        Relation.LESS_THAN_OTHER,
        other="that of the rank to 120 of the highest mean",
        published="Figure 3",
    )
    curve = {rank: table("attacked", "low_rank", rank=rank) for rank in every}
    best = curve[max(low, key=lambda rank: curve[rank].mean())] if low else NOTHING
    lost = [estimate(f"rank {rank:.0f}", curve[rank], best) for rank in high]
    dims = _victims(
        "IV-B.2",
        "Low-rank reconstruction improves PMF of every length",
        "Recall@10 after, each length and rank, attacked",
        Relation.GREATER_THAN_OTHER,
        other="before",
        published="Figure 4",
    )
    return [(gains, parts), (drops, lost), (dims, [_of_length(e, p) for p in _lengths(e)])]


def _lengths(e: LowRankEvidence) -> list[dict]:
    return e.points("figure4", names=("model", "rank"))


def _of_length(e: LowRankEvidence, point: dict) -> Estimate:
    after = e.values("figure4", "Recall", "attacked", "low_rank", **point)
    before = e.values("figure4", "Recall", "attacked", model=point["model"])
    return estimate(f"{point['model']}, rank {point['rank']:.0f}", after, before)


def transformation(e: LowRankEvidence) -> list[Case]:
    """Claims of Figure 5: what the transformation alone does to Recall."""
    table = partial(e.values, "figure5", "Recall", "attacked")
    improves = _victims(
        "IV-B.2",
        "The transformation alone improves (PMF)",
        "Recall@10 after, each rank, attacked",
        Relation.GREATER_THAN_OTHER,
        other="before",
        published="Figure 5",
    )
    ranks = [point["rank"] for point in e.points("figure5", "transformation", ("rank",))]
    better = [estimate(f"rank {r:.0f}", table("transformation", rank=r), table()) for r in ranks]
    return [(improves, better)]


def new_ratings(e: LowRankEvidence) -> list[Case]:
    """Claims of Figure 6: new ratings with and without the transformation."""

    def recall(rank: int, share: int, transformed: bool) -> pd.Series:
        defense = "new ratings + transformation" if transformed else "new ratings"
        return e.values("figure6", "Recall", "attacked", defense, rank=rank, share=share)

    ranks = [int(point["rank"]) for point in e.points("figure6", "new ratings", ("rank",))]
    nothing = _victims(
        "IV-B.2",
        "New ratings change nothing at rank 50 (PMF)",
        "Recall@10 with all / with none",
        Relation.EQUAL,
        reference=100.0,
        margin=5.0,
        unit="%",
        published="Figure 6",
    )
    helps = _victims(
        "IV-B.2",
        "New ratings help at rank 150 (PMF)",
        "Recall@10 with all",
        Relation.GREATER_THAN_OTHER,
        other="with none",
        published="Figure 6",
    )
    more = _victims(
        "IV-B.2",
        "The transformation gains much more than new ratings (PMF)",
        "gain of Recall@10 by the transformation alone, each rank",
        Relation.GREATER_THAN_OTHER,
        other="by all new ratings alone",
        published="Figure 6",
    )
    gains = []
    for r in ranks:
        before = recall(r, 0, False)
        both = recall(r, 0, True) - before, recall(r, 100, False) - before
        gains.append(estimate(f"rank {r}", *both))
    together = _victims(
        "IV-B.2",
        "Transformation and new ratings help more together than alone (PMF)",
        "Recall@10 with both, each rank",
        Relation.GREATER_THAN_OTHER,
        other="with either alone",
        published="Figure 6",
    )
    alone = {"transformation": (0, True), "new ratings": (100, False)}.items()
    jointly = []
    for r, (name, how) in product(ranks, alone):
        jointly.append(estimate(f"rank {r}, {name}", recall(r, 100, True), recall(r, *how)))
    found: list[Case] = [
        (nothing, [estimate("", percent(recall(50, 100, False), recall(50, 0, False)))]),
        (helps, [estimate("", recall(150, 100, False), recall(150, 0, False))]),
        (more, gains),
        (together, jointly),
    ]
    for sentence, share, relation in (
        ("slightly without new ratings (read as: by less than 10%)", 0, Relation.LESS),
        ("significantly with all of them (read as: by more than 10%)", 100, Relation.GREATER),
    ):
        claim = _victims(
            "IV-B.2",
            f"The transformation improves {sentence} (PMF)",
            f"Recall@10 after / before, {share}% of new ratings, each rank",
            relation,
            reference=110.0,
            unit="%",
            published="Figure 6",
        )
        changes = {r: percent(recall(r, share, True), recall(r, share, False)) for r in ranks}
        found.append((claim, [estimate(f"rank {r}", change) for r, change in changes.items()]))
    mimic = _victims(
        "IV-B.2",
        "Ranks 100 and 200 behave as 50 and 150 (PMF)",
        "Recall@10 at 100 / at 50",
        Relation.EQUAL,
        reference=100.0,
        margin=5.0,
        unit="%",
        published="no plot",
    )
    other = [estimate("", percent(recall(100, 100, False), recall(50, 100, False)))]
    return [*found, (mimic, other)]
