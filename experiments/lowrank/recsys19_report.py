"""RecSys19 in its parts: what each does to the targets, over victim seeds."""

import numpy as np
import pandas as pd
from scipy import stats

from advrec_tf.evaluation import holm, mean_interval
from advrec_tf.poisoning import LIKENESS
from advrec_tf.reporting.vocabulary import markdown

from . import tables

MEASURES = ("target_score", "target_rank", "target_HR", "target_Recall", "HR")
PAIRS = (
    ("bootstrap", "none"),
    ("bootstrap_refined", "bootstrap"),
    ("bootstrap_blind", "bootstrap"),
    ("bootstrap_refined", "bootstrap_blind"),
    ("bootstrap_scored", "bootstrap"),
    ("bootstrap_targets", "bootstrap"),
    ("gan", "none"),
    ("recsys19", "gan"),
    ("recsys19", "none"),
    ("recsys20", "none"),
    ("recsys19+recsys20", "recsys20"),
    ("bootstrap+recsys20", "recsys20"),
    ("bootstrap_scored+recsys20", "recsys20"),
    ("recsys19+recsys20", "bootstrap+recsys20"),
)
WHAT = {
    "none": "clean data",
    "bootstrap": "random real users once more: an ideal GAN",
    "bootstrap_refined": "these after the zeroth-order steps",
    "bootstrap_blind": "these after the same steps with random differences",
    "bootstrap_scored": "these after steps towards the predicted score, each moving its largest entry by 1",
    "bootstrap_targets": "these with all targets rated highest",
    "gan": "the GAN's profiles",
    "recsys19": "these after the zeroth-order steps",
    "recsys20": "the bi-level attack",
    "recsys19+recsys20": "both attacks' profiles",
    "bootstrap+recsys20": "as many random real users in place of RecSys19's: what more users alone do",
    "bootstrap_scored+recsys20": "the most that steps reach in place of RecSys19",
}


def compared(rows: pd.DataFrame) -> pd.DataFrame:
    """Each of PAIRS by victim, group and measure, paired over victim seeds: before, after, change (percent, 95% interval), and p of a t-test,
    corrected over all of them (Holm)."""
    rows, found = rows[rows["model"] != ""], []
    for (model, group), part in rows.groupby(["model", "group"], sort=False):
        for after, before in PAIRS:
            for measure in MEASURES:
                values = part.pivot_table(measure, "seed", "attack")
                if not {after, before} <= set(values):
                    continue
                both = values[[before, after]].dropna()
                difference = both[after] - both[before]
                p = (
                    stats.ttest_rel(both[after], both[before]).pvalue
                    if len(both) > 1 and difference.any()
                    else np.nan
                )
                line = {
                    "model": model,
                    "group": group,
                    "before": before,
                    "after": after,
                    "measure": measure,
                    "seeds": len(both),
                }
                line |= {
                    "from": both[before].mean(),
                    "sd": both[before].std(),
                    "to": both[after].mean(),
                    "p": p,
                }
                percent = 100 * difference / abs(both[before].mean())
                found.append(
                    line
                    | {"change": percent.mean()}
                    | dict(zip(("low", "high"), mean_interval(percent)))
                )
    table = pd.DataFrame(found)
    return table.assign(p=holm(table["p"])) if found else table


def target_changes(rows: pd.DataFrame) -> str:
    """What each part of RecSys19 does to the targets' HR, as a table."""
    table = compared(rows)
    table = table[table["measure"] == "target_HR"] if len(table) else table
    if table.empty:
        return ""
    lines = []
    for _, row in table.iterrows():
        pair = f"{row['before']} -> {row['after']}"
        interval = f"{row['change']:+.1f}%"
        interval += "" if pd.isna(row["low"]) else f" [{row['low']:+.1f}, {row['high']:+.1f}]"
        means = f"{row['from']:.4f} -> {row['to']:.4f}"
        lines.append(
            [
                row["model"],
                pair,
                str(row["seeds"]),
                means,
                interval,
                "" if pd.isna(row["p"]) else f"{row['p']:.2g}",
            ]
        )
    header = [
        "victim",
        "profiles",
        "victims",
        "target HR",
        "change [95% over victim seeds]",
        "p (Holm)",
    ]
    return "\n### Parts of RecSys19\n\n" + markdown(header, lines)


def profiles(rows: pd.DataFrame) -> str:
    """How close the profiles of each attack are to real ones, and how many entries the steps have changed."""
    own = rows[rows["model"] == ""]
    names = [name for name in (*LIKENESS, "changed_entries") if own[name].notna().any()]
    lines = [
        [name, *(f"{value:.4g}" for value in row)]
        for name, row in own.set_index("attack")[names].T.iterrows()
    ]
    return markdown(["", *own["attack"]], lines)


def report(rows: pd.DataFrame) -> str:
    """report.md of RecSys19's parts."""
    table, first = compared(rows), rows.iloc[0]
    text = [
        "# RecSys19 in its parts\n",
        f"{first['dataset']}, top-{rows['k'].max():.0f} lists of real users, {int(table['seeds'].max())} victim seeds on one set of profiles each. "
        "Each line compares two sets of profiles, paired over victim seeds: mean before (deviation over seeds) -> after, change, p of a t-test, "
        "corrected over all pairs and measures of this page (Holm).\n",
        markdown(["attack", "what it is"], [[name, what] for name, what in WHAT.items()]),
    ]
    for (model, group), part in table.groupby(["model", "group"], sort=False):
        lines = []
        for (after, before), pair in part.groupby(["after", "before"], sort=False):
            cells = [
                f"{row['from']:.4f} ({row['sd']:.4f}) -> {row['to']:.4f}, {row['change']:+.1f}%, p {row['p']:.1e}"
                for _, row in pair.iterrows()
            ]
            lines.append([f"{before} -> {after}", *cells])
        text.append(f"\n## {model}, targets of the {group.replace('_', ' ')}\n")
        text.append(markdown(["profiles", *MEASURES], lines))
    text += ["\n## The profiles\n", profiles(rows), tables.noise(tables.summary(rows))]
    return "\n".join(text)
