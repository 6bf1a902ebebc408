"""How far rows of factors must move before an item enters many lists."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from advrec_tf.data import Interactions
from advrec_tf.execution.jobs import Stages
from advrec_tf.execution.results import Job
from advrec_tf.execution.runner import Experiment, Running
from advrec_tf.leaderboard import promotion, promotion_page
from advrec_tf.reporting import page, read_results
from advrec_tf.stability.data_changes import with_fakes

from . import leaderboard
from .board_factors import BoardSpec, entries, of_every_seed, prepare, tasks, trained_on


@dataclass(frozen=True)
class PromotionSpec(BoardSpec):
    """A board whose entries are attacked by promotion."""

    @property
    def config(self) -> dict[str, Any]:
        """What the results depend on, as plain values."""
        return {**super().config, "promotion": promotion.VERSION}


def specs(
    values: dict[str, Any], datasets: list[Interactions], output_dir: Path
) -> list[PromotionSpec]:
    """Return the spec of each data set. Raises UserError as the board."""
    return [
        PromotionSpec(**vars(board)) for board in leaderboard.specs(values, datasets, output_dir)
    ]


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


def poisoned_boards(spec: BoardSpec) -> Iterator[tuple[str, BoardSpec]]:
    """Yield each group of targets and the boards trained with fake users, one for each seed."""
    for group in promotion.groups_of(spec.data):
        for seed in spec.seeds:
            targets = tuple(promotion.targets_of(spec.data, group, seed).tolist())
            data = with_fakes(spec.data, seed, targets)
            yield group, trained_on(spec, data, seed)


def prepare_all(spec: BoardSpec, running: Running) -> Stages:
    """Train the models of all entries, also with fake users."""
    yield from prepare(spec, running)
    yield [task for _, board in poisoned_boards(spec) for task in tasks(board)]


def jobs(spec: BoardSpec) -> list[Job]:
    """Return the jobs of every entry, and those of its trainings with fake users."""
    trained = of_every_seed(spec, {entry: (P, Q) for entry, P, Q in entries(spec)})
    made = []
    for entry, pair in trained.items():
        made += promotion.jobs(entry, *pair, spec.data, spec.k)
    for group, board in poisoned_boards(spec):
        for entry, P, Q in entries(board):
            pairs = trained[entry], (P, Q)
            made.append(promotion.poisoned_job(entry, *pairs, spec.data, group, spec.k))
    return made


EXPERIMENT = Experiment(promotion.LAYOUT, specs, jobs, report, prepare_all)
