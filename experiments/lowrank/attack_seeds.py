"""How much target HR varies with the seed of an attack, beside the seed of the victim."""

import numpy as np
import pandas as pd

from advrec_tf.evaluation import mean_interval
from advrec_tf.reporting.vocabulary import markdown, number

from .tables import victims

KEYS = ["dataset", "model", "group", "attack", "k"]
SPREADS = ["attack_seeds", "victim_seeds", "mean", "low", "high", "sd_attacks", "sd_victims"]


def spreads(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each attack that was made with several seeds, empty if there is none.

    Columns: `KEYS`; attack_seeds and victim_seeds, their numbers; mean, low and high, the mean
    target HR over attack seeds and Student's 95% interval; sd_attacks, the standard deviation over
    attack seeds of the mean over victim seeds; sd_victims, that over victim seeds within an attack
    seed, pooled (NaN where each has one victim).
    """
    attacks = []
    measured = victims(rows).astype({"k": int})
    for key, part in measured.groupby(KEYS, sort=False):
        by_seed = part.groupby("attack_seed")["target_HR"]
        means, free = by_seed.mean(), by_seed.count() - 1
        if len(means) < 2:
            continue
        squares = (part["target_HR"] - by_seed.transform("mean")) ** 2
        pooled = np.sqrt(squares.sum() / free.sum()) if free.any() else np.nan
        counts = len(means), part["seed"].nunique()
        mean = means.mean(), *mean_interval(means)
        attacks.append((*key, *counts, *mean, means.std(ddof=1), pooled))
    return pd.DataFrame(attacks, columns=[*KEYS, *SPREADS])


def report(rows: pd.DataFrame) -> str:
    """Return the section on attack seeds of the page of `poison`, "" without several of them."""
    lines = []
    for _, row in spreads(rows).iterrows():
        keys = ("model", "group", "attack", "attack_seeds", "victim_seeds")
        mean, low, high, *deviations = map(number, row[SPREADS[2:]])
        lines.append([*(str(row[key]) for key in keys), f"{mean} [{low}, {high}]", *deviations])
    if not lines:
        return ""
    header = ["victim", "targets", "attack", "attack seeds", "victim seeds"]
    header += [f"target_HR@{rows['k'].max():.0f}", "SD, attack seeds", "SD, victim seeds"]
    text = (
        "\n## Variance of the attack and of the victim\n\n"
        "Mean [95% interval over attack seeds, Student's t]. The first deviation is over attack "
        "seeds, of the mean over victim seeds. The second is over victim seeds on the same "
        "profiles, pooled over attack seeds.\n\n"
    )
    return text + markdown(header, lines)
