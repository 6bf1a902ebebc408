"""Calls side by side in processes of their own, each as soon as what it needs is there."""

import contextlib
import importlib
import os
import signal
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from joblib.externals.loky import ProcessPoolExecutor

from advrec_tf.errors import UserError
from advrec_tf.execution import clusters
from advrec_tf.execution.clusters import Done
from advrec_tf.execution.startup import (
    at_work,
    one_thread_for_numpy,
    peak_memory_mb,
    start_tensorflow,
    start_worker,
    stops_held,
)
from advrec_tf.execution.threads import threads

BACKENDS = ("loky", "dask", "ray")
MOST_THREADS = 8  # of a call, each of which holds blocks of its own
IDLE = 300  # seconds after which a process that has nothing to do ends
GRACE = 0.5  # seconds in which a call that is stopped removes its temporary files
peak_workers_mb = 0  # the most memory that one process has held for a call of this run


def ignored(_: Any) -> None:
    """A result that is on disk."""


class Task(NamedTuple):
    """A function by its name "module:name", so that this process need not import TensorFlow only to hand it on; its arguments; and what this process does with its result."""

    function: str
    arguments: dict[str, Any]
    done: Callable[[Any], None] = ignored


Stages = Iterator[
    list[Task]
]  # of batches: the next is asked for, and begins, when all of the one before are done


class Pool(Protocol):
    """Where calls run."""

    room: int  # how many it takes at a time

    def submit(self, number: int, call: Task, waiting: int) -> None:
        """Begins a call; waiting: how many others could begin."""
        ...

    def next(self) -> Done:
        """Any call that is done.  Raises what it has raised."""
        ...


def run(
    flows: Iterable[Stages],
    workers: int,
    backend: str = "loky",
    folder: Path = Path(),
    share: clusters.ResourceRequest = clusters.ONE_THREAD,
) -> None:
    """Runs all flows at once, at most `workers` calls at a time, in the order in which they may begin.

    `backend`: processes here (loky), which end when this one does, or a cluster that runs already (dask, ray) with as many workers as that has.  A
    call that raises ends the run with its error; what shall outlive it must be on disk.  Where fewer calls than workers can begin each has more
    threads here.  folder, share: in which they write, which a cluster's workers have to see, and what each has of the cluster.
    """
    one_thread_for_numpy()
    waiting = deque(each for flow in flows for each in _next_batch(flow))
    running: dict[int, tuple[Task, _Batch]] = {}
    if not waiting:
        return
    with (
        _processes(workers)
        if backend == "loky"
        else clusters.pool(backend, called, folder, share) as pool
    ):
        count = 0
        while waiting or running:
            while waiting and len(running) < pool.room:
                running[count] = waiting.popleft()
                pool.submit(count, running[count][0], len(waiting))
                count += 1
            number, result, megabytes = pool.next()
            _note(megabytes)
            call, batch = running.pop(number)
            call.done(result)
            batch.left -= 1
            if not batch.left:
                waiting += _next_batch(batch.flow)


@dataclass
class _Batch:
    """What a flow has begun."""

    flow: Stages
    left: int  # calls that are not done


def _next_batch(flow: Stages) -> list[tuple[Task, _Batch]]:
    """The calls of a flow's next batch that is not empty."""
    calls = next(filter(None, flow), [])
    batch = _Batch(flow, len(calls))
    return [(call, batch) for call in calls]


def _note(megabytes: int) -> None:
    global peak_workers_mb
    peak_workers_mb = max(peak_workers_mb, megabytes)


@contextlib.contextmanager
def _processes(workers: int) -> Iterator[Pool]:
    # A worker that has grown is replaced (psutil sees it), a call that is stopped goes on at the next run: loky warns of both, and nothing is lost.
    warnings.filterwarnings("ignore", category=UserWarning, module="joblib")
    resource_tracker.ensure_running()  # its start ends every hold of stops, so it comes first
    pool = _Processes(workers)
    try:
        yield pool
    except BaseException as error:
        pool.interrupt()
        if not isinstance(error, BrokenProcessPool):
            raise
        raise UserError(
            "a worker process was killed, perhaps for want of memory: run again, with fewer --workers if so"
        ) from None
    finally:
        pool.end()


class _Processes:
    """Processes of this machine, each started when there is a call for it."""

    def __init__(self, workers: int):
        self.room = workers
        self._free = list(range(1, workers + 1))  # places of progress bars, below that of the run
        self._executors: dict[int, ProcessPoolExecutor] = {}
        self._running: dict[Future[Done], tuple[int, int]] = {}  # place, threads

    def submit(self, number: int, call: Task, waiting: int) -> None:
        left = self.room - sum(threads for _, threads in self._running.values())
        own = min(MOST_THREADS, max(1, -(-left // (1 + waiting))))
        place = min(self._free)
        self._free.remove(place)
        with stops_held():  # a worker that is just starting could only answer with a traceback
            if place not in self._executors:
                self._executors[place] = ProcessPoolExecutor(
                    1, timeout=IDLE, initializer=start_worker, initargs=(place,)
                )
            future = self._executors[place].submit(
                called, number, call.function, call.arguments, own
            )
        self._running[future] = place, own

    def next(self) -> Done:
        future = next(iter(wait(self._running, return_when=FIRST_COMPLETED).done))
        self._free.append(self._running.pop(future)[0])
        return future.result()

    def interrupt(self) -> None:
        """Stops the calls that run, and gives them time to remove what they have begun."""
        processes = [
            number for executor in self._executors.values() for number in list(executor._processes)
        ]
        for number in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGTERM)
        if processes:
            time.sleep(GRACE)

    def end(self) -> None:
        """Ends the processes, so that nothing of them is left to complain at exit."""
        for executor in self._executors.values():
            executor.shutdown(kill_workers=True)


def named(function: str) -> Any:
    """The function of a name "module:name"."""
    module, _, name = function.partition(":")
    return getattr(importlib.import_module(module), name)


def called(number: int, function: str, arguments: dict, own: int) -> Done:
    """A call, where it runs.  own: threads"""
    with at_work(), threads(own):
        start_tensorflow()
        return number, named(function)(**arguments), peak_memory_mb()
