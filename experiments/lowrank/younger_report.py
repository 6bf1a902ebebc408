"""Younger defences: what they keep, what they cost in accuracy, and what is certain."""

import pandas as pd

from advrec_tf.evaluation import holm, mean_interval, mean_test
from advrec_tf.reporting.vocabulary import markdown

from . import tables


def measured(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of recommenders, without those of certificates."""
    return rows[rows["certified_fakes"].isna()]


def compared(rows: pd.DataFrame, plain: str = "WRMF") -> pd.DataFrame:
    """Each recommender under each attack: HR and target HR, how much the attack raises target HR over its own clean value, and all of it beside
    the `plain` recommender's, paired over victim seeds (mean difference and its 95% interval).

    p: of a paired t-test that an attack raises target HR by as much as of `plain`, corrected over all of them (Holm).
    """
    found, rows = [], measured(rows)
    for (group, attack), part in rows.groupby(["group", "attack"], sort=False):
        victims = {model: own.set_index("seed") for model, own in part.groupby("model", sort=False)}
        raised: dict[str, pd.Series] = {}
        for model in sorted(victims, key=lambda model: model != plain):
            own = victims[model]
            line = {"group": group, "attack": attack, "model": model, "seeds": len(own)}
            for metric in ("HR", "target_HR"):
                difference = own[metric] - victims[plain][metric]
                line |= {metric: own[metric].mean(), f"{metric} beside": difference.mean()}
                line |= dict(zip((f"{metric} low", f"{metric} high"), mean_interval(difference)))
            clean = rows[
                (rows["group"] == group) & (rows["model"] == model) & (rows["attack"] == "none")
            ].set_index("seed")["target_HR"]
            raised[model] = own["target_HR"] - clean
            beside = raised[model] - raised[plain]
            line |= {
                "raised": raised[model].mean(),
                "raised beside": beside.mean(),
                "p": mean_test(beside),
            }
            found.append(line | dict(zip(("raised low", "raised high"), mean_interval(beside))))
    table = pd.DataFrame(found)
    compared_models = (table["model"] != plain) & (table["attack"] != "none")
    return table.assign(p=holm(table["p"].where(compared_models)))


def report(rows: pd.DataFrame) -> str:
    """report.md of the younger defences."""
    lines = []
    for _, row in compared(rows).iterrows():
        beside = [
            f"{row[m]:.4f} ({row[f'{m} beside']:+.4f} [{row[f'{m} low']:+.4f}, {row[f'{m} high']:+.4f}])"
            for m in ("HR", "target_HR")
        ]
        raised = f"{row['raised']:+.4f}"
        if not pd.isna(row["p"]):
            interval = f"[{row['raised low']:+.4f}, {row['raised high']:+.4f}]"
            raised += f" ({row['raised beside']:+.4f} {interval}, p {row['p']:.2g})"
        lines.append([row["group"], row["attack"], row["model"], *beside, raised])
    certified = rows[rows["certified_fakes"].notna()].groupby(["group", "certified_fakes"])[
        ["certified_HR", "certified_target_HR"]
    ]
    bounds = [
        [group, f"{fakes:.0f}", *(f"{value:.4f}" for value in row)]
        for (group, fakes), row in certified.mean().iterrows()
    ]
    return "\n".join(
        [
            tables.defense_report(measured(rows), "Younger defences"),
            "\n## Beside WRMF\n\nMean over victim seeds (difference to WRMF under the same attack, its 95% interval over victim seeds, "
            "not corrected); raised: target HR above the recommender's own on clean data (difference to WRMF's, p of a paired t-test, corrected over "
            "the table by Holm).\n",
            markdown(["targets", "attack", "recommender", "HR", "target HR", "raised"], lines),
            "\n## What is certain of the ensemble\n\nOf the one of all bases there can be, whatever so many fake users do, with 99.9% confidence.\n",
            markdown(["targets", "fake users", "HR at least", "target HR at most"], bounds),
        ]
    )
