"""Tasks on a cluster of Ray."""

import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

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

TASKS_PER_PROCESS = 24  # TensorFlow keeps every program it has compiled, so processes are replaced
GB = 2**30


@contextlib.contextmanager
def opened(run_task: RunTask, folder: Path, request: ResourceRequest) -> Iterator["RayPool"]:
    """Yield a pool of all workers; see `clusters.pool`.  Ray ends the tasks of a dead client."""
    _connect()
    pool = RayPool(run_task, request)
    try:
        check_folder("ray", folder, _on_every_node)
        if not any(_has(node["Resources"], request) for node in _nodes()):
            raise UserError(
                f"no machine of ray has {request.threads} CPUs and {request.memory:g} GB for a job"
            )
        yield pool
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.WorkerCrashedError:
        raise UserError(KILLED) from None
    except ray.exceptions.RayError as error:
        raise UserError(f"the cluster of ray says {str(error).partition(chr(10))[0]}") from None
    finally:
        for reference in pool.left:
            ray.cancel(reference, force=True)


def _nodes() -> list[dict]:
    """Return the machines of the cluster that are alive."""
    return [node for node in ray.nodes() if node["Alive"]]


def _has(resources: dict[str, float], request: ResourceRequest) -> bool:
    """Return whether the free resources of a machine suffice for one task."""
    enough_memory = resources.get("memory", 0) >= request.memory * GB
    return resources.get("CPU", 0) >= request.threads and enough_memory


def _on_every_node(function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
    """Return function(*arguments) of every machine, by its address."""
    remote, nodes, references = ray.remote(num_cpus=0)(function), _nodes(), []
    for node in nodes:
        strategy = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        references.append(remote.options(scheduling_strategy=strategy).remote(*arguments))
    return dict(zip((node["NodeManagerAddress"] for node in nodes), ray.get(references)))


class RayPool:
    """The machines of a cluster."""

    capacity = sys.maxsize

    def __init__(self, run_task: RunTask, request: ResourceRequest):
        self.run_task, self.request = run_task, request
        self.shared = SharedValues(ray.put)
        self.left: list[Any] = []  # references to tasks that are not done
        resources = {"num_cpus": request.threads, "memory": int(request.memory * GB)}
        options = {"max_retries": 3, "max_calls": TASKS_PER_PROCESS}
        self.remote = ray.remote(**resources, **options)(_run_with_references)
        self.address = ray.get_runtime_context().gcs_address

    def submit(self, number: int, task: Any, waiting: int) -> None:
        """Send a task to the cluster, with references to large values that tasks share."""
        arguments = replaced(task.arguments, LARGE, self.shared)
        self.left.append(
            self.remote.remote(
                self.run_task, number, task.function, arguments, self.request.threads
            )
        )

    def next(self) -> Done:
        """Wait for the task that ends first and return its result.

        Raises UserError when the cluster does not answer twice.
        """
        done: list = []
        while not done:
            done, self.left = ray.wait(self.left, timeout=POLL_SECONDS)
            if not done and not _answers(self.address) and not _answers(self.address):
                # Ray itself would end this process without a line of ours.
                self.left = []
                raise UserError(f"the cluster of ray {GONE}")
        return ray.get(done[0])


def _connect() -> None:
    """Connect to the cluster of $RAY_ADDRESS or of the last `ray start`, or start processes."""
    if ray.is_initialized():
        return
    current = Path("/tmp/ray/ray_current_cluster")
    address = os.environ.get("RAY_ADDRESS", "")
    if not address and current.exists():
        address = current.read_text().strip()
    if ":" in address and not _answers(address):  # Ray itself would try for minutes
        raise UserError(f"no cluster of ray answers at {address}: ray start --head starts one")
    stop = signal.getsignal(signal.SIGTERM)
    try:
        context = ray.init(logging_level=logging.CRITICAL, log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UserError(f"no cluster of ray answers ({error})") from None
    show_dashboard(context.dashboard_url)
    signal.signal(signal.SIGTERM, stop)  # Ray has set one of its own


def _run_with_references(
    run_task: RunTask, number: int, function: str, arguments: dict, threads: int
) -> Done:
    """Run a task in a worker, with references to shared values replaced by the values."""
    return run_task(number, function, replaced(arguments, ray.ObjectRef, ray.get), threads)


def _answers(address: str) -> bool:
    """Return whether anybody listens at host:port."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, ValueError):
        return False
    return True
