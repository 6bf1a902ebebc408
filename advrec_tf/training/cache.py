"""Arrays that are computed once for their settings, kept on disk, and verified when they are read again."""

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from advrec_tf.errors import UserError
from advrec_tf.files import locked
from advrec_tf.training import checkpoints


def entry(folder: Path, identity: dict) -> Path:
    """folder/<hash of the identity>, the name (without suffix) under which something of these settings is kept."""
    return Path(folder) / hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()[:16]


def cached(folder: Path, identity: dict, build: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The arrays of this identity: read if they are there and are what was written, else built and written.

    A file holds the hash of its own arrays; one that does not agree with it is told on stderr and built again.  A second process that
    wants the same waits for the first.
    """
    path = entry(folder, identity).with_suffix(".npz")
    with locked(path.with_suffix(""), patience=3600):
        if path.exists():
            try:
                arrays = checkpoints.load(path)
                if str(arrays.pop("digest", "")) == digest(arrays):
                    return arrays
                fault = "its content is not what was written"
            except UserError as error:
                fault = str(error)
            print(f"advrec: {path}: {fault}; it is computed again", file=sys.stderr)
        arrays = build()
        checkpoints.save(path, {**arrays, "digest": np.array(digest(arrays))})
        return arrays


def digest(arrays: dict[str, np.ndarray]) -> str:
    """A hash of names, types, shapes and contents."""
    found = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        found.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        found.update(array.tobytes())
    return found.hexdigest()
