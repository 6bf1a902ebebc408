"""Has the leaderboard's attack on held-out items converged?"""

from pathlib import Path

from advrec_tf.execution.runner import Experiment
from advrec_tf.leaderboard import convergence, convergence_page
from advrec_tf.reporting import page, read_results

from . import leaderboard
from .board_factors import jobs_by, prepare


def report(folders: list[Path]) -> None:
    """Render report.md from the results of each data set."""
    for folder in folders:
        rows = read_results(folder, columns=convergence.CONVERGENCE_LAYOUT.columns)
        page(
            folder,
            convergence_page.report(rows, folder.name),
            answer=convergence_page.answer(rows),
        )


EXPERIMENT = Experiment(
    convergence.CONVERGENCE_LAYOUT, leaderboard.specs, jobs_by(convergence.jobs), report, prepare
)
