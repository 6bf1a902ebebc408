"""Results: a file for each job, all rows in results.csv, and what they were measured with."""

import contextlib
import hashlib
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from advrec_tf.data.columns import number_of
from advrec_tf.errors import UserError
from advrec_tf.execution import jobs, storage
from advrec_tf.execution.records import check_config, read_record, surroundings, write_record
from advrec_tf.files import locked, replacing, write_text

# The columns that hold texts; all other columns of a results.csv are numbers.
TEXTS = (
    *("dataset", "model", "selection", "attack", "ball", "start", "profiles", "group", "defense"),
    *("patch", "sampling", "kernel", "detector", "tested_on", "by", "order", "column", "metric"),
    *("first", "second", "entry", "factors", "threat_model", "unit", "warnings", "source", "rows"),
    *("change", "direction", "surface"),
)
Measured = tuple[list[dict], storage.Arrays]  # a row for each point, and arrays [points, ...]
DAMAGED = "its content is not what was written"


class Layout(NamedTuple):
    """The columns of a results.csv: first the keys that tell its rows apart, then the values."""

    keys: tuple[str, ...]
    values: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Return all columns, the keys first."""
        return *self.keys, *self.values


class Job(NamedTuple):
    """Points that are measured together: function(points=points, **arguments) -> rows, users.

    function: "module:name".  It returns `Measured`: each point with its metrics, and arrays of
    single users' metrics or whatever else is to be stored.  points: the key columns of its rows,
    which are made here alone.  files: further files that it writes.
    """

    function: str
    points: list[dict]
    arguments: dict[str, Any]
    files: tuple[Path, ...] = ()


def measure(
    function: str, points: list[dict], arguments: dict, path: Path, binding: str
) -> list[dict]:
    """Run one job in this process, store its result at `path`, and only then return its rows."""
    rows, users = jobs.named(function)(points=points, **arguments)
    text = json.dumps(rows, default=lambda value: value.item()).encode()
    content = {"rows": np.frombuffer(text, np.uint8), "binding": np.array(binding)}
    storage.save(path, content | users)
    return rows


class Results:
    """The rows of one experiment on one data set.

    They come from the files of jobs in <folder>/jobs, and from an undamaged results.csv if it is
    `trusted`. A damaged file is ignored with a line on stderr. The table is written again.
    Raises UserError for results of another configuration (`binding`) and for other columns.
    """

    def __init__(self, folder: Path, layout: Layout, binding: str, trusted: bool = True):
        self.folder, self.layout, self.binding = Path(folder), layout, binding
        self._rows: dict[tuple[str, ...], dict[str, str]] = {}
        self._done: set[Path] = set()
        if (self.folder / "results.csv").exists():
            self._read_table(self.folder / "results.csv", trusted)
        for path in sorted((self.folder / "jobs").glob("*.npz")):
            self._read_job(path)
        if self._rows:
            self._write()

    def _read_table(self, path: Path, trusted: bool) -> None:
        """Take the rows of an undamaged results.csv; say on stderr why another is ignored.

        Raises UserError for other columns.
        """
        if _is_undamaged(path):
            frame = pd.read_csv(path, dtype=str, keep_default_na=False)
            if tuple(frame.columns) != self.layout.columns:
                lacking = [name for name in self.layout.columns if name not in frame]
                raise UserError(_other_columns(path, lacking))
            if trusted:
                self._take(frame.to_dict("records"))
                return
        why = DAMAGED if trusted else "config.json does not say what it was measured with"
        print(
            f"advrec: {path}: {why}; what its jobs did not keep is measured again", file=sys.stderr
        )

    def _read_job(self, path: Path) -> None:
        """Take the rows of a job's file; say on stderr that a damaged one is measured again.

        Raises UserError for a job of another configuration.
        """
        try:
            stored = storage.load(path)
        except UserError:
            print(f"advrec: {path}: {DAMAGED}; it is measured again", file=sys.stderr)
            return
        if not {"rows", "binding"} <= stored.keys():
            raise UserError(f"{path}: not a result of this version: choose another --output_dir")
        if str(stored["binding"]) != self.binding:
            raise UserError(
                f"{self.folder} holds results of another config, which {path.name} was measured "
                "with: choose another --output_dir"
            )
        self._take(_rows_of(stored))
        self._done.add(path)

    def path_of(self, job: Job) -> Path:
        """Return where the result of a job is stored."""
        return self.folder / "jobs" / f"{storage.hashed(job.points, 20)}.npz"

    def __contains__(self, job: Job) -> bool:
        """Return whether a job is done and its further files exist."""
        return self.path_of(job) in self._done and all(path.exists() for path in job.files)

    def add(self, job: Job, rows: list[dict]) -> None:
        """Add the rows of a finished job and write the file; the order of calls does not matter."""
        self._done.add(self.path_of(job))
        self._take(rows)
        self._write()

    def _take(self, rows: list[dict]) -> None:
        """Keep rows by their key, as texts; a later row replaces an earlier one of the same key."""
        for row in rows:
            texts = {name: _text(row.get(name)) for name in self.layout.columns}
            self._rows[tuple(texts[name] for name in self.layout.keys)] = texts

    def _write(self) -> None:
        """Write all rows to results.csv, sorted by key, and its SHA-256 to results.sha256."""
        rows = [self._rows[key] for key in sorted(self._rows, key=_order)]
        text = pd.DataFrame(rows, columns=self.layout.columns).to_csv(index=False).encode()
        path = self.folder / "results.csv"
        before = path.read_bytes() if path.exists() and _is_undamaged(path) else None
        if before == text:
            return
        # The sums of the old and the new content: this process may end between the two renames.
        sums = dict.fromkeys(_sum(content) for content in (before, text) if content is not None)
        write_text(path.with_suffix(".sha256"), "".join(f"{each}  results.csv\n" for each in sums))
        with replacing(path) as temporary:
            temporary.write_bytes(text)


def _order(key: tuple[str, ...]) -> list[tuple[int, float, str]]:
    """Return what sorts the parts of a key: numbers by value, then texts."""
    numbers = map(number_of, key)
    return [(1, 0.0, part) if n is None else (0, n, "") for part, n in zip(key, numbers)]


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _is_undamaged(path: Path) -> bool:
    """Return whether the content of a file is one that results.sha256 names."""
    sums = path.with_suffix(".sha256")
    return sums.exists() and _sum(path.read_bytes()).encode() in sums.read_bytes().split()


def _rows_of(stored: storage.Arrays) -> list[dict]:
    return json.loads(stored["rows"].tobytes())


def _text(value: Any) -> str:
    """Return a value as results.csv has it: "" for None, all digits of a float."""
    if value is None:
        return ""
    return repr(float(value)) if isinstance(value, float) else str(value)


def _other_columns(path: Path, lacking: Sequence[str]) -> str:
    """Say that a table lacks columns, or has others besides, and what to do."""
    without = f", without {', '.join(lacking)}" if lacking else ""
    text = f"{path}: its columns are not those of this version{without}"
    return f"{text}: measure again in another --output_dir"


def read_results(
    folder: Path | str, name: str = "results.csv", columns: Sequence[str] = ()
) -> pd.DataFrame:
    """Return the rows of <folder>/<name>, or of its packed form <name>.gz, as a frame.

    The columns of `TEXTS` hold texts, all others numbers.  Without a column `dataset` the folder's
    name is the data set.  attrs: "config", what the rows were measured with, and "statistics" of
    the data.  Raises UserError for a missing file, one that differs from the sum beside it, and
    one that lacks one of `columns`.
    """
    path = Path(folder) / name
    packed = path.with_name(f"{name}.gz")  # the largest tables are published so
    if not path.exists() and packed.exists():
        path = packed
    if not path.exists():
        raise UserError(
            f"{path} is not there: --experiment={path.parent.parent.name} "
            f"--dataset={path.parent.name} makes it"
        )
    if path.with_suffix(".sha256").exists() and not _is_undamaged(path):
        raise UserError(f"{path}: {DAMAGED}: the command that made it mends it")
    names = pd.read_csv(path, nrows=0).columns
    if lacking := [name for name in columns if name not in names]:
        raise UserError(_other_columns(path, lacking))
    texts = {name: str for name in TEXTS if name in names}
    blanks = {name: [""] for name in names if name not in texts}
    frame = pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=blanks)
    if "dataset" not in frame:
        frame.insert(0, "dataset", path.resolve().parent.name)
    record = read_record(path.with_name("config.json")) or {}
    frame.attrs.update({name: _Shared(record.get(name, {})) for name in ("config", "statistics")})
    return frame


class _Shared(dict):
    """A dict that copies share: pandas copies attrs in every operation, half a report's time."""

    def __deepcopy__(self, memo):
        return self


def read_users(folder: Path | str) -> list[tuple[dict, storage.Arrays]]:
    """Return every row of an experiment, each with its part of every array that its job stored.

    Raises UserError for a damaged file.
    """
    pairs = []
    for path in sorted((Path(folder) / "jobs").glob("*.npz")):
        stored = storage.load(path)
        arrays = {name: stored[name] for name in stored if name not in ("rows", "binding")}
        for index, row in enumerate(_rows_of(stored)):
            pairs.append((row, {name: values[index] for name, values in arrays.items()}))
    return pairs


@contextlib.contextmanager
def recorded_run(
    folder: Path,
    config: dict,
    statistics: dict | None,
    flags: dict | None,
    layout: Layout,
    command: Sequence[str] = (),
) -> Iterator[Results]:
    """Yield the results of a folder, which is locked and has this configuration or none yet.

    config.json holds the configuration and the statistics of the data.  For every run it holds
    command, flags, versions, commit, wall time and peak memory.
    Raises UserError when another run holds the lock, and for results of another configuration.
    """
    folder = Path(folder)
    with locked(folder):
        path, plain = folder / "config.json", json.loads(json.dumps(config))
        before = _record_of(folder)
        if before:
            check_config(folder, before["config"], plain)
        results = Results(folder, layout, storage.hashed(plain, 64), trusted=before is not None)
        started = time.time()
        run = surroundings(started) | {"command": list(command), "flags": flags, "ended": False}
        runs = [*(before["runs"] if before else []), run]
        record = {"config": plain, "runs": runs, "statistics": statistics}
        write_record(path, record)
        try:
            yield results
            run["ended"] = True
        finally:
            run.update(surroundings(started))
            write_record(path, record)


def _record_of(folder: Path) -> dict | None:
    """Return the record that a folder's rows are bound to; None without rows or a valid record.

    Raises UserError for a results.csv that neither a sum nor a job belongs to.
    """
    table = folder / "results.csv"
    if not table.exists():
        return None
    if not table.with_suffix(".sha256").exists() and not (folder / "jobs").exists():
        raise UserError(
            f"{table} is of an earlier version, or of another program: "
            "move it away or choose another --output_dir"
        )
    record = read_record(folder / "config.json")
    return record if record and {"config", "runs"} <= record.keys() else None
