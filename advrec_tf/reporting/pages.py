"""A report and its pictures as files, and on the terminal."""

from collections.abc import Iterable
from pathlib import Path

from matplotlib.figure import Figure

from advrec_tf.files import write_text
from advrec_tf.reporting import origin, plots


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
    there = [
        *(["results.csv"] if (folder / "results.csv").exists() else []),
        *more,
        "report.md",
        *(pictures or {}),
    ]
    print(f"{text}\nKept in {folder}: {', '.join(there)}")
