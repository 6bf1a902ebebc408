"""Tasks on Dask and Ray, whose schedulers and workers are killed with kill -9.

`make test-clusters` runs them.  They end whatever else of Ray runs on this machine.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from advrec_tf import data
from advrec_tf.errors import UserError
from advrec_tf.execution import clusters

from running import ROOT, SHORT, advrec, answers, command, outcome

pytestmark = pytest.mark.skipif("TEST_CLUSTERS" not in os.environ, reason="make test-clusters")
PATHS = os.pathsep.join(map(str, (ROOT, ROOT / "tests")))
PORT = {"dask": 18786, "ray": 6391}
PACKAGE = {"dask": "distributed", "ray": "ray"}
SEEN = {"dask": "DASK_SCHEDULER_ADDRESS", "ray": "RAY_ADDRESS"}
RAY = [str(Path(sys.executable).with_name("ray"))]
os.environ["RAY_AUTH_MODE"] = "disabled"  # whatever was done on this machine before


def start(*argv):
    environment = {**os.environ, "PYTHONPATH": PATHS, "RAY_USAGE_STATS_ENABLED": "0"}
    return subprocess.Popen(
        argv,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


class Cluster:
    """A scheduler and two workers on this machine."""

    def __init__(self, backend):
        self.backend, self.address, self.processes = backend, f"127.0.0.1:{PORT[backend]}", []
        self.environment = {
            SEEN[backend]: self.address if backend == "ray" else f"tcp://{self.address}",
            "PYTHONPATH": PATHS,
        }

    def up(self):
        if self.backend == "ray":
            options = ("--num-cpus=2", "--include-dashboard=false", "--node-ip-address=127.0.0.1")
            options += (f"--port={PORT['ray']}",)
            assert start(*RAY, "start", "--head", *options).wait(120) == 0
            return
        python = (sys.executable, "-m")
        options = ("--host=127.0.0.1", f"--port={PORT['dask']}", "--no-dashboard")
        self.processes = [start(*python, "distributed.cli.dask_scheduler", *options)]
        options = ("--nthreads=1", "--no-dashboard", "--nworkers=2", "--resources=memory=2")
        worker = (*python, "distributed.cli.dask_worker", f"tcp://{self.address}", *options)
        self.processes.append(start(*worker))

    def kill_a_worker(self):
        if self.backend == "ray":
            which = ["-f", "ray::_run_with_references"]
        else:
            which = ["-g", str(self.processes[1].pid), "-f", "multiprocessing.spawn"]
        subprocess.run(["pkill", "-9", *which], check=True)

    def kill_the_scheduler(self):
        if self.backend == "ray":
            subprocess.run(["pkill", "-9", "-f", f"gcs_server.*{PORT['ray']}"], check=True)
        else:
            self.processes[0].kill()

    def down(self):
        if self.backend == "ray":
            start(*RAY, "stop", "--force").wait(120)
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture(scope="module", params=["dask", "ray"])
def cluster(request):
    pytest.importorskip(PACKAGE[request.param])
    cluster = Cluster(request.param)
    cluster.up()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in cluster.environment.items():
            patch.setenv(name, value)
        if request.param == "dask":
            import dask

            address = cluster.environment[SEEN["dask"]]  # dask has read the environment before
            patch.setitem(dask.config.config, "scheduler-address", address)
        yield cluster
        if request.param == "ray":
            import ray

            ray.shutdown()
    cluster.down()


def run(function, arguments, cluster, folder, *resources):
    """Return what a function of cluster_jobs returns for each of the arguments."""
    request = clusters.ResourceRequest(*resources)
    return answers(f"cluster_jobs:{function}", arguments, 1, cluster.backend, folder, request)


def test_a_task_has_the_resources_that_it_requests(cluster, tmp_path):
    assert run("own_thread_count", [{}], cluster, tmp_path) == {0: 1}
    counts = run("own_thread_count", [{}] * 3, cluster, tmp_path, 2, 1.5)
    assert counts == dict.fromkeys(range(3), 2)
    with pytest.raises(UserError, match=f"of {cluster.backend} has .*9000 GB for a job"):
        run("own_thread_count", [{}], cluster, tmp_path, 1, 9000)


def test_a_cluster_gives_what_processes_give_on_all_its_workers(cluster, tmp_path):
    table, array = data.synthetic(n_users=30, n_items=20, per_user=5), np.ones(1000)
    arguments = [{"table": table, "nested": {"array": array}, "x": x} for x in range(12)]
    results = run("sums", arguments, cluster, tmp_path)
    assert {n: value for n, (value, _) in results.items()} == {n: 1000 + 30 * n for n in range(12)}
    pids = {pid for _, pid in results.values()}
    assert os.getpid() not in pids and len(pids) == 2
    assert not list(tmp_path.iterdir())


def test_values_that_tasks_share_go_to_the_cluster_once():
    put = []
    shared = clusters.SharedValues(lambda value: put.append(value) or len(put))
    array, table = np.ones(3), data.synthetic(n_users=9, n_items=9, per_user=3)
    light = [
        clusters.replaced({"a": array, "b": {"c": table}, "x": x}, clusters.LARGE, shared)
        for x in range(2)
    ]
    assert light == [{"a": 1, "b": {"c": 2}, "x": 0}, {"a": 1, "b": {"c": 2}, "x": 1}]
    assert put[0] is array and put[1] is table


def test_the_error_of_a_task_is_raised(cluster, tmp_path):
    with pytest.raises(UserError, match="it failed"):
        run("fails", [{}], cluster, tmp_path)


def test_a_task_whose_worker_is_killed_is_tried_again_but_not_for_ever(cluster, tmp_path):
    assert run("dies", [{"mark": str(tmp_path / "mark")}], cluster, tmp_path) == {0: "alive"}
    with pytest.raises(UserError, match="killed again and again"):
        run("dies", [{}], cluster, tmp_path)


def test_workers_must_see_the_folder(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "touch", lambda _: None)  # the mark that they look for
    with pytest.raises(UserError, match=f"workers of {cluster.backend} do not see {tmp_path}"):
        run("fails", [{}], cluster, tmp_path)


def test_a_client_waits_for_the_tasks_of_an_earlier_one(cluster, tmp_path, capfd):
    """Ray ends the tasks of a client that is gone, Dask does not."""
    if cluster.backend == "ray":
        pytest.skip("of Dask")
    arguments = [{"mark": str(tmp_path / "mark")}]
    code = (
        "import pathlib; from running import answers; answers('cluster_jobs:sleeps', "
        f"{arguments}, 1, 'dask', pathlib.Path({str(tmp_path)!r}))"
    )
    client = start(sys.executable, "-c", code)
    deadline = time.monotonic() + 60
    while not (tmp_path / "mark.begun").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert client.poll() is None
    client.kill()
    table = data.synthetic(n_users=9, n_items=9, per_user=3)
    arguments = [{"table": table, "nested": {"array": np.ones(1)}, "x": 0}]
    run("sums", arguments, cluster, tmp_path)
    err = capfd.readouterr().err
    assert (tmp_path / "mark").exists()
    assert "advrec: waiting for 1 jobs that an earlier run has left at work" in err
    assert "advrec: the cluster's dashboard is at http://" in err


def test_a_client_shows_the_token_that_ray_has_made(tmp_path):
    """Ray makes a token where it starts processes itself; later its clusters ask for it."""
    pytest.importorskip("ray")
    environment = {**os.environ, "PYTHONPATH": PATHS, "HOME": str(tmp_path)}
    del environment["RAY_AUTH_MODE"]
    code = (
        "import pathlib; from running import answers; "
        "print(answers('cluster_jobs:own_thread_count', [{}], 1, 'ray', pathlib.Path.home()))"
    )
    begin = (*RAY, "start", "--head", "--num-cpus=1", "--include-dashboard=false", "--port=6392")

    def client(**more):
        command = [sys.executable, "-c", code]
        process = subprocess.run(
            command, env=environment | more, capture_output=True, text=True, timeout=120
        )
        assert process.stdout.splitlines()[-1:] == ["{0: 1}"], process.stderr

    try:
        client(RAY_ADDRESS="local")  # not at the cluster of the other tests
        assert (tmp_path / ".ray" / "auth_token").exists()
        subprocess.run(begin, env=environment, capture_output=True, check=True)
        client(RAY_ADDRESS="127.0.0.1:6392")
    finally:
        subprocess.run([*RAY, "stop", "--force"], env=environment, capture_output=True)


@pytest.mark.parametrize("backend", ["dask", "ray"])
def test_a_missing_cluster_is_an_error(backend, monkeypatch, tmp_path):
    pytest.importorskip(PACKAGE[backend])
    monkeypatch.setenv(SEEN[backend], "tcp://127.0.0.1:9" if backend == "dask" else "127.0.0.1:9")
    if backend == "dask":
        import dask

        monkeypatch.setitem(dask.config.config["distributed"]["comm"]["timeouts"], "connect", "1s")
        monkeypatch.setitem(dask.config.config, "scheduler-address", "tcp://127.0.0.1:9")
    else:
        import ray

        ray.shutdown()  # of the tests before
    with pytest.raises(UserError, match=f"no (scheduler|cluster) of {backend} answers"):
        answers("cluster_jobs:fails", [{}], 1, backend, tmp_path)


def files_of_jobs(folder):
    return list(folder.glob("table1/synthetic/jobs/*.npz"))


def client_with(popen, folder, files):
    """Start a client, and return it when there are so many files of jobs."""
    process = subprocess.Popen(**popen, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 180
    while len(files_of_jobs(folder)) < files and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


def test_whoever_is_killed_the_same_command_ends_in_the_same_bytes(cluster, tmp_path):
    """A worker, the client and the scheduler are killed; the bytes are those of a quiet run."""
    if cluster.backend == "ray":
        import ray

        ray.shutdown()  # else this process ends when its scheduler has been gone for a minute
    assert advrec(f"--output_dir={tmp_path / 'undisturbed'}", *SHORT).status == 0
    folder = tmp_path / "disturbed"
    flags = (f"--output_dir={folder}", f"--backend={cluster.backend}", *SHORT)
    popen = command(*flags, **cluster.environment)
    client = client_with(popen, folder, 1)
    cluster.kill_a_worker()
    time.sleep(1)
    assert client.poll() is None
    client.kill()
    client.communicate()
    client = client_with(popen, folder, len(files_of_jobs(folder)) + 2)
    assert client.poll() is None and files_of_jobs(folder)
    cluster.kill_the_scheduler()
    _, err = client.communicate(timeout=180)
    lines = [line for line in err.splitlines() if line.startswith("advrec: ")]
    assert client.returncode == 1 and "is gone" in lines[-1] and "Traceback" not in err, err
    cluster.down()
    cluster.up()
    finished = subprocess.run(**popen, capture_output=True, text=True, timeout=300)
    assert finished.returncode == 0, finished.stderr
    assert outcome(folder) == outcome(tmp_path / "undisturbed")
