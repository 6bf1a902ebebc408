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
        return jobs.run(function, arguments, self.workers, self.backend, bar if self.progress else "", done)


class Study(Protocol):
    """What an experiment on one data set depends on."""

    @property
    def data(self) -> Interactions: ...

    @property
    def output_dir(self) -> Path: ...

    @property
    def config(self) -> dict[str, Any]:
        """All that its rows depend on beside their keys, as plain values."""
        ...


class Experiment(NamedTuple):
    """A table or a figure: what its results.csv looks like, how its points come about, and what is made of the rows.

    studies(values, data sets, folder of the output): the study of each data set; prepare(studies, how): what is trained or made before, over all data
    sets together; jobs(study, how): its points, each with its key; report(folders): files and a printed page from the results alone.
    """

    layout: Layout
    studies: Callable[[dict[str, Any], list[Interactions], Path], Sequence[Any]]
    prepare: Callable[[Sequence[Any], Running], None]
    jobs: Callable[[Any, Running], list[Job]]
    report: Callable[[list[Path]], None]


def run(name: str, experiment: Experiment, values: dict[str, Any], datasets: list[Interactions]) -> None:
    """Measures what is not measured yet, and has the report written; a run that is killed at any moment goes on from there."""
    how, output_dir = Running.of(values), Path(values["output_dir"])
    studies = experiment.studies(values, datasets, output_dir)
    with contextlib.ExitStack() as stack:
        opened = []
        for study in studies:
            run = recorded_run(output_dir / name / study.data.name, study.config, study.data.statistics(), values, experiment.layout)
            opened.append(stack.enter_context(run))
        experiment.prepare(studies, how)
        asked = [(results, job) for results, study in zip(opened, studies) for job in experiment.jobs(study, how)]
        measure(name, asked, how)
        experiment.report([results.folder for results in opened])


def measure(name: str, asked: list[tuple[Results, Job]], how: Running) -> None:
    """Runs the jobs that are not done, over all data sets side by side, and takes their rows as they come."""
    left = [(results, job) for results, job in asked if job not in results]
    arguments = [{**job._asdict(), "path": results.path_of(job), "binding": results.binding} for results, job in left]
    for each in arguments:
        del each["files"]
    for index, rows in how.jobs("advrec_tf.results:measure", arguments, name, len(asked) - len(left)):
        results, job = left[index]
        if len(rows) != len(job.points):
            raise UserError(f"{job.function} gave {len(rows)} rows for {len(job.points)} points")
        results.add(job, rows)
