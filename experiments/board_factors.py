"""The factors of a leaderboard's entries: trained, decomposed, or from a user's files."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from advrec_tf.data import Interactions
from advrec_tf.execution.jobs import Stages, Task
from advrec_tf.execution.results import Job
from advrec_tf.execution.runner import Running
from advrec_tf.leaderboard.entries import Entry, changed
from advrec_tf.leaderboard.measuring import versions

from .board_models import (
    BestEpoch,
    BoardModel,
    LeastSquares,
    MaximumMargin,
    OfToday,
    Pair,
    Popularity,
    Rescaled,
    TruncatedSVD,
)
from .multistep import trainings
from .multistep.trainings import TrainingSpec
from .today.models import MAPPED

BOARD_MODELS: dict[str, BoardModel] = {
    "BPR-MF": BestEpoch(("BPR-MF",)),
    "AMF": BestEpoch(("BPR-MF", "AMF")),
    "rescaled BPR-MF": Rescaled(("BPR-MF",)),
    "MostPopular": Popularity(),
    "MarginMF": MaximumMargin(),
    **{name: OfToday(name) for name in MAPPED},
    "iALS": LeastSquares(10.0, 1.0),
    "iALS-reg50": LeastSquares(50.0, 2.0),
    "iALS-reg100": LeastSquares(100.0, 10.0),
    "SVD": TruncatedSVD(),
}
MODELS = tuple(name for name, model in BOARD_MODELS.items() if not model.ranked)
RANKED_MODELS = tuple(name for name, model in BOARD_MODELS.items() if model.ranked)


@dataclass(frozen=True)
class BoardSpec:
    """The entries of the leaderboard of one data set, and what their factors depend on."""

    data: Interactions
    output_dir: Path
    seeds: list[int]
    entries: list[Entry]  # those of --factors included, all of seed 0
    factors: dict[str, Pair]  # of --factors, by name
    training: TrainingSpec
    k: int

    published = False  # no paper has a leaderboard

    @property
    def config(self) -> dict[str, Any]:
        """What the results depend on, as plain values."""
        shared = {"k": self.k, "versions": versions(), "data": self.data.fingerprint}
        return {**self.training.models, **shared}

    @property
    def sources(self) -> list[Entry]:
        """The unchanged entries whose factors are needed, each with every seed that matters."""
        sources: list[Entry] = []
        for source in dict.fromkeys(entry.source for entry in self.entries):
            seeded = source.model not in self.factors and BOARD_MODELS[source.model].seeded
            seeds = self.seeds if seeded else self.seeds[:1]
            sources += [replace(source, seed=seed) for seed in seeds]
        return sources


def prepare(spec: BoardSpec, how: Running) -> Stages:
    """Train the models of all entries."""
    sources = [source for source in spec.sources if source.model not in spec.factors]
    needed = {name for source in sources for name in BOARD_MODELS[source.model].trained}
    names = [name for name in trainings.MODELS if name in needed]
    first, then = trainings.train(spec.training, how, names)
    yield first + tasks(spec)
    yield then


def tasks(spec: BoardSpec) -> list[Task]:
    """Return the trainings of the models that are not those of Table 1."""
    sources = [source for source in spec.sources if source.model not in spec.factors]
    trainings_of = (BOARD_MODELS[source.model].tasks(spec.training, source) for source in sources)
    return [task for tasks in trainings_of for task in tasks]


def trained_on(spec: BoardSpec, data: Interactions, seed: int) -> BoardSpec:
    """Return the board of the entries that are quickly trained, on other data and with one seed.

    Models that take long, and factors from files, are left out.
    """
    again = [
        entry
        for entry in spec.entries
        if entry.model not in spec.factors and BOARD_MODELS[entry.model].quick
    ]
    training = replace(spec.training, data=data)
    return replace(spec, data=data, training=training, entries=again, seeds=[seed])


def entries(spec: BoardSpec) -> Iterator[tuple[Entry, np.ndarray, np.ndarray]]:
    """Yield every entry with its factors; factors that no seed matters to have the first seed."""
    for source in spec.sources:
        P, Q = spec.factors.get(source.model) or BOARD_MODELS[source.model].factors(
            spec.training, source
        )
        for entry in entries_of(spec, source):
            yield entry, *changed(P, Q, entry)


def entries_of(spec: BoardSpec, source: Entry) -> list[Entry]:
    """Return the entries that the factors of a source are changed into, with its seed."""
    seeded = (replace(entry, seed=source.seed) for entry in spec.entries)
    return [entry for entry in seeded if entry.source == source]


def of_every_seed(spec: BoardSpec, trained: dict[Entry, Pair]) -> dict[Entry, Pair]:
    """Return the factors of every entry with every seed; some are the same for all seeds.

    trained: those of `entries`
    """
    trained = dict(trained)
    for entry, pair in list(trained.items()):
        if entry.model in spec.factors or not BOARD_MODELS[entry.model].seeded:
            trained |= {replace(entry, seed=seed): pair for seed in spec.seeds}
    return trained


def jobs_by(measure: Callable[..., list[Job]]) -> Callable[[BoardSpec], list[Job]]:
    """Return the function of the jobs of a spec: those that `measure` gives for every entry."""

    def jobs(spec: BoardSpec) -> list[Job]:
        """Return the jobs of every entry with its factors."""
        measurements: list[Job] = []
        for entry, P, Q in entries(spec):
            measurements += measure(entry, P, Q, spec.data, spec.k)
        return measurements

    return jobs
