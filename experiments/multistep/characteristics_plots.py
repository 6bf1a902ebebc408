"""Figure 3 and its readings, from losses and their slopes."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from advrec_tf.reporting.plots import legend, panels
from advrec_tf.reporting.vocabulary import color_of

from . import loss_slopes
from .labels import MODELS, first_selection


def losses_figure(losses: pd.DataFrame) -> Figure:
    """Figure 3: rho over density, size and shape, a row of panels a model, with fitted lines, and what most popular items would cost.

    losses: of `loss_slopes.losses`
    """
    shown = loss_slopes.shown(losses)
    fits = loss_slopes.slopes(shown).set_index(["model", "attack", "characteristic"])
    means = (
        shown.groupby(["model", "attack", *loss_slopes.CHARACTERISTICS])["rho"]
        .agg(["mean", "std"])
        .fillna(0)
        .reset_index()
    )
    figure, axes = panels(len(MODELS), len(loss_slopes.CHARACTERISTICS), sharex="col")
    for line, model in zip(axes, MODELS):
        for axis, name in zip(line, loss_slopes.CHARACTERISTICS):
            scale = 1e6 if name == "size" else 1
            for attack in loss_slopes.ATTACKS:
                part = means[(means["model"] == model) & (means["attack"] == attack)]
                x, fit = part[name] / scale, fits.loc[model, attack, name]
                axis.errorbar(
                    x,
                    part["mean"],
                    part["std"],
                    fmt="o",
                    color=color_of(attack),
                    markersize=4,
                    linewidth=1,
                    label=attack,
                )
                ends = np.array([x.min(), x.max()])
                axis.plot(
                    ends,
                    fit["intercept"] + fit["slope"] * ends,
                    "-",
                    color=color_of(attack),
                    linewidth=1,
                )
            popular = means[
                (means["model"] == model) & (means["attack"] == "MostPopular")
            ].sort_values(name)
            axis.plot(
                popular[name] / scale,
                popular["mean"],
                ":",
                color=color_of("most popular"),
                linewidth=1,
                label="most popular",
            )
            axis.set_title(model, fontsize=10)
        line[0].set_ylabel("nDCG lost, %")
    for axis, label in zip(
        axes[-1], ("density", "size, millions of pairs", "shape, users / items")
    ):
        axis.set_xlabel(label)
    first = losses.iloc[0]
    title = f"{first['bprmf_epochs']} epochs of BPR-MF, AMF from {first['amf_start']} to {first['epochs']}"
    figure.suptitle(f"{title}; L = {loss_slopes.shown_iterations(losses)}", fontsize=9)
    legend(figure, axes, "outside lower center")
    return figure


def readings_figure(readings: pd.DataFrame) -> Figure:
    """The slope of PGD's loss of nDCG over density along the iterations, with its 95% interval, for every epsilon, a panel a model.

    readings: of `loss_slopes.readings`
    """
    own = first_selection(
        readings[(readings["metric"] == loss_slopes.LOSSES["rho"]) & (readings["iterations"] > 0)]
    )
    figure, axes = panels(1, len(MODELS))
    for axis, model in zip(axes[0], MODELS):
        for place, (epsilon, part) in enumerate(own[own["model"] == model].groupby("epsilon")):
            color = f"C{place % 10}"  # that of a label may be another's
            axis.plot(
                part["iterations"],
                part["slope"],
                "o-",
                color=color,
                markersize=3,
                label=f"epsilon {epsilon:g}",
            )
            axis.fill_between(
                part["iterations"], part["low"], part["high"], color=color, alpha=0.15, linewidth=0
            )
        if own["published"].all():
            axis.axhline(
                loss_slopes.PUBLISHED_SLOPES[model],
                color=color_of("published"),
                linestyle="--",
                linewidth=1,
                label="printed",
            )
        axis.axhline(0, color="#999999", linewidth=0.5)
        axis.set(title=f"{model}, epoch '{own['selection'].iloc[0]}'", xlabel="iterations of PGD")
    axes[0, 0].set_ylabel("slope of rho over density")
    legend(figure, axes)
    return figure
