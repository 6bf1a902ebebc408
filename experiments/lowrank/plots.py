"""Pictures that several tables and figures of poisoned and defended data share."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from advrec_tf.reporting.plots import bars, legend, panels
from advrec_tf.reporting.vocabulary import color_of, plain

from .tables import seed_column, summary

TRAJECTORY_LABELS = {
    "target_HR": "target HR of the surrogate",
    "goal": "goal at the recommender asked",
    "changed_entries": "entries changed so far",
    "generator": "loss",
    "Jaccard": "Jaccard between profiles",
    "popular": "share of popular items",
    "clicks": "clicks per profile",
}


def trajectory_figure(name: str, trajectory: pd.DataFrame) -> Figure:
    """Draw how an attack or a GAN went over its epochs.

    Dashed lines are the values of real users, or the loss of the discriminator.
    """
    shown = [column for column in TRAJECTORY_LABELS if column in trajectory]
    epochs = trajectory.columns[0]
    figure, axes = panels(1, len(shown), sharex=False)
    for axis, column, color in zip(axes[0], shown, ("PGD", "BIM", "FGSM", "random")):
        dashed = {"generator": "discriminator"}.get(column, f"real_{column}")
        for part, style in ((column, "-"), (dashed, "--")):
            if part in trajectory:
                label = part.replace("_", " ")
                line = trajectory[epochs], trajectory[part], style
                axis.plot(*line, color=color_of(color), label=label)
        if dashed in trajectory:
            axis.legend(fontsize=8, frameon=False)
        axis.set(xlabel=epochs.replace("_", " "), ylabel=TRAJECTORY_LABELS[column])
        axis.set_ylim(bottom=0)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.suptitle(name, fontsize=10)
    return figure


def poison_figure(table: pd.DataFrame) -> Figure:
    """Draw target HR and HR of every attack, a line each, with published values as marks.

    table: from `tables.summary`
    """
    figure, axes = panels(1, 2, sharex=False)
    for axis, metric in zip(axes[0], ("target_HR", "HR")):
        part = table[table["metric"] == metric]
        several = [name for name in ("group", "model") if part[name].nunique() > 1]
        names = _labels(part, ["attack", *seed_column(part), *several], ", ")
        lines, reach = np.arange(len(part)), {"xerr": part["sd"].fillna(0)}
        axis.barh(lines, part["mean"], 0.7, color=color_of("measured"), label="measured", **reach)
        known = part["published"].notna().to_numpy()
        if known.any():
            style = {"color": color_of("published"), "markersize": 4, "label": "published"}
            axis.plot(part["published"][known], lines[known], "D", **style)
        axis.set_yticks(lines, names if axis is axes[0, 0] else [""] * len(lines), fontsize=8)
        axis.set(xlabel=f"{metric}@{table['k'].iloc[0]:.0f}", ylim=(len(lines) - 0.5, -0.5))
    legend(figure, axes)
    figure.set_size_inches(8, 1.6 + 0.22 * len(lines))
    return figure


def defense_figure(table: pd.DataFrame) -> Figure:
    """Draw target HR and HR of every defence with a bar for each attack.

    Published values are marks.  table: from `tables.summary`
    """
    figure, axes = panels(2, 1, sharex=False)
    attacks = list(table["attack"].unique())
    width = 0.8 / len(attacks)
    for axis, metric in zip(axes[:, 0], ("target_HR", "HR")):
        part = table[table["metric"] == metric]
        labels = _labels(part, ["defense", "patch", "kernel", "rank", "components"], " ")
        part = part.assign(label=labels)
        defenses = list(dict.fromkeys(labels))
        for index, attack in enumerate(attacks):
            rows = part[part["attack"] == attack]
            shift = (index - (len(attacks) - 1) / 2) * width
            x = [defenses.index(label) + shift for label in rows["label"]]
            bars(axis, x, rows, attack, width)
        axis.set_xticks(range(len(defenses)), defenses, rotation=20, ha="right", fontsize=8)
        axis.set_ylabel(f"{metric}@{table['k'].iloc[0]:.0f}")
    legend(figure, axes)
    return figure


def defenses_of(rows: pd.DataFrame) -> Figure:
    """Draw `defense_figure` of the rows of an experiment."""
    return defense_figure(summary(rows))


def _labels(table: pd.DataFrame, columns: list[str], separator: str) -> list[str]:
    """Return the values of some columns of each row, joined without the empty ones."""
    rows = zip(*(table[name] for name in columns))
    return [separator.join(filter(None, map(plain, row))) for row in rows]


def interval_reach(table: pd.DataFrame, middle: str) -> np.ndarray:
    """Return how far low and high lie from a column, 0 without an interval, as [2, rows]."""
    interval = table[["low", "high"]].to_numpy(float).T
    return np.nan_to_num(np.abs(interval - table[middle].to_numpy(float)))
