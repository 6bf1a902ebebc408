"""The claims of the multi-step perturbations paper as data, and their page.

How a sentence is read is said here, once.  "At least", "more than" and "falls" are strict
relations; a number that the paper prints is an equality, within 5% of it (as a cell of Table 1)
unless the field says otherwise.
"""

from collections.abc import Sequence
from functools import partial
from itertools import product

import pandas as pd

from advrec_tf.data import NAMES as DATA_SETS
from advrec_tf.evaluation import NAMES
from advrec_tf.evaluation.verdicts import Claim, Estimate, Relation, Replication, Word, judge
from advrec_tf.reporting.verdict_table import Case, estimate, follows, measured, note, stated
from advrec_tf.reporting.vocabulary import markdown

from . import characteristics_claims, curves
from .evidence import (
    BIM,
    NOTHING,
    PGD,
    PUBLISHED_ICOV,
    PUBLISHED_PGD,
    Attack,
    Evidence,
    published_evidence,
)
from .labels import FGSM, MODELS, first_selection
from .table1_tables import NEAR

MULTI = {"bim": BIM, "pgd": PGD}
PUBLISHED_DATA = ("lastfm", "ml-1m")
DESTROYED_FROM = 70  # iterations
_trained = partial(Claim, replication=Replication.TRAINING)


def cases(e: Evidence) -> list[Case]:
    """Every claim with its estimates; what was not measured has estimates of nothing."""
    parts = (_single_and_multi, _printed_ratios, _random, _coverage, _beyond_accuracy, _defence)
    more = (_budget, characteristics_claims.slopes, characteristics_claims.printed, _ours)
    return [case for part in (*parts, *more) for case in part(e)]


def _fall(e: Evidence, model: str, metric: str, column: str) -> pd.Series:
    """How much of a metric an attack of Table 1 takes, in percent."""
    return 100 * (1 - e.cell(model, metric, column) / e.cell(model, metric, "initial"))


def _single_and_multi(e: Evidence) -> list[Case]:
    beats = _trained(
        "5.1.1",
        "Multi-step beats FGSM for every model and metric",
        "each cell of BIM and PGD, Table 1",
        Relation.LESS_THAN_OTHER,
        other="FGSM's cell",
        published="Table 1",
    )
    cells = [(m, metric, column) for m in MODELS for metric in NAMES for column in MULTI]
    lower = [estimate(" ".join(c), e.cell(*c), e.cell(*c[:2], "fgsm")) for c in cells]
    twice = _trained(
        "5.1.1 (ML-1M)",
        "PGD reduces BPR-MF's accuracy by more than 2 times compared to FGSM",
        "FGSM / PGD, Table 1",
        Relation.GREATER,
        reference=2.0,
        published="2.11, 2.10, 2.14",
    )
    own = partial(e.cell, "BPR-MF")
    ratios = {m: own(m, "fgsm") / own(m, "pgd") for m in ("PR", "RE", "nDCG")}
    found: list[Case] = [(beats, lower), (twice, [estimate(*each) for each in ratios.items()])]
    for model in MODELS:
        same = _trained(
            "5.1.1",
            f"{model}: PGD has no clear advantage over BIM",
            "nDCG of PGD / BIM - 1, Table 1",
            Relation.EQUAL,
            margin=10.0,
            unit="%",
            published="Table 1",
        )
        change = 100 * (e.cell(model, "nDCG", "pgd") / e.cell(model, "nDCG", "bim") - 1)
        found.append((same, [estimate("", change)]))
    return found


def _printed_ratios(e: Evidence) -> list[Case]:
    found: list[Case] = []
    for (model, steps), (value, times) in PUBLISHED_PGD.items():
        claim = _trained(
            "5.1.1 (LastFM)",
            f"{model}: PGD is {times} times stronger than FGSM at L = {steps}",
            f"nDCG of FGSM / of PGD at L = {steps}, Figure 1",
            Relation.EQUAL,
            reference=times,
            margin=times * NEAR / 100,
            published=f"{times} (FGSM / {value:.4f})",
        )
        ratio = e.at(model, FGSM, 1) / e.at(model, PGD, steps)
        found.append((claim, [estimate("", ratio)]))
    return found


def _random(e: Evidence) -> list[Case]:
    random, left = e.clean("Random"), e.curve("BPR-MF", PGD).get(25, NOTHING)
    near = _trained(
        "5.1.1 (LastFM)",
        "BPR-MF at L = 25 is similar to a random recommender",
        "(nDCG of PGD at L = 25 - random) / clean nDCG, Figure 1",
        Relation.EQUAL,
        margin=5.0,
        unit="%",
        published=".0080",
    )
    share = 100 * (left - random) / e.clean("BPR-MF")
    worse = _trained(
        "6 (i)",
        "Perturbed BPR-MF becomes worse than random",
        "lowest nDCG over L, Figure 1",
        Relation.LESS_THAN_OTHER,
        other="a random recommender's",
    )
    lowest = _lowest_beside(e, "BPR-MF", random)
    beyond = _trained(
        "5.1.1",
        "and even worse with respect to beyond-accuracy metrics",
        "each beyond-accuracy cell of BPR-MF under BIM and PGD, Table 1",
        Relation.LESS_THAN_OTHER,
        other="a random recommender's",
    )
    below = []
    for metric, attack in product(("EFD", "SE", "ICov"), MULTI):
        floor = e.cell("Random", metric, "initial")
        below.append(estimate(f"{metric} {attack}", e.cell("BPR-MF", metric, attack), floor))
    above = _trained(
        "5.1.1",
        "AMF never falls to random",
        "lowest nDCG over L, Figure 1",
        Relation.GREATER_THAN_OTHER,
        other="a random recommender's",
        published="Figure 1b",
    )
    amf = _lowest_beside(e, "AMF", random)
    return [(near, [estimate("", share)]), (worse, lowest), (beyond, below), (above, amf)]


def _lowest_beside(e: Evidence, model: str, random: pd.Series) -> list[Estimate]:
    """The lowest nDCG of a model over L beside a random recommender's, for each attack."""
    return [estimate(a.upper(), _lowest(e, model, by), random) for a, by in MULTI.items()]


def _lowest(e: Evidence, model: str, attack: Attack) -> pd.Series:
    curve = e.curve(model, attack)
    return curve.min(axis=1) if len(curve) else NOTHING


def _coverage(e: Evidence) -> list[Case]:
    clean, curve = e.clean("BPR-MF", "ICov"), e.curve("BPR-MF", BIM, "ICov")
    initial, (at_25, lowest) = 6220, PUBLISHED_ICOV.values()
    rises = _trained(
        "5.1.1 (LastFM)",
        "BPR-MF: ICov rises by 76% in the first 25 iterations of BIM",
        "ICov at L = 25 / initial - 1, Figure 1",
        Relation.EQUAL,
        reference=76.0,
        margin=5.0,
        unit="%",
        published=f"{initial} to {at_25}",
    )
    later = curve[[n for n in curve.columns if n > 25]].min(axis=1) if len(curve) else NOTHING
    falls = _trained(
        "5.1.1 (LastFM)",
        "and falls to a minimum of 1,948, which is 31% of the initial",
        "lowest ICov of BIM after L = 25 / initial, Figure 1",
        Relation.EQUAL,
        reference=round(100 * lowest / initial, 1),
        margin=5.0,
        unit="%",
        published=str(lowest),
    )
    destroys = _trained(
        "5.1.1 (LastFM)",
        f"L >= {DESTROYED_FROM} destroys coverage",
        f"highest ICov of BIM at L >= {DESTROYED_FROM}, Figure 1",
        Relation.LESS_THAN_OTHER,
        other="the initial ICov",
        published="Figure 1c",
    )
    far = [n for n in curve.columns if n >= DESTROYED_FROM]
    highest = curve[far].max(axis=1) if far else NOTHING
    return [
        (rises, [estimate("", 100 * (curve.get(25, NOTHING) / clean - 1))]),
        (falls, [estimate("", 100 * later / clean)]),
        (destroys, [estimate("", highest, clean)]),
    ]


def _beyond_accuracy(e: Evidence) -> list[Case]:
    found: list[Case] = []
    for metric, least in (("EFD", 50), ("SE", 20)):
        claim = _trained(
            "5.1.1",
            f"{metric} falls by at least {least}%, whatever model and attack",
            f"1 - {metric} of BIM and of PGD / initial, Table 1",
            Relation.GREATER,
            reference=float(least),
            unit="%",
            published="Table 1",
        )
        cells = product(MODELS, MULTI)
        found.append((claim, [estimate(f"{m} {a}", _fall(e, m, metric, a)) for m, a in cells]))
    return found


def _defence(e: Evidence) -> list[Case]:
    starts = _trained(
        "5.1.1",
        "AMF starts above BPR-MF",
        "initial nDCG of AMF, Table 1",
        Relation.GREATER_THAN_OTHER,
        other="BPR-MF's",
        published="Table 1",
    )
    bprmf, amf = (e.cell(model, "nDCG", "initial") for model in MODELS)
    found: list[Case] = [(starts, [estimate("", amf, bprmf)])]
    for what, column in (("of Eq. 4", "fgsm"), ("after PGD", "fgsm after pgd")):
        claim = _trained(
            "5.1.1 (LastFM)",
            f"AMF loses 11.31% to FGSM (gradient {what})",
            f"1 - nDCG of FGSM {what} / initial, Table 1",
            Relation.EQUAL,
            reference=11.31,
            margin=1.0,
            unit="%",
            published="11.31%",
        )
        found.append((claim, [estimate("", _fall(e, "AMF", "nDCG", column))]))
    mean = sum(_fall(e, "AMF", "nDCG", a) for a in MULTI) / len(MULTI)
    for section, sentence, least in (
        ("5.1.1 (LastFM)", "AMF loses more than 58% on average to multi-step", 58.0),
        ("6 (ii)", "Even AMF can lose half of its performance (read as: at least half)", 50.0),
    ):
        claim = _trained(
            section,
            sentence,
            "mean of 1 - nDCG of BIM and of PGD / initial, Table 1",
            Relation.GREATER,
            reference=least,
            unit="%",
            published=f"{least:.0f}%",
        )
        found.append((claim, [estimate("", mean)]))
    diminishes = _trained(
        "5.1.2",
        "Adversarial training diminishes the impact of iterative perturbations",
        "loss of nDCG of AMF, Table 1",
        Relation.LESS_THAN_OTHER,
        other="BPR-MF's",
        unit="%",
        published="Table 1",
    )
    less = [estimate(a.upper(), *(_fall(e, m, "nDCG", a) for m in reversed(MODELS))) for a in MULTI]
    return [*found, (diminishes, less)]


def _budget(e: Evidence) -> list[Case]:
    elbow = _trained(
        "5.1.2 (LastFM)",
        "25 iterations are the elbow of Figure 1a (read as: 90% of the fall)",
        "fall of BPR-MF's nDCG by L = 25 / to its lowest, Figure 1",
        Relation.GREATER,
        reference=90.0,
        unit="%",
        published="Figure 1a",
    )
    clean, reached = e.clean("BPR-MF"), []
    for attack, by in MULTI.items():
        part = (clean - e.at("BPR-MF", by, 25)) / (clean - _lowest(e, "BPR-MF", by))
        reached.append(estimate(attack.upper(), 100 * part))
    less = _trained(
        "5.1.2",
        "Multi-step does FGSM's harm with 5 times less budget",
        ".5 / epsilon of equal nDCG, Figure 2",
        Relation.EQUAL,
        reference=5.0,
        margin=0.5,
        published="5 (epsilon about .1)",
    )
    table = None if e.budget is None else curves.equal_harm_table(e.budget).set_index("seed")
    times = []
    for model, attack in product(MODELS, ("BIM", "PGD")):
        own = NOTHING
        if table is not None:
            chosen = (table["model"] == model) & (table["attack"] == attack)
            own = table.loc[chosen, "times less"]
        times.append(estimate(f"{model} {attack}", own))
    return [(elbow, reached), (less, times)]


def _ours(e: Evidence) -> list[Case]:
    left = _trained(
        "ours",
        "In the l2 ball of FGSM's own budget BIM keeps less than half of its advantage",
        "(FGSM - BIM, l2) / (FGSM - BIM, linf) of nDCG, Table 1",
        Relation.LESS,
        reference=50.0,
        unit="%",
    )
    after = _trained(
        "ours",
        "FGSM's gradient taken after PGD does more harm than that of Eq. 4",
        "nDCG of FGSM after PGD, Table 1",
        Relation.LESS_THAN_OTHER,
        other="that of FGSM of Eq. 4",
    )
    shares, harms = [], []
    for model in MODELS:
        columns = ("fgsm", "bim l2", "bim", "fgsm after pgd")
        fgsm, l2, linf, late = (e.cell(model, "nDCG", column) for column in columns)
        shares.append(estimate(model, 100 * (fgsm - l2) / (fgsm - linf)))
        harms.append(estimate(model, late, fgsm))
    return [(left, shares), (after, harms)]


def tables(evidence: Sequence[Evidence]) -> tuple[str, dict[str, str]]:
    """How all claims were judged together, and for each data set their table.

    A data set that nothing was measured on is left out, and so are data of one's own, which the
    paper says nothing about.
    """
    own = [(e.dataset, case) for e in evidence if e.dataset in DATA_SETS for case in cases(e)]
    verdicts = judge([case for _, case in own])
    printed = [dict(cases(published_evidence(dataset))) for dataset in PUBLISHED_DATA]
    header = ["where", "claim", "check", "published"]
    header += [f"follows from its {name} numbers" for name in ("LastFM", "ML-1M")]
    found = {}
    for dataset in dict.fromkeys(dataset for dataset, _ in own):
        rows = [verdict for (name, _), verdict in zip(own, verdicts) if name == dataset]
        if all(verdict.word is Word.UNMEASURED for verdict in rows):
            continue
        lines = []
        for verdict in rows:
            claim = verdict.claim
            fields = [claim.section, claim.sentence, claim.check, claim.published]
            fields += [follows(claim, numbers.get(claim, [])) for numbers in printed]
            lines.append([*fields, measured(verdict), stated(verdict)])
        found[dataset] = markdown([*header, f"measured on {dataset}", "verdict"], lines)
    return note(verdicts), found


def epochs(e: Evidence) -> str:
    """Where Figure 1 has other epochs of BPR-MF than Table 1, which; else ""."""
    if e.table1 is None or e.iterations is None:
        return ""
    found = []
    for frame in (first_selection(e.table1), first_selection(e.iterations)):
        own = frame[frame["model"] == "BPR-MF"]
        found.append(own.groupby("seed")["epoch"].first())
    pairs = pd.concat(found, axis=1, join="inner")
    other = pairs[pairs.iloc[:, 0] != pairs.iloc[:, 1]]
    if other.empty:
        return ""
    told = "; ".join(f"seed {seed}: {a:.0f} and {b:.0f}" for seed, (a, b) in other.iterrows())
    return f"Table 1 and Figure 1 do not show the same epochs of BPR-MF ({told}).\n"


def report(evidence: Sequence[Evidence]) -> str:
    """The page of all claims on some data sets; "" where nothing was measured."""
    how, found = tables(evidence)
    told = {e.dataset: epochs(e) for e in evidence}
    parts = [f"## {dataset}\n\n{told[dataset]}\n{table}" for dataset, table in found.items()]
    title = "# Claims of the multi-step perturbations paper\n"
    return "\n".join([title, how, *parts]) if found else ""
