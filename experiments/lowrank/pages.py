"""How the experiments of the low-rank paper write their pages."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from advrec_tf.reporting import page, read_results

from . import tables

Rows = pd.DataFrame


def report(
    name: str,
    text: Callable[[Rows], str],
    picture: Callable[[Rows], Figure],
    answer: Callable[[Rows], str] = tables.answer,
) -> Callable[[list[Path]], None]:
    """Return a function that writes report.md and <name>.png of each data set from its rows.

    answer(rows): what is printed.
    """

    def write(folders: list[Path]) -> None:
        for folder in folders:
            rows = read_results(folder)
            pictures = {f"{name}.png": picture(rows)}
            page(folder, text(rows), pictures, answer=answer(rows))

    return write
