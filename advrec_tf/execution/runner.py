"""The one way from an experiment to its results: lock, check the settings, prepare, skip what is there, run jobs, keep rows, report."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from tqdm import tqdm

from advrec_tf.data import Interactions
from advrec_tf.errors import UserError
from advrec_tf.execution import jobs
from advrec_tf.execution.clusters import ResourceRequest
from advrec_tf.execution.jobs import Stages, Task
from advrec_tf.execution.results import Job, Layout, Results, recorded_run


@dataclass(frozen=True)
class Running:
    """How a run goes about it; none of this changes a result."""

    progress: bool
    save_every: int

    @classmethod
    def of(cls, values: dict[str, Any]) -> "Running":
        """From the values of all flags."""
        return cls(values["progress"], values.get("save_every", 0))


def list_length(values: dict[str, Any], data: Interactions, default: int = 10) -> int:
    """--k, or what it is where it is not given.  Raises UserError where there are fewer items."""
    k = values["k"] or default
    if k > data.n_items:
        raise UserError(f"--k={k} is more than the {data.n_items} items of {data.name}")
    return k


class Study(Protocol):
    """What an experiment on one data set depends on."""

    @property
    def data(self) -> Interactions: ...

    @property
    def config(self) -> dict[str, Any]:
        """All that its rows depend on beside their keys, as plain values."""
        ...

    @property
    def published(self) -> bool:
        """Whether the papers' numbers may stand beside its rows."""
        ...


def nothing(*_: Any) -> Stages:
    """Of an experiment that needs nothing before."""
    yield from ()


def whole(study: Any) -> list[Any]:
    """Of an experiment all of whose points wait for all that it trains."""
    return [study]


class Experiment(NamedTuple):
    """A table or a figure: what its results.csv looks like, how its points come about, and what is made of the rows.

    studies(values, data sets, folder of the output): the study of each data set; of no data set, a check of the values alone.  jobs(study): its
    points, each with its key.  report(folders): files and a printed page from the results alone.  prepare(study, how): what is trained or made
    before; prepare_jobs(jobs): what jobs that are not done yet share.  parts(values, data): the data sets that are measured in place of one, and how
    many of them could not be had.  split(study): studies that are prepared and measured each on its own, whose points are those of the study.
    """

    layout: Layout
    studies: Callable[[dict[str, Any], list[Interactions], Path], Sequence[Any]]
    jobs: Callable[[Any], list[Job]]
    report: Callable[[list[Path]], None]
    prepare: Callable[[Any, Running], Stages] = nothing
    prepare_jobs: Callable[[list[Job]], list[Task]] = lambda _: []
    parts: Callable[[dict[str, Any], Interactions], tuple[list[Interactions], int]] = (
        lambda values, data: ([data], 0)
    )
    split: Callable[[Any], list[Any]] = whole


def run(
    name: str,
    experiment: Experiment,
    values: dict[str, Any],
    studies: Sequence[Any],
    command: list[str],
) -> None:
    """Measures what is not measured yet, and has the report written; a run that is killed at any moment goes on from there.

    What is prepared and measured waits for what it needs alone, over all data sets.  command: its words, which the record keeps
    """
    how, output_dir = Running.of(values), Path(values["output_dir"])
    with contextlib.ExitStack() as stack:
        opened = []
        for study in studies:
            statistics = study.data.statistics() | {"published": study.published}
            run = recorded_run(
                output_dir / name / study.data.name,
                study.config,
                statistics,
                values,
                experiment.layout,
                command,
            )
            opened.append(stack.enter_context(run))
        with contextlib.closing(Bar(name, how.progress)) as bar:
            flows = [
                _flow(experiment, part, results, how, bar)
                for results, study in zip(opened, studies)
                for part in experiment.split(study)
            ]
            jobs.run(
                flows,
                values["workers"],
                values["backend"],
                output_dir,
                ResourceRequest(values["job_threads"], values["job_memory"]),
            )
        experiment.report([results.folder for results in opened])


def _flow(experiment: Experiment, study: Any, results: Results, how: Running, bar: "Bar") -> Stages:
    """What a study needs, and then its points, whose rows are taken as they come."""
    yield from experiment.prepare(study, how)
    asked = experiment.jobs(study)
    left = [job for job in asked if job not in results]
    yield experiment.prepare_jobs(left)
    bar.expect(len(asked), len(asked) - len(left))
    yield [_measuring(job, results, bar) for job in left]


def _measuring(job: Job, results: Results, bar: "Bar") -> Task:
    def taken(rows: list[dict]) -> None:
        if len(rows) != len(job.points):
            raise UserError(f"{job.function} gave {len(rows)} rows for {len(job.points)} points")
        results.add(job, rows)
        bar.update()

    own = {name: value for name, value in job._asdict().items() if name != "files"}
    return Task(
        "advrec_tf.execution.results:measure",
        {**own, "path": results.path_of(job), "binding": results.binding},
        taken,
    )


class Bar:
    """Shows how many points of a run are measured, from when the first of them can be."""

    def __init__(self, name: str, progress: bool):
        self.name, self.disable = name, None if progress else True
        self.shown: Any = None

    def expect(self, asked: int, done: int) -> None:
        """More points, of which some were done before: the estimate is of what others take."""
        if self.shown is None:
            self.shown = tqdm(total=asked, initial=done, desc=self.name, disable=self.disable)
        elif not self.shown.disable:
            self.shown.total, self.shown.initial = (
                self.shown.total + asked,
                self.shown.initial + done,
            )
            self.shown.n = self.shown.last_print_n = self.shown.n + done
            self.shown.refresh()

    def update(self) -> None:
        self.shown.update()

    def close(self) -> None:
        if self.shown is not None:
            self.shown.close()
