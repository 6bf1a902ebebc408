"""Figures from results; nothing here measures anything."""

import io
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from advrec_tf.files import replacing
from advrec_tf.reporting.vocabulary import BASELINES, color_of

DPI = 150  # of pictures that are saved
Where: TypeAlias = Literal["outside upper center", "outside lower center"]


def panels(
    rows: int, columns: int, sharex: bool | Literal["col"] = True
) -> tuple[Figure, np.ndarray]:
    """A figure of this house's size and manner, and its axes [rows, columns]."""
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
    """One legend for all panels, of what is drawn in any of them."""
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
        text.set_parse_math(False)  # names are anyone's


def level(axis: Axes, value: float, label: str, style: str = "--") -> None:
    """A level across a panel, if there is one."""
    if value == value:
        axis.axhline(
            value,
            color=color_of(label.removesuffix(" at .5")),
            linestyle=style,
            linewidth=1,
            label=label,
        )


def baselines(axis: Axes, rows: pd.DataFrame, column: str) -> None:
    """What recommenders that learn next to nothing, and nothing, reach in a column, as levels."""
    for name, label in zip(BASELINES, ("most popular", "random")):
        level(axis, rows.loc[rows["model"] == name, column].mean(), label, ":")


def bars(
    axis: Axes, places, part: pd.DataFrame, label: str, width: float = 0.7, color: str | None = None
) -> None:
    """Means with deviations as bars, and the published values, where there are any, as marks."""
    axis.bar(
        places,
        part["mean"],
        width,
        yerr=part["sd"].fillna(0),
        color=color,
        label=label,
        error_kw={"linewidth": 0.8},
    )
    printed = part["published"].notna().to_numpy()
    if printed.any():
        axis.plot(
            np.asarray(places)[printed],
            part["published"][printed],
            "D",
            color=color_of("published"),
            markersize=4,
            label="published",
        )


def png(figure: Figure) -> bytes:
    """A figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, bbox_inches="tight")
    return buffer.getvalue()


def save_figure(figure: Figure, path: Path) -> None:
    """Writes a figure as PNG at once."""
    with replacing(path) as temporary:
        temporary.write_bytes(png(figure))
