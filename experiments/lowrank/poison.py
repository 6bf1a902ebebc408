"""Fake profiles against a recommender: the profiles, how they came about, and the victim before and after."""

from pathlib import Path

from advrec_tf.execution.results import Job, Layout
from advrec_tf.execution.runner import Experiment
from advrec_tf.poisoning import LIKENESS
from advrec_tf.reporting import page, read_results

from . import plots, poisoned, tables
from .poisoned import UNDEFENDED, Study

LAYOUT = Layout(poisoned.LAYOUT.keys, (*poisoned.LAYOUT.values, *LIKENESS, "changed_entries"))


def jobs(study: Study) -> list[Job]:
    """A victim on clean data and on each attack's, for every seed; and how close each attack's profiles are to real ones."""
    attacks = ["none", *(name for name in study.all_attacks if name != "none")]
    return poisoned.jobs(study, attacks, [UNDEFENDED]) + poisoned.resemblance(study)


def report(folders: list[Path]) -> None:
    """Renders report.md and poison.png from the results of each data set."""
    for folder in folders:
        rows = read_results(folder)
        page(
            folder,
            tables.poison_report(rows, folder),
            {"poison.png": plots.poison_figure(tables.summary(rows))},
        )


EXPERIMENT = Experiment(LAYOUT, poisoned.studies, jobs, report, poisoned.prepare)
