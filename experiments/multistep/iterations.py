"""Figure 1 of the multi-step perturbations paper: performance over the number of iterations at one budget."""

from pathlib import Path

from advrec_tf.evaluation import NAMES
from advrec_tf.execution.results import Job
from advrec_tf.execution.runner import Experiment
from advrec_tf.reporting import page, read_results

from . import curve_plots, curves, perturbed, trainings
from .perturbed import Study


def jobs(study: Study) -> list[Job]:
    """BIM and PGD in the paper's ball, and BIM in that of FGSM."""
    return perturbed.baselines(study) + perturbed.jobs(study, [[{}], *study.attacks])


def report(folders: list[Path]) -> None:
    """Renders report.md, the published panels (iterations.png) and those of all metrics from the results of each data set."""
    for folder in folders:
        rows = read_results(folder)
        pictures = {
            "iterations.png": ("nDCG", "ICov"),
            "iterations_all_metrics.png": tuple(name for name in NAMES if name in rows),
        }
        page(
            folder,
            curves.iterations_report(rows),
            {
                name: curve_plots.iterations_figure(rows, metrics)
                for name, metrics in pictures.items()
            },
        )


EXPERIMENT = Experiment(
    perturbed.LAYOUT,
    perturbed.single("epsilon", "model_selection"),
    jobs,
    report,
    trainings.train,
    split=trainings.by_seed,
)
