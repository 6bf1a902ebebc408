"""From an experiment to its results: check, lock, prepare, skip what is done, measure, report."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from advrec_tf.data import Interactions
from advrec_tf.errors import UserError
from advrec_tf.execution import jobs
from advrec_tf.execution.clusters import ResourceRequest
from advrec_tf.execution.inputs import attempt, load_datasets
from advrec_tf.execution.jobs import Stages, Task
from advrec_tf.execution.progress import progress_bar
from advrec_tf.execution.results import Job, Layout, Results, recorded_run


@dataclass(frozen=True)
class Running:
    """How a run works; none of this changes a result."""

    progress: bool
    save_every: int

    @classmethod
    def of(cls, values: dict[str, Any]) -> "Running":
        """Take it from the values of all flags."""
        return cls(values["progress"], values.get("save_every", 0))


def list_length(values: dict[str, Any], data: Interactions, default: int = 10) -> int:
    """Return --k, or the default.  Raises UserError where there are fewer items."""
    k = values["k"] or default
    if k > data.n_items:
        raise UserError(f"--k={k} is more than the {data.n_items} items of {data.name}")
    return k


class Spec(Protocol):
    """What an experiment on one data set depends on."""

    @property
    def data(self) -> Interactions: ...

    @property
    def config(self) -> dict[str, Any]:
        """All that its rows depend on apart from their keys, as plain values."""
        ...

    @property
    def published(self) -> bool:
        """Whether the papers' numbers may stand beside its rows."""
        ...


class Experiment(NamedTuple):
    """A measured table or figure: the columns of its results.csv, its points and its report.

    specs(values, data sets, output folder): the spec of each data set.  With no data set it only
    checks the values.  jobs(spec): its points, with their keys.  report(folders): writes files and
    prints a page, from the results alone.  prepare(spec, running): what is trained or made first.
    prepare_jobs(jobs): what unfinished jobs share.  parts(values, data): the data sets that are
    measured in place of one, and how many are missing.  split(spec): specs that are prepared and
    measured independently; together they have the points of the spec.
    """

    layout: Layout
    specs: Callable[[dict[str, Any], list[Interactions], Path], Sequence[Any]]
    jobs: Callable[[Any], list[Job]]
    report: Callable[[list[Path]], None]
    prepare: Callable[[Any, Running], Stages] = lambda *_: iter(())
    prepare_jobs: Callable[[list[Job]], list[Task]] = lambda _: []
    parts: Callable[[dict[str, Any], Interactions], tuple[list[Interactions], int]] = (
        lambda values, data: ([data], 0)
    )
    split: Callable[[Any], list[Any]] = lambda spec: [spec]

    def run(self, values: dict[str, Any], command: list[str]) -> int:
        """Measure what is missing, write the report, and return the exit status.

        The status is 1 where anything had to be skipped.  A killed run goes on from what is done.
        values: of all flags.  command: its words, which the record keeps.
        """
        values = _checked(values)
        output_dir = Path(values["output_dir"])
        self.specs(values, [], output_dir)  # checks the flags before anything is downloaded
        datasets, skipped = load_datasets(values)
        parts: list[tuple[str, Interactions]] = []
        for data in datasets:
            pieces, missing = self.parts(values, data)
            parts += [(piece.name, piece) for piece in pieces]
            skipped += missing
        made, missing = attempt(lambda data: self.specs(values, [data], output_dir), parts)
        specs = [spec for _, group in made for spec in group]
        if specs:
            self._measure(values, specs, command)
        return 1 if skipped or missing else 0

    def _measure(self, values: dict[str, Any], specs: list[Spec], command: list[str]) -> None:
        """Lock the folders of all specs, train and measure what is missing, and report."""
        name, output_dir, running = values["experiment"], values["output_dir"], Running.of(values)
        with contextlib.ExitStack() as stack:
            opened = []
            for spec in specs:
                folder = Path(output_dir) / name / spec.data.name
                statistics = spec.data.statistics() | {"published": spec.published}
                opened.append(
                    stack.enter_context(
                        recorded_run(folder, spec.config, statistics, values, self.layout, command)
                    )
                )
            with contextlib.closing(Bar(name, running.progress)) as bar:
                sequences = []
                for results, spec in zip(opened, specs):
                    for part in self.split(spec):
                        sequences.append(self._stages(part, results, running, bar))
                jobs.run(
                    sequences,
                    values["workers"],
                    values["backend"],
                    Path(output_dir),
                    ResourceRequest(values["job_threads"], values["job_memory"]),
                )
            self.report([results.folder for results in opened])

    def _stages(self, spec: Any, results: Results, running: Running, bar: "Bar") -> Stages:
        """Yield what a spec needs, and then its points, whose rows are stored as they come."""
        yield from self.prepare(spec, running)
        requested = self.jobs(spec)
        left = [job for job in requested if job not in results]
        yield self.prepare_jobs(left)
        bar.expect(len(requested), len(requested) - len(left))
        yield [_measurement(job, results, bar) for job in left]


class Page(NamedTuple):
    """An experiment that measures nothing: it shows data or what other experiments have measured.

    show(values): prints the page, writes its files if there are any, and returns the exit status
    """

    show: Callable[[dict[str, Any]], int]

    def run(self, values: dict[str, Any], command: list[str]) -> int:
        """Show the page and return the exit status.  Its command is recorded nowhere."""
        return self.show(values)


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    """Return values with an output folder that all workers of a cluster understand.

    Raises UserError for options of clusters where the jobs run in local processes (loky).
    """
    if values["backend"] != "loky":
        return {**values, "output_dir": str(Path(values["output_dir"]).absolute())}
    if values["job_threads"] > 1 or values["job_memory"]:
        raise UserError(
            "--job_threads and --job_memory are of clusters: "
            "here --workers says how much is done at once"
        )
    return values


def _measurement(job: Job, results: Results, bar: "Bar") -> Task:
    """Return the task that measures a job and then adds its rows to the results."""

    def store(rows: list[dict]) -> None:
        """Add the rows to results.csv and advance the bar. Raises UserError if some are missing."""
        if len(rows) != len(job.points):
            raise UserError(f"{job.function} gave {len(rows)} rows for {len(job.points)} points")
        results.add(job, rows)
        bar.update()

    arguments = {
        "function": job.function,
        "points": job.points,
        "arguments": job.arguments,
        "path": results.path_of(job),
        "binding": results.binding,
    }
    return Task("advrec_tf.execution.results:measure", arguments, store)


class Bar:
    """The progress bar of a run, which counts points from when the first can be measured."""

    def __init__(self, name: str, progress: bool):
        self.name, self.progress = name, progress
        self.shown: Any = None

    def expect(self, requested: int, done: int) -> None:
        """Add points, of which some are done; the time left is estimated from the others."""
        if self.shown is None:
            self.shown = progress_bar(
                shown=self.progress, total=requested, initial=done, desc=self.name
            )
        elif not self.shown.disable:
            self.shown.total += requested
            self.shown.initial += done
            self.shown.n = self.shown.last_print_n = self.shown.n + done

    def update(self) -> None:
        """Count one more point."""
        self.shown.update()

    def close(self) -> None:
        """End the bar, if it was ever shown."""
        if self.shown is not None:
            self.shown.close()
