"""Starting TensorFlow the way every process of this project does."""

import contextlib
import importlib
import os
import resource
import sys
import threading
import time
from pathlib import Path

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def one_thread_for_numpy() -> None:
    """To be called before numpy is imported; processes started later inherit it."""
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))


def peak_memory_mb() -> int:
    """Most memory this process has held; where the system tells it, without what its parent had held when it was started."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(dict(line.split(":", 1) for line in status.read_text().splitlines())["VmHWM"].split()[0]) // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def start_tensorflow() -> None:
    """Imports TensorFlow without the notes its libraries print, and gives it one thread.

    With a fixed count of threads the last bits of a result do not depend on the cores, nor on what runs beside.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _muted_stderr():  # some notes come before the log level is heeded
        tensorflow = importlib.import_module("tensorflow")
    with contextlib.suppress(RuntimeError):  # it runs already, as it was started first
        tensorflow.config.threading.set_intra_op_parallelism_threads(1)
        tensorflow.config.threading.set_inter_op_parallelism_threads(1)


def start_worker() -> None:
    """What a process that works for another does first: it ends as soon as that one is gone, however that one ended."""
    parent = os.getppid()

    def watch():
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    start_tensorflow()


@contextlib.contextmanager
def _muted_stderr():
    sys.stderr.flush()
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)
