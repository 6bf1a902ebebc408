"""The runner: done work is not repeated, settings are checked first, and any death is survived."""

import os
import signal
import subprocess
import time

import numpy as np
import pytest

from advrec_tf import data
from advrec_tf.cli import flags
from advrec_tf.cli.experiments import EXPERIMENTS, PERTURBED
from advrec_tf.execution import results, runner
from advrec_tf.recommenders import trainer
from experiments.main import experiment_named
from experiments.multistep import perturbed

from running import SHORT, TINY, advrec, command, outcome

POISON = ("--experiment=poison", "--attack=recsys20,bandwagon", *TINY)


@pytest.fixture
def calls(monkeypatch):
    """Return how often jobs were measured and models trained, by name."""
    counted = {"measured": 0, "trained": 0}

    def count(module, function, name):
        real = getattr(module, function)

        def counting(*args, **kwargs):
            counted[name] += 1
            return real(*args, **kwargs)

        monkeypatch.setattr(module, function, counting)

    count(results, "measure", "measured")
    count(trainer, "capture", "trained")
    return counted


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_is_measured_or_a_page(name):
    assert isinstance(experiment_named(name), (runner.Experiment, runner.Page))


@pytest.mark.parametrize("flags", [SHORT, POISON], ids=["table1", "poison"])
def test_a_rerun_measures_and_trains_nothing(tmp_path, calls, flags):
    assert advrec(f"--output_dir={tmp_path}", *flags).status == 0
    before, done = outcome(tmp_path), dict(calls)
    assert done["measured"] > 3 and done["trained"] > 3
    assert advrec(f"--output_dir={tmp_path}", *flags).status == 0
    assert calls == done and outcome(tmp_path) == before


def test_a_further_seed_measures_only_its_rows(tmp_path, calls):
    """The files of the first seed stay as they are."""
    flags = ["--experiment=iterations", f"--output_dir={tmp_path}"]
    flags += [flag for flag in SHORT if not flag.startswith("--seed")]
    assert advrec(*flags, "--seed=0").status == 0
    once = calls["measured"]
    files = sorted((tmp_path / "iterations" / "synthetic" / "jobs").iterdir())
    stamps = {path: path.stat().st_mtime_ns for path in files}
    assert advrec(*flags, "--seed=0,1").status == 0
    assert calls["measured"] == 2 * once
    assert {path: path.stat().st_mtime_ns for path in files} == stamps


@pytest.mark.parametrize(
    "experiment, more",
    [
        ("table1", []),
        ("low_rank_against_perturbations", ["--svd_ranks=5"]),
        ("characteristics", ["--cores=15"]),
    ],
)
def test_settings_are_checked_before_anything_is_trained(tmp_path, calls, experiment, more):
    flags = [f"--experiment={experiment}", f"--output_dir={tmp_path}", *SHORT, *more]
    flags = [flag for flag in flags if not flag.startswith("--iterations")] + ["--iterations=2"]
    assert advrec(*flags).status == 0
    trained = calls["trained"]
    result = advrec(*flags, "--embedding_dim=6")
    assert result.status == 1 and "another config" in result.err and calls["trained"] == trained


def test_the_fingerprint_of_the_data_is_part_of_the_config(tmp_path):
    assert advrec("--experiment=iterations", f"--output_dir={tmp_path}", *SHORT).status == 0
    result = advrec("--experiment=iterations", f"--output_dir={tmp_path}", *SHORT, "--split_seed=3")
    assert result.status == 1 and "another config (data" in result.err


def points_of(experiment, specs):
    """Return the points of some specs, sorted."""
    points = []
    for spec in specs:
        for job in experiment.jobs(spec):
            points += map(repr, job.points)
    return sorted(points)


@pytest.mark.parametrize("name", PERTURBED)
def test_the_points_of_a_spec_are_those_of_its_parts(name, tmp_path, monkeypatch):
    monkeypatch.setattr(
        perturbed,
        "weights_of",
        lambda spec, seed: [
            (model, 7, ["best"], {"seed": seed}) for model in (spec.bprmf, spec.amf)
        ],
    )
    values = flags.values(name, {"preset": "quick", "seed": ["3", "0", "4"]})
    values |= {"experiment": name, "model_selection": ["best"]}
    experiment = experiment_named(name)
    shop = data.synthetic(n_users=50, n_items=40, per_user=8)
    (spec,) = experiment.specs(values, [shop], tmp_path)
    parts = experiment.split(spec)
    assert len(parts) == 3 and len(points_of(experiment, [spec])) > 10
    assert points_of(experiment, parts) == points_of(experiment, [spec])


def test_a_job_that_gives_other_rows_than_its_points_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr("advrec_tf.defenses.perturbed.baseline", lambda **_: ([], {}))
    result = advrec("--experiment=iterations", f"--output_dir={tmp_path}", *SHORT)
    assert result.status == 1 and "gave 0 rows for 1 points" in result.err


def test_the_bar_counts_what_is_expected_of_every_spec(monkeypatch, capsys):
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


def wait_for(condition, process, seconds=60):
    """Wait until something is true of a run, or it ends."""
    until = time.monotonic() + seconds
    while not condition() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)


def killed_run(folder, flags, rng, while_measuring, number=signal.SIGKILL):
    """Start a run, stop its whole process group, and return its status and what it printed.

    It is stopped at a random moment, or while results are being measured.
    """
    with open(folder.parent / "err", "w+b") as err:
        process = subprocess.Popen(
            **command(f"--output_dir={folder}", *flags), stdout=subprocess.DEVNULL, stderr=err
        )
        if while_measuring:
            before = len(list(folder.glob("*/*/jobs/*.npz")))
            wait_for(lambda: len(list(folder.glob("*/*/jobs/*.npz"))) > before, process)
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
    for folder in ("killed", "undisturbed"):
        result = advrec(f"--output_dir={tmp_path / folder}", *flags)
        assert result.status == 0, result.err
    assert outcome(tmp_path / "killed") == outcome(tmp_path / "undisturbed") and measuring
    assert not list((tmp_path / "killed" / flags[0].partition("=")[2]).rglob("*.tmp"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_is_one_line_and_leaves_nothing_behind(tmp_path, number):
    """The whole process group is stopped, at any moment from the start on.  STOPS: how often."""
    rng = np.random.default_rng(int(number))
    line = "advrec: interrupted; the same command goes on from where it is\n"
    for _ in range(int(os.environ.get("STOPS", 1))):
        stopped = killed_run(
            tmp_path / "out",
            ("--experiment=iterations", *SHORT),
            rng,
            while_measuring=rng.random() < 0.4,
            number=number,
        )
        assert stopped in ((130, line), (0, ""), (-number, ""))
        assert not list(tmp_path.rglob("*.tmp"))
