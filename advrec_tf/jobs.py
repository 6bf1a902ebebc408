"""Independent jobs side by side in processes of their own, each with one thread, or more where there are fewer jobs than workers."""

import contextlib
import importlib
import os
import signal
import time
import warnings
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import joblib
from joblib.externals.loky import get_reusable_executor
from tqdm import tqdm

from advrec_tf import clusters
from advrec_tf.errors import UserError
from advrec_tf.startup import at_work, one_thread_for_numpy, peak_memory_mb, start_tensorflow, start_worker, stops_held
from advrec_tf.threads import threads

BACKENDS = ("loky", "dask", "ray")
MANY = 24  # jobs: TensorFlow keeps every program it has compiled, so a process that would do more of them is one that can be replaced
MOST_THREADS = 8  # of a job, each of which holds blocks of its own
GRACE = 0.5  # seconds in which a job that is stopped removes its temporary files
peak_workers_mb = 0  # the most memory that one process has held for a job of this run


def run(
    function: str, jobs: list[dict], workers: int, backend: str = "loky", bar: str = "", done: int = 0, folder: Path = Path()
) -> Iterator[tuple[int, Any]]:
    """Calls the function named "module:name" with every job's arguments, at most `workers` at once; yields (index, result) as they finish.

    It is named, not given, so that this process need not import TensorFlow only to hand it on.  It also gets `position`, where its
    progress bar goes.  `backend`: processes here (loky), which end when this one does, or a cluster that runs already (dask, ray) with as many
    workers as that has.  A job that raises ends the run with its error; what shall outlive it must be on disk.
    bar: the name of a progress bar over the jobs, if one is wanted, of which `done` were done before.  folder: in which they write, which a cluster's
    workers have to see.
    """
    with tqdm(total=len(jobs) + done, initial=done, desc=bar, disable=None if bar else True) as shown:
        for index, result in _results(function, jobs, workers, backend, folder) if jobs else ():
            yield index, result
            shown.update()


def _results(function: str, jobs: list[dict], workers: int, backend: str, folder: Path) -> Iterator[tuple[int, Any]]:
    one_thread_for_numpy()
    if backend != "loky":
        yield from map(_noted, clusters.run(backend, _call, function, jobs, folder))
        return
    # A worker that has grown is replaced, a job that is stopped goes on at the next run: joblib warns of both, and nothing is lost.
    warnings.filterwarnings("ignore", category=UserWarning, module="joblib")
    processes = min(workers, max(2, len(jobs))) if len(jobs) < MANY else max(workers, 2)  # one means this process itself
    pool = joblib.Parallel(processes, return_as="generator_unordered", pre_dispatch=workers, batch_size=1, initializer=start_worker)
    resource_tracker.ensure_running()  # its start ends every hold of stops, so it comes first
    try:
        with stops_held():  # a worker that is just starting could only answer with a traceback
            results = pool(_calls(function, jobs, workers))
        yield from map(_noted, results)
    except BaseException as error:
        _stop_workers()
        if not isinstance(error, BrokenProcessPool):
            raise
        raise UserError("a worker process was killed, perhaps for want of memory: run again, with fewer --workers if so") from None


def _stop_workers() -> None:
    """Interrupts the jobs that run, and then ends their processes, so that nothing of them is left to complain at exit."""
    pool = get_reusable_executor(reuse=True)
    processes = list(getattr(pool, "_processes", None) or ())
    for number in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGTERM)
    if processes:
        time.sleep(GRACE)
    pool.shutdown(wait=True, kill_workers=True)


def _noted(done: tuple[int, Any, int]) -> tuple[int, Any]:
    global peak_workers_mb
    peak_workers_mb = max(peak_workers_mb, done[2])
    return done[:2]


def _calls(function: str, jobs: list[dict], workers: int) -> list:
    share, more = divmod(workers, len(jobs))
    own = [min(MOST_THREADS, max(1, share + (index < more))) for index in range(len(jobs))]
    return [joblib.delayed(_call)(function, index, job, index % workers, own[index]) for index, job in enumerate(jobs)]


def named(function: str) -> Any:
    """The function of a name "module:name"."""
    module, _, name = function.partition(":")
    return getattr(importlib.import_module(module), name)


def _call(function: str, index: int, job: dict, position: int, own: int = 1) -> tuple[int, Any, int]:
    with at_work(), threads(own):
        start_tensorflow()
        return index, named(function)(**job, position=position), peak_memory_mb()
