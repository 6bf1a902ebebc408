"""The runner: what is there is not done again, what is asked is checked before anything is trained, and any death is survived."""

import importlib
import io
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from advrec_tf import data
from advrec_tf.cli import flags
from advrec_tf.errors import UserError
from advrec_tf.execution import jobs, results, runner
from advrec_tf.execution.progress import progress_bar
from advrec_tf.recommenders import trainer
from experiments.multistep import perturbed

from running import ROOT, SHORT, TINY, advrec, answers, command, outcome

POISON = ("--experiment=poison", "--attack=recsys20,bandwagon", *TINY)


@pytest.fixture
def calls(monkeypatch):
    """How often jobs were measured, and epochs trained, by name."""
    counted = {"measured": 0, "trained": 0}

    def count(module, function, name):
        real = getattr(module, function)

        def counting(*args, **kwargs):
            counted[name] += 1
            return real(*args, **kwargs)

        monkeypatch.setattr(module, function, counting)

    count(results, "measure", "measured")
    count(trainer._Keeper, "on_epoch_end", "trained")
    return counted


@pytest.mark.parametrize("flags", [SHORT, POISON], ids=["table1", "poison"])
def test_a_rerun_measures_and_trains_nothing(tmp_path, calls, flags):
    assert advrec(f"--output_dir={tmp_path}", *flags).status == 0
    before, done = outcome(tmp_path), dict(calls)
    assert done["measured"] > 3 and done["trained"] >= 10
    assert advrec(f"--output_dir={tmp_path}", *flags).status == 0
    assert calls == done and outcome(tmp_path) == before


def test_a_further_seed_measures_its_own_rows_alone(tmp_path, calls):
    """And the files of the first stay as they are."""
    flags = [flag for flag in SHORT if not flag.startswith("--seed")]
    assert (
        advrec("--experiment=iterations", f"--output_dir={tmp_path}", *flags, "--seed=0").status
        == 0
    )
    once, kept = (
        calls["measured"],
        sorted((tmp_path / "iterations" / "synthetic" / "jobs").iterdir()),
    )
    stamps = {path: path.stat().st_mtime_ns for path in kept}
    assert (
        advrec("--experiment=iterations", f"--output_dir={tmp_path}", *flags, "--seed=0,1").status
        == 0
    )
    assert (
        calls["measured"] == 2 * once and {path: path.stat().st_mtime_ns for path in kept} == stamps
    )


@pytest.mark.parametrize(
    "experiment", ["table1", "low_rank_against_perturbations", "characteristics"]
)
def test_settings_are_checked_before_anything_is_trained(tmp_path, calls, experiment):
    flags = [
        f"--experiment={experiment}",
        f"--output_dir={tmp_path}",
        *(flag for flag in SHORT if "iterations" not in flag),
        "--iterations=2",
    ]
    flags += {
        "characteristics": ["--cores=15"],
        "low_rank_against_perturbations": ["--svd_ranks=5"],
    }.get(experiment, [])
    assert advrec(*flags).status == 0
    trained = calls["trained"]
    result = advrec(*flags, "--embedding_dim=6")
    assert result.status == 1 and "another config" in result.err and calls["trained"] == trained


def test_the_fingerprint_of_the_data_is_part_of_the_config(tmp_path):
    assert advrec("--experiment=iterations", f"--output_dir={tmp_path}", *SHORT).status == 0
    result = advrec("--experiment=iterations", f"--output_dir={tmp_path}", *SHORT, "--split_seed=3")
    assert result.status == 1 and "another config (data" in result.err


@pytest.mark.parametrize("experiment", flags.PERTURBED)
def test_the_points_of_a_study_are_those_of_its_parts(experiment, tmp_path, monkeypatch):
    monkeypatch.setattr(
        perturbed,
        "weights_of",
        lambda study, seed: [
            (each, 7, ["best"], {"seed": seed}) for each in (study.bprmf, study.amf)
        ],
    )
    own = importlib.import_module(f"experiments.{flags.EXPERIMENTS[experiment].module}").EXPERIMENT
    values = {
        **flags.values(experiment, {"preset": "quick"}),
        "experiment": experiment,
        "seed": [3, 0, 4],
        "model_selection": ["best"],
    }
    (study,) = own.studies(values, [data.synthetic(n_users=50, n_items=40, per_user=8)], tmp_path)
    parts = own.split(study)
    points = [
        [point for each in some for job in own.jobs(each) for point in job.points]
        for some in ([study], parts)
    ]
    assert (
        len(parts) == 3
        and all(sorted(map(repr, each)) == sorted(map(repr, points[0])) for each in points)
        and len(points[0]) > 10
    )


def test_a_job_that_gives_other_rows_than_its_points_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("advrec_tf.defenses.perturbed.baseline", lambda **_: ([], {}))
    result = advrec("--experiment=iterations", f"--output_dir={tmp_path}", *SHORT)
    assert result.status == 1 and "gave 0 rows for 1 points" in result.err


# Processes


def double(x, fails=False):
    if fails:
        raise UserError("told")
    return 2 * x, os.environ["OPENBLAS_NUM_THREADS"]


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_worker_is_told():
    with pytest.raises(UserError, match="a worker process was killed"):
        answers("test_runner:die", [{}, {}], 2)


def clocked():
    began = time.monotonic()
    time.sleep(0.05)
    return os.getpid(), began, time.monotonic()


def test_jobs_of_one_worker_run_one_at_a_time():
    pids, began, ended = zip(
        *sorted(answers("test_runner:clocked", [{}] * 4, 1).values(), key=lambda done: done[1]),
        strict=True,
    )
    assert (
        all(end <= begin for end, begin in zip(ended, began[1:], strict=False))
        and len(set(pids)) == 1
        and os.getpid() not in pids
    )


def meets(mark, waits):
    """Leaves a mark, or waits for it."""
    until = time.monotonic() + 100
    while waits and not mark.exists():
        assert time.monotonic() < until
        time.sleep(0.01)
    mark.touch()


def test_a_batch_begins_when_that_before_it_of_its_own_flow_is_done(tmp_path):
    """And not when those of others are: the first of one flow waits for the last of another.  Empty batches are passed over."""
    done = []

    def flow(name, *batches):
        for number, marks in enumerate(batches):
            assert sum(of == name for of in done) == sum(map(len, batches[:number]))
            yield [
                jobs.Task(
                    "test_runner:meets",
                    {"mark": tmp_path / mark, "waits": name == "slow"},
                    lambda _: done.append(name),
                )
                for mark in marks
            ]

    jobs.run(
        [
            flow("slow", [], ["last"], ["last"]),
            flow("fast", ["first"], [], ["second", "third"], ["last"]),
        ],
        2,
    )
    assert done.count("slow") == 2 and done.index("slow") >= 3 and done.count("fast") == 4
    jobs.run([], 2)
    jobs.run([iter([[]])], 2)


def test_the_bar_counts_what_is_expected_of_every_flow(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    bar = runner.Bar("points", True)
    bar.close()
    assert capsys.readouterr().err == ""  # nothing was expected
    bar.expect(10, 4)
    bar.update()
    bar.expect(5, 5)
    bar.update()
    assert (bar.shown.total, bar.shown.n, bar.shown.initial) == (15, 11, 9)
    bar.close()
    assert "11/15" in capsys.readouterr().err
    quiet = runner.Bar("points", False)
    for _ in range(2):
        quiet.expect(3, 1)
        quiet.update()
    quiet.close()
    assert capsys.readouterr().err == ""


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self):
        return True


def line_of_bar(mark=None, other=None):
    """The line of a bar in this process; waits for a job of another worker if there is one."""
    if mark:
        mark.touch()
        meets(other, waits=True)
    with progress_bar(total=1, file=Terminal()) as bar:
        return -bar.pos


def test_each_worker_draws_its_bars_on_a_line_below_the_bar_of_the_run(tmp_path):
    marks = [tmp_path / name for name in ("one", "other")]
    lines = answers(
        "test_runner:line_of_bar",
        [{"mark": mark, "other": other} for mark, other in (marks, marks[::-1])],
        2,
    )
    assert sorted(lines.values()) == [1, 2] and line_of_bar() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_jobs_run_side_by_side_and_raise(workers):
    found = answers("test_runner:double", [{"x": n} for n in range(5)], workers)
    assert [found[n][0] for n in range(5)] == [0, 2, 4, 6, 8] and {
        r[1] for r in found.values()
    } == {"1"}
    with pytest.raises(UserError, match="told"):
        answers("test_runner:double", [{"x": 1, "fails": True}], workers)


def wait_for(condition, process, seconds=60):
    """Waits until something is true of a run, or it ends."""
    until = time.monotonic() + seconds
    while not condition() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)


def killed_run(folder, flags, rng, while_measuring, number=signal.SIGKILL):
    """Starts a run and stops its whole process group, at a random moment or while results are being measured; returns what it printed."""
    with open(folder.parent / "err", "w+b") as err:
        process = subprocess.Popen(
            **command(f"--output_dir={folder}", *flags), stdout=subprocess.DEVNULL, stderr=err
        )
        if while_measuring:
            have = len(list(folder.glob("*/*/jobs/*.npz")))
            wait_for(lambda: len(list(folder.glob("*/*/jobs/*.npz"))) > have, process)
        time.sleep(rng.uniform(0, 0.7) if while_measuring else rng.uniform(0.2, 9))
        os.killpg(process.pid, number)
        process.wait()
        time.sleep(0.1)
        err.seek(0)
        return process.returncode, err.read().decode()


@pytest.mark.parametrize(
    "flags", [("--experiment=table1", "--save_lists", *SHORT), POISON], ids=["table1", "poison"]
)
def test_killed_runs_end_in_the_same_bytes(tmp_path, flags):
    """KILLS says how often each is killed, half of them while results are measured."""
    rng = np.random.default_rng(int(os.environ.get("KILL_SEED", 0)))
    measuring = 0
    for number in range(int(os.environ.get("KILLS", 2))):
        killed_run(tmp_path / "killed", flags, rng, while_measuring=number % 2 == 0)
        measuring += any((tmp_path / "killed").glob("*/*/results.csv"))
    for folder in ("killed", "whole"):
        result = advrec(f"--output_dir={tmp_path / folder}", *flags)
        assert result.status == 0, result.err
    assert outcome(tmp_path / "killed") == outcome(tmp_path / "whole") and measuring
    assert not list((tmp_path / "killed" / flags[0].partition("=")[2]).rglob("*.tmp"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_is_one_line_and_leaves_nothing_behind(tmp_path, number):
    """Of the whole process group, from the start on; STOPS says how often."""
    rng = np.random.default_rng(int(number))
    for _ in range(int(os.environ.get("STOPS", 1))):
        status, err = killed_run(
            tmp_path / "out",
            ("--experiment=iterations", *SHORT),
            rng,
            while_measuring=rng.random() < 0.4,
            number=number,
        )
        assert (status, err) in (
            (130, "advrec: interrupted; the same command goes on from where it is\n"),
            (0, ""),
            (-number, ""),
        ), err
        assert not [path for path in tmp_path.rglob("*.tmp")]


def test_a_worker_starts_with_stops_held(tmp_path):
    """One that is stopped before it can answer prints a traceback; every process tells here what it holds as it starts."""
    told = "import pathlib, os, signal; held = signal.pthread_sigmask(signal.SIG_BLOCK, [])"
    (tmp_path / "sitecustomize.py").write_text(
        f"{told}; pathlib.Path({str(tmp_path)!r}, f'{{os.getpid()}}.held').write_text(str(len(held)))\n"
    )
    code = "from running import answers; print(len(answers('test_runner:double', [{'x': 1}, {'x': 2}], 2)))"
    folders = os.pathsep.join(map(str, (tmp_path, ROOT / "tests", ROOT)))
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": folders},
    )
    held = sorted(path.read_text() for path in tmp_path.glob("*.held"))
    assert (
        found.stdout.strip() == "2" and held == ["0", *["2"] * (len(held) - 1)] and len(held) >= 3
    ), found.stderr


def test_flags_are_checked_without_tensorflow():
    found = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "experiments.main", "--epochs=x"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert (
        found.returncode == 1 and "advrec_tf" in found.stderr and "tensorflow" not in found.stderr
    ), found.stderr


def test_functions_that_are_traced_for_many_sizes_are_no_warning(caplog):
    traced = tf.function(lambda x: x)
    for size in range(12):
        traced(size)  # a Python number is a trace of its own
    assert traced.experimental_get_tracing_count() == 12 and not caplog.records
