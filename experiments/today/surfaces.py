"""LightGCN and SASRec attacked at their factors, and at the tables before them."""

from dataclasses import replace
from pathlib import Path

from advrec_tf.execution.results import Job
from advrec_tf.execution.runner import Experiment
from advrec_tf.leaderboard import surfaces
from advrec_tf.leaderboard.surfaces import PARAMETERS, SERVED
from advrec_tf.reporting import page, read_results

from . import surfaces_page
from .models import MAPPED, TodaySpec, specs, train


def jobs(spec: TodaySpec) -> list[Job]:
    """Return the jobs of every entry, on all surfaces that it has."""
    made = []
    for training in spec.trainings:
        for entry in spec.entries:
            if entry.model == training.name:
                mapped = entry == entry.source and entry.model in MAPPED
                where = (SERVED, PARAMETERS) if mapped else (SERVED,)
                seeded = replace(entry, seed=training.seed)
                made += surfaces.jobs(seeded, training.epochs, training.trained, spec.k, where)
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
