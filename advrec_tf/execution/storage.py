"""Arrays and tables on disk: written at once, verified before use, and computed only once."""

import hashlib
import json
import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from advrec_tf.errors import UserError
from advrec_tf.files import locked, replacing

if TYPE_CHECKING:  # flags are made from configurations, which need this module but not pandas
    import pandas as pd

Arrays = dict[str, np.ndarray]
_SEAL = len("sha256:") + 64  # bytes of the archive's comment


def save(path: Path | str, arrays: dict[str, Any], compression: int = zipfile.ZIP_STORED) -> None:
    """Write arrays as .npz at once; the same arrays give the same bytes.

    The archive's comment is the SHA-256 of all bytes before it, so that `load` notices any damage.
    NumPy reads the file as any other.  compression: of `zipfile`
    """
    for name, value in arrays.items():
        if np.asarray(value).dtype.hasobject:
            raise ValueError(f"{path}: {name} holds objects, which would not be read again")
    with replacing(path) as temporary:
        with open(temporary, "wb") as file:
            _write(file, arrays, compression)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.comment = bytes(_SEAL)
        with open(temporary, "r+b") as file:
            seal = _seal(file)
            file.write(seal)


def _write(file: BinaryIO, arrays: dict[str, Any], compression: int) -> None:
    """Write as np.savez does, but with any compression."""
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)


def load(path: Path | str) -> Arrays:
    """Read what `save` wrote.

    Raises UserError when a single bit of the file has changed, and OSError when it is missing.
    """
    with open(path, "rb") as file:
        seal = _seal(file)
        if file.read() != seal:
            raise UserError(
                f"{path}: its content is not what was written: "
                "remove it, and the same command makes it again"
            )
        file.seek(0)
        with np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)


def _seal(file: BinaryIO) -> bytes:
    """Return the seal that belongs to a file, whose position is then that of its own seal."""
    left = max(0, os.fstat(file.fileno()).st_size - _SEAL)
    digest = hashlib.sha256()
    file.seek(0)
    while block := file.read(min(left, 1 << 20)):
        digest.update(block)
        left -= len(block)
    return b"sha256:" + digest.hexdigest().encode()


def write_csv(path: Path | str, frame: "pd.DataFrame", **how: Any) -> None:
    """Write a frame without its index, at once."""
    with replacing(path) as temporary:
        frame.to_csv(temporary, index=False, **how)


def hashed(identity: Any, length: int = 16) -> str:
    """Return the first hex digits of a hash of plain values; the order of names does not matter."""
    text = json.dumps(identity, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def digest(arrays: dict[str, Any]) -> str:
    """Return a hash of names, types, shapes and contents."""
    sha256 = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        sha256.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        sha256.update(array.tobytes())
    return sha256.hexdigest()


def entry(folder: Path | str, identity: dict) -> Path:
    """Return where the arrays of this identity are stored."""
    return Path(folder) / f"{hashed(identity)}.npz"


def cached(folder: Path | str, identity: dict, build: Callable[[], dict[str, Any]]) -> Arrays:
    """Return the arrays of this identity, from their file if it is undamaged; else build them.

    The identity holds the version of the algorithm.  A damaged file is a line on stderr.
    A second process that needs the same arrays waits for the first.
    """
    path = entry(folder, identity)
    with locked(path.with_suffix(""), patience=3600):
        if path.exists():
            try:
                return load(path)
            except UserError:
                print(
                    f"advrec: {path}: its content is not what was written; it is computed again",
                    file=sys.stderr,
                )
        arrays = build()
        save(path, arrays)
        return {name: np.asarray(value) for name, value in arrays.items()}
