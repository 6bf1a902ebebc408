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
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from advrec_tf.data import Interactions
from advrec_tf.errors import UserError

Done = tuple[int, Any, int]  # number of a call, its result, megabytes
Called = Callable[[int, str, dict, int], Done]  # number of a call, function, arguments, threads
LARGE = (Interactions, np.ndarray, sparse.spmatrix, sparse.sparray)
AT_ONCE = (
    2  # calls a thread of Dask that its scheduler knows of: what a dying worker takes along is few
)
CALLS = (
    24  # after which a process of Ray is replaced: TensorFlow keeps every program it has compiled
)
GB = 2**30
POLL = 1.0  # seconds between two looks
PATIENCE = 30  # seconds in which a first worker has to come
RAY_TOKEN = os.path.expanduser(
    "~/.ray/auth_token"
)  # which Ray makes where it starts processes by itself
GONE = "is gone: start it again, and the same command goes on from what is done"
KILLED = "a job's workers were killed again and again, perhaps for want of memory"


class ResourceRequest(NamedTuple):
    """What a call has of a cluster."""

    threads: int = 1
    memory: float = 0  # GB that are kept for it, if any are


ONE_THREAD = ResourceRequest()


def pool(
    backend: str, called: Called, folder: Path, share: ResourceRequest
) -> contextlib.AbstractContextManager[Any]:
    """A `jobs.Pool` of as many workers as the cluster has, which run `called` with every call.

    What calls share goes to the cluster once.  A call whose worker was killed is tried again, three times.  folder: where they write.
    Raises UserError where there is no cluster or it is gone, where none of its machines has such a share, and unless all workers see the folder.
    """
    package, engine = {"dask": ("distributed", _dask), "ray": ("ray", _ray)}[backend]
    if os.path.exists(
        RAY_TOKEN
    ):  # a cluster asks for it once there is one, but a client of Ray's shows it only if told so before its import
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    try:
        importlib.import_module(package)
    except ImportError as error:
        raise UserError(
            f"--backend={backend} needs a package that is not installed ({error.name})"
        ) from None
    return engine(called, folder.absolute(), share)


@contextlib.contextmanager
def _dask(called: Called, folder: Path, share: ResourceRequest) -> Iterator["_Dask"]:
    from distributed import CancelledError, KilledWorker
    from distributed.comm import CommClosedError

    scope = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
    with _client_of_dask() as client:
        _wait_for_others(client, f"advrec-job-{scope}")
        _check_sight("dask", folder, client.run)
        if share.memory > max(client.run(_memory).values()):
            raise UserError(
                f"no worker of dask has {share.memory:g} GB for a job: dask worker --resources memory=GB says how much each has"
            )
        try:
            yield _Dask(client, called, scope, share)
        except KilledWorker:
            raise UserError(KILLED) from None
        except (CancelledError, CommClosedError):
            raise UserError(f"the scheduler of dask {GONE}") from None


class _Dask:
    def __init__(self, client: Any, called: Called, scope: str, share: ResourceRequest):
        from distributed import as_completed

        token = secrets.token_hex(4)
        self.client, self.called, self.done, self.key, self.share = (
            client,
            called,
            as_completed(),
            f"advrec-job-{scope}-{token}",
            share,
        )
        # A task, not a scattered value: one that dies with its worker is made again.
        self.keep = _Shared(
            lambda value: client.submit(_itself, value, key=f"advrec-shared-{token}-{id(value)}")
        )

    @property
    def room(self) -> int:
        return max(
            1, AT_ONCE * sum(self.client.nthreads().values())
        )  # of one, where the last worker is just being replaced

    def submit(self, number: int, call: Any, waiting: int) -> None:
        given = (
            number,
            call.function,
            _replaced(call.arguments, LARGE, self.keep),
            self.share.threads,
        )
        kept = {"memory": self.share.memory} if self.share.memory else None
        self.done.add(
            self.client.submit(self.called, *given, key=f"{self.key}-{number}", resources=kept)
        )

    def next(self) -> Done:
        return next(self.done).result()


@contextlib.contextmanager
def _client_of_dask() -> Iterator[Any]:
    """At $DASK_SCHEDULER_ADDRESS, or of processes here."""
    from dask import config
    from distributed import Client, TimeoutError

    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", message="Sending large graph")
    try:
        client = Client(
            **({} if config.get("scheduler-address", None) else {"threads_per_worker": 1})
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"no scheduler of dask answers ({error})") from None
    with client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError:
            raise UserError(
                f"the cluster of dask has had no worker for {PATIENCE} seconds"
            ) from None
        _tell_dashboard(client.dashboard_link)
        yield client


def _tell_dashboard(address: str | None) -> None:
    if address:
        print(f"advrec: the cluster's dashboard is at {address}", file=sys.stderr)


def _wait_for_others(client: Any, jobs: str) -> None:
    """Until no worker has a job at work whose key begins so: of a client that is gone, as this one holds the lock of the folder."""
    told = 0
    while left := sum(client.run(_at_work, jobs).values()):
        if left != told:
            print(
                f"advrec: waiting for {left} jobs that an earlier run has left at work",
                file=sys.stderr,
            )
        told = left
        time.sleep(POLL)


def _at_work(jobs: str, dask_worker: Any) -> int:
    return sum(str(task.key).startswith(jobs) for task in dask_worker.state.executing)


def _memory(dask_worker: Any) -> float:
    return dask_worker.state.total_resources.get("memory", 0)


def _itself(value: Any) -> Any:
    return value


@contextlib.contextmanager
def _ray(called: Called, folder: Path, share: ResourceRequest) -> Iterator["_Ray"]:
    """When its client dies, Ray ends the calls."""
    ray = _started_ray()
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as On

    def on_every_node(function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
        nodes = {
            node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]
        }
        made = [
            ray.remote(num_cpus=0)(function)
            .options(scheduling_strategy=On(node, soft=False))
            .remote(*arguments)
            for node in nodes
        ]
        return dict(zip(nodes.values(), ray.get(made)))

    found = _Ray(ray, called, share)
    try:
        _check_sight("ray", folder, on_every_node)
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        if not any(
            node.get("CPU", 0) >= share.threads and node.get("memory", 0) >= share.memory * GB
            for node in nodes
        ):
            raise UserError(
                f"no machine of ray has {share.threads} CPUs and {share.memory:g} GB for a job"
            )
        yield found
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.WorkerCrashedError:
        raise UserError(KILLED) from None
    except ray.exceptions.RayError as error:
        raise UserError(f"the cluster of ray says {str(error).partition(chr(10))[0]}") from None
    finally:
        for reference in found.left:
            ray.cancel(reference, force=True)


class _Ray:
    room = sys.maxsize

    def __init__(self, ray: Any, called: Called, share: ResourceRequest):
        self.ray, self.called, self.keep = ray, called, _Shared(ray.put)
        self.left: list[Any] = []
        self.share = share
        kept = {"num_cpus": share.threads, "memory": int(share.memory * GB)}
        self.remote = ray.remote(**kept, max_retries=3, max_calls=CALLS)(_with_references)
        self.address = ray.get_runtime_context().gcs_address

    def submit(self, number: int, call: Any, waiting: int) -> None:
        arguments = _replaced(call.arguments, LARGE, self.keep)
        self.left.append(
            self.remote.remote(self.called, number, call.function, arguments, self.share.threads)
        )

    def next(self) -> Done:
        done: list = []
        while not done:
            done, self.left = self.ray.wait(self.left, timeout=POLL)
            if (
                not done and not _answers(self.address) and not _answers(self.address)
            ):  # Ray itself would end this process without a word of ours
                self.left = []
                raise UserError(f"the cluster of ray {GONE}")
        return self.ray.get(done[0])


def _started_ray() -> Any:
    """The module, connected to the cluster that $RAY_ADDRESS or the last `ray start` here names, or to processes here."""
    import ray

    if ray.is_initialized():
        return ray
    started = Path("/tmp/ray/ray_current_cluster")
    address = os.environ.get("RAY_ADDRESS") or (
        started.read_text().strip() if started.exists() else ""
    )
    if ":" in address and not _answers(address):  # Ray itself asks for minutes
        raise UserError(f"no cluster of ray answers at {address}: ray start --head starts one")
    stop = signal.getsignal(signal.SIGTERM)
    try:
        _tell_dashboard(ray.init(logging_level=logging.CRITICAL, log_to_driver=False).dashboard_url)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UserError(f"no cluster of ray answers ({error})") from None
    signal.signal(signal.SIGTERM, stop)  # Ray has one of its own
    return ray


def _with_references(
    called: Called, number: int, function: str, arguments: dict, threads: int
) -> Done:
    import ray

    return called(number, function, _replaced(arguments, ray.ObjectRef, ray.get), threads)


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
        self.put, self.held = put, []  # type: ignore[var-annotated]

    def __call__(self, value: Any) -> Any:
        if id(value) not in self:
            self[id(value)] = self.put(value)
            self.held.append(value)  # another one shall not have its id
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
        raise UserError(
            f"{len(blind)} workers of {backend} do not see {folder} ({blind[0]}): it has to be on a disk that all machines share"
        )


def _sees(mark: str) -> bool:
    return Path(mark).exists()
