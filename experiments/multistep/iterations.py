"""Figure 1: performance over the number of iterations at one epsilon."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from advrec_tf.evaluation import NAMES
from advrec_tf.execution.results import Job
from advrec_tf.execution.runner import Experiment
from advrec_tf.reporting import page, read_results
from advrec_tf.reporting.plots import baselines, legend, level, panels
from advrec_tf.reporting.vocabulary import BASELINES, MEASURES, number

from . import curves, perturbed, trainings
from .labels import BALLS, FGSM, MODELS, multi_step, select
from .perturbed import MultistepSpec


def jobs(spec: MultistepSpec) -> list[Job]:
    """Return the jobs of FGSM, BIM and PGD in the paper's balls, and of BIM in the ball of FGSM."""
    return perturbed.baselines(spec) + perturbed.jobs(spec, [[{}], *spec.attacks])


def report(folders: list[Path]) -> None:
    """Write report.md, the published panels and those of all metrics for each data set."""
    for folder in folders:
        rows = read_results(folder)
        measured = tuple(name for name in NAMES if name in rows)
        pictures = {
            "iterations.png": iterations_figure(rows, ("nDCG", "ICov")),
            "iterations_all_metrics.png": iterations_figure(rows, measured),
        }
        page(folder, iterations_report(rows), pictures)


def iterations_report(rows: pd.DataFrame) -> str:
    """Return the page of Figure 1: nDCG and ICov over iterations, a column for each attack."""
    parts = [f"# Figure 1: performance over iterations on {rows['dataset'].iloc[0]}\n"]
    k, epsilon, seeds = rows["k"].iloc[0], rows["epsilon"].max(), rows["seed"].nunique()
    for metric in ("nDCG", "ICov"):
        setting = f"at epsilon {epsilon:g} (mean over {seeds} seed(s))"
        parts += [f"\n## {metric}@{k:.0f} {setting}\n", _curves_table(rows, metric)]
        levels = [(name, select(rows, name)[metric].mean()) for name in (*BASELINES, *MODELS)]
        levels += [(f"{m}, FGSM", select(rows, m, FGSM)[metric].mean()) for m in MODELS]
        texts = [f"{name} {number(value, metric)}" for name, value in levels if pd.notna(value)]
        parts.append(f"Without iterations: {'; '.join(texts)}.\n")
    return "\n".join([*parts, MEASURES, BALLS])


def _curves_table(rows: pd.DataFrame, metric: str) -> str:
    """Return a metric of each model after each attack as a table over the iterations L."""
    columns = {}
    for model in MODELS:
        for attack, label in multi_step(rows).items():
            curve = curves.over(select(rows, model, attack), "iterations", metric)
            columns[f"{model}, {label}"] = curve["mean"]
    return curves.table(columns, "L", metric)


def iterations_figure(rows: pd.DataFrame, metrics: tuple[str, ...]) -> Figure:
    """Return Figure 1: a row of panels for each metric, a column for each model.

    Attacks are curves over L. The clean model, FGSM and the baselines are horizontal lines.
    """
    figure, axes = panels(len(metrics), len(MODELS))
    for line, metric in zip(axes, metrics):
        for axis, model in zip(line, MODELS):
            for attack, label in multi_step(rows).items():
                curve = curves.over(select(rows, model, attack), "iterations", metric)
                curves.draw(axis, curve, label)
            level(axis, select(rows, model)[metric].mean(), "clean")
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


EXPERIMENT = Experiment(
    perturbed.LAYOUT,
    perturbed.single("epsilon", "model_selection"),
    jobs,
    report,
    trainings.train,
    split=trainings.by_seed,
)
