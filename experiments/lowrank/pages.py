"""Pages that several tables and figures of the low-rank paper share."""

from pathlib import Path
from typing import Any

from advrec_tf.execution.results import read_results
from advrec_tf.reporting import page

from . import plots, tables


def defended(title: str, name: str, folders: list[Path]) -> None:
    """The page of a table of defences on each data set."""
    for folder in folders:
        rows = read_results(folder)
        page(
            folder,
            tables.defense_report(rows, title),
            {f"{name}.png": plots.defense_figure(tables.summary(rows))},
        )


def curves_of_pmf(title: str, name: str, over: str, folders: list[Path]) -> None:
    """The page of a figure of PMF on each data set.  over: rank, dim or share"""
    metrics: Any = ("Recall", "Precision", "RMSE", "HR", "target_HR")
    for folder in folders:
        rows = read_results(folder)
        text = tables.defense_report(rows, title, metrics)
        page(folder, text, {f"{name}.png": plots.defense_curves_figure(tables.summary(rows), over)})
