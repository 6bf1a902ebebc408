"""Pictures of Table 1."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from advrec_tf.evaluation import NAMES
from advrec_tf.reporting.plots import bars, baselines, legend, panels
from advrec_tf.reporting.vocabulary import color_of, number

from .labels import first_selection

WHITE_FROM = 20  # percent off the print, from which the colour is dark


def table1_figure(table: pd.DataFrame, cells: pd.DataFrame, metric: str = "nDCG") -> Figure:
    """Table 1's main comparison: one panel a data set and model, a bar for each column, the published value as a mark, what learns nothing as lines.

    table: what `tables.table1` makes of cells
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
    """How far every printed cell is from what was measured, in percent of the printed: a panel a model, at the first selection; None where nothing is
    printed.  A frame is around cells that are outside.

    table: what `tables.table1` returns, of one data set
    """
    printed = first_selection(table[table["published"].notna()])
    if printed.empty:
        return None
    models = list(printed["model"].unique())
    figure, axes = panels(1, len(models), sharex=False)
    for axis, model in zip(axes[0], models):
        part = printed[printed["model"] == model]
        columns = list(part["column"].unique())
        own = part.set_index(["metric", "column"])
        wide = np.array(
            [
                [own["difference"].get((metric, column), np.nan) for column in columns]
                for metric in NAMES
            ]
        )
        picture = axis.imshow(wide, cmap="RdBu_r", vmin=-30, vmax=30, aspect="auto")
        for (line, place), value in np.ndenumerate(wide):
            row = own.loc[(NAMES[line], columns[place])]
            text = f"{value:+.1f}%\n{number(row['published'], NAMES[line])} / {number(row['mean'], NAMES[line])}"
            axis.text(
                place,
                line,
                text,
                ha="center",
                va="center",
                fontsize=6.5,
                color="white" if abs(value) > WHITE_FROM else "black",
            )
            if not row["inside"]:
                axis.add_patch(
                    Rectangle((place - 0.48, line - 0.48), 0.96, 0.96, fill=False, linewidth=1.2)
                )
        axis.set_xticks(range(len(columns)), columns, rotation=20, ha="right", fontsize=8)
        axis.set_yticks(range(len(NAMES)), NAMES, fontsize=8)
        axis.set_title(f"{model}, {part['selection'].iloc[0]}", fontsize=10)
    figure.colorbar(picture, ax=axes[0, -1], label="measured less printed, %")
    figure.set_size_inches(5.2 * len(models) + 1, 4.2)
    return figure
