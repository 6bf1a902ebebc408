"""Pictures of a leaderboard: curves over epsilon, the Pareto front, and protected users."""

from collections.abc import Callable, Collection

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from advrec_tf.leaderboard import protection, summary
from advrec_tf.leaderboard.comparison import CERTIFIED, CLEAN, GOALS, at, title_of
from advrec_tf.leaderboard.measuring import ENTRY_COLUMNS, USER
from advrec_tf.leaderboard.worst_case import GROUPS
from advrec_tf.reporting.plots import legend, panels
from advrec_tf.reporting.vocabulary import BASELINES

CURVES_ALT = (
    "Worst nDCG over epsilon in the l2 ball, a panel for each threat model, a line for each entry; "
    "dotted the certified bound, a level for what learns nothing"
)
FRONT_ALT = (
    "Worst over clean nDCG, a panel for each condition, a point for each entry, the front as a line"
)
MARKERS = "osD^v*<>"


def curves_figure(rows: pd.DataFrame) -> Figure:
    """Plot worst nDCG over the l2 epsilon, a panel for each threat model, a line for each entry.

    Certified nDCG is dotted, where its assumptions hold. Baselines are horizontal lines.
    """

    def draw(axis: Axes, threat_model: str) -> None:
        """Draw a curve for each entry over the l2 epsilon, and the clean values as levels.

        Certified nDCG is dotted.
        """
        curves = rows[(rows["threat_model"] == threat_model) & (rows["ball"] == "l2")]
        for index, (entry, part) in enumerate(curves.groupby("entry")):
            means = part.groupby("epsilon")[["nDCG", "certified_nDCG"]].mean()
            color = f"C{index % 10}"
            line = "-" if index < 10 else "--"  # where colours begin again
            (curve,) = axis.plot(means.index, means["nDCG"], MARKERS[index % 6] + line, label=entry)
            curve.set(color=color, markersize=3, linewidth=1.2)
            if threat_model in ("test", USER):
                axis.plot(means.index, means["certified_nDCG"], ":", color=color, linewidth=1)
        baselines(axis, rows[rows["threat_model"] == ""].groupby("entry")["nDCG"].mean())

    return by_threat_model(summary.threat_models(rows), draw, "worst nDCG")


def baselines(axis: Axes, clean: pd.Series) -> None:
    """Draw the clean nDCG of baselines as horizontal lines.  clean: nDCG by entry"""
    for name in BASELINES:
        if name in clean:
            label = f"{name}, clean"
            axis.axhline(clean[name], color="black", linestyle="--", linewidth=1, label=label)


def by_threat_model(
    names: Collection[str], draw: Callable[[Axes, str], None], ylabel: str
) -> Figure:
    """Return a figure over the l2 epsilon with a panel for each threat model.

    draw(axis, threat_model) fills a panel
    """
    columns = min(2, len(names))
    figure, axes = panels(-(-len(names) // columns), columns)
    for axis, name in zip(axes.flat, names):
        draw(axis, name)
        axis.set(xscale="log", xlabel="epsilon, l2", title=name)
        axis.set_ylim(bottom=0)
    for axis in axes[:, 0]:
        axis.set_ylabel(ylabel)
    legend(figure, axes, "outside lower center", columns=4)
    return figure


def _style(rows: pd.DataFrame) -> dict[str, dict]:
    """Return colour and marker of each entry but baselines.

    Entries that differ only in user normalisation share a colour, and one of them has open markers.
    """
    entries = rows[~rows["entry"].isin(BASELINES)].drop_duplicates("entry").sort_values("entry")
    *factors, normalized = ENTRY_COLUMNS
    groups = entries.groupby(factors, sort=False, dropna=False).ngroup()
    styles = {}
    for entry, index, is_normalized in zip(entries["entry"], groups, entries[normalized]):
        style = {"color": f"C{index % 10}", "marker": MARKERS[index % len(MARKERS)]}
        styles[entry] = style | {"markerfacecolor": "white" if is_normalized else style["color"]}
    return styles


def front(points: pd.DataFrame) -> pd.DataFrame:
    """Return the Pareto front, the largest x first: points that no other exceeds in both x and y.

    points: columns x and y
    """
    ordered = points.sort_values(["x", "y"], ascending=False)
    return ordered[ordered["y"] > ordered["y"].cummax().shift(fill_value=-np.inf)]


def front_figure(rows: pd.DataFrame) -> Figure:
    """Plot worst over clean nDCG, a panel for each of GOALS and CERTIFIED.

    Entries are points with bars over seeds. The front is a line.  rows: of `worst_cases`
    """
    figure, axes = panels(2, 4)
    styles, clean = _style(rows), at(rows, CLEAN).groupby("entry")["nDCG"]
    for axis, condition in zip(axes.flat, (*GOALS, CERTIFIED)):
        left = at(rows, condition).groupby("entry")["nDCG"]
        columns = {"x": clean.mean(), "y": left.mean(), "dx": clean.std(), "dy": left.std()}
        points = pd.DataFrame(columns).dropna(subset=["x", "y"])
        for entry, style in styles.items():
            if entry in points.index:
                x, y, dx, dy = points.loc[entry].fillna(0)
                style = {"linestyle": "", "markersize": 5, "elinewidth": 0.8, **style}
                axis.errorbar(x, y, dy, dx, label=entry, **style)
        line = front(points.drop(index=list(BASELINES), errors="ignore"))
        axis.step(line["x"], line["y"], where="post", color="#999999", linewidth=0.8, zorder=0)
        baselines(axis, clean.mean())
        axis.set(title=title_of(condition))
        axis.set_ylim(bottom=0)
    for axis in axes[1]:
        axis.set_xlabel("clean nDCG")
    for axis in axes[:, 0]:
        axis.set_ylabel("worst nDCG")
    legend(figure, axes, "outside lower center", columns=5)
    return figure


def groups_figure(groups: pd.DataFrame, rows: pd.DataFrame) -> Figure:
    """Plot the share of nDCG that is left or certified over quartiles, a line for each entry.

    groups: of `protection.protected`; rows: of `worst_cases`
    """
    conditions = list(dict.fromkeys(groups["of"]))
    figure, axes = panels(len(conditions), len(GROUPS))
    styles = _style(rows)
    for row, condition in zip(axes, conditions):
        for axis, by in zip(row, GROUPS):
            part = groups[(groups["of"] == condition) & (groups["by"] == by)].set_index("entry")
            for entry, style in styles.items():
                if entry in part.index:
                    shares = part.loc[entry, protection.SHARES]
                    style = {"markersize": 4, "linewidth": 1, **style}
                    axis.plot(range(1, 5), shares, label=entry, **style)
            axis.set(title=condition, xlabel=f"quartile of {by}", ylabel="share of nDCG")
            axis.set(xticks=range(1, 5))
            axis.set_ylim(bottom=0)
    legend(figure, axes, "outside lower center", columns=3)
    return figure
