"""What was measured: a file for each job, all rows together in results.csv, and the settings they were measured with."""

import contextlib
import hashlib
import json
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from advrec_tf.errors import UserError
from advrec_tf.execution import jobs, storage
from advrec_tf.execution.startup import peak_memory_mb
from advrec_tf.files import locked, replacing, write_text
from advrec_tf.version import __version__

LIBRARIES = ("tensorflow", "keras", "numpy", "pandas", "scipy")  # whose versions a run records

# Whatever else the columns of a results.csv are, they are numbers.
TEXTS = (
    "dataset",
    "model",
    "selection",
    "attack",
    "ball",
    "start",
    "profiles",
    "group",
    "defense",
    "patch",
    "sampling",
    "kernel",
    "detector",
    "tested_on",
    "by",
    "order",
    "column",
    "metric",
    "first",
    "second",
    "entry",
    "factors",
    "threat_model",
    "unit",
    "warnings",
)


class Layout(NamedTuple):
    """The columns of a results.csv: first those that tell its rows apart, then what was measured."""

    keys: tuple[str, ...]
    values: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return *self.keys, *self.values


class Job(NamedTuple):
    """Points that are measured together: function(points=points, **arguments, position=...) -> rows, users.

    function: "module:name"; points: the key columns of its rows, made here and nowhere else; it gives each of them back with its metrics, and
    `users`, arrays [points, users] of the users' own metrics (or whatever else is to be kept).  files: what it leaves beside.
    """

    function: str
    points: list[dict]
    arguments: dict[str, Any]
    files: tuple[Path, ...] = ()


def measure(
    function: str, points: list[dict], arguments: dict, path: Path, binding: str, position: int = 0
) -> list[dict]:
    """Runs one job, in whichever process, and keeps its result at `path` before anybody is told of it."""
    rows, users = jobs.named(function)(points=points, **arguments, position=position)
    text = json.dumps(rows, default=lambda value: value.item())
    storage.save(
        path,
        {"rows": np.frombuffer(text.encode(), np.uint8), "binding": np.array(binding), **users},
    )
    return rows


class Results:
    """The rows of one experiment on one data set.

    They are what the jobs left in <folder>/jobs, each file whole or not there, and with them what a results.csv holds that is as it was written.
    """

    def __init__(self, folder: Path, layout: Layout, binding: str, trusted: bool = True):
        self.folder, self.layout, self.binding = Path(folder), layout, binding
        self._rows: dict[tuple[str, ...], dict[str, str]] = {}
        self._done: set[Path] = set()
        path = self.folder / "results.csv"
        if path.exists():
            if trusted and _is_whole(path):
                frame = pd.read_csv(path, dtype=str, keep_default_na=False)
                if tuple(frame.columns) != layout.columns:
                    raise UserError(
                        f"{path}: its columns are not those of this version; move the file away"
                    )
                self._take(frame.to_dict("records"))
            else:
                told = (
                    "its content is not what was written"
                    if trusted
                    else "config.json does not say what it was measured with"
                )
                print(
                    f"advrec: {path}: {told}; what its jobs did not keep is measured again",
                    file=sys.stderr,
                )
        for path in sorted((self.folder / "jobs").glob("*.npz")):
            try:
                kept = storage.load(path)
            except UserError:
                print(
                    f"advrec: {path}: its content is not what was written; it is measured again",
                    file=sys.stderr,
                )
                continue
            if str(kept["binding"]) != binding:
                raise UserError(
                    f"{folder} holds results of another config, which {path.name} was measured with: choose another --output_dir"
                )
            self._take(_rows_of(kept))
            self._done.add(path)
        if self._rows:
            self._write()

    def path_of(self, job: Job) -> Path:
        """Where the result of a job is kept."""
        return self.folder / "jobs" / f"{storage.hashed(job.points, 20)}.npz"

    def __contains__(self, job: Job) -> bool:
        return self.path_of(job) in self._done and all(path.exists() for path in job.files)

    def add(self, job: Job, rows: list[dict]) -> None:
        """Takes the rows of a job that is done, and writes the file; its order does not depend on that of the calls."""
        self._done.add(self.path_of(job))
        self._take(rows)
        self._write()

    def _take(self, rows: list[dict]) -> None:
        for row in rows:
            texts = {name: _text(row.get(name)) for name in self.layout.columns}
            self._rows[tuple(texts[name] for name in self.layout.keys)] = texts

    def _write(self) -> None:
        ordered = sorted(
            self._rows,
            key=lambda key: [
                (0, float(part), "") if _is_number(part) else (1, 0.0, part) for part in key
            ],
        )
        text = (
            pd.DataFrame([self._rows[key] for key in ordered], columns=self.layout.columns)
            .to_csv(index=False)
            .encode()
        )
        path = self.folder / "results.csv"
        there = path.read_bytes() if path.exists() and _is_whole(path) else None
        if there == text:
            return
        # Both what is there and what will be, since this process may end between the two renames.
        sums = dict.fromkeys(_sum(content) for content in (there, text) if content is not None)
        write_text(path.with_suffix(".sha256"), "".join(f"{each}  results.csv\n" for each in sums))
        with replacing(path) as temporary:
            temporary.write_bytes(text)


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _is_whole(path: Path) -> bool:
    sums = path.with_suffix(".sha256")
    return sums.exists() and _sum(path.read_bytes()).encode() in sums.read_bytes().split()


def _rows_of(kept: storage.Arrays) -> list[dict]:
    return json.loads(kept["rows"].tobytes())


def read_results(folder: Path | str, name: str = "results.csv") -> pd.DataFrame:
    """The rows of <folder>/results.csv, or of a table made of it (packed, <name>.gz), as a frame: texts in the columns of `TEXTS`, numbers elsewhere.

    A dataset that no column names is that of the folder.

    Its attrs are the "config" they were measured with and the "statistics" of the data.  Raises UserError for a file that is not what was written and
    where there is none; a table without a sum beside it is read as it is.
    """
    path = Path(folder) / name
    if (
        not path.exists() and (packed := path.with_name(f"{name}.gz")).exists()
    ):  # as the largest are published
        path = packed
    if not path.exists():
        raise UserError(
            f"{path} is not there: --experiment={path.parent.parent.name} --dataset={path.parent.name} makes it"
        )
    if path.with_suffix(".sha256").exists() and not _is_whole(path):
        raise UserError(
            f"{path}: its content is not what was written: the command that made it mends it"
        )
    columns = pd.read_csv(path, nrows=0).columns
    texts = {name: str for name in TEXTS if name in columns}
    blanks = {name: [""] for name in columns if name not in texts}
    frame = pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=blanks)
    if "dataset" not in frame:  # as published, where the folder alone says it
        frame.insert(0, "dataset", path.resolve().parent.name)
    record = read_record(path.with_name("config.json")) or {}
    frame.attrs.update({name: _Shared(record.get(name, {})) for name in ("config", "statistics")})
    return frame


class _Shared(dict):
    """Of a frame and all that is made of it: pandas would copy it in depth with every operation, half the time of a report."""

    def __deepcopy__(self, memo):
        return self


def read_users(folder: Path | str) -> list[tuple[dict, dict[str, np.ndarray]]]:
    """What the jobs of an experiment kept of single users: every row, and beside it its own part of each array.

    Raises UserError for a damaged file.
    """
    found = []
    for path in sorted((Path(folder) / "jobs").glob("*.npz")):
        kept = storage.load(path)
        users = {name: values for name, values in kept.items() if name not in ("rows", "binding")}
        found += [
            (row, {name: values[place] for name, values in users.items()})
            for place, row in enumerate(_rows_of(kept))
        ]
    return found


def _text(value: Any) -> str:
    if value is None:
        return ""
    return repr(float(value)) if isinstance(value, float) else str(value)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@contextlib.contextmanager
def recorded_run(
    folder: Path,
    config: dict,
    statistics: dict | None,
    flags: dict | None,
    layout: Layout,
    command: Sequence[str] = (),
) -> Iterator[Results]:
    """Opens the results of a folder for one run: locked, and of this configuration or of none yet.

    config.json holds the settings, the statistics of the data and, for every run, its command, flags, versions, commit, wall time and peak memory.
    Raises UserError when another run is at it, or when what is there was measured with other settings.
    """
    folder = Path(folder)
    with locked(folder):
        path, asked = folder / "config.json", json.loads(json.dumps(config))
        table = folder / "results.csv"
        if (
            table.exists()
            and not table.with_suffix(".sha256").exists()
            and not (folder / "jobs").exists()
        ):
            raise UserError(
                f"{table} is of an earlier version, or of another program: move it away or choose another --output_dir"
            )
        there = (
            read_record(path) if path.exists() and (folder / "results.csv").exists() else None
        )  # without a row nothing is bound to its settings
        before = there["config"] if there else {}
        for name in sorted({*asked, *before}) if there else ():
            old, new = before.get(name), asked.get(name)
            if old != new:
                raise UserError(
                    f"{folder} holds results of another config ({_difference(name, old, new)}): choose another --output_dir"
                )
        results = Results(folder, layout, storage.hashed(asked, 64), trusted=there is not None)
        started = time.time()
        run = _surroundings(started) | {"command": list(command), "flags": flags, "ended": False}
        record = {
            "config": asked,
            "runs": [*(there["runs"] if there else []), run],
            "statistics": statistics,
        }
        write_record(path, record)
        try:
            yield results
            run["ended"] = True
        finally:
            run.update(_surroundings(started))
            write_record(path, record)


def _difference(name: str, old: Any, new: Any) -> str:
    """What differs, at the depth where it does."""
    if isinstance(old, dict) and isinstance(new, dict):
        inner = next(key for key in sorted({*old, *new}) if old.get(key) != new.get(key))
        return _difference(f"{name}.{inner}", old.get(inner), new.get(inner))
    return f"{name} {old} there, {new} here"


def write_record(path: Path, record: dict, indent: int | None = 1) -> None:
    """Writes a config.json with its seal."""
    plain = json.loads(json.dumps(record, default=str))
    write_text(
        path,
        json.dumps(
            {**plain, "sha256": storage.hashed(plain, 64)},
            indent=indent,
            separators=None if indent else (",", ":"),
        )
        + "\n",
    )


def read_record(path: Path) -> dict | None:
    """A config.json without its seal, or None where it is not what was written."""
    try:
        record = json.loads(path.read_bytes())
        seal = record.pop("sha256")
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return None
    return record if seal == storage.hashed(record, 64) else None


def _surroundings(started: float) -> dict:
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True
        ).stdout.strip()
    except OSError:  # no git here
        commit = ""
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "wall_seconds": round(time.time() - started, 1),
        "peak_memory_mb": max(peak_memory_mb(), jobs.peak_workers_mb),  # of the largest process
        "commit": commit,
        "python": platform.python_version(),
        "versions": {"advrec_tf": __version__} | {name: version(name) for name in LIBRARIES},
    }
