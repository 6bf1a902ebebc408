"""The one way from an experiment to its results: lock, check the settings, prepare, skip what is there, run jobs, keep rows, report."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from advrec_tf import jobs
from advrec_tf.data import Interactions
from advrec_tf.errors import UserError
from advrec_tf.results import Job, Layout, Results, recorded_run


@dataclass(frozen=True)
class Running:
    """How a run goes about it; none of this changes a result."""

    workers: int
    backend: str
    progress: bool
    save_every: int
    flags: dict[str, Any]

    @classmethod
    def of(cls, values: dict[str, Any]) -> "Running":
        """From the values of all flags."""
        return cls(values["workers"], values["backend"], values["progress"], values.get("save_every", 0), values)

    def jobs(self, function: str, arguments: list[dict], bar: str = "", done: int = 0) -> Iterator[tuple[int, Any]]:
        """Calls a named function with each of the arguments, side by side; yields (index, result) as they finish."""
        folder = Path(self.flags["output_dir"])
        return jobs.run(function, arguments, self.workers, self.backend, bar if self.progress else "", done, folder)


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


def nothing(*_: Any) -> None:
    """Of an experiment that needs nothing before."""


class Experiment(NamedTuple):
    """A table or a figure: what its results.csv looks like, how its points come about, and what is made of the rows.

    studies(values, data sets, folder of the output): the study of each data set; of no data set, a check of the values alone.  jobs(study): its
    points, each with its key.  report(folders): files and a printed page from the results alone.  prepare(studies, how): what is trained or made
    before, over all data sets together; prepare_jobs(jobs, how): what jobs that are not done yet share.  parts(values, data): the data sets that are
    measured in place of one, and how many of them could not be had.
    """

    layout: Layout
    studies: Callable[[dict[str, Any], list[Interactions], Path], Sequence[Any]]
    jobs: Callable[[Any], list[Job]]
    report: Callable[[list[Path]], None]
    prepare: Callable[[Sequence[Any], Running], None] = nothing
    prepare_jobs: Callable[[list[Job], Running], None] = nothing
    parts: Callable[[dict[str, Any], Interactions], tuple[list[Interactions], int]] = lambda values, data: ([data], 0)


def run(name: str, experiment: Experiment, values: dict[str, Any], studies: Sequence[Any]) -> None:
    """Measures what is not measured yet, and has the report written; a run that is killed at any moment goes on from there."""
    how, output_dir = Running.of(values), Path(values["output_dir"])
    with contextlib.ExitStack() as stack:
        opened = []
        for study in studies:
            statistics = study.data.statistics() | {"published": study.published}
            run = recorded_run(output_dir / name / study.data.name, study.config, statistics, values, experiment.layout)
            opened.append(stack.enter_context(run))
        experiment.prepare(studies, how)
        asked = [(results, job) for results, study in zip(opened, studies) for job in experiment.jobs(study)]
        left = [(results, job) for results, job in asked if job not in results]
        experiment.prepare_jobs([job for _, job in left], how)
        measure(name, left, len(asked) - len(left), how)
        experiment.report([results.folder for results in opened])


def measure(name: str, left: list[tuple[Results, Job]], done: int, how: Running) -> None:
    """Runs the jobs, over all data sets side by side, and takes their rows as they come; done: how many there were before."""
    arguments = [{**job._asdict(), "path": results.path_of(job), "binding": results.binding} for results, job in left]
    for each in arguments:
        del each["files"]
    for index, rows in how.jobs("advrec_tf.results:measure", arguments, name, done):
        results, job = left[index]
        if len(rows) != len(job.points):
            raise UserError(f"{job.function} gave {len(rows)} rows for {len(job.points)} points")
        results.add(job, rows)
