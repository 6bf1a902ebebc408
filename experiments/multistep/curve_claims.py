"""The paper's claims that Figures 1 and 2 decide."""

from functools import partial
from itertools import product

import pandas as pd

from advrec_tf.evaluation.verdicts import Claim, Estimate, Relation, Replication
from advrec_tf.reporting.verdict_table import Case, estimate

from . import curves, paper
from .evidence import EMPTY, Evidence
from .labels import BIM, FGSM, MODELS, PGD
from .table1_claims import MULTI_STEP_COLUMNS
from .table1_tables import NEAR

ATTACKS = {"BIM": BIM, "PGD": PGD}
DESTROYED_FROM = 70  # iterations
_claim = partial(Claim, replication=Replication.TRAINING)


def ratios(evidence: Evidence) -> list[Case]:
    """Return the claims on how many times stronger than FGSM PGD is."""
    cases: list[Case] = []
    for (model, steps), (value, times) in paper.PGD.items():
        claim = _claim(
            "5.1.1 (LastFM)",
            f"{model}: PGD is {times} times stronger than FGSM at L = {steps}",
            f"nDCG of FGSM / of PGD at L = {steps}, Figure 1",
            Relation.EQUAL,
            reference=times,
            margin=times * NEAR / 100,
            published=f"{times} (FGSM / {value:.4f})",
        )
        ratio = evidence.after(1, model, FGSM) / evidence.after(steps, model, PGD)
        cases.append((claim, [estimate("", ratio)]))
    return cases


def against_random(evidence: Evidence) -> list[Case]:
    """Return the claims that compare attacked models with a random recommender."""
    floor, left = evidence.clean("Random"), evidence.after(25, "BPR-MF", PGD)
    worse = partial(_claim, relation=Relation.LESS_THAN_OTHER, other="a random recommender's")
    near = _claim(
        "5.1.1 (LastFM)",
        "BPR-MF at L = 25 is similar to a random recommender",
        "(nDCG of PGD at L = 25 - random) / clean nDCG, Figure 1",
        Relation.EQUAL,
        margin=5.0,
        unit="%",
        published=".0080",
    )
    share = 100 * (left - floor) / evidence.clean("BPR-MF")
    below = worse(
        "6 (i)", "Perturbed BPR-MF becomes worse than random", "lowest nDCG over L, Figure 1"
    )
    beyond = worse(
        "5.1.1",
        "and even worse with respect to beyond-accuracy metrics",
        "each beyond-accuracy cell of BPR-MF under BIM and PGD, Table 1",
    )
    cells = []
    for metric, column in product(("EFD", "SE", "ICov"), MULTI_STEP_COLUMNS):
        cell = evidence.cell("BPR-MF", metric, column)
        others = evidence.cell("Random", metric, "initial")
        cells.append(estimate(f"{metric} {column}", cell, others))
    above = _claim(
        "5.1.1",
        "AMF never falls to random",
        "lowest nDCG over L, Figure 1",
        Relation.GREATER_THAN_OTHER,
        other="a random recommender's",
        published="Figure 1b",
    )
    bprmf, amf = (_lowest_beside(evidence, model, floor) for model in MODELS)
    return [(near, [estimate("", share)]), (below, bprmf), (beyond, cells), (above, amf)]


def _lowest_beside(evidence: Evidence, model: str, floor: pd.Series) -> list[Estimate]:
    """Return the lowest nDCG over L beside a random recommender's, for each attack."""
    lowest = {label: evidence.lowest(model, attack) for label, attack in ATTACKS.items()}
    return [estimate(label, values, floor) for label, values in lowest.items()]


def coverage(evidence: Evidence) -> list[Case]:
    """Return the claims on the item coverage of BPR-MF under BIM."""
    clean, curve = evidence.clean("BPR-MF", "ICov"), evidence.curve("BPR-MF", BIM, "ICov")
    initial, at_25, lowest = paper.ICOV.values()
    rises = _claim(
        "5.1.1 (LastFM)",
        "BPR-MF: ICov rises by 76% in the first 25 iterations of BIM",
        "ICov at L = 25 / initial - 1, Figure 1",
        Relation.EQUAL,
        reference=76.0,
        margin=5.0,
        unit="%",
        published=f"{initial} to {at_25}",
    )
    falls = _claim(
        "5.1.1 (LastFM)",
        "and falls to a minimum of 1,948, which is 31% of the initial",
        "lowest ICov of BIM after L = 25 / initial, Figure 1",
        Relation.EQUAL,
        reference=round(100 * lowest / initial, 1),
        margin=5.0,
        unit="%",
        published=str(lowest),
    )
    destroys = _claim(
        "5.1.1 (LastFM)",
        f"L >= {DESTROYED_FROM} destroys coverage",
        f"highest ICov of BIM at L >= {DESTROYED_FROM}, Figure 1",
        Relation.LESS_THAN_OTHER,
        other="the initial ICov",
        published="Figure 1c",
    )
    later = curve.loc[:, curve.columns > 25].min(axis=1)
    destroyed = curve.loc[:, curve.columns >= DESTROYED_FROM].max(axis=1)
    return [
        (rises, [estimate("", 100 * (curve.get(25, EMPTY) / clean - 1))]),
        (falls, [estimate("", 100 * later / clean)]),
        (destroys, [estimate("", destroyed, clean)]),
    ]


def budget(evidence: Evidence) -> list[Case]:
    """Return the claims on how many iterations and what epsilon multi-step attacks need."""
    elbow = _claim(
        "5.1.2 (LastFM)",
        "25 iterations are the elbow of Figure 1a (read as: 90% of the fall)",
        "fall of BPR-MF's nDCG by L = 25 / to its lowest, Figure 1",
        Relation.GREATER,
        reference=90.0,
        unit="%",
        published="Figure 1a",
    )
    clean, reached = evidence.clean("BPR-MF"), []
    for label, attack in ATTACKS.items():
        fall = clean - evidence.after(25, "BPR-MF", attack)
        share = fall / (clean - evidence.lowest("BPR-MF", attack))
        reached.append(estimate(label, 100 * share))
    less = _claim(
        "5.1.2",
        "Multi-step does FGSM's harm with 5 times less budget",
        ".5 / epsilon of equal nDCG, Figure 2",
        Relation.EQUAL,
        reference=5.0,
        margin=0.5,
        published="5 (epsilon about .1)",
    )
    times = []
    for model, label in product(MODELS, ATTACKS):
        times.append(estimate(f"{model} {label}", _times_less(evidence, model, label)))
    return [(elbow, reached), (less, times)]


def _times_less(evidence: Evidence, model: str, attack: str) -> pd.Series:
    """Return by seed how many times less epsilon than FGSM an attack needs for the same harm."""
    if evidence.budget is None:
        return EMPTY
    table = curves.equal_harm_table(evidence.budget)
    chosen = (table["model"] == model) & (table["attack"] == attack)
    return table[chosen].set_index("seed")["times less"]
