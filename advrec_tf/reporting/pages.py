"""A report and its pictures as files, and on the terminal."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from advrec_tf.files import write_text
from advrec_tf.reporting import origin, plots, poisoning
from advrec_tf.results import read_results


def page(
    folder: Path,
    text: str,
    pictures: dict[str, Figure] | None = None,
    *more: str,
    sources: Iterable[Path] = (),
) -> None:
    """Write report.md and the pictures (by name) into a folder, and print the report.

    more: names of further files there; sources: the folders whose rows the page shows, if it is not
    this one.  The last line of the page is `origin.line`.
    """
    measured = origin.line(origin.records_of(sources or [folder]))
    text = f"{text.rstrip()}\n\n{measured}\n"
    write_text(folder / "report.md", text)
    for name, figure in (pictures or {}).items():
        plots.save_figure(figure, folder / name)
    there = [*(["results.csv"] if (folder / "results.csv").exists() else []), *more, "report.md", *(pictures or {})]
    print(f"{text}\nKept in {folder}: {', '.join(there)}")


def defended(title: str, name: str, folders: list[Path]) -> None:
    """The page of a table of defences on each data set."""
    for folder in folders:
        rows = read_results(folder)
        page(folder, poisoning.defense_report(rows, title), {f"{name}.png": plots.defense_figure(poisoning.summary(rows))})


def curves_of_pmf(title: str, name: str, over: str, folders: list[Path]) -> None:
    """The page of a figure of PMF on each data set.  over: rank, dim or share"""
    metrics: Any = ("Recall", "Precision", "RMSE", "HR", "target_HR")
    for folder in folders:
        rows = read_results(folder)
        text = poisoning.defense_report(rows, title, metrics)
        page(folder, text, {f"{name}.png": plots.defense_curves_figure(poisoning.summary(rows), over)})
