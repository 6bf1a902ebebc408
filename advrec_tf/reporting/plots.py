"""Figures from results; nothing here measures anything."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from advrec_tf.files import replacing
from advrec_tf.reporting import characteristics, curves

COLORS = {"FGSM": "#f58518", "BIM": "#4c78a8", "PGD": "#e45756", "BIM, l2 ball": "#72b7b2", "certified, linf": "#54a24b", "certified, l2": "#b279a2"}


def panels(rows: int, columns: int, sharex: bool | str = True) -> tuple[Figure, np.ndarray]:
    """A figure of this house's size and manner, and its axes [rows, columns]."""
    figure = Figure(figsize=(4.2 * columns, 2.7 * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=sharex)
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def save_figure(figure, path: Path) -> None:
    """Writes a figure as PNG at once."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150, bbox_inches="tight")


def table1_figure(table: pd.DataFrame, metric: str = "nDCG"):
    """Table 1's main comparison: one panel a data set and model, a bar for each column, the published value as a mark.

    table: what `tables.table1` returns -> matplotlib Figure
    """
    shown = table[table["metric"] == metric]
    shown = shown[shown["selection"] == shown.groupby(["dataset", "model"])["selection"].transform("first")]
    parts = list(shown.groupby(["dataset", "model"], sort=False))
    figure, axes = panels(1, len(parts), sharex=False)
    for axis, ((dataset, model), part) in zip(axes[0], parts):
        axis.bar(part["column"], part["mean"], yerr=part["sd"].fillna(0), color="#4c78a8", width=0.7, label="measured")
        axis.plot(part["column"], part["published"], "D", color="#e45756", label="published")
        axis.set_title(f"{model} on {dataset}, {part['selection'].iloc[0]}", fontsize=10)
        axis.set_xticks(range(len(part)), part["column"], rotation=45, ha="right", fontsize=8)
        axis.set_ylim(bottom=0)
    axes[0, 0].set_ylabel(f"{metric}@10")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2, fontsize=8, frameon=False)
    return figure


def _curve(axis, points: pd.DataFrame, label: str, style: str = "-") -> None:
    axis.plot(points.index, points["mean"], style, color=COLORS[label], label=label, markersize=3)
    axis.fill_between(points.index, points["mean"] - points["std"], points["mean"] + points["std"], color=COLORS[label], alpha=0.2, linewidth=0)


def iterations_figure(rows: pd.DataFrame, metrics: tuple[str, ...]):
    """Figure 1: a row of panels a metric, a column a model; curves over L, and the unperturbed model, FGSM and random as lines."""
    figure, axes = panels(len(metrics), len(curves.MODELS))
    for line, metric in zip(axes, metrics):
        for axis, model in zip(line, curves.MODELS):
            for attack, label in curves.MULTI_STEP.items():
                _curve(axis, curves.over(curves.select(rows, model, attack), "iterations", metric), label)
            axis.axhline(curves.select(rows, model)[metric].mean(), color="black", linestyle="--", linewidth=1, label="unperturbed")
            axis.axhline(curves.select(rows, model, curves.FGSM)[metric].mean(), color=COLORS["FGSM"], linestyle="--", label="FGSM")
            axis.axhline(curves.select(rows, "Random")[metric].mean(), color="#9d66c0", linestyle=":", label="random")
            axis.set_ylim(bottom=0)
        line[0].set_ylabel(f"{metric}@10")
    for axis, model in zip(axes[0], curves.MODELS):
        axis.set_title(f"{model} on {rows['dataset'].iloc[0]}", fontsize=10)
    for axis in axes[-1]:
        axis.set_xlabel("iterations L")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=6, fontsize=8, frameon=False)
    return figure


def budget_figure(rows: pd.DataFrame):
    """Figure 2: nDCG over epsilon on a logarithmic axis, a panel a model, with FGSM at .5 as a line and the certified bounds."""
    figure, axes = panels(1, len(curves.MODELS))
    for axis, model in zip(axes[0], curves.MODELS):
        for attack, label in ({curves.FGSM: "FGSM"} | curves.MULTI_STEP).items():
            _curve(axis, curves.over(curves.select(rows, model, attack), "epsilon", "nDCG"), label, "o-")
        for attack, label in curves.CERTIFICATES.items():
            _curve(axis, curves.over(curves.select(rows, model, attack), "epsilon", "nDCG"), label, ":")
        fgsm = curves.over(curves.select(rows, model, curves.FGSM), "epsilon", "nDCG")["mean"]
        if curves.REFERENCE_EPSILON in fgsm.index:
            axis.axhline(fgsm[curves.REFERENCE_EPSILON], color=COLORS["FGSM"], linestyle="--", linewidth=1, label="FGSM at .5")
        axis.axhline(curves.select(rows, model)["nDCG"].mean(), color="black", linestyle="--", linewidth=1, label="unperturbed")
        axis.set(xscale="log", xlabel="epsilon", title=f"{model} on {rows['dataset'].iloc[0]}")
        axis.set_ylim(bottom=0)
    axes[0, 0].set_ylabel("nDCG@10")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4, fontsize=8, frameon=False)
    return figure


def characteristics_figure(losses: pd.DataFrame):
    """Figure 3: rho over density, size and shape, a row of panels a model, with fitted lines.  losses: of `characteristics.losses`"""
    shown = characteristics.at_iterations(losses, characteristics.shown_iterations(losses))
    fits = characteristics.slopes(shown).set_index(["model", "attack", "characteristic"])
    figure, axes = panels(len(curves.MODELS), len(characteristics.CHARACTERISTICS), sharex="col")
    for line, model in zip(axes, curves.MODELS):
        for axis, name in zip(line, characteristics.CHARACTERISTICS):
            for attack in characteristics.ATTACKS:
                part = shown[(shown["model"] == model) & (shown["attack"] == attack)]
                x, fit = part[name] / (1e6 if name == "size" else 1), fits.loc[model, attack, name]
                axis.plot(x, part["rho"], "o", color=COLORS[attack], markersize=4, label=attack)
                ends = np.array([x.min(), x.max()])
                axis.plot(ends, fit["intercept"] + fit["slope"] * ends, "-", color=COLORS[attack], linewidth=1)
            axis.set_title(model, fontsize=10)
        line[0].set_ylabel("nDCG lost, %")
    for axis, label in zip(axes[-1], ("density", "size, millions of pairs", "shape, users / items")):
        axis.set_xlabel(label)
    first = losses.iloc[0]
    figure.suptitle(f"{first['epochs']} epochs, AMF from {first['amf_start']}; L = {characteristics.shown_iterations(losses)}", fontsize=9)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    return figure


def audit_figures(result) -> list:
    """The pictures of an audit: nDCG over epsilon with the certified bounds, and over iterations.  result: audit.Audit"""
    clean, steps = result.points.iloc[0]["nDCG"], result.facts["iterations"]
    colors = {"noise": "#999999", **COLORS}
    over_budget, axes = panels(1, 1)
    axis = axes[0, 0]
    for label in result.half:
        part = result.points[(result.points["attack"] == label) & result.points["iterations"].isin([0, 1, steps])].drop_duplicates("epsilon")
        axis.plot(part["epsilon"], part["nDCG"], "o-", color=colors[label], label=label, markersize=3)
    for ball, part in result.certified[result.certified["epsilon"] > 0].groupby("ball"):
        axis.plot(part["epsilon"], part[f"nDCG@{result.facts['k']}"], ":", color=COLORS[f"certified, {ball}"], label=f"certified, {ball}")
    axis.axhline(clean, color="black", linestyle="--", linewidth=1, label="unperturbed")
    axis.set(xscale="log", xlabel="epsilon", ylabel=f"nDCG@{result.facts['k']}")
    over_steps, axes = panels(1, 1)
    epsilon = result.facts["epsilon of the groups"]
    part = result.points[(result.points["attack"] == "BIM") & np.isclose(result.points["epsilon"], epsilon)].sort_values("iterations")
    axes[0, 0].plot(part["iterations"], part["nDCG"], "o-", color=COLORS["BIM"], label=f"BIM at epsilon {epsilon:.3g}")
    axes[0, 0].axhline(clean, color="black", linestyle="--", linewidth=1, label="unperturbed")
    axes[0, 0].set(xlabel="iterations L", ylabel=f"nDCG@{result.facts['k']}")
    for figure in (over_budget, over_steps):
        figure.set_size_inches(7, 3.6)
        figure.axes[0].set_ylim(bottom=0)
        figure.axes[0].legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return [over_budget, over_steps]
