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
except ImportError:  # the system has no such locks
    fcntl = None  # type: ignore[assignment]


@contextlib.contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path that replaces `path` when the block ends without an error.

    Its name is random, so that threads and machines that share the folder do not meet.
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
        reason = error.strerror or str(error)  # a full disk names no file
        raise OSError(error.errno or errno.EIO, reason, str(path)) from None
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Write a text file at once; a reader sees the old text or the new one."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def locked(folder: Path | str, patience: float = 2.0) -> Iterator[None]:
    """Hold the lock of a folder, and remove temporary files that a killed process left there.

    The operating system frees the lock when the process ends, however it ends.
    Raises UserError when another process still holds it after `patience` seconds, and where the
    system has no such locks.
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
        for left in folder.rglob(".*.tmp"):
            left.unlink(missing_ok=True)
        yield
