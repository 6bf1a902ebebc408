"""Figure 3 and its readings, from losses and their slopes."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from advrec_tf.reporting.plots import legend, panels
from advrec_tf.reporting.vocabulary import color_of

from . import loss_slopes, paper
from .labels import MODELS, first_selection

AXES = {"density": "density", "size": "size, millions of pairs", "shape": "shape, users / items"}


def losses_figure(losses: pd.DataFrame) -> Figure:
    """Return Figure 3: relative nDCG losses over density, size and shape, with fitted lines.

    A row of panels for each model. A dotted line shows what most popular items would cost.
    losses: of `loss_slopes.losses_of`.
    """
    shown = loss_slopes.shown(losses)
    fits = loss_slopes.slopes(shown).set_index(["model", "attack", "characteristic"])
    keys = ["model", "attack", *loss_slopes.CHARACTERISTICS]
    means = shown.groupby(keys)["relative_loss"].agg(["mean", "std"]).fillna(0).reset_index()
    figure, axes = panels(len(MODELS), len(AXES), sharex="col")
    for line, model in zip(axes, MODELS):
        for axis, name in zip(line, AXES):
            x = means[name] / loss_slopes.SCALES[name]
            of_model = means.assign(x=x)[means["model"] == model]
            for attack in loss_slopes.ATTACKS:
                part = of_model[of_model["attack"] == attack]
                _points_and_line(axis, part, fits.loc[model, attack, name], attack)
            part = of_model[of_model["attack"] == "MostPopular"].sort_values(name)
            style = {"color": color_of("most popular"), "linewidth": 1}
            axis.plot(part["x"], part["mean"], ":", label="most popular", **style)
            axis.set_title(model, fontsize=10)
        line[0].set_ylabel("nDCG lost, %")
    for axis, label in zip(axes[-1], AXES.values()):
        axis.set_xlabel(label)
    first, steps = losses.iloc[0], loss_slopes.shown_iterations(losses)
    trained = f"{first['bprmf_epochs']} epochs of BPR-MF, AMF from {first['amf_start']}"
    figure.suptitle(f"{trained} to {first['epochs']}; L = {steps}", fontsize=9)
    legend(figure, axes, "outside lower center")
    return figure


def _points_and_line(axis: Axes, part: pd.DataFrame, fit: pd.Series, attack: str) -> None:
    """Draw each sub-sample's mean loss with its deviation, and the fitted line."""
    style = {"color": color_of(attack), "linewidth": 1}
    axis.errorbar(
        part["x"], part["mean"], part["std"], fmt="o", markersize=4, label=attack, **style
    )
    ends = np.array([part["x"].min(), part["x"].max()])
    axis.plot(ends, fit["intercept"] + fit["slope"] * ends, "-", **style)


def readings_figure(readings: pd.DataFrame) -> Figure | None:
    """Return PGD's slopes over density along the iterations, with 95% intervals.

    None where too few sub-samples were measured for a slope.
    A panel for each model, a curve for each epsilon. readings: of `loss_slopes.readings`.
    """
    metric = loss_slopes.LOSSES["relative_loss"]
    rows = readings[(readings["metric"] == metric) & (readings["iterations"] > 0)]
    rows = first_selection(rows)
    if rows["slope"].isna().all():
        return None
    figure, axes = panels(1, len(MODELS))
    for axis, model in zip(axes[0], MODELS):
        for index, (epsilon, part) in enumerate(rows[rows["model"] == model].groupby("epsilon")):
            color, x = f"C{index % 10}", part["iterations"]  # `color_of` may give one color twice
            label = f"epsilon {epsilon:g}"
            axis.plot(x, part["slope"], "o-", color=color, markersize=3, label=label)
            axis.fill_between(x, part["low"], part["high"], color=color, alpha=0.15, linewidth=0)
        if rows["published"].all():
            style = {"color": color_of("published"), "linestyle": "--", "linewidth": 1}
            axis.axhline(paper.SLOPES[model], label="published", **style)
        axis.axhline(0, color="#999999", linewidth=0.5)
        axis.set(title=f"{model}, epoch '{rows['selection'].iloc[0]}'", xlabel="iterations of PGD")
    axes[0, 0].set_ylabel("slope of the loss over density")
    legend(figure, axes)
    return figure
