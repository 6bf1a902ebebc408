"""How every process of this project starts and stops."""

import contextlib
import importlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

try:
    import resource
except ImportError:  # the system does not have it
    resource = None  # type: ignore[assignment]

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
LARGE_PAGES = "glibc.malloc.hugetlb=1"  # rows of large tables are read faster; glibc alone reads it
INTERRUPTED = "advrec: interrupted; the same command goes on from where it is"
STATUS = 130  # of an interrupted command
_STOPS = (signal.SIGINT, signal.SIGTERM)
_at_work = False  # whether this worker runs a task


def one_thread_for_numpy() -> None:
    """Give NumPy one thread and large pages here and in processes started later.

    Call it before NumPy is imported.
    """
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    os.environ.setdefault("GLIBC_TUNABLES", LARGE_PAGES)


def stop_at_once() -> None:
    """Let Ctrl-C and SIGTERM end this process with one line: there is nothing to clean up yet."""

    def stop(*_):
        """Print that the run was interrupted, and end this process."""
        os.write(2, f"{INTERRUPTED}\n".encode())
        os._exit(STATUS)

    for number in _STOPS:
        signal.signal(number, stop)


def stop_in_order() -> None:
    """Let Ctrl-C and SIGTERM raise KeyboardInterrupt, once.

    So temporary files are removed and workers end before this process does.
    """

    def stop(*_):
        """Raise KeyboardInterrupt, and ignore further stops."""
        for number in _STOPS:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in _STOPS:
        signal.signal(number, stop)


@contextlib.contextmanager
def stops_held() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM until the end of the block, also in processes started in it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def peak_memory_mb() -> int:
    """Return the most memory this process has held.

    On Linux that is without what its parent had held when it started this process.
    """
    status = Path("/proc/self/status")
    if status.exists():
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(fields["VmHWM"].split()[0]) // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024 if resource else 0


def start_tensorflow() -> None:
    """Import TensorFlow without the notes its libraries print, and give it one thread.

    With a fixed number of threads the last bits of a result depend neither on the number of cores
    nor on other processes.
    """
    quiet_tensorflow()
    tensorflow = importlib.import_module("tensorflow")
    # It warns of functions that are traced again for other sizes, as ours are.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    with contextlib.suppress(RuntimeError):  # it has started already
        tensorflow.config.threading.set_intra_op_parallelism_threads(1)
        tensorflow.config.threading.set_inter_op_parallelism_threads(1)


def quiet_tensorflow() -> None:
    """Import TensorFlow without the notes its libraries print before they read its log level."""
    if "tensorflow" in sys.modules:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    stderr, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        importlib.import_module("tensorflow")
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(null)


def start_worker(line: int) -> None:
    """Prepare a process that runs tasks, with its progress bars on this line of the terminal.

    It ends as soon as its parent is gone.  Ctrl-C and SIGTERM interrupt its task, and do nothing
    between tasks.
    """
    from tqdm import tqdm  # signals are handled before anything is imported at the module's top

    from advrec_tf.execution.progress import use_line

    parent = os.getppid()

    def watch():
        """End this worker when its parent has ended."""
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    def stop(*_):
        """Interrupt the task that is running, if there is one."""
        if _at_work:
            raise KeyboardInterrupt

    threading.Thread(target=watch, daemon=True).start()
    for number in _STOPS:
        signal.signal(number, stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
    tqdm.set_lock(threading.RLock())  # its own is a system's semaphore, which outlives a kill
    use_line(line)
    start_tensorflow()


@contextlib.contextmanager
def at_work() -> Iterator[None]:
    """Let a stop interrupt this worker while it is in the block."""
    global _at_work
    _at_work = True
    try:
        yield
    finally:
        _at_work = False
