"""The claims of the low-rank defences paper about PMF (section IV-B)."""

from functools import partial
from itertools import product

import pandas as pd

from advrec_tf.evaluation.verdicts import Claim, Relation, Replication
from advrec_tf.reporting.verdict_table import Case, estimate, percent

from .claim_kinds import equals, exceeds, lowers
from .evidence import EMPTY, LowRankEvidence

GAINS_TO = 120  # rank
GAINS = exceeds(
    "IV-B.2",
    "Clean and attacked data gain from low rank up to 120 (PMF)",
    "Recall@10 after, each rank to 120",
    "before",
    "Figure 3",
)
DROPS = lowers(
    "IV-B.2",
    "Ranks above 120 let the attack back in (PMF)",
    "Recall@10 of each rank above 120, attacked",
    "Figure 3",
    "that of the rank to 120 of the highest mean",
)
EVERY_LENGTH = exceeds(
    "IV-B.2",
    "Low-rank reconstruction improves PMF of every length",
    "Recall@10 after, each length and rank, attacked",
    "before",
    "Figure 4",
)
IMPROVES = exceeds(
    "IV-B.2",
    "The transformation alone improves (PMF)",
    "Recall@10 after, each rank, attacked",
    "before",
    "Figure 5",
)
UNCHANGED = equals(
    "IV-B.2",
    "New ratings change nothing at rank 50 (PMF)",
    "Recall@10 with all / with none",
    (100.0, 5.0),
    "Figure 6",
)
HELPS = exceeds(
    "IV-B.2",
    "New ratings help at rank 150 (PMF)",
    "Recall@10 with all",
    "with none",
    "Figure 6",
)
GAINS_MORE = exceeds(
    "IV-B.2",
    "The transformation gains much more than new ratings (PMF)",
    "gain of Recall@10 by the transformation alone, each rank",
    "by all new ratings alone",
    "Figure 6",
)
TOGETHER = exceeds(
    "IV-B.2",
    "Transformation and new ratings help more together than alone (PMF)",
    "Recall@10 with both, each rank",
    "with either alone",
    "Figure 6",
)
# By the share of new ratings: how much the transformation improves, and the relation to 10%.
IMPROVEMENTS = {
    0: ("slightly without new ratings (read as: by less than 10%)", Relation.LESS),
    100: ("significantly with all of them (read as: by more than 10%)", Relation.GREATER),
}
MIMICS = equals(
    "IV-B.2",
    "Ranks 100 and 200 behave as 50 and 150 (PMF)",
    "Recall@10 at 100 / at 50",
    (100.0, 5.0),
    "no plot",
)


def ranks(e: LowRankEvidence) -> list[Case]:
    """Return the claims of Figures 3 and 4: what low-rank reconstruction does to Recall."""
    table = partial(e.values, "figure3", "Recall")
    every = [point["rank"] for point in e.points("figure3", names=("rank",))]
    low, high = [r for r in every if r <= GAINS_TO], [r for r in every if r > GAINS_TO]
    attacks = {"clean": "none", "attacked": "attacked"}
    gains = [
        estimate(f"{name}, rank {rank:.0f}", table(attack, "low_rank", rank=rank), table(attack))
        for (name, attack), rank in product(attacks.items(), low)
    ]
    curve = {rank: table("attacked", "low_rank", rank=rank) for rank in every}
    best = curve[max(low, key=lambda rank: curve[rank].mean())] if low else EMPTY
    drops = [estimate(f"rank {rank:.0f}", curve[rank], best) for rank in high]
    return [(GAINS, gains), (DROPS, drops), _every_length(e)]


def _every_length(e: LowRankEvidence) -> Case:
    recall = partial(e.values, "figure4", "Recall", "attacked")
    lengths = []
    for point in e.points("figure4", names=("model", "rank")):
        name, before = f"{point['model']}, rank {point['rank']:.0f}", recall(model=point["model"])
        lengths.append(estimate(name, recall("low_rank", **point), before))
    return EVERY_LENGTH, lengths


def transformation(e: LowRankEvidence) -> list[Case]:
    """Return the claim of Figure 5: what the transformation alone does to Recall."""
    table = partial(e.values, "figure5", "Recall", "attacked")
    better = []
    for point in e.points("figure5", "transformation", ("rank",)):
        name = f"rank {point['rank']:.0f}"
        better.append(estimate(name, table("transformation", **point), table()))
    return [(IMPROVES, better)]


def new_ratings(e: LowRankEvidence) -> list[Case]:
    """Return the claims of Figure 6: new ratings with and without the transformation."""
    recall = partial(_recall, e)
    more, together = [], []
    improvements: dict[int, list] = {share: [] for share in IMPROVEMENTS}
    for point in e.points("figure6", "new ratings", ("rank",)):
        rank, name = int(point["rank"]), f"rank {point['rank']:.0f}"
        before, added = recall(rank, 0), recall(rank, 100)
        transformed, both = recall(rank, 0, True), recall(rank, 100, True)
        more.append(estimate(name, transformed - before, added - before))
        together.append(estimate(f"{name}, transformation", both, transformed))
        together.append(estimate(f"{name}, new ratings", both, added))
        improvements[0].append(estimate(name, percent(transformed, before)))
        improvements[100].append(estimate(name, percent(both, added)))
    return [
        (UNCHANGED, [estimate("", percent(recall(50, 100), recall(50, 0)))]),
        (HELPS, [estimate("", recall(150, 100), recall(150, 0))]),
        (GAINS_MORE, more),
        (TOGETHER, together),
        *((_improves_by(share), parts) for share, parts in improvements.items()),
        (MIMICS, [estimate("", percent(recall(100, 100), recall(50, 100)))]),
    ]


def _recall(e: LowRankEvidence, rank: int, share: int, is_transformed: bool = False) -> pd.Series:
    defense = "new ratings + transformation" if is_transformed else "new ratings"
    return e.values("figure6", "Recall", "attacked", defense, rank=rank, share=share)


def _improves_by(share: int) -> Claim:
    words, relation = IMPROVEMENTS[share]
    return Claim(
        "IV-B.2",
        f"The transformation improves {words} (PMF)",
        f"Recall@10 after / before, {share}% of new ratings, each rank",
        relation,
        Replication.VICTIM,
        reference=110.0,
        unit="%",
        published="Figure 6",
    )
