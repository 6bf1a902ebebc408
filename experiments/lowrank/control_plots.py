"""Pictures of the low-rank paper's controls."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from advrec_tf.reporting.plots import panels
from advrec_tf.reporting.vocabulary import color_of


def controls_figure(table: pd.DataFrame) -> Figure:
    """Target HR under the attack by defence, a mark a control (`reporting.controls.table`), and of clean data as a grey line."""
    attacked, clean = (
        table[table["attack"] != "none"],
        table[table["attack"] == "none"].groupby("name", sort=False)["mean"].mean(),
    )
    shown, controls = (
        list(dict.fromkeys(attacked["name"])),
        list(dict.fromkeys(attacked["control"])),
    )
    figure, axes = panels(1, 1)
    axis = axes[0, 0]
    for place, control in enumerate(controls):
        part = attacked[attacked["control"] == control]
        x = [
            shown.index(name) + (place - (len(controls) - 1) / 2) / (len(controls) + 2)
            for name in part["name"]
        ]
        axis.errorbar(
            x, part["mean"], _reach(part, "mean"), fmt="o", markersize=4, capsize=2, label=control
        )
    places = [shown.index(name) for name in clean.index]
    axis.hlines(
        clean,
        [x - 0.4 for x in places],
        [x + 0.4 for x in places],
        color="grey",
        label="clean data",
    )
    axis.set_xticks(range(len(shown)), shown, rotation=20, ha="right", fontsize=8)
    axis.set_ylabel("target HR")
    axis.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.set_size_inches(9, 4.2)
    return figure


def parts_figure(table: pd.DataFrame) -> Figure:
    """How much each set of profiles changes the targets' score, rank and HR beside another, percent, by victim (`reporting.parts.compared`)."""
    pairs = list(dict.fromkeys(zip(table["before"], table["after"])))[::-1]
    figure, axes = panels(1, 3, sharex=False)
    for axis, measure in zip(axes[0], ("target_score", "target_rank", "target_HR")):
        for shift, (model, part) in zip(
            (-0.15, 0.15), table[table["measure"] == measure].groupby("model", sort=False)
        ):
            y = [pairs.index(pair) + shift for pair in zip(part["before"], part["after"])]
            axis.errorbar(
                part["change"],
                y,
                xerr=_reach(part, "change"),
                fmt="o",
                markersize=4,
                capsize=2,
                color=color_of(model),
                label=model,
            )
        axis.axvline(0, color="grey", linewidth=1)
        axis.set_xscale("symlog", linthresh=10)
        axis.set_xlabel(f"{measure}, change in %")
        axis.set_yticks(
            range(len(pairs)),
            [f"{before} \u2192 {after}" for before, after in pairs]
            if axis is axes[0, 0]
            else [""] * len(pairs),
            fontsize=8,
        )
    axes[0, -1].legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.set_size_inches(13, 4.8)
    return figure


def _reach(part: pd.DataFrame, middle: str) -> np.ndarray:
    return np.nan_to_num(
        np.abs(part[["low", "high"]].to_numpy(float).T - part[middle].to_numpy(float))
    )
