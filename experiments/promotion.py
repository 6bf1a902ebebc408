"""How far rows of factors must move before an item enters many lists."""

from pathlib import Path

from advrec_tf.execution.runner import Experiment
from advrec_tf.leaderboard import promotion, promotion_page
from advrec_tf.reporting import page, read_results

from . import leaderboard
from .board_factors import jobs_by, prepare


def report(folders: list[Path]) -> None:
    """Write report.md and the picture of each data set."""
    for folder in folders:
        rows = read_results(folder, columns=promotion.LAYOUT.columns)
        page(
            folder,
            promotion_page.report(rows, folder.name),
            {"promotion.png": promotion_page.figure(rows)},
            answer=promotion_page.answer(rows),
        )


EXPERIMENT = Experiment(
    promotion.LAYOUT, leaderboard.specs, jobs_by(promotion.jobs), report, prepare
)
