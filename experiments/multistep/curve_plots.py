"""Figures 1 and 2: curves over iterations and over epsilon, from results."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from advrec_tf.reporting.plots import baselines, legend, level, panels
from advrec_tf.reporting.vocabulary import color_of

from . import curves
from .labels import CERTIFICATES, FGSM, MODELS, multi_step, select


def _curve(axis: Axes, points: pd.DataFrame, label: str, style: str = "-") -> None:
    if len(points):
        axis.plot(
            points.index, points["mean"], style, color=color_of(label), label=label, markersize=3
        )
        ends = points["mean"] - points["std"], points["mean"] + points["std"]
        axis.fill_between(points.index, *ends, color=color_of(label), alpha=0.2, linewidth=0)


def iterations_figure(rows: pd.DataFrame, metrics: tuple[str, ...]) -> Figure:
    """Figure 1: a row of panels a metric, a column a model; curves over L, and the unperturbed model, FGSM and random as lines."""
    figure, axes = panels(len(metrics), len(MODELS))
    for line, metric in zip(axes, metrics):
        for axis, model in zip(line, MODELS):
            for attack, label in multi_step(rows).items():
                _curve(axis, curves.over(select(rows, model, attack), "iterations", metric), label)
            level(axis, select(rows, model)[metric].mean(), "unperturbed")
            level(axis, select(rows, model, FGSM)[metric].mean(), "FGSM")
            baselines(axis, rows, metric)
            axis.set_ylim(bottom=0)
        line[0].set_ylabel(f"{metric}@{rows['k'].iloc[0]:.0f}")
    for axis, model in zip(axes[0], MODELS):
        axis.set_title(f"{model} on {rows['dataset'].iloc[0]}", fontsize=10)
    for axis in axes[-1]:
        axis.set_xlabel("iterations L")
    legend(figure, axes)
    return figure


def budget_figure(rows: pd.DataFrame) -> Figure:
    """Figure 2: nDCG over epsilon on a logarithmic axis, a panel a model, with FGSM at .5 as a line and the certified bounds."""
    figure, axes = panels(1, len(MODELS))
    for axis, model in zip(axes[0], MODELS):
        for attack, label in ({FGSM: "FGSM"} | multi_step(rows)).items():
            _curve(axis, curves.over(select(rows, model, attack), "epsilon", "nDCG"), label, "o-")
        for attack, label in CERTIFICATES.items():
            _curve(axis, curves.over(select(rows, model, attack), "epsilon", "nDCG"), label, ":")
        fgsm = curves.over(select(rows, model, FGSM), "epsilon", "nDCG")["mean"]
        reference = fgsm.get(curves.REFERENCE_EPSILON, float("nan"))
        level(axis, reference, "FGSM at .5", color=color_of("FGSM"))
        level(axis, select(rows, model)["nDCG"].mean(), "unperturbed")
        baselines(axis, rows, "nDCG")
        axis.set(xscale="log", xlabel="epsilon", title=f"{model} on {rows['dataset'].iloc[0]}")
        axis.set_ylim(bottom=0)
    axes[0, 0].set_ylabel(f"nDCG@{rows['k'].iloc[0]:.0f}")
    legend(figure, axes, columns=4)
    return figure
