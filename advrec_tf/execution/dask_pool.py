"""Tasks on a cluster of Dask."""

import contextlib
import hashlib
import logging
import secrets
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dask import config
from distributed import CancelledError, Client, KilledWorker, TimeoutError, as_completed
from distributed.comm import CommClosedError

from advrec_tf.errors import UserError
from advrec_tf.execution.clusters import (
    GONE,
    KILLED,
    LARGE,
    POLL_SECONDS,
    Done,
    ResourceRequest,
    RunTask,
    SharedValues,
    check_folder,
    replaced,
    show_dashboard,
)

TASKS_PER_THREAD = 2  # that the scheduler knows of: a dying worker takes few along
PATIENCE_SECONDS = 30  # in which a first worker has to come


@contextlib.contextmanager
def opened(run_task: RunTask, folder: Path, request: ResourceRequest) -> Iterator["DaskPool"]:
    """Yield a pool of all workers; see `clusters.pool`."""
    scope = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
    with _client() as client:
        _wait_for_others(client, f"advrec-job-{scope}")
        check_folder("dask", folder, client.run)
        if request.memory > max(client.run(_memory).values()):
            raise UserError(
                f"no worker of dask has {request.memory:g} GB for a job: "
                "dask worker --resources memory=GB says how much each has"
            )
        try:
            yield DaskPool(client, run_task, scope, request)
        except KilledWorker:
            raise UserError(KILLED) from None
        except (CancelledError, CommClosedError):
            raise UserError(f"the scheduler of dask {GONE}") from None


class DaskPool:
    """The workers of a scheduler."""

    def __init__(self, client: Any, run_task: RunTask, scope: str, request: ResourceRequest):
        token = secrets.token_hex(4)
        self.client, self.run_task, self.request = client, run_task, request
        self.done, self.key = as_completed(), f"advrec-job-{scope}-{token}"
        # A task, not a scattered value: one that dies with its worker is made again.
        self.shared = SharedValues(
            lambda value: client.submit(_itself, value, key=f"advrec-shared-{token}-{id(value)}")
        )

    @property
    def capacity(self) -> int:
        """Return how many tasks the cluster is given at once."""
        threads = sum(self.client.nthreads().values())
        return max(1, TASKS_PER_THREAD * threads)  # none while the last worker is being replaced

    def submit(self, number: int, task: Any, waiting: int) -> None:
        """Send a task to the cluster, with references to large values that tasks share."""
        arguments = replaced(task.arguments, LARGE, self.shared)
        resources = {"memory": self.request.memory} if self.request.memory else None
        future = self.client.submit(
            self.run_task,
            *(number, task.function, arguments, self.request.threads),
            key=f"{self.key}-{number}",
            resources=resources,
        )
        self.done.add(future)

    def next(self) -> Done:
        """Wait for the task that ends first and return its result."""
        return next(self.done).result()


@contextlib.contextmanager
def _client() -> Iterator[Any]:
    """Yield a client of the scheduler at $DASK_SCHEDULER_ADDRESS, or of processes here."""
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", message="Sending large graph")
    options = {} if config.get("scheduler-address", None) else {"threads_per_worker": 1}
    try:
        client = Client(**options)
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"no scheduler of dask answers ({error})") from None
    with client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE_SECONDS)
        except TimeoutError:
            raise UserError(
                f"the cluster of dask has had no worker for {PATIENCE_SECONDS} seconds"
            ) from None
        show_dashboard(client.dashboard_link)
        yield client


def _wait_for_others(client: Any, prefix: str) -> None:
    """Wait until no worker runs a task of an earlier client, whose key begins with `prefix`.

    That client is gone, as this one holds the lock of the folder.
    """
    shown = 0
    while left := sum(client.run(_count_running, prefix).values()):
        if left != shown:
            print(
                f"advrec: waiting for {left} jobs that an earlier run has left at work",
                file=sys.stderr,
            )
        shown = left
        time.sleep(POLL_SECONDS)


def _count_running(prefix: str, dask_worker: Any) -> int:
    """Return how many tasks of a run a worker is at."""
    return sum(str(task.key).startswith(prefix) for task in dask_worker.state.executing)


def _memory(dask_worker: Any) -> float:
    """Return the memory that a worker has for tasks, in GB."""
    return dask_worker.state.total_resources.get("memory", 0)


def _itself(value: Any) -> Any:
    return value
