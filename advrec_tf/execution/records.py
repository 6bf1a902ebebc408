"""config.json: what results were measured with, and the runs that measured them."""

import json
import platform
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from advrec_tf.errors import UserError
from advrec_tf.execution import jobs, storage
from advrec_tf.execution.startup import peak_memory_mb
from advrec_tf.files import write_text
from advrec_tf.version import __version__

LIBRARIES = ("tensorflow", "keras", "numpy", "pandas", "scipy")  # whose versions a run records


def write_record(path: Path, record: dict, indent: int | None = 1) -> None:
    """Write a config.json with its seal."""
    plain = json.loads(json.dumps(record, default=str))
    sealed = {**plain, "sha256": storage.hashed(plain, 64)}
    separators = None if indent else (",", ":")
    write_text(path, json.dumps(sealed, indent=indent, separators=separators) + "\n")


def read_record(path: Path) -> dict | None:
    """Return a config.json without its seal, or None where its content is not what was written."""
    try:
        record = json.loads(path.read_bytes())
        seal = record.pop("sha256")
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return None
    return record if seal == storage.hashed(record, 64) else None


def check_config(folder: Path, before: dict, config: dict) -> None:
    """Raise UserError where the config stored in a folder differs from that of this run."""
    for name in sorted({*config, *before}):
        if before.get(name) != config.get(name):
            text = difference(name, before.get(name), config.get(name))
            raise UserError(
                f"{folder} holds results of another config ({text}): choose another --output_dir, "
                "or remove this folder"
            )


def difference(name: str, old: Any, new: Any) -> str:
    """Return what differs between two values, at the depth where it does."""
    if isinstance(old, dict) and isinstance(new, dict):
        inner = next(key for key in sorted({*old, *new}) if old.get(key) != new.get(key))
        return difference(f"{name}.{inner}", old.get(inner), new.get(inner))
    return f"{name} {old} there, {new} here"


def surroundings(started: float) -> dict[str, Any]:
    """Return time, memory, commit and versions of a run.  started: of `time.time`"""
    folder = Path(__file__).parent
    git = ["git", "rev-parse", "HEAD"]
    try:
        commit = subprocess.run(git, cwd=folder, capture_output=True, text=True).stdout.strip()
    except OSError:  # git is not installed
        commit = ""
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "wall_seconds": round(time.time() - started, 1),
        "peak_memory_mb": max(peak_memory_mb(), jobs.peak_workers_mb),  # of the largest process
        "commit": commit,
        "python": platform.python_version(),
        "versions": {"advrec_tf": __version__} | {name: version(name) for name in LIBRARIES},
    }
