"""Claims that Table 1 decides: those of the paper, and two of ours."""

from functools import partial
from itertools import product

import pandas as pd

from advrec_tf.evaluation import NAMES
from advrec_tf.evaluation.verdicts import Claim, Relation, Replication
from advrec_tf.reporting.verdict_table import Case, estimate

from .evidence import Evidence
from .labels import MODELS

MULTI_STEP_COLUMNS = ("bim", "pgd")
_claim = partial(Claim, replication=Replication.TRAINING)
_table1_claim = partial(_claim, published="Table 1")


def _fall(evidence: Evidence, model: str, metric: str, column: str) -> pd.Series:
    """Return how much of a metric an attack takes, in percent."""
    left = evidence.cell(model, metric, column) / evidence.cell(model, metric, "initial")
    return 100 * (1 - left)


def multi_step(evidence: Evidence) -> list[Case]:
    """Return the claims that compare FGSM, BIM and PGD."""
    beats = _table1_claim(
        "5.1.1",
        "Multi-step beats FGSM for every model and metric",
        "each cell of BIM and PGD, Table 1",
        Relation.LESS_THAN_OTHER,
        other="FGSM's cell",
    )
    lower = []
    for model, metric, column in product(MODELS, NAMES, MULTI_STEP_COLUMNS):
        cell, fgsm = (evidence.cell(model, metric, name) for name in (column, "fgsm"))
        lower.append(estimate(f"{model} {metric} {column}", cell, fgsm))
    twice = _claim(
        "5.1.1 (ML-1M)",
        "PGD reduces BPR-MF's accuracy by more than 2 times compared to FGSM",
        "FGSM / PGD, Table 1",
        Relation.GREATER,
        reference=2.0,
        published="2.11, 2.10, 2.14",
    )
    ratios = []
    for metric in ("PR", "RE", "nDCG"):
        fgsm, pgd = (evidence.cell("BPR-MF", metric, name) for name in ("fgsm", "pgd"))
        ratios.append(estimate(metric, fgsm / pgd))
    cases: list[Case] = [(beats, lower), (twice, ratios)]
    for model in MODELS:
        same = _table1_claim(
            "5.1.1",
            f"{model}: PGD has no clear advantage over BIM",
            "nDCG of PGD / BIM - 1, Table 1",
            Relation.EQUAL,
            margin=10.0,
            unit="%",
        )
        bim, pgd = (evidence.cell(model, "nDCG", name) for name in MULTI_STEP_COLUMNS)
        cases.append((same, [estimate("", 100 * (pgd / bim - 1))]))
    return cases


def beyond_accuracy(evidence: Evidence) -> list[Case]:
    """Return the claims on how far EFD and SE fall."""
    cases: list[Case] = []
    for metric, least in (("EFD", 50), ("SE", 20)):
        claim = _table1_claim(
            "5.1.1",
            f"{metric} falls by at least {least}%, whatever model and attack",
            f"1 - {metric} of BIM and of PGD / initial, Table 1",
            Relation.GREATER,
            reference=float(least),
            unit="%",
        )
        falls = []
        for model, column in product(MODELS, MULTI_STEP_COLUMNS):
            falls.append(estimate(f"{model} {column}", _fall(evidence, model, metric, column)))
        cases.append((claim, falls))
    return cases


def adversarial_training(evidence: Evidence) -> list[Case]:
    """Return the claims on AMF."""
    starts = _table1_claim(
        "5.1.1",
        "AMF starts above BPR-MF",
        "initial nDCG of AMF, Table 1",
        Relation.GREATER_THAN_OTHER,
        other="BPR-MF's",
    )
    bprmf, amf = (evidence.cell(model, "nDCG", "initial") for model in MODELS)
    diminishes = _table1_claim(
        "5.1.2",
        "Adversarial training diminishes the impact of iterative perturbations",
        "loss of nDCG of AMF, Table 1",
        Relation.LESS_THAN_OTHER,
        other="BPR-MF's",
        unit="%",
    )
    less = []
    for column in MULTI_STEP_COLUMNS:
        of_bprmf, of_amf = (_fall(evidence, model, "nDCG", column) for model in MODELS)
        less.append(estimate(column.upper(), of_amf, of_bprmf))
    losses = _losses_of_amf(evidence)
    return [(starts, [estimate("", amf, bprmf)]), *losses, (diminishes, less)]


def _losses_of_amf(evidence: Evidence) -> list[Case]:
    """Return the claims on how much nDCG AMF loses to FGSM and to multi-step attacks."""
    cases: list[Case] = []
    for gradient, column in (("of Eq. 4", "fgsm"), ("after PGD", "fgsm after pgd")):
        claim = _claim(
            "5.1.1 (LastFM)",
            f"AMF loses 11.31% to FGSM (gradient {gradient})",
            f"1 - nDCG of FGSM {gradient} / initial, Table 1",
            Relation.EQUAL,
            reference=11.31,
            margin=1.0,
            unit="%",
            published="11.31%",
        )
        cases.append((claim, [estimate("", _fall(evidence, "AMF", "nDCG", column))]))
    bim, pgd = (_fall(evidence, "AMF", "nDCG", column) for column in MULTI_STEP_COLUMNS)
    for section, sentence, least in (
        ("5.1.1 (LastFM)", "AMF loses more than 58% on average to multi-step", 58.0),
        ("6 (ii)", "Even AMF can lose half of its performance (read as: at least half)", 50.0),
    ):
        claim = _claim(
            section,
            sentence,
            "mean of 1 - nDCG of BIM and of PGD / initial, Table 1",
            Relation.GREATER,
            reference=least,
            unit="%",
            published=f"{least:.0f}%",
        )
        cases.append((claim, [estimate("", (bim + pgd) / 2)]))
    return cases


def ours(evidence: Evidence) -> list[Case]:
    """Return our own claims, on the l2 ball and on FGSM after PGD."""
    left = _claim(
        "ours",
        "In the l2 ball of FGSM's own epsilon BIM keeps less than half of its advantage",
        "(FGSM - BIM, l2) / (FGSM - BIM, linf) of nDCG, Table 1",
        Relation.LESS,
        reference=50.0,
        unit="%",
    )
    after = _claim(
        "ours",
        "FGSM's gradient taken after PGD does more harm than that of Eq. 4",
        "nDCG of FGSM after PGD, Table 1",
        Relation.LESS_THAN_OTHER,
        other="that of FGSM of Eq. 4",
    )
    shares, harms = [], []
    for model in MODELS:
        columns = ("fgsm", "bim l2", "bim", "fgsm after pgd")
        fgsm, l2, linf, late = (evidence.cell(model, "nDCG", column) for column in columns)
        shares.append(estimate(model, 100 * (fgsm - l2) / (fgsm - linf)))
        harms.append(estimate(model, late, fgsm))
    return [(left, shares), (after, harms)]
