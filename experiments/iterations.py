"""Figure 1 of the multi-step perturbations paper: performance over the number of iterations at one budget."""

from pathlib import Path

from advrec_tf.cli import perturbed, trainings
from advrec_tf.cli.perturbed import Study
from advrec_tf.cli.runner import Experiment
from advrec_tf.evaluation import NAMES
from advrec_tf.reporting import curves, page, plots, read_results
from advrec_tf.results import Job


def jobs(study: Study) -> list[Job]:
    """BIM and PGD in the paper's ball, and BIM in that of FGSM."""
    return perturbed.baselines(study) + perturbed.jobs(study, [[{}], *study.attacks])


def report(folders: list[Path]) -> None:
    """Renders report.md, the published panels (iterations.png) and those of all metrics from the results of each data set."""
    for folder in folders:
        rows = read_results(folder)
        pictures = {"iterations.png": ("nDCG", "ICov"), "iterations_all_metrics.png": tuple(name for name in NAMES if name in rows)}
        page(folder, curves.iterations_report(rows), {name: plots.iterations_figure(rows, metrics) for name, metrics in pictures.items()})


EXPERIMENT = Experiment(perturbed.LAYOUT, perturbed.single("epsilon", "model_selection"), jobs, report, trainings.train, split=trainings.by_seed)
