"""What storage, another training, new data and fake users do to factors and to lists."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from advrec_tf.data import Interactions
from advrec_tf.errors import UserError
from advrec_tf.execution.jobs import Stages
from advrec_tf.execution.results import Job
from advrec_tf.execution.runner import Experiment, Running
from advrec_tf.execution.storage import digest
from advrec_tf.leaderboard import Entry, auditing, stability, stability_page
from advrec_tf.leaderboard.entries import changed
from advrec_tf.leaderboard.stability import LAYOUT, OTHER, OTHER_SEED, VERSION
from advrec_tf.poisoning.profiles import Profiles
from advrec_tf.poisoning.reading import read_profiles
from advrec_tf.recommenders.alignment import aligned
from advrec_tf.recommenders.importers import read_factors
from advrec_tf.reporting import page, read_results
from advrec_tf.stability.data_changes import data_changes
from advrec_tf.stability.quantization import STORAGE, storage_changes

from . import leaderboard
from .board_factors import (
    BOARD_MODELS,
    BoardSpec,
    entries,
    entries_of,
    of_every_seed,
    prepare,
    tasks,
    trained_on,
)
from .board_models import Pair

NEWEST, AT_RANDOM = "last 1%", "random 1%"  # clicks that come to trained factors
WARM = (1, 5, 20)  # epochs with these clicks


@dataclass(frozen=True)
class StabilitySpec:
    """The entries of a board, and the further trainings that they are compared with."""

    board: BoardSpec
    other: Pair | None  # of --other, for the entries of --factors
    fakes: tuple[Profiles, ...]  # of --profiles, each a change of the data

    published = False  # no paper has measured stability

    @property
    def data(self) -> Interactions:
        """The data of the board."""
        return self.board.data

    @property
    def config(self) -> dict[str, Any]:
        """What the results depend on, as plain values."""
        other = self.other and digest(dict(zip("PQ", self.other)))[:12]
        fakes = {profiles.name: profiles.digest() for profiles in self.fakes}
        return {**self.board.config, "stability": VERSION, "other": other, "fakes": fakes}


def specs(
    values: dict[str, Any], datasets: list[Interactions], output_dir: Path
) -> list[StabilitySpec]:
    """Return the spec of each data set. Raises UserError as the board, and for a wrong --other."""
    paths = values["other"].split(":") if values["other"] else []
    if paths and (len(paths) > 2 or len(values["factors"]) != 1):
        raise UserError("--other=USERS.npy:ITEMS.npy or MODEL is beside one --factors")
    rows = values["user_rows"], values["item_rows"]
    made = []
    for board in leaderboard.specs(values, datasets, output_dir):
        other = None
        if paths:
            (given,) = board.factors.values()
            read = aligned(read_factors(paths), board.data, rows)
            other = auditing.another_training(given, read, board.data)
        fakes = tuple(read_profiles(path, board.data) for path in values["profiles"])
        names = {profiles.name for profiles in fakes}
        if len(names) < len(fakes) or names & {*STORAGE, *data_changes(board.data), OTHER}:
            raise UserError("--profiles must have different names, and none of a change")
        made.append(StabilitySpec(board, other, fakes))
    return made


def changed_boards(spec: StabilitySpec) -> Iterator[tuple[str, BoardSpec]]:
    """Yield each change of the data and the boards trained on it, one for each seed."""
    changes = data_changes(spec.data)
    for fakes in spec.fakes:
        poisoned = fakes.stacked_on(spec.data)
        changes[fakes.name] = lambda seed, poisoned=poisoned: poisoned
    for name, change in changes.items():
        for seed in spec.board.seeds:
            yield name, trained_on(spec.board, change(seed), seed)


def prepare_all(spec: StabilitySpec, running: Running) -> Stages:
    """Train the models of all entries, also with the next seed and on changed data."""
    if len(storage_changes()) < len(STORAGE):
        message = "product quantisation is left out, because it needs faiss: pip install faiss-cpu"
        print(f"advrec: {message}", file=sys.stderr)
    yield from prepare(_with_next_seed(spec.board), running)
    yield [task for _, board in changed_boards(spec) for task in tasks(board)]
    yield [task for *_, (task, _) in warm_starts(spec)]


def warm_starts(spec: StabilitySpec) -> Iterator[tuple[Entry, int, Pair, tuple]]:
    """Yield each source that can go on training when the newest clicks come, for each of WARM.

    With it come the number of epochs, the factors without these clicks, and the warm start.
    """
    newest = NEWEST if spec.data.train_timestamps is not None else AT_RANDOM
    without_newest = data_changes(spec.data)[newest]
    for seed in spec.board.seeds:
        board = trained_on(spec.board, without_newest(seed), seed)
        for source in board.sources:
            model = BOARD_MODELS[source.model]
            if model.goes_on:
                old = model.factors(board.training, source)
                for epochs in WARM:
                    how = model.warm_start(spec.board.training, source, old, epochs)
                    yield source, epochs, old, how


def _with_next_seed(board: BoardSpec) -> BoardSpec:
    """Return the board with one more seed, where it has one only: other seeds are compared."""
    if len(board.seeds) > 1:
        return board
    seeds = [*board.seeds, board.seeds[0] + 1]
    return replace(board, seeds=seeds, training=replace(board.training, seeds=seeds))


def jobs(spec: StabilitySpec) -> list[Job]:
    """Return the jobs of storage and curves of each entry, and of each other training."""
    made: list[Job] = []
    data, k = spec.data, spec.board.k
    trained = {entry: (P, Q) for entry, P, Q in entries(_with_next_seed(spec.board))}
    wanted = {entry: pair for entry, pair in trained.items() if entry.seed in spec.board.seeds}
    of_seeds = of_every_seed(spec.board, wanted)
    for entry, pair in wanted.items():
        made += stability.jobs(entry, *pair, data, k)
        if (next_entry := _next(entry, trained)) in trained and next_entry != entry:
            other = trained[next_entry]
            made.append(stability.trained_job(entry, OTHER_SEED, pair, other, data, k))
        if spec.other and entry.model in spec.board.factors:
            made.append(stability.trained_job(entry, OTHER, pair, spec.other, data, k))
    for name, board in changed_boards(spec):
        for entry, P, Q in entries(board):
            made.append(stability.trained_job(entry, name, of_seeds[entry], (P, Q), data, k))
    for source, epochs, old, (_, factors) in warm_starts(spec):
        name, new = f"warm start ({epochs})", factors()
        for entry in entries_of(spec.board, source):
            pairs = changed(*old, entry), changed(*new, entry)
            made.append(stability.trained_job(entry, name, *pairs, data, k))
    return made


def _next(entry: Entry, trained: dict[Entry, Pair]) -> Entry:
    """Return the entry with the next seed of those that it was trained with, in a circle."""
    seeds = sorted(each.seed for each in trained if replace(each, seed=entry.seed) == entry)
    return replace(entry, seed=seeds[(seeds.index(entry.seed) + 1) % len(seeds)])


def write_reports(folders: list[Path]) -> None:
    """Write report.md and the picture of each data set."""
    for folder in folders:
        rows = read_results(folder, columns=LAYOUT.columns)
        pictures = {"stability.png": stability_page.figure(rows)}
        page(
            folder,
            stability_page.report(rows, folder.name),
            pictures,
            answer=stability_page.answer(rows),
        )


EXPERIMENT = Experiment(LAYOUT, specs, jobs, write_reports, prepare_all)
