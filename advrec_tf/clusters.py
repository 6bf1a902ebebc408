"""Jobs on a cluster of Dask or Ray, by its own client; where there is none the engine starts processes here.

A job's result is on disk when it is there, so whatever dies, the same command goes on: a worker's jobs are given to another one, and who starts the
command again waits for what an earlier client has left at work.
"""

import contextlib
import hashlib
import importlib
import logging
import os
import secrets
import signal
import socket
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from advrec_tf.data import Interactions
from advrec_tf.errors import UserError

Called = tuple[int, Any, int]  # index of a job, its result, megabytes
Call = Callable[[str, int, dict, int], Called]  # function, index, job, position of its bar
LARGE = (Interactions, np.ndarray, sparse.spmatrix, sparse.sparray)
AT_ONCE = 2  # jobs a thread of Dask that its scheduler knows of: what a dying worker takes along is few
CALLS = 24  # after which a process of Ray is replaced: TensorFlow keeps every program it has compiled
POLL = 1.0  # seconds between two looks
PATIENCE = 30  # seconds in which a first worker has to come
GONE = "is gone: start it again, and the same command goes on from what is done"
KILLED = "a job's workers were killed again and again, perhaps for want of memory"


def run(backend: str, call: Call, function: str, jobs: list[dict], folder: Path) -> Iterator[Called]:
    """`call` with every job, on as many workers as the cluster has; yields its results as they come.

    What jobs share goes to the cluster once.  A job whose worker was killed is tried again, three times.  folder: where jobs write.
    Raises UserError where there is no cluster or it is gone, unless all workers see the folder, and whatever a job raises.
    """
    package, engine = {"dask": ("distributed", _on_dask), "ray": ("ray", _on_ray)}[backend]
    try:
        importlib.import_module(package)
    except ImportError as error:
        raise UserError(f"--backend={backend} needs a package that is not installed ({error.name})") from None
    yield from engine(call, function, jobs, folder.absolute())


def _on_dask(call: Call, function: str, jobs: list[dict], folder: Path) -> Iterator[Called]:
    from distributed import CancelledError, KilledWorker, as_completed
    from distributed.comm import CommClosedError

    scope, token = hashlib.sha256(str(folder).encode()).hexdigest()[:12], secrets.token_hex(4)
    with _client_of_dask() as client:
        _wait_for_others(client, f"advrec-job-{scope}")
        _check_sight("dask", folder, client.run)

        # A task, not a scattered value: one that dies with its worker is made again.
        keep = _Shared(lambda value: client.submit(_itself, value, key=f"advrec-shared-{token}-{id(value)}"))
        waiting = ((n, _replaced(job, LARGE, keep)) for n, job in enumerate(jobs))
        done = as_completed()
        try:
            while True:
                for n, job in islice(waiting, max(0, AT_ONCE * sum(client.nthreads().values()) - done.count())):
                    done.add(client.submit(call, function, n, job, 0, key=f"advrec-job-{scope}-{token}-{n}"))
                if done.is_empty():
                    return
                yield next(done).result()
        except KilledWorker:
            raise UserError(KILLED) from None
        except (CancelledError, CommClosedError):
            raise UserError(f"the scheduler of dask {GONE}") from None


@contextlib.contextmanager
def _client_of_dask() -> Iterator[Any]:
    """At $DASK_SCHEDULER_ADDRESS, or of processes here."""
    from dask import config
    from distributed import Client, TimeoutError

    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", message="Sending large graph")
    try:
        client = Client(**({} if config.get("scheduler-address", None) else {"threads_per_worker": 1}))
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"no scheduler of dask answers ({error})") from None
    with client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError:
            raise UserError(f"the cluster of dask has had no worker for {PATIENCE} seconds") from None
        yield client


def _wait_for_others(client: Any, jobs: str) -> None:
    """Until no worker has a job at work whose key begins so: of a client that is gone, as this one holds the lock of the folder."""
    told = 0
    while left := sum(client.run(_at_work, jobs).values()):
        if left != told:
            print(f"advrec: waiting for {left} jobs that an earlier run has left at work", file=sys.stderr)
        told = left
        time.sleep(POLL)


def _at_work(jobs: str, dask_worker: Any) -> int:
    return sum(str(task.key).startswith(jobs) for task in dask_worker.state.executing)


def _itself(value: Any) -> Any:
    return value


def _on_ray(call: Call, function: str, jobs: list[dict], folder: Path) -> Iterator[Called]:
    """When its client dies, Ray ends the jobs."""
    ray = _started_ray()
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as On

    def on_every_node(function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
        nodes = {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}
        made = [ray.remote(num_cpus=0)(function).options(scheduling_strategy=On(node, soft=False)).remote(*arguments) for node in nodes]
        return dict(zip(nodes.values(), ray.get(made)))

    keep, left = _Shared(ray.put), []
    try:
        _check_sight("ray", folder, on_every_node)
        remote = ray.remote(num_cpus=1, max_retries=3, max_calls=CALLS)(_with_references)
        for n, job in enumerate(jobs):
            left.append(remote.remote(call, function, n, _replaced(job, LARGE, keep)))
        address = ray.get_runtime_context().gcs_address
        while left:
            done, left = ray.wait(left, timeout=POLL)
            if not done and not _answers(address) and not _answers(address):  # Ray itself would end this process without a word of ours
                left = []
                raise UserError(f"the cluster of ray {GONE}")
            yield from ray.get(done)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.WorkerCrashedError:
        raise UserError(KILLED) from None
    except ray.exceptions.RayError as error:
        raise UserError(f"the cluster of ray says {str(error).partition(chr(10))[0]}") from None
    finally:
        for reference in left:
            ray.cancel(reference, force=True)


def _started_ray() -> Any:
    """The module, connected to the cluster that $RAY_ADDRESS or the last `ray start` here names, or to processes here."""
    import ray

    if ray.is_initialized():
        return ray
    started = Path("/tmp/ray/ray_current_cluster")
    address = os.environ.get("RAY_ADDRESS") or (started.read_text().strip() if started.exists() else "")
    if ":" in address and not _answers(address):  # Ray itself asks for minutes
        raise UserError(f"no cluster of ray answers at {address}: ray start --head starts one")
    stop = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(logging_level=logging.CRITICAL, log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UserError(f"no cluster of ray answers ({error})") from None
    signal.signal(signal.SIGTERM, stop)  # Ray has one of its own
    return ray


def _with_references(call: Call, function: str, index: int, job: dict) -> Called:
    import ray

    return call(function, index, _replaced(job, ray.ObjectRef, ray.get), 0)


def _answers(address: str) -> bool:
    """Whether anybody listens at host:port."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, ValueError):
        return False
    return True


class _Shared(dict):
    """What stands on the cluster for a value of this process, by the value's id: put there when it is first asked for."""

    def __init__(self, put: Callable[[Any], Any]):
        super().__init__()
        self.put = put

    def __call__(self, value: Any) -> Any:
        if id(value) not in self:
            self[id(value)] = self.put(value)
        return self[id(value)]


def _replaced(value: Any, kinds: Any, by: Callable[[Any], Any]) -> Any:
    """A value whose dicts have by(each) for what is of some kinds."""
    if isinstance(value, dict):
        return {name: _replaced(each, kinds, by) for name, each in value.items()}
    return by(value) if isinstance(value, kinds) else value


def _check_sight(backend: str, folder: Path, everywhere: Callable[..., dict[str, bool]]) -> None:
    """Raises UserError unless every worker sees the folder.  everywhere(function, argument): by worker"""
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / f".{secrets.token_hex(8)}.tmp"
    mark.touch()
    try:
        blind = [worker for worker, sees in everywhere(_sees, str(mark)).items() if not sees]
    except ImportError as error:
        raise UserError(f"a worker of {backend} has not the package ({error})") from None
    finally:
        mark.unlink(missing_ok=True)
    if blind:
        raise UserError(f"{len(blind)} workers of {backend} do not see {folder} ({blind[0]}): it has to be on a disk that all machines share")


def _sees(mark: str) -> bool:
    return Path(mark).exists()
