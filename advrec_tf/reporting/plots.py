"""The style that all figures share."""

import io
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imsave

from advrec_tf.files import replacing
from advrec_tf.reporting.vocabulary import BASELINES, color_of

DPI = 150  # of pictures that are saved
MARGIN = 6  # pixels around a piece
Where: TypeAlias = Literal["outside upper center", "outside lower center"]


def panels(
    rows: int, columns: int, sharex: bool | Literal["col"] = True
) -> tuple[Figure, np.ndarray]:
    """Return an empty figure in the shared style, and its axes [rows, columns]."""
    figure = Figure(figsize=(4.2 * columns, 2.7 * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=sharex)
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def legend(
    figure: Figure,
    axes: np.ndarray,
    where: Where = "outside upper center",
    columns: int = 6,
    size: int = 8,
) -> None:
    """Add one legend of everything that is drawn in any panel."""
    entries = {
        label: handle
        for axis in axes.flat
        for handle, label in zip(*axis.get_legend_handles_labels())
    }
    shown = figure.legend(
        list(entries.values()),
        list(entries),
        loc=where,
        ncols=columns,
        fontsize=size,
        frameon=False,
    )
    for text in shown.get_texts():
        text.set_parse_math(False)  # a user's own name may contain $


def level(
    axis: Axes, value: float, label: str, style: str = "--", color: str | None = None
) -> None:
    """Draw a horizontal line, unless the value is NaN."""
    if value == value:
        color = color or color_of(label)
        axis.axhline(value, color=color, linestyle=style, linewidth=1, label=label)


def baselines(axis: Axes, rows: pd.DataFrame, column: str) -> None:
    """Draw the mean of a column for each baseline as a horizontal line."""
    for name, label in zip(BASELINES, ("most popular", "random")):
        level(axis, rows.loc[rows["model"] == name, column].mean(), label, ":")


def bars(
    axis: Axes, x, part: pd.DataFrame, label: str, width: float = 0.7, color: str | None = None
) -> None:
    """Draw means with deviations as bars, and published values, if any, as marks.

    x: the position of each row of `part`, whose columns are mean, sd and published.
    """
    axis.bar(
        x,
        part["mean"],
        width,
        yerr=part["sd"].fillna(0),
        color=color,
        label=label,
        error_kw={"linewidth": 0.8},
    )
    known = part["published"].notna().to_numpy()
    if known.any():
        axis.plot(
            np.asarray(x)[known],
            part["published"][known],
            "D",
            color=color_of("published"),
            markersize=4,
            label="published",
        )


class Piece(NamedTuple):
    """A panel or a legend of a figure, as the bytes of a PNG file, and how wide it is."""

    png: bytes
    inches: float


def pieces(figure: Figure) -> list[Piece]:
    """Return the panels of a figure and then its legends, which a page can lay out anew.

    Every panel gets its tick labels, and the axis labels of the first or last panel.
    """
    axes = [axis for axis in figure.axes if axis.has_data()]
    for axis in axes:
        axis.tick_params(labelbottom=True, labelleft=True)
        axis.set_xlabel(axis.get_xlabel() or axes[-1].get_xlabel())
        axis.set_ylabel(axis.get_ylabel() or axes[0].get_ylabel())
    figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image, made = np.asarray(canvas.buffer_rgba())[::-1, :, :3], []  # from the bottom up
    for artist in (*axes, *figure.legends):
        box = artist.get_tightbbox()
        assert box is not None  # the axes have data and the legends entries
        x0, y0, x1, y1 = np.clip(box.padded(MARGIN).extents, 0, None).astype(int)
        part, buffer = image[y0:y1, x0:x1], io.BytesIO()
        imsave(buffer, np.ascontiguousarray(part[::-1]), format="png")
        made.append(Piece(buffer.getvalue(), part.shape[1] / DPI))
    return made


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG file, atomically."""
    with replacing(path) as temporary, open(temporary, "wb") as file:
        figure.savefig(file, format="png", dpi=DPI, bbox_inches="tight")


def flagged(axis: Axes, marks: list[tuple[str, float, float]], top: float = 1.0) -> None:
    """Draw marks (label, x, y), each named above `top` at a height of its own, by a thin line."""
    for n, (label, x, y) in enumerate(sorted(marks, key=lambda mark: mark[1])):
        height = top + 0.06 * (len(marks) - n)
        axis.plot([x, x], [y, height], color="0.7", linewidth=0.6, zorder=1)
        axis.plot(x, y, "o", color="C2", markersize=4)
        axis.annotate(label, (x, height), (2, -2), textcoords="offset points", fontsize=7)
    axis.set_ylim(-0.02, top + 0.06 * (len(marks) + 1.5))
    axis.set_yticks(np.linspace(0, top, 6))
    axis.margins(x=0.15)  # room for the last name
