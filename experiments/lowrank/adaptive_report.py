"""Defences under attackers who know of them."""

import numpy as np
import pandas as pd

from advrec_tf.evaluation import mean_interval
from advrec_tf.reporting.vocabulary import markdown

from . import tables

_POINT = ["model", "group", "defense", "patch", "rank"]


def left(rows: pd.DataFrame) -> pd.DataFrame:
    """Of each defence under each attack, the part of the attack that it takes away: 1 - (defended - clean) / (undefended - clean) of target HR.

    clean: the undefended recommender on clean data.  The interval is Student's over victim seeds, each compared with itself (of a ratio of means, by
    the delta method); NaN where the attack does no clear harm.
    """
    rows, found = rows[rows["model"] != ""], []
    values = rows.pivot_table("target_HR", "seed", [*_POINT, "attack"], dropna=False, observed=True)
    of = {key: values[key] for key in values if values[key].notna().any()}
    for key, defended in of.items():
        (model, group, defense, *_), attack = key[:-1], key[-1]
        plain = {
            name: series
            for (m, g, d, *_, name), series in of.items()
            if (m, g, d) == (model, group, "none")
        }
        if defense == "none" or attack == "none":
            continue
        harm, taken = plain[attack] - plain["none"], plain[attack] - defended
        line = dict(zip([*_POINT, "attack"], key)) | {
            "clean": plain["none"].mean(),
            "undefended": plain[attack].mean(),
            "defended": defended.mean(),
        }
        known = mean_interval(harm)[0] > 0  # a part of no harm has no meaning
        ratio = taken.mean() / harm.mean() if known else np.nan
        low, high = mean_interval((taken - ratio * harm) / harm.mean())
        found.append(line | {"taken": ratio, "low": ratio + low, "high": ratio + high})
    return pd.DataFrame(found)


def report(rows: pd.DataFrame) -> str:
    """report.md: how much of each attack each defence takes away, and all metrics."""
    lines = []
    for _, row in left(rows).iterrows():
        patch = f" [{row['patch']}, {row['rank']:.0f}]" if row["patch"] else ""
        share = (
            f"{100 * row['taken']:.0f}% [{100 * row['low']:.0f}%, {100 * row['high']:.0f}%]"
            if row["low"] == row["low"]
            else "no clear harm"
        )
        values = [f"{row[name]:.4f}" for name in ("clean", "undefended", "defended")]
        lines.append(
            [row["model"], row["group"], row["defense"] + patch, row["attack"], *values, share]
        )
    header = [
        "victim",
        "targets",
        "defence",
        "attack",
        "clean",
        "undefended",
        "defended",
        "taken away [95% over victim seeds]",
    ]
    return "\n".join(
        [
            tables.defense_report(
                rows[rows["model"] != ""], "Defences under attackers who know of them"
            ),
            "\n## How much of an attack a defence takes away\n\nTarget HR; 100% is back at clean, below 0% the defence helps the attack.\n",
            markdown(header, lines),
            tables.likenesses(rows),
        ]
    )
