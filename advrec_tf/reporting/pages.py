"""Write a report and its pictures to files, and print it."""

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
    """Write report.md and the pictures (by name) to a folder, and print the report.

    The last line of the page is `origin.line`.

    more: names of further files in the folder; sources: folders whose rows the page shows, by
    default this one.
    """
    measured = origin.line(origin.records_of(sources or [folder]))
    text = f"{text.rstrip()}\n\n{measured}\n"
    write_text(folder / "report.md", text)
    for name, figure in (pictures or {}).items():
        plots.save_figure(figure, folder / name)
    files = [*more, "report.md", *(pictures or {})]
    if (folder / "results.csv").exists():
        files.insert(0, "results.csv")
    print(f"{text}\nKept in {folder}: {', '.join(files)}")
