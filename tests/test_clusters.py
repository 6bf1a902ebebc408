"""Jobs on Dask and Ray, with schedulers and workers that are really killed.  `make test-clusters` runs them: whatever else of Ray runs here ends."""

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
            options = (
                "--num-cpus=2",
                "--include-dashboard=false",
                f"--port={PORT['ray']}",
                "--node-ip-address=127.0.0.1",
            )
            assert start(*RAY, "start", "--head", *options).wait(120) == 0
            return
        serve = (
            sys.executable,
            "-m",
            "distributed.cli.dask_scheduler",
            "--host=127.0.0.1",
            f"--port={PORT['dask']}",
            "--no-dashboard",
        )
        work = (
            sys.executable,
            "-m",
            "distributed.cli.dask_worker",
            f"tcp://{self.address}",
            "--nthreads=1",
            "--no-dashboard",
            "--nworkers=2",
            "--resources=memory=2",
        )
        self.processes = [start(*serve), start(*work)]

    def kill_a_worker(self):
        own = (
            ["-f", "ray::_run_with_references"]
            if self.backend == "ray"
            else ["-g", str(self.processes[1].pid), "-f", "multiprocessing.spawn"]
        )
        subprocess.run(["pkill", "-9", *own], check=True)

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
    found = Cluster(request.param)
    found.up()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in found.environment.items():
            patch.setenv(name, value)
        if request.param == "dask":
            import dask

            patch.setitem(
                dask.config.config, "scheduler-address", found.environment[SEEN["dask"]]
            )  # it has read the environment before
        yield found
        if request.param == "ray":
            import ray

            ray.shutdown()
    found.down()


def run(function, arguments, cluster, folder, *share):
    return answers(
        f"cluster_jobs:{function}",
        arguments,
        1,
        cluster.backend,
        folder,
        clusters.ResourceRequest(*share),
    )


def test_a_job_has_its_share_of_the_cluster(cluster, tmp_path):
    assert run("has_several_threads", [{}], cluster, tmp_path) == {0: False}
    several = run("has_several_threads", [{}] * 3, cluster, tmp_path, 2, 1.5)
    assert several == dict.fromkeys(range(3), True)
    with pytest.raises(UserError, match=f"of {cluster.backend} has .*9000 GB for a job"):
        run("has_several_threads", [{}], cluster, tmp_path, 1, 9000)


def test_a_cluster_gives_what_processes_give_on_all_its_workers(cluster, tmp_path):
    table, array = data.synthetic(n_users=30, n_items=20, per_user=5), np.ones(1000)
    arguments = [{"table": table, "nested": {"array": array}, "x": x} for x in range(12)]
    found = run("sums", arguments, cluster, tmp_path)
    assert {n: value for n, (value, _) in found.items()} == {n: 1000.0 + 30 * n for n in range(12)}
    pids = {pid for _, pid in found.values()}
    assert os.getpid() not in pids and len(pids) == 2
    assert not list(tmp_path.iterdir())


def test_what_jobs_share_is_kept_once():
    put = []
    keep = clusters.SharedValues(lambda value: put.append(value) or len(put))
    array, table = np.ones(3), data.synthetic(n_users=9, n_items=9, per_user=3)
    light = [
        clusters.replaced({"a": array, "b": {"c": table}, "x": x}, clusters.LARGE, keep)
        for x in range(2)
    ]
    assert (
        light == [{"a": 1, "b": {"c": 2}, "x": 0}, {"a": 1, "b": {"c": 2}, "x": 1}]
        and put[0] is array
        and put[1] is table
    )


def test_what_a_job_raises_is_raised(cluster, tmp_path):
    with pytest.raises(UserError, match="told"):
        run("fails", [{}], cluster, tmp_path)


def test_a_job_whose_worker_is_killed_is_tried_again_but_not_for_ever(cluster, tmp_path):
    assert run("dies", [{"mark": str(tmp_path / "mark")}], cluster, tmp_path) == {0: "alive"}
    with pytest.raises(UserError, match="killed again and again"):
        run("dies", [{}], cluster, tmp_path)


def test_workers_that_do_not_see_the_folder_are_told(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "touch", lambda _: None)  # the mark that they look for
    with pytest.raises(UserError, match=f"workers of {cluster.backend} do not see {tmp_path}"):
        run("fails", [{}], cluster, tmp_path)


def test_who_comes_after_a_client_that_is_gone_waits_for_its_jobs(cluster, tmp_path, capfd):
    """Dask's; Ray's end with their client."""
    if cluster.backend == "ray":
        pytest.skip("of Dask")
    job = f"[{{'mark': {str(tmp_path / 'mark')!r}}}]"
    code = f"import pathlib; from running import answers; answers('cluster_jobs:sleeps', {job}, 1, 'dask', pathlib.Path({str(tmp_path)!r}))"
    client = start(sys.executable, "-c", code)
    deadline = time.monotonic() + 60
    while not (tmp_path / "mark.begun").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert client.poll() is None
    client.kill()
    run(
        "sums",
        [
            {
                "table": data.synthetic(n_users=9, n_items=9, per_user=3),
                "nested": {"array": np.ones(1)},
                "x": 0,
            }
        ],
        cluster,
        tmp_path,
    )
    told = capfd.readouterr().err
    assert (
        tmp_path / "mark"
    ).exists() and "advrec: waiting for 1 jobs that an earlier run has left at work" in told
    assert "advrec: the cluster's dashboard is at http://" in told


def test_a_client_shows_the_token_that_ray_has_made(tmp_path):
    """Ray makes one where it starts processes itself, and from then on its clusters ask for it."""
    pytest.importorskip("ray")
    environment = {**os.environ, "PYTHONPATH": PATHS, "HOME": str(tmp_path)}
    del environment["RAY_AUTH_MODE"]
    code = "import pathlib; from running import answers; print(answers('cluster_jobs:has_several_threads', [{}], 1, 'ray', pathlib.Path.home()))"
    begin = (*RAY, "start", "--head", "--num-cpus=1", "--include-dashboard=false", "--port=6392")

    def client(**more):
        found = subprocess.run(
            [sys.executable, "-c", code],
            env=environment | more,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert found.stdout.splitlines()[-1:] == ["{0: False}"], found.stderr

    try:
        client(RAY_ADDRESS="local")  # not at the cluster of the other tests
        assert (tmp_path / ".ray" / "auth_token").exists()
        subprocess.run(begin, env=environment, capture_output=True, check=True)
        client(RAY_ADDRESS="127.0.0.1:6392")
    finally:
        subprocess.run([*RAY, "stop", "--force"], env=environment, capture_output=True)


@pytest.mark.parametrize("backend", ["dask", "ray"])
def test_a_cluster_that_is_not_there_is_told(backend, monkeypatch, tmp_path):
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


def test_whoever_is_killed_the_same_command_ends_in_the_same_bytes(cluster, tmp_path):
    """A worker, then the client, then the scheduler: and the bytes of a run of processes here that nothing happened to."""
    if cluster.backend == "ray":
        import ray

        ray.shutdown()  # else this process ends when its scheduler has been gone for a minute
    assert advrec(f"--output_dir={tmp_path / 'undisturbed'}", *SHORT).status == 0
    folder = tmp_path / "disturbed"
    popen = command(
        f"--output_dir={folder}", f"--backend={cluster.backend}", *SHORT, **cluster.environment
    )

    def done():
        return list(folder.glob("table1/synthetic/jobs/*.npz"))

    def begun(files):
        process = subprocess.Popen(
            **popen, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        deadline = time.monotonic() + 180
        while len(done()) < files and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        return process

    client = begun(1)
    cluster.kill_a_worker()
    time.sleep(1)
    assert client.poll() is None
    client.kill()
    client.communicate()
    client = begun(len(done()) + 2)
    assert client.poll() is None and "table1" in {path.parent.parent.parent.name for path in done()}
    cluster.kill_the_scheduler()
    _, err = client.communicate(timeout=180)
    assert (
        client.returncode == 1
        and "is gone" in [line for line in err.splitlines() if line.startswith("advrec: ")][-1]
    ), err
    assert "Traceback" not in err
    cluster.down()
    cluster.up()
    finished = subprocess.run(**popen, capture_output=True, text=True, timeout=300)
    assert finished.returncode == 0, finished.stderr
    assert outcome(folder) == outcome(tmp_path / "undisturbed")
