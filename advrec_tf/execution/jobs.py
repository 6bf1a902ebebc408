"""Tasks side by side in processes of their own; a task starts as soon as its inputs exist."""

import contextlib
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
from pkgutil import resolve_name as named  # the function of a name "module:name"
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

MAX_THREADS = 8  # of a task, each of which holds blocks of its own
IDLE_SECONDS = 300  # after which a process without a task ends
GRACE_SECONDS = 0.5  # in which a stopped task removes its temporary files
peak_workers_mb = 0  # the most memory that one process has held for a task of this run


def ignored(_: Any) -> None:
    """Do nothing with a task's result, which is on disk already."""


class Task(NamedTuple):
    """A call of a function by its name "module:name", and what this process does with the result.

    The name saves this process from importing TensorFlow.
    """

    function: str
    arguments: dict[str, Any]
    done: Callable[[Any], None] = ignored


# The stages of a sequence: one is asked for and begins when all tasks before it are done.
Stages = Iterator[list[Task]]


class Pool(Protocol):
    """Where tasks run."""

    capacity: int  # how many tasks it takes at a time

    def submit(self, number: int, task: Task, waiting: int) -> None:
        """Begin a task.  waiting: how many others could begin."""
        ...

    def next(self) -> Done:
        """Return the result of any task that is done, or raise what it has raised."""
        ...


def run(
    sequences: Iterable[Stages],
    workers: int,
    backend: str = "loky",
    folder: Path = Path(),
    request: clusters.ResourceRequest = clusters.ONE_THREAD,
) -> None:
    """Run all sequences at once, at most `workers` tasks at a time.

    Tasks begin in the order in which they may.  A task that raises ends the run with its error.
    Only what is on disk outlives it.  Each task has more threads while fewer tasks than workers
    can begin.

    backend: processes here (loky), which end with this one, or a running cluster (dask, ray).
    folder: where tasks write; a cluster's workers must see it.  request: for a cluster's task.
    """
    one_thread_for_numpy()
    waiting = deque[tuple[Task, _Stage]]()
    for sequence in sequences:
        waiting += _next_stage(sequence)
    if not waiting:
        return
    if backend == "loky":
        opened: contextlib.AbstractContextManager[Pool] = processes(workers)
    else:
        opened = clusters.pool(backend, run_task, folder, request)
    with opened as pool:
        _run_in(pool, waiting)


def _run_in(pool: Pool, waiting: deque[tuple[Task, "_Stage"]]) -> None:
    """Run all waiting tasks, and those of the stages that follow, until none is left.

    Each task is handed its result here, in the client. When the last task of a stage ends, the next
    stage of its sequence is queued. A task that fails ends the run: `pool.next` raises its error.
    """
    running: dict[int, tuple[Task, _Stage]] = {}
    count = 0
    while waiting or running:
        while waiting and len(running) < pool.capacity:
            running[count] = waiting.popleft()
            pool.submit(count, running[count][0], len(waiting))
            count += 1
        number, result, megabytes = pool.next()
        _note_memory(megabytes)
        task, stage = running.pop(number)
        task.done(result)
        stage.left -= 1
        if not stage.left:
            waiting += _next_stage(stage.sequence)


@dataclass
class _Stage:
    """A stage that has begun."""

    sequence: Stages
    left: int  # tasks that are not done


def _next_stage(sequence: Stages) -> list[tuple[Task, _Stage]]:
    """Return the tasks of the next stage that has any."""
    tasks = next(filter(None, sequence), [])
    stage = _Stage(sequence, len(tasks))
    return [(task, stage) for task in tasks]


def _note_memory(megabytes: int) -> None:
    """Keep the largest peak memory of a worker."""
    global peak_workers_mb
    peak_workers_mb = max(peak_workers_mb, megabytes)


@contextlib.contextmanager
def processes(workers: int) -> Iterator[Pool]:
    """Yield a pool of processes of this machine, and end them."""
    # loky warns of a worker that has grown and is replaced, and of a task that is stopped;
    # nothing is lost, as the next run resumes.
    warnings.filterwarnings("ignore", category=UserWarning, module="joblib")
    resource_tracker.ensure_running()  # its start would end every hold of stops
    pool = _Processes(workers)
    try:
        yield pool
    except BaseException as error:
        pool.interrupt()
        if not isinstance(error, BrokenProcessPool):
            raise
        raise UserError(
            "a worker process was killed, perhaps for want of memory: "
            "run again, with fewer --workers if so"
        ) from None
    finally:
        pool.end()


class _Processes:
    """Processes of this machine, each started when there is a task for it.

    A process keeps one line of the terminal for its progress bars, below the bar of the run.
    """

    def __init__(self, workers: int):
        self.capacity = workers
        self._free = list(range(1, workers + 1))  # lines without a running task
        self._executors: dict[int, ProcessPoolExecutor] = {}  # by line
        self._running: dict[Future[Done], tuple[int, int]] = {}  # line, threads

    def submit(self, number: int, task: Task, waiting: int) -> None:
        """Start a task in the free process of the lowest number.

        Its threads are an equal share of what is left for it and the waiting tasks, up to
        MAX_THREADS.
        """
        left = self.capacity - sum(count for _, count in self._running.values())
        thread_count = min(MAX_THREADS, max(1, -(-left // (1 + waiting))))
        line = min(self._free)
        self._free.remove(line)
        with stops_held():  # a worker that is just starting could only answer with a traceback
            if line not in self._executors:
                self._executors[line] = ProcessPoolExecutor(
                    1, timeout=IDLE_SECONDS, initializer=start_worker, initargs=(line,)
                )
            future = self._executors[line].submit(
                run_task, number, task.function, task.arguments, thread_count
            )
        self._running[future] = line, thread_count

    def next(self) -> Done:
        """Wait for the task that ends first, free its process, and return its result."""
        future = next(iter(wait(self._running, return_when=FIRST_COMPLETED).done))
        self._free.append(self._running.pop(future)[0])
        return future.result()

    def interrupt(self) -> None:
        """Stop the running tasks, and give them time to remove their temporary files."""
        processes: list[int] = []
        for executor in self._executors.values():
            processes += executor._processes
        for number in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGTERM)
        if processes:
            time.sleep(GRACE_SECONDS)

    def end(self) -> None:
        """End the processes, so that nothing of them is left to complain at exit."""
        for executor in self._executors.values():
            executor.shutdown(kill_workers=True)


def run_task(number: int, function: str, arguments: dict, thread_count: int) -> Done:
    """Run a task in this process; return its number, its result and this process's memory in MB."""
    with at_work(), threads(thread_count):
        start_tensorflow()
        return number, named(function)(**arguments), peak_memory_mb()
