"""Tasks on a cluster of Dask or Ray, by its own client; without a cluster it starts processes here.

A finished task's result is on disk.  Whatever dies, the same command goes on from there.
A worker's tasks are given to another one.  A new client waits for tasks of an earlier one.
"""

import contextlib
import importlib
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from advrec_tf.data import Interactions
from advrec_tf.errors import UserError

Done = tuple[int, Any, int]  # number of a task, its result, memory of its process in MB
RunTask = Callable[[int, str, dict, int], Done]  # number, function, arguments, threads
LARGE = (Interactions, np.ndarray, sparse.spmatrix, sparse.sparray)
POLL_SECONDS = 1.0  # between two looks
RAY_TOKEN = os.path.expanduser("~/.ray/auth_token")  # Ray makes it where it starts processes itself
GONE = "is gone: start it again, and the same command goes on from what is done"
KILLED = "a job's workers were killed again and again, perhaps for want of memory"
ENGINES = {
    "dask": ("distributed", "advrec_tf.execution.dask_pool"),
    "ray": ("ray", "advrec_tf.execution.ray_pool"),
}  # the package that a backend needs, and the module whose `opened` makes its pool


class ResourceRequest(NamedTuple):
    """What a task has of a cluster."""

    threads: int = 1
    memory: float = 0  # GB that are reserved for it, if any are


ONE_THREAD = ResourceRequest()


def pool(
    backend: str, run_task: RunTask, folder: Path, request: ResourceRequest
) -> contextlib.AbstractContextManager[Any]:
    """Return a `jobs.Pool` of all workers of a cluster, which call `run_task` with every task.

    Values that tasks share go to the cluster once.  A task whose worker is killed is tried again,
    three times.  folder: where tasks write.
    Raises UserError where there is no cluster, where it is gone, where no machine has what is
    requested, and where a worker does not see the folder.
    """
    package, module = ENGINES[backend]
    if os.path.exists(RAY_TOKEN):
        # A cluster asks for the token once there is one; Ray's client must know before its import.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    try:
        importlib.import_module(package)
    except ImportError as error:
        raise UserError(
            f"--backend={backend} needs a package that is not installed ({error.name})"
        ) from None
    return importlib.import_module(module).opened(run_task, folder.absolute(), request)


class SharedValues(dict):
    """The cluster's reference to each value of this process, by the value's id.

    A value is put on the cluster when it is first asked for.
    """

    def __init__(self, put: Callable[[Any], Any]):
        super().__init__()
        self.put = put
        self.held: list[Any] = []

    def __call__(self, value: Any) -> Any:
        """Return the reference to a value."""
        if id(value) not in self:
            self[id(value)] = self.put(value)
            self.held.append(value)  # no other value may get its id
        return self[id(value)]


def replaced(value: Any, kinds: Any, by: Callable[[Any], Any]) -> Any:
    """Return a value with by(item) in place of every item of these kinds in its nested dicts."""
    if isinstance(value, dict):
        return {name: replaced(item, kinds, by) for name, item in value.items()}
    return by(value) if isinstance(value, kinds) else value


def check_folder(backend: str, folder: Path, everywhere: Callable[..., dict[str, bool]]) -> None:
    """Raise UserError unless every worker sees the folder.

    everywhere(function, argument): what the function returns on every worker, by the worker
    """
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
            f"{len(blind)} workers of {backend} do not see {folder} ({blind[0]}): "
            "it has to be on a disk that all machines share"
        )


def _sees(mark: str) -> bool:
    """Return whether this worker sees a file that the client has made."""
    return Path(mark).exists()


def show_dashboard(address: str | None) -> None:
    """Print where the cluster's dashboard is."""
    if address:
        print(f"advrec: the cluster's dashboard is at {address}", file=sys.stderr)
