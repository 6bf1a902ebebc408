"""What attacks, models and measures are called, and the colours they have, in every table and figure."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from advrec_tf.evaluation import METRICS, TARGET_METRICS, Metric

MODELS = ("BPR-MF", "AMF")
BASELINES = ("MostPopular", "Random")  # what learns next to nothing, and nothing
EQUAL = " with equal users"  # after any entry, and its rank: the same lists, of `perturbations.normalize_users`
# Whom a leaderboard compares with all others: the highest of `comparison.means` on ML-100K's held-out training interactions, whose board ships.
DEFENDED = f"SVD 16{EQUAL}"
INITIAL = ("", "", "")
FGSM = ("fgsm", "", "clean")
# (attack, ball, start) -> label
MULTI_STEP = {
    ("bim", "linf", "zero"): "BIM",
    ("pgd", "linf", "uniform"): "PGD",
    ("bim", "l2", "zero"): "BIM, l2 ball",
}
CERTIFICATES = {
    ("certificate", "linf", ""): "certified, linf",
    ("certificate", "l2", ""): "certified, l2",
}
COLORS = {
    "FGSM": "#f58518",
    "BIM": "#4c78a8",
    "PGD": "#e45756",
    "BIM, l2 ball": "#72b7b2",
    "certified, linf": "#54a24b",
    "certified, l2": "#b279a2",
    "noise": "#999999",
    "unperturbed": "#000000",
    "random": "#9d66c0",
    "most popular": "#54514d",
    "measured": "#4c78a8",
    "published": "#e45756",
    "real": "#e45756",
    "fake": "#4c78a8",
    "no attack": "#444444",
}
_MORE_COLORS = ("#bab0ac", "#eeca3b", "#ff9da6", "#9c755f", "#2f4b7c")
STYLES = ("-", "--", "-.", ":")

BALLS = (
    "linf: each element of a row moves by at most epsilon, so a row of D elements by up to epsilon times the root of D. "
    "l2 and FGSM: each row moves by at most epsilon.\n"
)


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
TARGET_MEASURES = _legend(metric for name, metric in TARGET_METRICS.items() if name not in METRICS)


def label_of(attack: tuple[str, str, str]) -> str:
    """The name of an (attack, ball, start), known or new."""
    known = {FGSM: "FGSM", ("noise", "", ""): "noise", **MULTI_STEP, **CERTIFICATES}
    name, ball, _ = attack
    return known.get(attack) or name.upper() + (f", {ball} ball" if ball == "l2" else "")


def multi_step(rows: pd.DataFrame) -> dict[tuple[str, str, str], str]:
    """The attacks with iterations that there are rows of, those of the paper first: (attack, ball, start) -> label."""
    iterated = rows[(rows["ball"] != "") & (rows["attack"] != "certificate")]
    there = list(
        iterated[["attack", "ball", "start"]].drop_duplicates().itertuples(index=False, name=None)
    )
    return {
        attack: label_of(attack)
        for attack in [
            *filter(there.__contains__, MULTI_STEP),
            *(each for each in there if each not in MULTI_STEP),
        ]
    }


def color_of(label: str) -> str:
    """The colour of a label; new ones get one of a few more, always the same."""
    return COLORS.get(label) or _MORE_COLORS[sum(map(ord, label)) % len(_MORE_COLORS)]


def select(rows: pd.DataFrame, model: str, attack: tuple[str, str, str] = INITIAL) -> pd.DataFrame:
    """The rows of one model under one (attack, ball, start)."""
    name, ball, start = attack
    return rows[
        (rows["model"] == model)
        & (rows["attack"] == name)
        & (rows["ball"] == ball)
        & (rows["start"] == start)
    ]


def first_selection(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of each model at the selection that is shown first: best, where it was measured."""
    own = rows[rows["selection"] != ""]
    order = own["selection"].where(own["selection"] != "best", "")
    return own[order == order.groupby(own["model"]).transform("min")]


def markdown(header: list[str], lines: list[list[str]]) -> str:
    """A Markdown table."""
    rows = [header, ["---"] * len(header), *lines]
    return (
        "\n".join(
            "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows
        )
        + "\n"
    )


def number(value: float, metric: str = "") -> str:
    """A metric's value with the digits that the papers print."""
    if pd.isna(value):
        return ""
    known = METRICS.get(metric) or TARGET_METRICS.get(metric)
    return f"{value:.{known.decimals if known else 4}f}"


def cell(row: pd.Series) -> str:
    """published / mean [interval over seeds] or ± deviation (difference in percent), or what there is of it."""
    metric, spread = (
        row["metric"],
        "" if pd.isna(row["sd"]) else f" ± {number(row['sd'], row['metric'])}",
    )
    if "low" in row and not pd.isna(row["low"]):
        spread = f" [{number(row['low'], metric)}, {number(row['high'], metric)}]"
    measured = number(row["mean"], metric) + spread
    if pd.isna(row["published"]):
        return measured
    return f"{number(row['published'], metric)} / {measured} ({row['difference']:+.1f}%)"


def plain(value: object) -> str:
    """A key's value as a table shows it."""
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else f"{value:g}"
    return str(value)
