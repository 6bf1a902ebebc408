"""Independent jobs side by side in processes of their own, each with one thread."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import joblib

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def one_thread() -> None:
    """Gives TensorFlow one thread: with a fixed count the last bits do not depend on how many jobs run side by side."""
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:  # already running, with what was set first
        pass


def run(function: Callable[..., Any], jobs: list[dict], workers: int) -> Iterator[tuple[int, Any]]:
    """Calls function(**job) for every job, at most `workers` at once, and yields (index, result) as they finish.

    A job that raises ends the run with its error; jobs must write what shall outlive it themselves.
    """
    for name in THREADS:
        os.environ[name] = "1"  # what the processes to come inherit
    workers = max(1, min(workers, len(jobs)))
    pool = joblib.Parallel(n_jobs=workers, return_as="generator_unordered", pre_dispatch=workers, batch_size=1)
    parent = os.getpid() if workers > 1 else None
    yield from pool(joblib.delayed(_call)(function, index, index % workers, parent, job) for index, job in enumerate(jobs))


def _call(function: Callable[..., Any], index: int, position: int, parent: int | None, job: dict) -> tuple[int, Any]:
    one_thread()
    return index, function(**job, position=position, parent=parent)
