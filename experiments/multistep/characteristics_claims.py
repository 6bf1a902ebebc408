"""The claims of section 5.2, on characteristics of the data, which Figure 3 decides."""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from advrec_tf.evaluation.verdicts import Claim, Estimate, Relation, Replication
from advrec_tf.reporting.verdict_table import Case, estimate

from . import loss_slopes, paper
from .evidence import EMPTY, Evidence
from .labels import MODELS

_claim = partial(Claim, replication=Replication.SUBSAMPLE)


def _sub_samples(evidence: Evidence) -> pd.DataFrame:
    """Return the mean relative loss: a row for each sub-sample, a column for (model, attack)."""
    if evidence.losses is None:
        return pd.DataFrame()
    rows = loss_slopes.shown(evidence.losses)
    rows = rows[rows["attack"].isin(list(loss_slopes.ATTACKS))]
    names = list(loss_slopes.CHARACTERISTICS)
    return rows.pivot_table("relative_loss", names, ["model", "attack"])


def _slope(table: pd.DataFrame, attack: str, name: str, weights: dict[str, int]) -> Estimate:
    """Return the slope over a characteristic of the weighted sum of the models' relative losses."""
    label, x, y = f"{attack} {name}", [], []
    if all((model, attack) in table for model in weights):
        x = table.index.get_level_values(name) / loss_slopes.SCALES[name]
        y = sum(weight * table[model, attack] for model, weight in weights.items())
    return Estimate.of_slope(label, x, y)


def slopes(evidence: Evidence) -> list[Case]:
    """Return the claims about the lines of Figure 3."""
    table = _sub_samples(evidence)
    cases = []
    for sentence, name, relation in (
        ("Denser data are more robust (BPR-MF)", "density", Relation.LESS),
        ("Larger data are less robust (BPR-MF)", "size", Relation.GREATER),
        ("Wider data are less robust (BPR-MF)", "shape", Relation.GREATER),
    ):
        quantity = f"slope of the relative nDCG loss over {name}"
        claim = _claim("5.2", sentence, quantity, relation, published="Figure 3")
        lines = [_slope(table, attack, name, {"BPR-MF": 1}) for attack in loss_slopes.ATTACKS]
        cases.append((claim, lines))
    reduces = _claim(
        "5.2",
        "Adversarial training reduces single and multi-step perturbations on sub-samples",
        "relative nDCG loss of AMF",
        Relation.LESS_THAN_OTHER,
        other="BPR-MF's",
        unit="%",
        published="Figure 3",
    )
    pairs = []
    for attack in loss_slopes.ATTACKS:
        bprmf, amf = (table.get((model, attack), EMPTY) for model in MODELS)
        pairs.append(estimate(attack, amf, bprmf))
    return [*cases, _flatter(table), (reduces, pairs)]


def _flatter(table: pd.DataFrame) -> Case:
    """Return the claim that AMF's slopes are flatter, in the directions of the claims above.

    |a| < b holds where both b - a and b + a are above zero.
    """
    claim = _claim(
        "5.2",
        "AMF's slopes are flatter than BPR-MF's",
        "slope of BPR-MF less, and plus, that of AMF, both in the direction of the claims above",
        Relation.GREATER,
        published="-3.65, -96.10 (PGD over density)",
    )
    lines = []
    for name, sign in (("density", -1), ("size", 1), ("shape", 1)):
        for word, other in (("less", -sign), ("plus", sign)):
            for attack in loss_slopes.ATTACKS:
                line = _slope(table, attack, name, {"BPR-MF": sign, "AMF": other})
                lines.append(replace(line, label=f"{line.label} {word} AMF"))
    return claim, lines


def published(evidence: Evidence) -> list[Case]:
    """Return the claims on the numbers that section 5.2 gives for ML-1M; none for other data."""
    if evidence.dataset != paper.CHARACTERISTICS_DATA:
        return []
    table, cases = _sub_samples(evidence), []
    margin = abs(paper.SLOPES["BPR-MF"]) / 10
    for model, slope in paper.SLOPES.items():
        claim = _claim(
            "5.2 (ML-1M)",
            f"{model}: PGD's slope over density is {slope}",
            "slope of the relative nDCG loss over density",
            Relation.EQUAL,
            reference=slope,
            margin=margin,
            published=str(slope),
        )
        cases.append((claim, [_slope(table, "PGD", "density", {model: 1})]))
    for density, loss in paper.LOSSES.items():
        claim = Claim(
            "5.2 (ML-1M)",
            f"PGD takes {loss}% of BPR-MF at density {density}",
            "relative nDCG loss",
            Relation.EQUAL,
            Replication.TRAINING,
            reference=loss,
            margin=5.0,
            unit="%",
            published=f"{loss}%",
        )
        cases.append((claim, [estimate("", _losses_at(evidence, density))]))
    return cases


def _losses_at(evidence: Evidence, density: float) -> pd.Series:
    """Return BPR-MF's relative loss to PGD by seed, at a density to four digits."""
    if evidence.losses is None:
        return EMPTY
    rows = loss_slopes.shown(evidence.losses)
    rows = rows[(rows["model"] == "BPR-MF") & (rows["attack"] == "PGD")]
    rows = rows[np.isclose(rows["density"], density, atol=5e-5)]
    return rows.groupby("seed")["relative_loss"].mean()
