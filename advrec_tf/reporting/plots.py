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

    shown = table[table["metric"] == metric]
    shown = shown[shown["selection"] == shown.groupby(["dataset", "model"])["selection"].transform("first")]
    panels = list(shown.groupby(["dataset", "model"], sort=False))
    figure, axes = plt.subplots(1, len(panels), figsize=(3.6 * len(panels), 3.4), squeeze=False, layout="constrained")
    for axis, ((dataset, model), part) in zip(axes[0], panels):
        axis.bar(part["column"], part["mean"], yerr=part["sd"].fillna(0), color="#4c78a8", width=0.7, label="measured")
        axis.plot(part["column"], part["published"], "D", color="#e45756", label="published")
        axis.set_title(f"{model} on {dataset}, {part['selection'].iloc[0]}", fontsize=10)
        axis.set_xticks(range(len(part)), part["column"], rotation=45, ha="right", fontsize=8)
        axis.set_ylim(bottom=0)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_ylabel(f"{metric}@10")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2, fontsize=8, frameon=False)
    return figure
