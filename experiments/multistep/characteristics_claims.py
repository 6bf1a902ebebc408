"""The claims of section 5.2 of the multi-step paper, on characteristics of the data, as data."""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from advrec_tf.evaluation.verdicts import Claim, Estimate, Relation, Replication
from advrec_tf.reporting.verdict_table import Case, estimate

from . import loss_slopes
from .evidence import NOTHING, Evidence
from .labels import MODELS

_trained = partial(Claim, replication=Replication.TRAINING)
_sampled = partial(Claim, replication=Replication.SUBSAMPLE)


def _sub_samples(e: Evidence) -> pd.DataFrame:
    """rho, the mean over seeds: a row for each sub-sample, a column for each model and attack."""
    if e.losses is None:
        return pd.DataFrame()
    rows = loss_slopes.shown(e.losses)
    names = list(loss_slopes.CHARACTERISTICS)
    rows = rows[rows["attack"].isin(list(loss_slopes.ATTACKS))]
    return rows.pivot_table("rho", names, ["model", "attack"])


def _slopes(table: pd.DataFrame, name: str, weights: dict[str, int]) -> list[Estimate]:
    """Slopes over a characteristic of a weighted sum of the models' rho, one for each attack."""
    found = []
    for attack in loss_slopes.ATTACKS:
        label, x, y = f"{attack} {name}", [], []
        if all((model, attack) in table for model in weights):
            x = table.index.get_level_values(name) / (1e6 if name == "size" else 1)
            y = sum(weight * table[model, attack] for model, weight in weights.items())
        found.append(Estimate.of_slope(label, x, y))
    return found


def slopes(e: Evidence) -> list[Case]:
    """Claims about the lines of Figure 3."""
    table, found = _sub_samples(e), []
    for sentence, name, relation in (
        ("Denser data are more robust (BPR-MF)", "density", Relation.LESS),
        ("Larger data are less robust (BPR-MF)", "size", Relation.GREATER),
        ("Wider data are less robust (BPR-MF)", "shape", Relation.GREATER),
    ):
        quantity = f"slope of rho over {name}"
        claim = _sampled("5.2", sentence, quantity, relation, published="Figure 3")
        found.append((claim, _slopes(table, name, {"BPR-MF": 1})))
    flatter = _sampled(
        "5.2",
        "AMF's slopes are flatter than BPR-MF's",
        "slope of BPR-MF less, and plus, that of AMF, both in the direction of the claims above",
        Relation.GREATER,
        published="-3.65, -96.10 (PGD over density)",
    )
    sides: list[Estimate] = []
    for name, sign in (("density", -1), ("size", 1), ("shape", 1)):
        for word, other in (("less", -1), ("plus", 1)):
            own = _slopes(table, name, {"BPR-MF": sign, "AMF": sign * other})
            sides += [replace(part, label=f"{part.label} {word} AMF") for part in own]
    reduces = _sampled(
        "5.2",
        "Adversarial training reduces single and multi-step perturbations on sub-samples",
        "rho of AMF",
        Relation.LESS_THAN_OTHER,
        other="BPR-MF's",
        unit="%",
        published="Figure 3",
    )
    pairs = []
    for attack in loss_slopes.ATTACKS:
        both = [table[m, attack] if (m, attack) in table else NOTHING for m in reversed(MODELS)]
        pairs.append(estimate(attack, *both))
    return [*found, (flatter, sides), (reduces, pairs)]


def printed(e: Evidence) -> list[Case]:
    """The numbers that section 5.2 prints of ML-1M, which say nothing about other data."""
    if e.dataset != loss_slopes.PRINTED:
        return []
    table, found = _sub_samples(e), []
    margin = abs(loss_slopes.PUBLISHED_SLOPES["BPR-MF"]) / 10
    for model, slope in loss_slopes.PUBLISHED_SLOPES.items():
        claim = _sampled(
            "5.2 (ML-1M)",
            f"{model}: PGD's slope over density is {slope}",
            "slope of rho over density",
            Relation.EQUAL,
            reference=slope,
            margin=margin,
            published=str(slope),
        )
        own = dict(zip(loss_slopes.ATTACKS, _slopes(table, "density", {model: 1})))
        found.append((claim, [own["PGD"]]))
    for density, loss in loss_slopes.PUBLISHED_RHO.items():
        losses = _trained(
            "5.2 (ML-1M)",
            f"PGD takes {loss}% of BPR-MF at density {density}",
            "rho",
            Relation.EQUAL,
            reference=loss,
            margin=5.0,
            unit="%",
            published=f"{loss}%",
        )
        found.append((losses, [estimate("", _losses_at(e, density))]))
    return found


def _losses_at(e: Evidence, density: float) -> pd.Series:
    """rho of BPR-MF under PGD by seed, on the sub-sample of a density to four digits."""
    if e.losses is None:
        return NOTHING
    rows = loss_slopes.shown(e.losses)
    rows = rows[(rows["model"] == "BPR-MF") & (rows["attack"] == "PGD")]
    return rows[np.isclose(rows["density"], density, atol=5e-5)].groupby("seed")["rho"].mean()
