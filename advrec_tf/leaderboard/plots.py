"""Pictures of a leaderboard: curves over epsilon, the Pareto front, and protected users."""

import textwrap
from collections.abc import Callable, Collection

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from advrec_tf.leaderboard import protection, summary
from advrec_tf.leaderboard.comparison import CERTIFIED, CLEAN, GOALS, at, title_of
from advrec_tf.leaderboard.measuring import USER
from advrec_tf.leaderboard.worst_case import GROUPS, THREAT_MODELS
from advrec_tf.reporting.plots import legend, panels
from advrec_tf.reporting.vocabulary import BASELINES

CURVES_ALT = (
    "Worst nDCG over epsilon in the l2 ball, a panel for each threat model, a line for each entry; "
    "dotted the certified bound, a level for what learns nothing"
)
FRONT_ALT = (
    "Worst over clean nDCG, a panel for each condition, a point for each entry, the front as a line"
)
MARKERS = "osD^v*<>"  # one for each of MOST_COLORED
MOST_COLORED = 8  # entries that can be told apart by colour
HIGHLIGHTED = 5  # of more entries; the others are grey
REFERENCES = ("BPR-MF", "AMF", "iALS-64")


def curves_figure(rows: pd.DataFrame, own: Collection[str] = ()) -> Figure:
    """Plot worst nDCG over the l2 epsilon, a panel for each threat model, a line for each entry.

    Certified nDCG of coloured entries is dotted, where its assumptions hold. Baselines are
    horizontal lines.  own: names of the user's models, which have a colour.
    """
    styles = _style(rows, own)

    def draw(axis: Axes, threat_model: str) -> None:
        """Draw a curve for each entry over the l2 epsilon, and the clean values as levels."""
        curves = rows[(rows["threat_model"] == threat_model) & (rows["ball"] == "l2")]
        means = curves.groupby(["entry", "epsilon"])[["nDCG", "certified_nDCG"]].mean()
        for entry in [name for name in styles if name in means.index]:
            part, style = means.loc[entry], styles[entry]
            axis.plot(part.index, part["nDCG"], markersize=3, linewidth=1.2, **style)
            if threat_model in ("test", USER) and style["label"] == entry:
                axis.plot(part.index, part["certified_nDCG"], ":", color=style["color"])
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
        axis.set(xscale="log", xlabel="epsilon, l2")
        axis.set_title(textwrap.fill(f"attacker {THREAT_MODELS[name]}", 46), fontsize=9)
        axis.set_ylim(bottom=0)
    for axis in axes[:, 0]:
        axis.set_ylabel(ylabel)
    legend(figure, axes, "outside lower center", columns=2)
    return figure


def highlighted(rows: pd.DataFrame, own: Collection[str] = ()) -> list[str]:
    """Return the entries that have a colour: all of MOST_COLORED, or else HIGHLIGHTED of them.

    They are those of a user's own models, the entry that keeps most under `test`, the most accurate
    one, and REFERENCES.  own: names of the user's models.
    """
    models = _models(rows)
    entries = models["entry"].tolist()
    if len(entries) <= MOST_COLORED:
        return entries
    chosen = models.loc[models["model"].isin(own), "entry"].tolist()
    means = [at(rows, condition).groupby("entry")["nDCG"].mean() for condition in (GOALS[2], CLEAN)]
    chosen += [values.reindex(entries).idxmax() for values in means if values.notna().any()]
    chosen += [name for name in REFERENCES if name in entries]
    return list(dict.fromkeys(chosen))[:HIGHLIGHTED]


def _style(rows: pd.DataFrame, own: Collection[str] = ()) -> dict[str, dict]:
    """Return colour, marker and label of each entry but baselines; the grey ones come first.

    Entries that are not `highlighted` are grey and share a label. Users of equal norm have open
    markers.
    """
    models, colored = _models(rows).set_index("entry"), highlighted(rows, own)
    grey = {"color": "0.8", "marker": ".", "label": "other entries"}
    styles = dict.fromkeys(models.index.difference(colored), grey)
    for index, entry in enumerate(colored):
        color = f"C{index}"
        inside = "white" if models.loc[entry, "user_normalized"] else color
        style = {"color": color, "marker": MARKERS[index], "markerfacecolor": inside}
        styles[entry] = style | {"label": entry}
    return styles


def _models(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the first row of each entry but baselines, by name."""
    return rows[~rows["entry"].isin(BASELINES)].drop_duplicates("entry").sort_values("entry")


def front(points: pd.DataFrame) -> pd.DataFrame:
    """Return the Pareto front, the largest x first: points that no other exceeds in both x and y.

    points: columns x and y
    """
    ordered = points.sort_values(["x", "y"], ascending=False)
    return ordered[ordered["y"] > ordered["y"].cummax().shift(fill_value=-np.inf)]


def front_figure(rows: pd.DataFrame, own: Collection[str] = ()) -> Figure:
    """Plot worst over clean nDCG, a panel for each of GOALS and CERTIFIED.

    Entries are points with bars over seeds. The front is a line.  rows: of `worst_cases`; own:
    names of the user's models, which have a colour.
    """
    figure, axes = panels(2, 4)
    styles, clean = _style(rows, own), at(rows, CLEAN).groupby("entry")["nDCG"]
    for axis, condition in zip(axes.flat, (*GOALS, CERTIFIED)):
        left = at(rows, condition).groupby("entry")["nDCG"]
        columns = {"x": clean.mean(), "y": left.mean(), "dx": clean.std(), "dy": left.std()}
        points = pd.DataFrame(columns).dropna(subset=["x", "y"])
        for entry, style in styles.items():
            if entry in points.index:
                x, y, dx, dy = points.loc[entry].fillna(0)
                style = {"linestyle": "", "markersize": 5, "elinewidth": 0.8, **style}
                axis.errorbar(x, y, dy, dx, **style)
        line = front(points.drop(index=list(BASELINES), errors="ignore"))
        axis.step(line["x"], line["y"], where="post", color="#999999", linewidth=0.8, zorder=0)
        baselines(axis, clean.mean())
        axis.set(title=title_of(condition))
        axis.locator_params(axis="x", nbins=4)  # clean values lie close to each other
        axis.set_ylim(bottom=0)
    for axis in axes[1]:
        axis.set_xlabel("clean nDCG")
    for axis in axes[:, 0]:
        axis.set_ylabel("worst nDCG")
    legend(figure, axes, "outside lower center", columns=5)
    return figure


def groups_figure(groups: pd.DataFrame, rows: pd.DataFrame, own: Collection[str] = ()) -> Figure:
    """Plot the share of nDCG that is left or certified over quartiles, a line for each entry.

    groups: of `protection.protected`; rows: of `worst_cases`; own: names of the user's models
    """
    conditions = list(dict.fromkeys(groups["of"]))
    figure, axes = panels(len(conditions), len(GROUPS))
    styles = _style(rows, own)
    for row, condition in zip(axes, conditions):
        for axis, by in zip(row, GROUPS):
            part = groups[(groups["of"] == condition) & (groups["by"] == by)].set_index("entry")
            for entry, style in styles.items():
                if entry in part.index:
                    shares = part.loc[entry, protection.SHARES]
                    style = {"markersize": 4, "linewidth": 1, **style}
                    axis.plot(range(1, 5), shares, **style)
            axis.set(title=condition, xlabel=f"quartile of {by}", ylabel="share of nDCG")
            axis.set(xticks=range(1, 5))
            axis.set_ylim(bottom=0)
    legend(figure, axes, "outside lower center", columns=3)
    return figure
