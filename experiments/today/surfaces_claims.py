"""The questions of docs/today.md about the two surfaces, as claims over training seeds."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from advrec_tf.evaluation.verdicts import Claim, Relation, Replication
from advrec_tf.leaderboard.surfaces import PARAMETERS, SERVED
from advrec_tf.perturbations.ensemble import ALSO, NOISE
from advrec_tf.reporting.verdict_table import Case, estimate, percent

AT = 0.05  # epsilon of all claims but the one about MostPopular, which takes the largest
ADVERSARIAL = {"LightGCN": "LightGCN-APR", "SASRec": "SASRec-APR"}
POPULAR = "MostPopular"
_claim = partial(Claim, replication=Replication.TRAINING)


def clean(rows: pd.DataFrame, entry: str) -> pd.Series:
    """Return the nDCG of each seed without an attack."""
    part = rows[(rows["entry"] == entry) & (rows["epsilon"] == 0) & (rows["surface"] == SERVED)]
    return part.set_index("seed")["nDCG"]


def under(rows: pd.DataFrame, entry: str, surface: str, attack: str, epsilon: float) -> pd.Series:
    """Return the nDCG of each seed under an attack that knows the training pairs."""
    part = rows[(rows["entry"] == entry) & (rows["surface"] == surface)]
    part = part[(part["threat_model"] == "train") & (part["attack"] == attack)]
    return part[np.isclose(part["epsilon"], epsilon)].set_index("seed")["nDCG"]


def worst(
    rows: pd.DataFrame,
    entry: str,
    surface: str,
    threat_model: str,
    epsilon: float,
    value: str = "nDCG",
) -> pd.Series:
    """Return a value of each seed under the attack of a threat model that leaves least nDCG.

    Doing nothing and smaller epsilons are attacks too, and so are those of ALSO, as on the
    leaderboard.
    """
    part = rows[(rows["entry"] == entry) & (rows["surface"] == surface)]
    included = (threat_model, *ALSO.get(threat_model, ()))
    known = part["threat_model"].isin(included) & (part["attack"] != NOISE)
    part = part[(part["epsilon"] == 0) | (known & (part["epsilon"] <= epsilon * (1 + 1e-9)))]
    least = part.loc[part.groupby("seed")["nDCG"].idxmin()]
    return least.set_index("seed")[value]


def cases(rows: pd.DataFrame) -> list[Case]:
    """Return the claims on one data set."""
    models = [name for name in ADVERSARIAL if name in set(rows["entry"])]
    made: list[Case] = []
    for model in models:
        for surface in (SERVED, PARAMETERS):
            made += _of_surface(rows, model, surface)
        made.append(_propagation(rows, model))
    return [*_accuracy(rows), *made, *_changed(rows)]


def _accuracy(rows: pd.DataFrame) -> list[Case]:
    """Return whether the most accurate entry keeps most, beside every other entry."""
    names = [str(name) for name in rows["entry"].unique() if name != POPULAR]
    if len(names) < 2:
        return []
    best = max(names, key=lambda name: clean(rows, name).mean())
    left = {name: worst(rows, name, SERVED, "test", AT) for name in names}
    parts = [estimate(name, left[best], left[name]) for name in names if name != best]
    claim = _claim(
        f"{best}, {SERVED}",
        "The most accurate entry keeps most",
        f"nDCG of {best} under the worst attack of test, epsilon {AT:g}",
        Relation.GREATER_THAN_OTHER,
        other="that of every other entry",
    )
    return [(claim, parts)]


def _changed(rows: pd.DataFrame) -> list[Case]:
    """Return whether user-normalised factors keep more than those that they are made from."""
    made = []
    entries = rows.groupby("entry", sort=False)[["model", "user_normalized"]].first()
    for changed, source in entries.loc[entries["user_normalized"], "model"].items():
        if source in entries.index:
            parts = [worst(rows, name, SERVED, "test", AT) for name in (changed, source)]
            claim = _claim(
                f"{source}, {SERVED}",
                "User-normalised factors keep more",
                f"nDCG of {changed} under the worst attack of test, epsilon {AT:g}",
                Relation.GREATER_THAN_OTHER,
                other=f"that of {source}",
            )
            made.append((claim, [estimate("", *parts)]))
    return made


def _of_surface(rows: pd.DataFrame, entry: str, surface: str) -> Sequence[Case]:
    """Return whether Table 1's findings carry over to one surface of a model."""
    about = partial(_claim, f"{entry}, {surface}")
    single, multi = (under(rows, entry, surface, attack, AT) for attack in ("fgsm", "bim"))
    largest = rows["epsilon"].max()
    destroyed = under(rows, entry, surface, "bim", largest)
    made = [
        (
            about(
                "Many steps do more harm than one",
                f"nDCG under BIM, epsilon {AT:g}",
                Relation.LESS_THAN_OTHER,
                other="nDCG under FGSM",
            ),
            [estimate("", multi, single)],
        ),
        (
            about(
                "Many steps leave less than MostPopular has",
                f"nDCG under BIM, epsilon {largest:g}",
                Relation.LESS_THAN_OTHER,
                other="nDCG of MostPopular",
            ),
            [estimate("", destroyed, _popular(rows, destroyed))],
        ),
    ]
    defended = ADVERSARIAL[entry]
    if defended in set(rows["entry"]):
        for threat_model in ("train", "test"):
            parts = [worst(rows, name, surface, threat_model, AT) for name in (defended, entry)]
            claim = about(
                "Adversarial training helps",
                f"nDCG of {defended} under the worst attack of {threat_model}, epsilon {AT:g}",
                Relation.GREATER_THAN_OTHER,
                other=f"that of {entry}",
            )
            made.append((claim, [estimate("", *parts)]))
    return made


def _popular(rows: pd.DataFrame, like: pd.Series) -> pd.Series:
    """Return MostPopular's nDCG for the seeds of another series."""
    values = rows.loc[rows["entry"] == POPULAR, "nDCG"]
    return pd.Series(values.iloc[0] if len(values) else np.nan, like.index)


def _propagation(rows: pd.DataFrame, entry: str) -> Case:
    """Return whether an attack at the tables does more harm than one at the factors."""
    total = clean(rows, entry)
    left = [percent(worst(rows, entry, s, "test", AT), total) for s in (PARAMETERS, SERVED)]
    claim = _claim(
        f"{entry}, both",
        "An attack at the tables leaves a smaller share than one at the factors",
        f"share of nDCG left at the tables, test, epsilon {AT:g}",
        Relation.LESS_THAN_OTHER,
        other="that at the factors",
        unit="%",
    )
    return claim, [estimate("", *left)]
