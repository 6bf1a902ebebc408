"""Files that are never half written, and folders that one run uses at a time."""

import contextlib
import errno
import os
import secrets
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from advrec_tf.errors import UserError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

MAX_NAME = 120  # bytes; file systems take 255, and names become parts of longer ones
# A packed file may grow to FREE_BYTES, or to MAX_RATIO times its size. Tables grow ten times.
FREE_BYTES, MAX_RATIO = 1 << 30, 200


@contextlib.contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yield a temporary name next to `path` that replaces it if the block ends without an error.

    The name is random, so threads and machines that share the folder do not collide.
    Raises OSError that names `path`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if error.filename is not None:
            raise
        # The error of a full disk does not name the file.
        code, message = error.errno or errno.EIO, error.strerror or str(error)
        raise OSError(code, message, str(path)) from None
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Write a text file at once: a reader sees the old text or the new one."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def locked(folder: Path | str, patience: float = 2.0) -> Iterator[None]:
    """Hold the lock of a folder, and delete the temporary files of killed runs.

    The operating system frees the lock when the process ends.  Raises UserError when another
    process holds the lock for `patience` seconds, and where the system has no file locks.
    """
    if fcntl is None:
        raise UserError(
            "this system has no file locks, which keep two runs apart: "
            "run on Linux, macOS or in WSL"
        )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with _lock_file(folder / ".lock") as lock:
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise UserError(
                        f"{folder} is in use by another run: "
                        "wait for it or choose another --output_dir"
                    ) from None
                time.sleep(0.1)
        for leftover in folder.rglob(".*.tmp"):
            leftover.unlink(missing_ok=True)
        yield


def _lock_file(path: Path) -> BinaryIO:
    """Open a file that nothing is written to.

    Raises UserError for a link, whose target is not ours, and for what is no file.
    """
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        file = os.fdopen(os.open(path, flags, 0o666), "r+b", buffering=0)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.ESPIPE):
            raise
        raise UserError(f"{path} is a link or no file: remove it") from None
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise UserError(f"{path} is a link or no file: remove it")
    return file


def regular(path: Path | str) -> Path:
    """Return the path of a file that can be read to its end.

    Raises UserError for a device, a pipe or a folder, OSError for a file that is missing.
    """
    path = Path(path)
    if not stat.S_ISREG(path.stat().st_mode):
        raise UserError(f"{path}: not a regular file")
    return path


def check_growth(path: Path, packed: int, unpacked: int) -> None:
    """Raise UserError for a file whose `packed` bytes would become `unpacked` ones in memory.

    FREE_BYTES are always granted, and MAX_RATIO times the size of the file.
    """
    if unpacked > max(FREE_BYTES, MAX_RATIO * packed):
        raise UserError(
            f"{path}: its {packed:,} bytes would become {unpacked:,}, which no honest file of ours "
            "does: unpack it yourself if it is right"
        )


def plain_name(name: str) -> str:
    """Return a name that is one part of a path, no markup in a page and no formula in a table.

    Raises UserError for any other, and for one of more than MAX_NAME bytes.
    """
    try:
        size = len(name.encode())
    except UnicodeEncodeError:  # bytes of a file name that are no text
        raise UserError(f"the name {name!a} is not UTF-8: rename it") from None
    odd = not name or name[0] in ".-=+@" or set(name) & set("/\\<>|`") or not name.isprintable()
    if odd or size > MAX_NAME:
        raise UserError(
            f"the name {name!r} must have 1 to {MAX_NAME} bytes, begin with none of . - = + @ "
            "and hold none of / \\ < > | `"
        )
    return name
