"""Tidy rows on disk: one row a measured point, and beside them the settings they were measured with."""

import contextlib
import json
import platform
import subprocess
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from advrec_tf.errors import UserError
from advrec_tf.evaluation import DETECTION, NAMES, TARGET_NAMES
from advrec_tf.files import locked, replacing, write_text
from advrec_tf.startup import peak_memory_mb
from advrec_tf.training import jobs

KEYS = ("dataset", "model", "epoch", "attack", "ball", "start", "epsilon", "step_size", "iterations", "seed", "k")
# Mean l2 norm of the embeddings' rows and of the perturbation's rows.
NORMS = ("user_norm", "item_norm", "user_shift", "item_shift")


class Layout(NamedTuple):
    """The columns of a results.csv: first those that tell its rows apart, then what was measured."""

    keys: tuple[str, ...]
    values: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return *self.keys, *self.values


PERTURBED = Layout(KEYS, (*NAMES, *NORMS))
# Of poisoned and defended data: which profiles, what was done about them, and how much of it.
POISONED = Layout((*KEYS, "profiles", "group", "defense", "patch", "rank", "share"), (*TARGET_NAMES, "RMSE"))
DETECTED = Layout(("dataset", "attack", "profiles", "sampling", "kernel", "components", "fold", "seed"), DETECTION)
# Perturbations of factors that are projected on the data's singular vectors, by an attacker who knows of it or not.
PROJECTED = Layout((*KEYS, "defense", "rank"), NAMES)
TEXTS = ("sampling", "kernel", "dataset", "model", "attack", "ball", "start", "profiles", "group", "defense", "patch")


class Results:
    """The rows of one experiment on one data set, in <folder>/results.csv; the file is whole after every `add`."""

    def __init__(self, folder: Path, layout: Layout = PERTURBED):
        self.path, self.layout = Path(folder) / "results.csv", layout
        self._rows: dict[tuple[str, ...], dict[str, str]] = {}
        if self.path.exists():
            frame = pd.read_csv(self.path, dtype=str, keep_default_na=False)
            if tuple(frame.columns) != layout.columns:
                raise UserError(f"{self.path}: its columns are not those of this version; move the file away")
            self._take(frame.to_dict("records"))

    def __contains__(self, key: dict) -> bool:
        return tuple(_text(key.get(name)) for name in self.layout.keys) in self._rows

    def _take(self, rows: list[dict]) -> None:
        for row in rows:
            texts = {name: _text(row.get(name)) for name in self.layout.columns}
            self._rows[tuple(texts[name] for name in self.layout.keys)] = texts

    def add(self, rows: list[dict]) -> None:
        """Adds rows, or replaces those of the same key, and writes the file; its order does not depend on that of the calls."""
        self._take(rows)
        ordered = sorted(self._rows, key=lambda key: [(0, float(part), "") if _is_number(part) else (1, 0.0, part) for part in key])
        with replacing(self.path) as temporary:
            pd.DataFrame([self._rows[key] for key in ordered], columns=self.layout.columns).to_csv(temporary, index=False)


def read_results(folder: Path) -> pd.DataFrame:
    """The rows of <folder>/results.csv as a frame: texts in the columns of `TEXTS`, numbers elsewhere.

    Its attrs are the "config" they were measured with and the "statistics" of the data.
    """
    path = Path(folder) / "results.csv"
    columns = pd.read_csv(path, nrows=0).columns
    texts = {name: str for name in TEXTS if name in columns}
    blanks = {name: [""] for name in columns if name not in texts}
    frame = pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=blanks)
    config = Path(folder) / "config.json"
    record = json.loads(config.read_text()) if config.exists() else {}
    frame.attrs.update({name: record.get(name, {}) for name in ("config", "statistics")})
    return frame


def user_path(folder: Path, model: str, epoch: int | None, attack: str, ball: str, seed: int) -> Path:
    """Where the nDCG of every tested user under one attack is kept: an .npz of epsilon [N], iterations [N] and nDCG [N, users]."""
    named = {"epoch": epoch, "attack": attack, "ball": ball, "seed": seed}
    return Path(folder) / "users" / f"{'_'.join([model, *(f'{name}={value}' for name, value in named.items() if value not in (None, ''))])}.npz"


def victim_path(folder: Path, key: dict) -> Path:
    """Where the tested users' own metrics of a row of poisoned data are kept: an .npz of one array [users] a metric."""
    named = [name for name in POISONED.keys if name not in ("dataset", "k") and key.get(name) not in (None, "")]
    return Path(folder) / "users" / f"{'_'.join(f'{name}={key[name]}' for name in named)}.npz"


def _text(value) -> str:
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
    folder: Path, config: dict, statistics: dict | None = None, flags: dict | None = None, layout: Layout = PERTURBED
) -> Iterator[Results]:
    """Opens the results of a folder for one run: locked, and of this configuration or of none yet.

    config.json holds the settings, the statistics of the data and, for every run, its flags, versions, commit, wall time and peak memory.
    Raises UserError when another run is at it, or when what is there was measured with other settings.
    """
    folder = Path(folder)
    with locked(folder):
        path = folder / "config.json"
        asked = json.loads(json.dumps(config))
        record = {"config": asked, "runs": []}
        if (folder / "results.csv").exists() and path.exists():  # without a row nothing is bound to its settings
            record = json.loads(path.read_text())
        record["statistics"] = statistics
        for name in sorted({*asked, *record["config"]}):
            there, here = record["config"].get(name), asked.get(name)
            if there != here:
                raise UserError(f"{folder} holds results of another config ({name} {there} there, {here} here): choose another --output_dir")
        write_text(path, json.dumps(record, indent=1) + "\n")
        started = time.time()
        try:
            yield Results(folder, layout)
        finally:
            record["runs"].append({**_surroundings(started), "flags": flags})
            write_text(path, json.dumps(record, indent=1) + "\n")


def _surroundings(started: float) -> dict:
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True).stdout.strip()
    except OSError:  # no git here
        commit = ""
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "wall_seconds": round(time.time() - started, 1),
        "peak_memory_mb": max(peak_memory_mb(), jobs.peak_workers_mb),  # of the largest process
        "commit": commit,
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("tensorflow", "keras", "numpy", "pandas", "scipy")},
    }
