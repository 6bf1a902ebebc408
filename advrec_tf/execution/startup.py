"""Starting and stopping the way every process of this project does."""

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
except ImportError:  # a system that does not count
    resource = None  # type: ignore[assignment]

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
LARGE_PAGES = "glibc.malloc.hugetlb=1"  # rows of tables that fit no cache are found sooner; other systems do not read it
INTERRUPTED = "advrec: interrupted; the same command goes on from where it is"
STATUS = 130  # of an interrupted command
_STOPS = (signal.SIGINT, signal.SIGTERM)
_at_work = False  # whether this worker is in a job


def one_thread_for_numpy() -> None:
    """To be called before numpy is imported; processes started later inherit it, and their memory comes in large pages."""
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    os.environ.setdefault("GLIBC_TUNABLES", LARGE_PAGES)


def stop_at_once() -> None:
    """Until there is anything to be cleaned up, Ctrl-C and SIGTERM end this process with one line."""

    def stop(*_):
        os.write(2, f"{INTERRUPTED}\n".encode())
        os._exit(STATUS)

    for number in _STOPS:
        signal.signal(number, stop)


def stop_in_order() -> None:
    """From now on Ctrl-C and SIGTERM raise KeyboardInterrupt, once: temporary files go and workers end before this process does."""

    def stop(*_):
        for number in _STOPS:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in _STOPS:
        signal.signal(number, stop)


@contextlib.contextmanager
def stops_held() -> Iterator[None]:
    """Ctrl-C and SIGTERM wait until the end of the block; a process that is started in it begins with them waiting."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def peak_memory_mb() -> int:
    """Most memory this process has held; where the system tells it, without what its parent had held when it was started."""
    status = Path("/proc/self/status")
    if status.exists():
        return (
            int(
                dict(line.split(":", 1) for line in status.read_text().splitlines())[
                    "VmHWM"
                ].split()[0]
            )
            // 1024
        )
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024 if resource else 0


def start_tensorflow() -> None:
    """Imports TensorFlow without the notes its libraries print, and gives it one thread.

    With a fixed count of threads the last bits of a result do not depend on the cores, nor on what runs beside.
    """
    quiet_tensorflow()
    tensorflow = importlib.import_module("tensorflow")
    logging.getLogger("tensorflow").setLevel(
        logging.ERROR
    )  # functions are traced anew for other sizes, of which it warns
    with contextlib.suppress(RuntimeError):  # it runs already, as it was started first
        tensorflow.config.threading.set_intra_op_parallelism_threads(1)
        tensorflow.config.threading.set_inter_op_parallelism_threads(1)


def quiet_tensorflow() -> None:
    """Imports TensorFlow, if it is not yet, without the notes that its libraries print before its log level is heeded."""
    if "tensorflow" in sys.modules:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        importlib.import_module("tensorflow")
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


def start_worker(line: int) -> None:
    """What a process that works for another does first.

    It ends as soon as that one is gone, however that one ended; a Ctrl-C or SIGTERM interrupts its job, and nothing between jobs.
    """
    from tqdm import tqdm  # stops are looked after before anything else is imported

    from advrec_tf.execution.progress import use_line

    parent = os.getppid()

    def watch():
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    def stop(*_):
        if _at_work:
            raise KeyboardInterrupt

    threading.Thread(target=watch, daemon=True).start()
    for number in _STOPS:
        signal.signal(number, stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
    tqdm.set_lock(
        threading.RLock()
    )  # its own is a semaphore of the system, which outlives a process that is killed
    use_line(line)
    start_tensorflow()


@contextlib.contextmanager
def at_work() -> Iterator[None]:
    """While a worker is in the block, a stop interrupts it."""
    global _at_work
    _at_work = True
    try:
        yield
    finally:
        _at_work = False
