"""Whether the leaderboard's attack on held-out items has converged: beside ten times its steps, and ten restarts."""

from pathlib import Path

from advrec_tf.execution.results import Job
from advrec_tf.execution.runner import Experiment
from advrec_tf.leaderboard import convergence
from advrec_tf.leaderboard import convergence_page as reporting
from advrec_tf.reporting import page, read_results

from . import leaderboard


def jobs(study: leaderboard.Study) -> list[Job]:
    """Every entry at every epsilon."""
    found = []
    for name, seed, P, Q in leaderboard.entries(study):
        found += convergence.jobs(name, P, Q, study.data, seed, study.k)
    return found


def report(folders: list[Path]) -> None:
    """Render report.md from the results of each data set."""
    for folder in folders:
        page(folder, reporting.report(read_results(folder), folder.name))


EXPERIMENT = Experiment(convergence.LAYOUT, leaderboard.studies, jobs, report, leaderboard.prepare)
