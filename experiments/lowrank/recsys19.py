"""RecSys19 in its parts: its GAN and its zeroth-order steps beside what replaces them."""

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

from advrec_tf.data import Interactions
from advrec_tf.evaluation import holm, mean_interval
from advrec_tf.execution.results import Job, Layout
from advrec_tf.execution.runner import Experiment
from advrec_tf.poisoning import LIKENESS
from advrec_tf.reporting.plots import panels
from advrec_tf.reporting.vocabulary import color_of, markdown

from . import pages, plots, poisoned_flags, poisoned_spec, profile_jobs, tables
from .poisoned_spec import PoisonedSpec
from .victim_jobs import UNDEFENDED, victim_jobs

ATTACKS = [
    "bootstrap",
    "bootstrap_refined",
    "bootstrap_blind",
    "bootstrap_scored",
    "bootstrap_targets",
    "gan",
    "recsys19",
    "recsys20",
    "recsys19+recsys20",
    "bootstrap+recsys20",
    "bootstrap_scored+recsys20",
]
LAYOUT = Layout(poisoned_spec.KEYS, (*poisoned_spec.LAYOUT.values, *LIKENESS, "changed_entries"))
MEASURES = ("target_score", "target_rank", "target_HR", "target_Recall", "HR")
PICTURED = MEASURES[:3]
PAIRS = (  # after, before
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
    "bootstrap_scored": (
        "these after steps towards the predicted score, each moving its largest entry by 1"
    ),
    "bootstrap_targets": "these with all targets rated highest",
    "gan": "the GAN's profiles",
    "recsys19": "these after the zeroth-order steps",
    "recsys20": "the bi-level attack",
    "recsys19+recsys20": "both attacks' profiles",
    "bootstrap+recsys20": (
        "as many random real users in place of RecSys19's: what more users alone do"
    ),
    "bootstrap_scored+recsys20": "the most that steps reach in place of RecSys19",
}


def specs(
    values: dict[str, Any], datasets: list[Interactions], output_dir: Path
) -> list[PoisonedSpec]:
    """Return the spec of each data set with this page's attacks, and PMF if there are ratings."""
    made = poisoned_flags.fixed_attacks(ATTACKS, values, datasets, output_dir)
    victims = poisoned_flags.victims_of(values, "wrmf", "pmf")
    return [
        spec if spec.data.train_ratings is None else replace(spec, victims=victims) for spec in made
    ]


def jobs(spec: PoisonedSpec) -> list[Job]:
    """Return the jobs of each recommender under each attack, and of the attacks' profiles."""
    victims = victim_jobs(spec, spec.conditions, [UNDEFENDED])
    return victims + profile_jobs.similarity_jobs(spec)


def compared(rows: pd.DataFrame) -> pd.DataFrame:
    """Return each of `PAIRS` by recommender, group and measure, paired over victim seeds.

    Columns: from, sd and to, the means and the deviation before; change, low and high, in percent
    with its 95% interval; p, of a paired t-test, corrected over all lines (Holm).
    """
    lines = []
    victims = tables.victims(rows)
    for (model, group), part in victims.groupby(["model", "group"], sort=False):
        by_measure = {name: part.pivot_table(name, "seed", "attack") for name in MEASURES}
        for (after, before), measure in product(PAIRS, MEASURES):
            values = by_measure[measure]
            if {after, before} <= set(values):
                both = values[[before, after]].dropna()
                key = {"model": model, "group": group, "before": before, "after": after}
                lines.append(key | {"measure": measure} | _change(both[before], both[after]))
    table = pd.DataFrame(lines)
    return table.assign(p=holm(table["p"])) if lines else table


def _change(before: pd.Series, after: pd.Series) -> dict[str, float]:
    """Return the paired change over seeds, in percent of the mean before, with its 95% interval.

    before, after: values of the same seeds in the same order.
    """
    difference = after - before
    is_testable = len(difference) > 1 and difference.any()
    percent = 100 * difference / abs(before.mean())
    low, high = mean_interval(percent)
    return {
        "seeds": len(difference),
        "from": before.mean(),
        "sd": before.std(),
        "to": after.mean(),
        "p": stats.ttest_rel(after, before).pvalue if is_testable else np.nan,
        "change": percent.mean(),
        "low": low,
        "high": high,
    }


def target_changes(rows: pd.DataFrame) -> str:
    """Return a section on what each part of RecSys19 does to target HR, "" without any."""
    lines = []
    for _, row in compared(rows).iterrows():
        if row["measure"] != "target_HR":
            continue
        change = f"{row['change']:+.1f}%"
        if not pd.isna(row["low"]):
            change += f" [{row['low']:+.1f}, {row['high']:+.1f}]"
        p = "" if pd.isna(row["p"]) else f"{row['p']:.2g}"
        names = [row["model"], f"{row['before']} -> {row['after']}", str(row["seeds"])]
        lines.append([*names, f"{row['from']:.4f} -> {row['to']:.4f}", change, p])
    if not lines:
        return ""
    header = ["victim", "profiles", "victims", "target HR", "change [95% over victim seeds]"]
    return "\n### Parts of RecSys19\n\n" + markdown([*header, "p (Holm)"], lines)


def profiles_table(rows: pd.DataFrame) -> str:
    """Return how close each attack's profiles are to real ones, and their changed entries."""
    profiles = rows[rows["model"] == ""].set_index("attack")
    lines = []
    for name in (*LIKENESS, "changed_entries"):
        if profiles[name].notna().any():
            lines.append([name, *(f"{value:.4g}" for value in profiles[name])])
    return markdown(["", *profiles.index], lines)


def page_text(rows: pd.DataFrame) -> str:
    """Return report.md."""
    table, first = compared(rows), rows.iloc[0]
    parts = [
        "# RecSys19 in its parts\n",
        f"{first['dataset']}, top-{rows['k'].max():.0f} lists of real users, "
        f"{int(table['seeds'].max())} victim seeds on one set of profiles each. "
        "Each line compares two sets of profiles, paired over victim seeds: mean before (deviation "
        "over seeds) -> after, change, p of a t-test, corrected over all pairs and measures of "
        "this page (Holm).\n",
        markdown(["attack", "what it is"], [[name, what] for name, what in WHAT.items()]),
    ]
    for (model, group), part in table.groupby(["model", "group"], sort=False):
        lines = []
        for (after, before), pair in part.groupby(["after", "before"], sort=False):
            lines.append([f"{before} -> {after}", *(_cell(row) for _, row in pair.iterrows())])
        parts.append(f"\n## {model}, targets of the {group.replace('_', ' ')}\n")
        parts.append(markdown(["profiles", *MEASURES], lines))
    noise = tables.noise(tables.summary(rows))
    return "\n".join([*parts, "\n## The profiles\n", profiles_table(rows), noise])


def _cell(row: pd.Series) -> str:
    means = f"{row['from']:.4f} ({row['sd']:.4f}) -> {row['to']:.4f}"
    return f"{means}, {row['change']:+.1f}%, p {row['p']:.1e}"


def parts_figure(rows: pd.DataFrame) -> Figure:
    """Draw the changes between the sets of profiles by recommender."""
    table = compared(rows)
    pairs = list(dict.fromkeys(zip(table["before"], table["after"])))[::-1]
    figure, axes = panels(1, len(PICTURED), sharex=False)
    style: dict[str, Any] = {"fmt": "o", "markersize": 4, "capsize": 2}
    for axis, measure in zip(axes[0], PICTURED):
        by_model = table[table["measure"] == measure].groupby("model", sort=False)
        for shift, (model, part) in zip((-0.15, 0.15), by_model):
            y = [pairs.index(pair) + shift for pair in zip(part["before"], part["after"])]
            reach = plots.interval_reach(part, "change")
            style["color"] = color_of(model)
            axis.errorbar(part["change"], y, xerr=reach, label=model, **style)
        axis.axvline(0, color="grey", linewidth=1)
        axis.set_xscale("symlog", linthresh=10)
        axis.margins(x=0.1)
        axis.set_xlabel(f"{measure}, change in %")
        axis.set_yticks(range(len(pairs)), [""] * len(pairs), fontsize=8)
    labels = [f"{before} \u2192 {after}" for before, after in pairs]
    axes[0, 0].set_yticks(range(len(pairs)), labels, fontsize=8)
    axes[0, -1].legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.set_size_inches(14, 4.8)
    return figure


report = pages.report("recsys19", page_text, parts_figure)
EXPERIMENT = Experiment(LAYOUT, specs, jobs, report, profile_jobs.prepare)
