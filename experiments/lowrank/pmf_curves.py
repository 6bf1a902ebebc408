"""The page and the picture that Figures 3 to 6 share: PMF over a rank, a length or a share."""

from collections.abc import Callable
from functools import partial
from itertools import cycle

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from advrec_tf.defenses import Defense
from advrec_tf.execution.runner import Experiment
from advrec_tf.reporting.plots import legend, panels
from advrec_tf.reporting.vocabulary import STYLES

from . import pages, poisoned_flags, profile_jobs, tables
from .poisoned_spec import LAYOUT, PoisonedSpec
from .victim_jobs import victim_jobs

METRICS = ("Recall", "Precision", "RMSE", "HR", "target_HR")
SHOWN = ("Recall", "Precision", "target_HR")  # in the picture
LABELS = {"rank": "SVD rank", "dim": "length of PMF's factors", "share": "new ratings added, %"}
COLORS = ("#4c78a8", "#e45756", "#54a24b", "#b279a2")


def experiment(
    title: str, name: str, over: str, defenses: Callable[[PoisonedSpec], list[Defense]]
) -> Experiment:
    """Return the experiment that measures defences of PMF on clean and on attacked data.

    over: the axis of the picture, as for `curves_figure`
    """
    text = partial(tables.defense_report, title=title, metrics=METRICS)
    return Experiment(
        LAYOUT,
        poisoned_flags.one_attack,
        lambda spec: victim_jobs(spec, spec.conditions, defenses(spec)),
        pages.report(name, text, lambda rows: curves_figure(rows, over)),
        profile_jobs.prepare,
    )


def curves_figure(rows: pd.DataFrame, over: str) -> Figure:
    """Draw Recall, Precision and target HR of PMF with a line for each attack and defence.

    The undefended recommender is dotted.  Below stands what the attack adds to its clean twin, as
    the lines above nearly coincide.  over: rank, the length of the factors (dim), or the share of
    new ratings; only over "rank" do all ranks share a line.
    """
    figure, axes = panels(2, 3)
    colors = dict(zip(rows["attack"].unique(), cycle(COLORS)))
    defenses = [name for name in rows["defense"].unique() if name not in ("none", "")]
    styles = dict(zip(defenses, cycle(STYLES))) | {"none": ":"}
    for line, part, words in zip(axes, (rows, added(rows)), ("", ", added")):
        table = tables.summary(part)
        table["dim"] = table["model"].str.extract(r"\((\d+)\)", expand=False).astype(float)
        for axis, metric in zip(line, SHOWN):
            of_metric = table[table["metric"] == metric]
            for (attack, defense), points in of_metric.groupby(["attack", "defense"], sort=False):
                _draw_lines(axis, points, over, colors[attack], styles[defense])
            axis.set_ylabel(f"{metric}@{table['k'].iloc[0]:.0f}{words}")
    for axis in axes[1]:
        axis.axhline(0, color="0.5", linewidth=0.6)
        axis.set_xlabel(LABELS[over])
    legend(figure, axes, columns=4, size=7)
    return figure


def added(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of attacked victims with the metrics of SHOWN less those of clean data.

    The clean twin has the same defence and the same victim seed.
    """
    measured = tables.victims(rows)
    shown = list(SHOWN)
    keys = [*(name for name in tables.POINT if name not in ("attack", "profiles")), "seed"]
    clean = measured.loc[measured["attack"] == "none", [*keys, *shown]]
    pairs = measured[measured["attack"] != "none"].merge(clean, on=keys, suffixes=("", "_clean"))
    pairs[shown] -= pairs[[f"{name}_clean" for name in shown]].to_numpy()
    return pairs


def _draw_lines(axis: Axes, points: pd.DataFrame, over: str, color: str, style: str) -> None:
    """Draw the lines of one attack and one defence."""
    attack, defense = points[["attack", "defense"]].iloc[0]
    data = "clean" if attack == "none" else attack
    name = f"{data}, {'as it is' if defense == 'none' else defense}"
    if defense == "none" and over != "dim":
        value = points["mean"].iloc[0]
        axis.axhline(value, color=color, linestyle=style, linewidth=1, label=name)
        return
    by_rank = [("", points)] if over == "rank" else points.groupby("rank", dropna=False)
    for number, (rank, line) in enumerate(by_rank):
        line = line.sort_values(over)
        suffix = f", rank {rank:g}" if defense != "none" and over != "rank" else ""
        axis.errorbar(
            line[over],
            line["mean"],
            line["sd"],
            fmt=style,
            marker="os^"[number % 3],
            markersize=3,
            linewidth=1,
            elinewidth=0.5,
            color=color,
            label=name + suffix,
        )
