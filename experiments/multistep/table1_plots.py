"""Pictures of Table 1."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from advrec_tf.evaluation import NAMES
from advrec_tf.reporting.plots import bars, baselines, legend, panels
from advrec_tf.reporting.vocabulary import color_of, number

from .labels import first_selection

WHITE_FROM = 20  # percent of difference, from which the cell's color is dark


def table1_figure(table: pd.DataFrame, cells: pd.DataFrame, metric: str = "nDCG") -> Figure:
    """Return a bar for each column of Table 1, a panel for each data set and model.

    Marks are published values, and lines are the baselines.
    table: of `table1_tables.table1`.  cells: of `table1_tables.cells`.
    """
    shown = first_selection(table[table["metric"] == metric])
    parts = list(shown.groupby(["dataset", "model"], sort=False))
    figure, axes = panels(1, len(parts), sharex=False)
    for axis, ((dataset, model), part) in zip(axes[0], parts):
        bars(axis, range(len(part)), part, "measured", color=color_of("measured"))
        baselines(axis, cells[(cells["dataset"] == dataset) & (cells["metric"] == metric)], "value")
        axis.set_title(f"{model} on {dataset}, {part['selection'].iloc[0]}", fontsize=10)
        axis.set_xticks(range(len(part)), part["column"], rotation=45, ha="right", fontsize=8)
        axis.set_ylim(bottom=0)
    axes[0, 0].set_ylabel(metric)
    legend(figure, axes)
    return figure


def difference_figure(table: pd.DataFrame) -> Figure | None:
    """Return the difference to every published cell in percent, a panel for each model.

    Models are at the first selection. A frame is around cells that are outside. None if nothing
    is published.  table: of `table1_tables.table1`, for one data set.
    """
    published = first_selection(table[table["published"].notna()])
    if published.empty:
        return None
    parts = list(published.groupby("model", sort=False))
    figure, axes = panels(1, len(parts), sharex=False)
    for axis, (model, part) in zip(axes[0], parts):
        columns = list(part["column"].unique())
        cells = part.set_index(["metric", "column"])
        wide = cells["difference"].unstack().reindex(index=list(NAMES), columns=columns)
        picture = axis.imshow(wide.to_numpy(), cmap="RdBu_r", vmin=-30, vmax=30, aspect="auto")
        for y, metric in enumerate(NAMES):
            for x, column in enumerate(columns):
                _annotate(axis, x, y, cells.loc[(metric, column)])
        axis.set_xticks(range(len(columns)), columns, rotation=20, ha="right", fontsize=8)
        axis.set_yticks(range(len(NAMES)), NAMES, fontsize=8)
        axis.set_title(f"{model}, {part['selection'].iloc[0]}", fontsize=10)
    figure.colorbar(picture, ax=axes[0, -1], label="measured less published, %")
    figure.set_size_inches(5.2 * len(parts) + 1, 4.2)
    return figure


def _annotate(axis: Axes, x: int, y: int, row: pd.Series) -> None:
    """Write the difference and both values in a cell, and frame a cell that is outside."""
    metric, difference = NAMES[y], row["difference"]
    values = f"{number(row['published'], metric)} / {number(row['mean'], metric)}"
    color = "white" if abs(difference) > WHITE_FROM else "black"
    style = {"ha": "center", "va": "center", "fontsize": 6.5, "color": color}
    axis.text(x, y, f"{difference:+.1f}%\n{values}", **style)
    if not row["inside"]:
        corner = (x - 0.48, y - 0.48)
        axis.add_patch(Rectangle(corner, 0.96, 0.96, fill=False, linewidth=1.2))
