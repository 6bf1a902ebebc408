"""Figure 2 of the multi-step perturbations paper: performance over the budget at one number of iterations, and what no attack can do."""

from pathlib import Path

from advrec_tf.execution.results import Job
from advrec_tf.execution.runner import Experiment
from advrec_tf.reporting import page, read_results

from . import curve_plots, curves, perturbed, trainings
from .perturbed import Study

AT_ONCE = 7  # budgets, as each job samples and lays out the triples anew


def jobs(study: Study) -> list[Job]:
    """The attacks of Figure 1, AT_ONCE budgets of one a job, and certified lower bounds."""
    budgets = [
        points[first : first + AT_ONCE]
        for points in study.attacks
        for first in range(0, len(points), AT_ONCE)
    ]
    return (
        perturbed.baselines(study)
        + perturbed.jobs(study, [[{}], *budgets])
        + perturbed.certificates(study)
    )


def report(folders: list[Path]) -> None:
    """Renders report.md and budget.png from the results of each data set."""
    for folder in folders:
        rows = read_results(folder)
        page(folder, curves.budget_report(rows), {"budget.png": curve_plots.budget_figure(rows)})


EXPERIMENT = Experiment(
    perturbed.LAYOUT,
    perturbed.single("iterations", "model_selection"),
    jobs,
    report,
    trainings.train,
    split=trainings.by_seed,
)
