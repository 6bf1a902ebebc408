"""Jobs on a cluster that runs already, Dask's or Ray's, by its own client.

A job's result is on disk when it is there, so whatever dies, the same command goes on: a worker's jobs are given to another one, and who starts the
command again waits for what an earlier client has left at work.
"""

import contextlib
import importlib
import logging
import os
import secrets
import socket
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from advrec_tf.data import Interactions
from advrec_tf.errors import UserError

Call = Callable[[str, int, dict, int], tuple[int, Any, int]]  # function, index, job, position of its bar -> index, result, megabytes
OURS = "advrec-"  # how the keys of our jobs begin
POLL = 1.0  # seconds between two looks at what is still at work
PATIENCE = 30  # seconds in which a first worker has to come
GONE = "is gone: start it again, and the same command goes on from what is done"


def run(backend: str, call: Call, function: str, jobs: list[dict]) -> Iterator[tuple[int, Any, int]]:
    """`call` with every job, on as many workers as the cluster has; yields its results as they come.

    What jobs share goes to the cluster once.  A job whose worker was killed is tried again, three times.
    Raises UserError where there is no cluster or it is gone, and whatever a job raises.
    """
    shared: dict[int, tuple[int, Any]] = {}
    light = [_lighter(job, shared) for job in jobs]
    yield from _engine(backend).run(call, function, light, [value for _, value in shared.values()])


def check(backend: str, folder: Path) -> None:
    """Waits for what a client that is gone has left at work, and raises UserError unless every worker sees the folder.  folder: absolute"""
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / f".{secrets.token_hex(8)}.tmp"
    mark.touch()
    try:
        blind = _engine(backend).blind(str(mark))
    finally:
        mark.unlink()
    if blind:
        raise UserError(f"{len(blind)} workers of {backend} do not see {folder} ({blind[0]}): it has to be on a disk that all machines share")


class _Shared(NamedTuple):
    """Stands for a value that jobs share."""

    place: int


def _lighter(value: Any, shared: dict[int, tuple[int, Any]]) -> Any:
    if isinstance(value, dict):
        return {name: _lighter(each, shared) for name, each in value.items()}
    if isinstance(value, (Interactions, np.ndarray)):
        return _Shared(shared.setdefault(id(value), (len(shared), value))[0])
    return value


def _whole(value: Any, shared: tuple) -> Any:
    if isinstance(value, dict):
        return {name: _whole(each, shared) for name, each in value.items()}
    return shared[value.place] if isinstance(value, _Shared) else value


def _called(call: Call, function: str, index: int, light: dict, *shared: Any) -> tuple[int, Any, int]:
    return call(function, index, _whole(light, shared), 0)


def _sees(mark: str) -> bool:
    return Path(mark).exists()


class _Dask:
    """$DASK_SCHEDULER_ADDRESS, or processes here."""

    @staticmethod
    @contextlib.contextmanager
    def client() -> Iterator[Any]:
        from dask.distributed import Client

        for name in ("distributed", "distributed.client"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        warnings.filterwarnings("ignore", message="Sending large graph")
        try:
            client = Client()
        except (OSError, TimeoutError) as error:
            raise UserError(f"no scheduler of dask answers ({error})") from None
        with client:
            try:
                client.wait_for_workers(1, timeout=PATIENCE)
            except TimeoutError:
                raise UserError(f"the cluster of dask has had no worker for {PATIENCE} seconds") from None
            yield client

    @classmethod
    def run(cls, call: Call, function: str, jobs: list[dict], values: list) -> Iterator[tuple[int, Any, int]]:
        from dask.distributed import CancelledError, KilledWorker, as_completed
        from distributed.comm import CommClosedError

        with cls.client() as client:
            run = f"{OURS}{secrets.token_hex(4)}"
            # A task, not a scattered value: one that dies with its worker is made again.
            shared = [client.submit(_itself, value, key=f"{run}-shared-{n}") for n, value in enumerate(values)]
            futures = [client.submit(_called, call, function, n, job, *shared, key=f"{run}-{n}", retries=0) for n, job in enumerate(jobs)]
            try:
                for future in as_completed(futures):
                    yield future.result()
                    future.release()
            except KilledWorker:
                raise UserError("a job's workers were killed again and again, perhaps for want of memory") from None
            except (CancelledError, CommClosedError):
                raise UserError(f"the scheduler of dask {GONE}") from None

    @classmethod
    def blind(cls, mark: str) -> list[str]:
        with cls.client() as client:
            told = 0
            while left := sum(client.run(_at_work).values()):
                if left != told:
                    print(f"advrec: waiting for {left} jobs that a run which is gone has left at work", file=sys.stderr)
                told = left
                time.sleep(POLL)
            return [worker for worker, sees in client.run(_sees, mark).items() if not sees]


def _itself(value: Any) -> Any:
    return value


def _at_work(dask_worker: Any) -> int:
    """How many of our jobs a worker has at work."""
    return sum(str(task.key).startswith(OURS) for task in dask_worker.state.executing)


class _Ray:
    """The cluster that $RAY_ADDRESS or the last `ray start` names, or processes here.  When its client dies, Ray ends the jobs."""

    @staticmethod
    def start() -> Any:
        import ray

        started = Path("/tmp/ray/ray_current_cluster")
        address = os.environ.get("RAY_ADDRESS") or (started.read_text().strip() if started.exists() else "")
        if address and not _answers(address):  # Ray itself asks for minutes
            raise UserError(f"no cluster of ray answers at {address}: ray start --head starts one")
        if not ray.is_initialized():
            ray.init(logging_level=logging.CRITICAL, log_to_driver=False)
        return ray

    @classmethod
    def run(cls, call: Call, function: str, jobs: list[dict], values: list) -> Iterator[tuple[int, Any, int]]:
        ray = cls.start()
        shared = [ray.put(value) for value in values]
        remote = ray.remote(num_cpus=1, max_retries=3)(_called)
        left = [remote.remote(call, function, n, job, *shared) for n, job in enumerate(jobs)]
        try:
            while left:
                done, left = ray.wait(left, timeout=POLL)
                if not done and not _answers(ray.get_runtime_context().gcs_address):  # Ray itself would end this process without a word of ours
                    left = []
                    raise UserError(f"the cluster of ray {GONE}")
                yield from ray.get(done)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None
        except ray.exceptions.WorkerCrashedError:
            raise UserError("a job's workers were killed again and again, perhaps for want of memory") from None
        finally:
            for reference in left:
                ray.cancel(reference, force=True)

    @classmethod
    def blind(cls, mark: str) -> list[str]:
        ray = cls.start()
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        nodes = [node for node in ray.nodes() if node["Alive"]]
        on = [NodeAffinitySchedulingStrategy(node["NodeID"], soft=False) for node in nodes]
        sees = ray.get([ray.remote(num_cpus=0)(_sees).options(scheduling_strategy=place).remote(mark) for place in on])
        return [node["NodeManagerAddress"] for node, there in zip(nodes, sees) if not there]


def _answers(address: str) -> bool:
    """Whether anybody listens at host:port."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, ValueError):
        return False
    return True


def _engine(backend: str) -> Any:
    package, engine = {"dask": ("distributed", _Dask), "ray": ("ray", _Ray)}[backend]
    try:
        importlib.import_module(package)
    except ImportError as error:
        raise UserError(f"--backend={backend} needs a package that is not installed ({error.name})") from None
    return engine
