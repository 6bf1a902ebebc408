"""Names, colours and number formats that all tables and figures share."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from advrec_tf.evaluation import METRICS, TARGET_METRICS, Metric

BASELINES = ("MostPopular", "Random")  # without personalisation: popularity, and chance
COLORS = {
    "FGSM": "#f58518",
    "BIM": "#4c78a8",
    "PGD": "#e45756",
    "BIM, l2 ball": "#72b7b2",
    "certified, linf": "#54a24b",
    "certified, l2": "#b279a2",
    "noise": "#999999",
    "clean": "#000000",
    "random": "#9d66c0",
    "most popular": "#54514d",
    "measured": "#4c78a8",
    "published": "#e45756",
    "real": "#e45756",
    "fake": "#4c78a8",
    "no attack": "#444444",
    "WRMF": "#2f4b7c",
    "PMF": "#d4650f",
    "BPR-MF": "#7f7f7f",
    "iALS": "#54a24b",
    "LightGCN": "#4c78a8",
    "LightGCN-APR": "#72b7b2",
    "SASRec": "#e45756",
    "SASRec-APR": "#f58518",
}
_MORE_COLORS = ("#bab0ac", "#eeca3b", "#ff9da6", "#9c755f", "#2f4b7c")
STYLES = ("-", "--", "-.", ":")


def _legend(metrics: Iterable[Metric]) -> str:
    """Return what each metric measures and which direction of it is better."""
    groups: dict[str, list[str]] = {"higher": [], "lower": []}
    for metric in metrics:
        unit = f", in {metric.unit}" if metric.unit else ""
        groups[metric.better].append(f"{metric.name} ({metric.title}{unit})")
    parts = (
        f"{side.title()} is better: {', '.join(names)}." for side, names in groups.items() if names
    )
    return " ".join(parts) + "\n"


MEASURES = _legend(METRICS.values())


def color_of(label: str) -> str:
    """Return the colour of a label; an unknown label always gets the same spare colour."""
    return COLORS.get(label) or _MORE_COLORS[sum(map(ord, label)) % len(_MORE_COLORS)]


def markdown(header: list[str], lines: list[list[str]]) -> str:
    """Return a Markdown table."""
    text = ""
    for row in (header, ["---"] * len(header), *lines):
        cells = [cell.replace("|", "\\|") for cell in row]
        text += f"| {' | '.join(cells)} |\n"
    return text


def number(value: float, metric: str = "") -> str:
    """Return a metric's value with the decimals that the papers print, "" for NaN."""
    if pd.isna(value):
        return ""
    known = METRICS.get(metric) or TARGET_METRICS.get(metric)
    return f"{value:.{known.decimals if known else 4}f}"


def cell(row: pd.Series) -> str:
    """Return `published / mean [interval over seeds] (difference in percent)`.

    Two values have no interval that means something, so that they are shown themselves. Without an
    interval ± the deviation, and without a published value only what was measured.
    """
    metric, values = row["metric"], row.get("values", [])
    measured = number(row["mean"], metric)
    if len(values) == 2:
        measured = ", ".join(number(value, metric) for value in values)
    elif not pd.isna(row.get("low", np.nan)):
        measured += f" [{number(row['low'], metric)}, {number(row['high'], metric)}]"
    elif not pd.isna(row["sd"]):
        measured += f" ± {number(row['sd'], metric)}"
    if pd.isna(row["published"]):
        return measured
    return f"{number(row['published'], metric)} / {measured} ({row['difference']:+.1f}%)"


def plain(value: object) -> str:
    """Return the value of a key column as a table shows it."""
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else f"{value:g}"
    return str(value)
