"""Figure 2: performance over epsilon at one number of iterations, and certified lower bounds."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from advrec_tf.execution.results import Job
from advrec_tf.execution.runner import Experiment
from advrec_tf.reporting import page, read_results
from advrec_tf.reporting.plots import baselines, legend, level, panels
from advrec_tf.reporting.vocabulary import color_of, markdown, number

from . import curves, perturbed, trainings
from .labels import BALLS, CERTIFICATES, FGSM, MODELS, Attack, multi_step, select
from .perturbed import MultistepSpec

EPSILONS_PER_JOB = 7  # every job samples the triples and lays them out again


def jobs(spec: MultistepSpec) -> list[Job]:
    """Return the jobs of Figure 1's attacks, EPSILONS_PER_JOB epsilons each, and certificates."""
    parts: list[list[dict]] = [[{}]]
    for points in spec.attacks:
        for first in range(0, len(points), EPSILONS_PER_JOB):
            parts.append(points[first : first + EPSILONS_PER_JOB])
    attacks = perturbed.jobs(spec, parts)
    return perturbed.baselines(spec) + attacks + perturbed.certificates(spec)


def report(folders: list[Path]) -> None:
    """Write report.md and budget.png for each data set."""
    for folder in folders:
        rows = read_results(folder)
        pictures = {"budget.png": budget_figure(rows)}
        page(folder, budget_report(rows), pictures, answer=answer(rows))


def answer(rows: pd.DataFrame) -> str:
    """Return a sentence for each model: how much less epsilon the multi-step attacks need."""
    table = curves.equal_harm_table(rows)
    sentences = []
    for model, part in table.groupby("model", sort=False):
        times = part.groupby("attack", sort=False)["times less"].mean()
        parts = [f"{attack} needs {value:.1f} times less" for attack, value in times.items()]
        sentences.append(
            f"{model}: to do as much harm as FGSM at {curves.REFERENCE_EPSILON:g}, "
            f"{', '.join(parts)}."
        )
    return "\n".join(sentences)


def budget_report(rows: pd.DataFrame) -> str:
    """Return the page of Figure 2: nDCG over epsilon, and what harms as much as FGSM."""
    steps = rows[rows["attack"].isin(["bim", "pgd"])]["iterations"].max()
    setting = f"on {rows['dataset'].iloc[0]}, {steps:.0f} iterations"
    parts = [f"# Figure 2: nDCG@{rows['k'].iloc[0]:.0f} over epsilon {setting}\n"]
    for model in MODELS:
        clean = number(select(rows, model)["nDCG"].mean(), "nDCG")
        parts += [f"\n## {model}: clean {clean}\n", _curves_table(rows, model)]
    parts.append(
        f"{BALLS}\nA certified column is a lower bound that holds against every perturbation of "
        "that size, whatever the attack.\n\n"
        f"## The epsilon that does as much harm as FGSM at {curves.REFERENCE_EPSILON:g} "
        "(paper: about .1, 5 times less)\n"
    )
    table = curves.equal_harm_table(rows).groupby(["model", "attack"], sort=False)
    lines = []
    for key, row in table[["epsilon", "times less"]].mean().iterrows():
        lines.append([*key, f"{row['epsilon']:.3f}", f"{row['times less']:.1f}"])
    return "\n".join([*parts, markdown(["model", "attack", "epsilon", "times less"], lines)])


def _certificates(rows: pd.DataFrame) -> dict[Attack, str]:
    """Return the labels of the certificates that `rows` hold."""
    measured = set(rows.loc[rows["attack"] == "certificate", "ball"])
    return {attack: label for attack, label in CERTIFICATES.items() if attack[1] in measured}


def _curves_table(rows: pd.DataFrame, model: str) -> str:
    """Return a model's nDCG after each attack, and its certified bounds, over epsilon."""
    columns = {}
    for attack, label in ({FGSM: "FGSM"} | multi_step(rows) | _certificates(rows)).items():
        columns[label] = curves.over(select(rows, model, attack), "epsilon", "nDCG")["mean"]
    return curves.table(columns, "epsilon", "nDCG")


def budget_figure(rows: pd.DataFrame) -> Figure:
    """Return Figure 2: nDCG over epsilon on a logarithmic axis, a panel for each model.

    FGSM at REFERENCE_EPSILON, the clean model and the baselines are horizontal lines.
    """
    figure, axes = panels(1, len(MODELS))
    for axis, model in zip(axes[0], MODELS):
        attacks = {FGSM: "FGSM"} | multi_step(rows) | CERTIFICATES
        for attack, label in attacks.items():
            curve = curves.over(select(rows, model, attack), "epsilon", "nDCG")
            curves.draw(axis, curve, label, ":" if attack in CERTIFICATES else "o-")
        fgsm = curves.over(select(rows, model, FGSM), "epsilon", "nDCG")["mean"]
        reference = fgsm.get(curves.REFERENCE_EPSILON, float("nan"))
        level(axis, reference, "FGSM at .5", color=color_of("FGSM"))
        level(axis, select(rows, model)["nDCG"].mean(), "clean")
        baselines(axis, rows, "nDCG")
        axis.set(xscale="log", xlabel="epsilon", title=f"{model} on {rows['dataset'].iloc[0]}")
        axis.set_ylim(bottom=0)
    axes[0, 0].set_ylabel(f"nDCG@{rows['k'].iloc[0]:.0f}")
    legend(figure, axes, columns=4)
    return figure


EXPERIMENT = Experiment(
    perturbed.LAYOUT,
    perturbed.single("iterations", "model_selection"),
    jobs,
    report,
    trainings.train,
    split=trainings.by_seed,
)
