"""Figures of poisoned, defended and detected data, from results."""

from itertools import cycle

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from advrec_tf.reporting.plots import bars, legend, panels
from advrec_tf.reporting.vocabulary import STYLES, color_of, plain

from . import detection
from .tables import seed_column


def trajectory_figure(name: str, run: pd.DataFrame) -> Figure:
    """How an attack went over its outer epochs, or a GAN over its own: what it raised, how its profiles look, those of real users as a line."""
    says = {
        "target_HR": "target HR of the surrogate",
        "goal": "goal at the recommender asked",
        "changed_entries": "entries changed so far",
        "generator": "loss",
        "Jaccard": "Jaccard between profiles",
        "popular": "share of popular items",
        "clicks": "clicks per profile",
    }
    shown, over = [column for column in says if column in run], run.columns[0]
    figure, axes = panels(1, len(shown), sharex=False)
    for axis, column, color in zip(axes[0], shown, ("PGD", "BIM", "FGSM", "random")):
        beside = {"generator": "discriminator"}.get(column, f"real_{column}")
        for part, values, style in ((column, run[column], "-"), (beside, run.get(beside), "--")):
            if values is not None:
                axis.plot(
                    run[over], values, style, color=color_of(color), label=part.replace("_", " ")
                )
        if beside in run:
            axis.legend(fontsize=8, frameon=False)
        axis.set(xlabel=over.replace("_", " "), ylabel=says[column])
        axis.set_ylim(bottom=0)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.suptitle(name, fontsize=10)
    return figure


def poison_figure(table: pd.DataFrame) -> Figure:
    """Target and overall hit ratio of every attack, mean and deviation over victim seeds, the published value as a mark.

    table: what `poisoning.summary` returns
    """
    figure, axes = panels(1, 2, sharex=False)
    for axis, metric in zip(axes[0], ("target_HR", "HR")):
        part = table[table["metric"] == metric]
        shown = [
            "attack",
            *seed_column(part),
            *(column for column in ("group", "model") if part[column].nunique() > 1),
        ]
        names = [
            ", ".join(filter(None, (plain(row[column]) for column in shown)))
            for _, row in part.iterrows()
        ]
        bars(axis, range(len(part)), part, "measured", color=color_of("measured"))
        axis.set_xticks(range(len(part)), names, rotation=45, ha="right", fontsize=8)
        axis.set_ylabel(f"{metric}@{table['k'].iloc[0]:.0f}")
    legend(figure, axes)
    return figure


def defense_figure(table: pd.DataFrame) -> Figure:
    """Target and overall hit ratio of every defence, a bar for each attack, the published value as a mark.

    table: what `poisoning.summary` returns
    """
    figure, axes = panels(2, 1, sharex=False)
    attacks = list(table["attack"].unique())
    width = 0.8 / len(attacks)
    for axis, metric in zip(axes[:, 0], ("target_HR", "HR")):
        part = table[table["metric"] == metric]
        parts = zip(*(part[name] for name in ("defense", "patch", "kernel", "rank", "components")))
        names = pd.Series([" ".join(filter(None, map(plain, each))) for each in parts], part.index)
        points = list(dict.fromkeys(names))
        for place, attack in enumerate(attacks):
            own = part[part["attack"] == attack]
            bars(
                axis,
                [
                    points.index(names[at]) + (place - (len(attacks) - 1) / 2) * width
                    for at in own.index
                ],
                own,
                attack,
                width,
            )
        axis.set_xticks(range(len(points)), points, rotation=20, ha="right", fontsize=8)
        axis.set_ylabel(f"{metric}@{table['k'].iloc[0]:.0f}")
    legend(figure, axes)
    return figure


def components_figure(points: pd.DataFrame) -> Figure:
    """Figure 1: users on two principal components.  points: columns first, second, fake -> matplotlib Figure"""
    figure, axes = panels(1, 1)
    for fake, label in ((False, "real"), (True, "fake")):
        chosen = points[points["fake"] == fake]
        axes[0, 0].scatter(
            chosen["first"],
            chosen["second"],
            s=4,
            color=color_of(label),
            alpha=0.5,
            label=label,
            linewidths=0,
        )
    axes[0, 0].set_xlabel("first principal component")
    axes[0, 0].set_ylabel("second")
    axes[0, 0].legend(fontsize=8, frameon=False)
    return figure


def detection_figure(rows: pd.DataFrame, score: str = "recall") -> Figure:
    """Figure 2: a panel a sampling, a line a kernel, over the principal components; bars are deviations over folds."""
    table = detection.over_folds(rows)
    samplings = list(table.index.unique("sampling"))
    figure, axes = panels(1, len(samplings))
    for axis, sampling in zip(axes[0], samplings):
        for kernel, part in table.loc[sampling].groupby("kernel"):
            found = part.loc[kernel, score]
            axis.errorbar(
                found.index,
                found["mean"],
                found["std"],
                marker="o",
                markersize=3,
                linewidth=1,
                elinewidth=0.5,
                label=kernel,
            )
        axis.set_title(sampling, fontsize=10)
        axis.set_xlabel("principal components")
        axis.set_ylim(0, 1.05)
    axes[0, 0].set_ylabel(score)
    legend(figure, axes, columns=5)
    return figure


def defense_curves_figure(table: pd.DataFrame, over: str) -> Figure:
    """Figures 3 to 6: Recall, Precision and target_HR of PMF over the SVD rank, the length of its factors (dim) or the share of new ratings.

    A line for each attack and defence (and rank, where that is not the axis); dotted: undefended.  table: what `poisoning.summary` returns
    """
    table = table.assign(dim=table["model"].str.extract(r"\((\d+)\)", expand=False).astype(float))
    figure, axes = panels(1, 3)
    colors = dict(
        zip(table["attack"].unique(), cycle(("#4c78a8", "#e45756", "#54a24b", "#b279a2")))
    )
    styles = dict(
        zip([name for name in table["defense"].unique() if name != "none"], cycle(STYLES))
    )
    for axis, metric in zip(axes[0], ("Recall", "Precision", "target_HR")):
        part = table[table["metric"] == metric]
        for (attack, defense), group in part.groupby(["attack", "defense"], sort=False):
            data = "clean" if attack == "none" else attack
            if defense == "none" and over != "dim":
                axis.axhline(
                    group["mean"].iloc[0],
                    color=colors[attack],
                    linestyle=":",
                    linewidth=1,
                    label=f"{data}, as it is",
                )
                continue
            lines = (
                [("", group)]
                if over == "rank"
                else [
                    (f", rank {rank:g}", own) for rank, own in group.groupby("rank", dropna=False)
                ]
            )
            for place, (suffix, own) in enumerate(lines):
                own = own.sort_values(over)
                label = f"{data}, {'as it is' if defense == 'none' else defense + suffix}"
                style = ":" if defense == "none" else styles[defense]
                axis.errorbar(
                    own[over],
                    own["mean"],
                    own["sd"],
                    fmt=style,
                    marker="os^"[place % 3],
                    markersize=3,
                    linewidth=1,
                    elinewidth=0.5,
                    color=colors[attack],
                    label=label,
                )
        axis.set_xlabel(
            {"rank": "SVD rank", "dim": "length of PMF's factors", "share": "new ratings added, %"}[
                over
            ]
        )
        axis.set_ylabel(f"{metric}@{table['k'].iloc[0]:.0f}")
    legend(figure, axes, columns=4, size=7)
    return figure
