"""LightGCN and SASRec attacked at their factors, and at the tables before them."""

from pathlib import Path

from advrec_tf.execution.results import Job
from advrec_tf.execution.runner import Experiment
from advrec_tf.leaderboard import surfaces
from advrec_tf.reporting import page, read_results

from . import surfaces_page
from .models import TodaySpec, specs, train


def jobs(spec: TodaySpec) -> list[Job]:
    """Return the jobs of every training, on both surfaces."""
    made = []
    for training in spec.trainings:
        made += surfaces.jobs(training.name, training.epochs, training.trained, spec.k)
    return [*made, surfaces.popular_job(spec.data, spec.k)]


def report(folders: list[Path]) -> None:
    """Write report.md and the picture of each data set."""
    for folder in folders:
        rows = read_results(folder, columns=surfaces.LAYOUT.columns)
        page(
            folder,
            surfaces_page.report(rows, folder.name),
            {"surfaces.png": surfaces_page.figure(rows)},
            answer=surfaces_page.answer(rows),
        )


EXPERIMENT = Experiment(surfaces.LAYOUT, specs, jobs, report, train)
