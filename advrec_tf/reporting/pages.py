"""Write a report and its pictures to files, and print what was found."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from advrec_tf.files import write_text
from advrec_tf.reporting import origin, plots


def page(
    folder: Path,
    text: str,
    pictures: dict[str, Figure] | None = None,
    *,
    answer: str = "",
    table: pd.DataFrame | None = None,
    sources: Iterable[Path] = (),
) -> None:
    """Write report.md and the pictures (by name) to a folder, and print what was found.

    The answer and the first picture follow the title of the report. Its last line is
    `origin.line`. What is printed is the title, the answer, the table, and where the files are.

    text: the report; its first line is the title. answer: what was found, in a few sentences.
    table: a few numbers that the report has as well. sources: folders whose rows the page shows,
    by default this one.
    """
    pictures = pictures or {}
    measured = origin.line(origin.records_of(sources or [folder]))
    title, _, details = text.partition("\n")
    heading = title.lstrip("# ")
    head = [title, answer, *(f"![{heading}]({name})" for name in list(pictures)[:1])]
    parts = filter(None, [*head, details.strip(), measured])
    write_text(folder / "report.md", "\n\n".join(parts) + "\n")
    for name, figure in pictures.items():
        plots.save_figure(figure, folder / name)
    shown = [] if table is None else [table.to_string(float_format="{:.4f}".format)]
    print("\n".join([heading, *filter(None, [answer]), *shown, f"Report: {folder / 'report.md'}"]))
