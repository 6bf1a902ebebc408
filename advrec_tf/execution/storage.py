"""Arrays and tables on disk: whole or absent, verified before they are parsed, and computed once for their settings."""

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
    """Writes arrays as .npz at once; the same arrays give the same bytes.  compression: of `zipfile`

    The archive's comment is the SHA-256 of all bytes before it, so that `load` can tell damage of any kind; numpy reads the file as any other.
    """
    held = [name for name, value in arrays.items() if np.asarray(value).dtype.hasobject]
    if held:
        raise ValueError(f"{path}: {held[0]} holds objects, which would not be read again")
    with replacing(path) as temporary:
        with open(temporary, "wb") as file:
            _write(file, arrays, compression)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.comment = bytes(_SEAL)
        with open(temporary, "r+b") as file:
            seal = _seal(file)
            file.write(seal)


def _write(file: BinaryIO, arrays: dict[str, Any], compression: int) -> None:
    """As np.savez does, which knows one way to compress."""
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)


def load(path: Path | str) -> Arrays:
    """Reads what `save` wrote.  Raises UserError, naming the file, when a single bit of it is another, and OSError when it is not there."""
    with open(path, "rb") as file:
        seal = _seal(file)
        if file.read() != seal:
            raise UserError(
                f"{path}: its content is not what was written: remove it, and the same command makes it again"
            )
        file.seek(0)
        with np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)


def load_matrix(path: Path | str) -> np.ndarray:
    """A table from somebody's .npy file.  Raises UserError for anything else, and OSError when it is not there."""
    try:
        factors = np.load(path, allow_pickle=False)
    except OSError:
        raise
    except Exception:  # numpy's reader of headers has many ways to fail
        raise UserError(f"{path}: not an .npy file of numbers") from None
    if not isinstance(factors, np.ndarray):
        raise UserError(f"{path}: an .npz archive; export each matrix as an .npy file")
    if factors.ndim != 2:
        raise UserError(f"{path}: factors must be a table [rows, dim], not {factors.shape}")
    return factors


def _seal(file: BinaryIO) -> bytes:
    """The seal of a file, which is then at the place of its own."""
    left = max(0, os.fstat(file.fileno()).st_size - _SEAL)
    digest = hashlib.sha256()
    file.seek(0)
    while block := file.read(min(left, 1 << 20)):
        digest.update(block)
        left -= len(block)
    return b"sha256:" + digest.hexdigest().encode()


def write_csv(path: Path | str, frame: "pd.DataFrame", **how: Any) -> None:
    """Writes a frame without its index, at once."""
    with replacing(path) as temporary:
        frame.to_csv(temporary, index=False, **how)


def hashed(identity: Any, length: int = 16) -> str:
    """The first hex digits of a hash of plain values, whatever the order of their names."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()[
        :length
    ]


def digest(arrays: dict[str, Any]) -> str:
    """A hash of names, types, shapes and contents."""
    found = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        found.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        found.update(array.tobytes())
    return found.hexdigest()


def entry(folder: Path | str, identity: dict) -> Path:
    """Where the arrays of this identity are kept."""
    return Path(folder) / f"{hashed(identity)}.npz"


def cached(folder: Path | str, identity: dict, build: Callable[[], dict[str, Any]]) -> Arrays:
    """The arrays of this identity: read if they are there and are what was written, else built and written.

    The identity holds the version of the algorithm.  What is damaged is told on stderr and built again.  A second process that wants the same
    waits for the first.
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
