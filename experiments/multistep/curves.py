"""Curves over iterations and epsilon: what Figures 1 and 2 share."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from advrec_tf.evaluation import equal_harm
from advrec_tf.reporting.vocabulary import color_of, markdown, number

from .labels import FGSM, MODELS, multi_step, select

REFERENCE_EPSILON = 0.5  # of FGSM, whose harm the multi-step attacks are to match


def over(rows: pd.DataFrame, x: str, metric: str) -> pd.DataFrame:
    """Return mean and standard deviation over seeds of a metric along `x`; 0 for a single seed."""
    return rows.groupby(x)[metric].agg(["mean", "std"]).fillna({"std": 0})


def table(columns: dict[str, pd.Series], x: str, metric: str) -> str:
    """Return curves as a table: a row for each value along `x`, a column for each label."""
    lines = []
    for value, values in pd.DataFrame(columns).sort_index().iterrows():
        lines.append([f"{value:g}", *(number(each, metric) for each in values)])
    return markdown([x, *columns], lines)


def draw(axis: Axes, curve: pd.DataFrame, label: str, style: str = "-") -> None:
    """Draw a curve of `over` with a band of one standard deviation, unless it is empty."""
    if len(curve):
        color, mean, std = color_of(label), curve["mean"], curve["std"]
        axis.plot(curve.index, mean, style, color=color, label=label, markersize=3)
        axis.fill_between(curve.index, mean - std, mean + std, color=color, alpha=0.2, linewidth=0)


def equal_harm_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the epsilon that costs as much nDCG as FGSM at REFERENCE_EPSILON.

    One row for each model, multi-step attack and seed: model, attack, seed, epsilon, times less.
    """
    lines = []
    for model in MODELS:
        fgsm = select(rows, model, FGSM)
        fgsm = fgsm[np.isclose(fgsm["epsilon"], REFERENCE_EPSILON)].set_index("seed")["nDCG"]
        for attack, label in multi_step(rows).items():
            for seed, part in select(rows, model, attack).sort_values("epsilon").groupby("seed"):
                if seed in fgsm:
                    curve = part["epsilon"].to_numpy(), part["nDCG"].to_numpy()
                    epsilon = equal_harm(*curve, fgsm[seed])
                    lines.append((model, label, seed, epsilon, REFERENCE_EPSILON / epsilon))
    return pd.DataFrame(lines, columns=["model", "attack", "seed", "epsilon", "times less"])
