"""Figure 2 of the multi-step perturbations paper: performance over the budget at one number of iterations, and what no attack can do."""

from pathlib import Path

from advrec_tf.cli import perturbed, trainings
from advrec_tf.cli.perturbed import Study
from advrec_tf.cli.runner import Experiment
from advrec_tf.reporting import curves, page, plots, read_results
from advrec_tf.results import Job


def jobs(study: Study) -> list[Job]:
    """The attacks of Figure 1 over the budget, and certified lower bounds."""
    attacks = [[{}], *map(study.points, ("fgsm", "bim", "pgd")), study.points("bim", "l2"), *map(study.points, study.more_attacks)]
    return perturbed.baselines(study) + perturbed.jobs(study, attacks) + perturbed.certificates(study)


def report(folders: list[Path]) -> None:
    """Renders report.md and budget.png from the results of each data set."""
    for folder in folders:
        rows = read_results(folder)
        page(folder, curves.budget_report(rows), {"budget.png": plots.budget_figure(rows)})


EXPERIMENT = Experiment(perturbed.LAYOUT, perturbed.single("iterations", "model_selection"), jobs, report, trainings.train, split=trainings.by_seed)
