"""Files that are never half written, and folders that one run uses at a time."""

import contextlib
import errno
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

from advrec_tf.errors import UserError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


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
    with open(folder / ".lock", "w") as lock:
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
