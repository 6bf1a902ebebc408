"""Figures from results; nothing here measures anything."""

from pathlib import Path

import matplotlib
import pandas as pd

from advrec_tf.files import replacing

matplotlib.use("Agg", force=False)


def save_figure(figure, path: Path) -> None:
    """Writes a figure as PNG at once."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150, bbox_inches="tight")


def table1_figure(table: pd.DataFrame, metric: str = "nDCG"):
    """Table 1's main comparison: one panel a data set and model, a bar for each column, the published value as a mark.

    table: what `tables.table1` returns -> matplotlib Figure
    """
    import matplotlib.pyplot as plt

    shown = table[(table["metric"] == metric) & (table["selection"] == "best")]
    panels = list(shown.groupby(["dataset", "model"], sort=False))
    figure, axes = plt.subplots(1, len(panels), figsize=(3.6 * len(panels), 3.4), squeeze=False, layout="constrained")
    for axis, ((dataset, model), part) in zip(axes[0], panels):
        axis.bar(part["column"], part["mean"], yerr=part["sd"].fillna(0), color="#4c78a8", width=0.7, label="measured")
        axis.plot(part["column"], part["published"], "D", color="#e45756", label="published")
        axis.set_title(f"{model} on {dataset}", fontsize=10)
        axis.tick_params(axis="x", rotation=60, labelsize=8)
        axis.set_ylim(bottom=0)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_ylabel(f"{metric}@10")
    axes[0, 0].legend(fontsize=8, frameon=False)
    return figure
