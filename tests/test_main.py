"""The command line, from outside."""

import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from advrec_tf import data, evaluation
from advrec_tf.files import locked

ROOT = Path(__file__).parent.parent
SHORT = (
    "--preset=quick", "--epochs=10", "--amf_start=5", "--save_every=2", "--iterations=1,3,6", "--seed=0", "--embedding_dim=8",
)  # fmt: skip


def command(*flags, **environment):
    return {
        "args": [sys.executable, "-m", "experiments.main", *flags],
        "cwd": ROOT,
        "env": {**os.environ, "http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", **environment},
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
    }


def run(*flags, **environment):
    return subprocess.run(**command(*flags, **environment))


def outcome(folder):
    """Everything that must not depend on how often a run was killed."""
    files = [p for p in sorted(Path(folder).rglob("*")) if p.suffix in (".npz", ".csv", ".tsv", ".md")]
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    return folder, run("--save_lists", f"--output_dir={folder}", *SHORT)


def test_table1_from_nothing(finished):
    folder, result = finished
    assert result.returncode == 0, result.stderr
    assert "synthetic: AMF, best" in result.stdout and f"Kept in {folder}" in result.stdout
    kept = {p.name for p in (folder / "table1" / "synthetic").iterdir()}
    assert {"results.csv", "config.json", "report.md", "table1.png", "lists"} <= kept
    rows = pd.read_csv(folder / "table1" / "synthetic" / "results.csv")
    # Two models, at best and last epochs that differ: initial, noise, FGSM twice, and three points of four multi-step attacks.
    assert len(rows) == 2 + len(rows[["model", "epoch"]].dropna().drop_duplicates()) * (4 + 4 * 3)
    assert not rows[["PR", "RE", "nDCG", "EFD", "SE", "ICov"]].isna().any().any()


def test_metrics_of_saved_lists_are_those_of_the_results(finished):
    folder = finished[0] / "table1" / "synthetic"
    interactions = data.load("synthetic")
    rows = pd.read_csv(folder / "results.csv", keep_default_na=False, dtype=str)
    assert len(list((folder / "lists").iterdir())) == len(rows)
    for path in sorted((folder / "lists").iterdir())[::7]:
        measured = evaluation.metrics(evaluation.read_lists(path, interactions), interactions)
        parts = dict(part.split("=") for part in path.stem.split("_", 1)[1].replace("after_pgd", "after-pgd").split("_"))
        row = rows[(rows["model"] == path.stem.split("_")[0])]
        for name, value in parts.items():
            row = row[row[name] == value.replace("after-pgd", "after_pgd")]
        row = row if "attack" in parts else row[row["attack"] == ""]
        assert len(row) == 1 and float(row["EFD"].iloc[0]) == measured["EFD"] and float(row["SE"].iloc[0]) == measured["SE"]


def test_a_rerun_measures_nothing_and_changes_nothing(finished):
    folder, _ = finished
    before, began = outcome(folder), time.monotonic()
    result = run("--save_lists", f"--output_dir={folder}", *SHORT)
    assert result.returncode == 0 and outcome(folder) == before and time.monotonic() > began


def test_killed_runs_end_in_the_same_bytes(finished, tmp_path):
    rng = np.random.default_rng(int(os.environ.get("KILL_SEED", 0)))
    for delay in rng.uniform(4, 16, int(os.environ.get("KILLS", 2))):
        process = subprocess.Popen(**command("--save_lists", f"--output_dir={tmp_path}", *SHORT))
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
    result = run("--save_lists", f"--output_dir={tmp_path}", *SHORT)
    assert result.returncode == 0, result.stderr
    assert outcome(tmp_path) == outcome(finished[0])


def test_describe():
    result = run("--experiment=describe", "--dataset=synthetic")
    assert result.returncode == 0
    for line in ("users", "items", "interactions", "density", "shape", "popularity Gini"):
        assert line in result.stdout


def table(folder, text, test=None):
    folder.mkdir()
    (folder / "train.tsv").write_text(text)
    (folder / "test.tsv").write_text(test or "0\t1\n")
    return f"--dataset={folder}"


def zipped(folder, content):
    (folder / "ml-1m").mkdir(parents=True)
    (folder / "ml-1m" / "ml-1m.zip").write_bytes(content)
    return "--dataset=ml-1m", f"--data_dir={folder}"


def another_zip(folder):
    with zipfile.ZipFile(folder, "w") as archive:
        archive.writestr("ml-1m/ratings.dat", "1::1::5::1\n")
    return folder.read_bytes()


FAULTS = {
    "wrong flag": (lambda t: ["--epoch_count=3"], "Unknown command line flag 'epoch_count'"),
    "wrong value": (lambda t: ["--epochs=many"], "epochs"),
    "stray word": (lambda t: ["table1"], "unexpected argument 'table1'"),
    "missing file": (lambda t: ["--dataset=ml-1m", f"--data_dir={t}"], "get it from https://files.grouplens.org/datasets/movielens/ml-1m.zip"),
    "corrupt zip": (lambda t: zipped(t / "d", b"PK\x03\x04 torn"), "ml-1m.zip: wrong checksum"),
    "wrong checksum": (lambda t: zipped(t / "d", another_zip(t / "a.zip")), "ml-1m.zip: wrong checksum"),
    "non-numeric row": (lambda t: [table(t / "d", "0\t0\nx\t1\n")], "train.tsv, line 2: the user 'x' is not an integer id"),
    "negative id": (lambda t: [table(t / "d", "0\t0\n0\t-1\n")], "train.tsv, line 2: the item -1 is negative"),
    "test pair in train": (lambda t: [table(t / "d", "0\t0\n0\t1\n")], "test.tsv, line 1: the test pair (0, 1) is also in train"),
    "nan epsilon": (lambda t: ["--epsilon=nan"], "--epsilon must be different numbers from 0 up"),
    "unwritable output": (lambda t: ["--preset=quick", "--output_dir=/dev/null/x"], "/dev/null/x"),
    "no iterations": (lambda t: ["--iterations=", "--preset=quick"], "--iterations"),
    "bad seed": (lambda t: ["--seed=one"], "--seed must be different whole numbers"),
    "bad selection": (lambda t: ["--model_selection=worst", "--preset=quick"], "--model_selection must be of"),
    "long lists": (lambda t: ["--preset=quick", "--k=5000"], "--k=5000 is more than the 400 items"),
    "no results": (lambda t: ["--preset=quick", "--experiment=claims"], "holds no results on synthetic"),
    "two budgets": (lambda t: ["--preset=quick", "--epsilon=0.1,0.5"], "--epsilon takes one value in the table1"),
    "no epoch left": (lambda t: ["--preset=quick", "--model_selection=epoch:5000"], "names no epoch of BPR-MF on synthetic"),
    "two selections": (lambda t: ["--preset=quick", "--experiment=budget", "--model_selection=best,last"], "--model_selection takes one value"),
    "amf before its start": (lambda t: ["--preset=quick", "--amf_start=500"], "must be less than --epochs"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_one_line_and_a_status(tmp_path, name):
    flags, message = FAULTS[name]
    result = run(*flags(tmp_path), *([] if "output" in name else [f"--output_dir={tmp_path / 'out'}"]))
    assert result.returncode not in (0, None)
    lines = [line for line in result.stderr.splitlines() if line]
    assert len(lines) == 1 and lines[0].startswith("advrec: ") and message in lines[0], result.stderr


def test_results_of_another_config_and_a_folder_in_use_are_told(finished):
    folder, _ = finished
    before = outcome(folder)
    result = run(f"--output_dir={folder}", *SHORT, "--epsilon=0.3")
    assert result.returncode == 1 and "another config (epsilons [0.5] there, [0.3] here)" in result.stderr
    with locked(folder / "table1" / "synthetic"):
        result = run(f"--output_dir={folder}", *SHORT)
    assert result.returncode == 1 and "in use by another run" in result.stderr and len(result.stderr.splitlines()) == 1
    assert outcome(folder) == before


def test_a_data_set_that_cannot_be_had_is_skipped_and_the_rest_runs(finished):
    folder, _ = finished
    result = run(f"--output_dir={folder}", f"--data_dir={folder}", "--dataset=lastfm,synthetic", *SHORT)
    assert result.returncode == 1 and "synthetic: AMF, best" in result.stdout
    assert len(result.stderr.splitlines()) == 1 and "lastfm is skipped: trainingset.tsv is missing" in result.stderr


def test_figures_use_the_models_that_are_there(finished):
    folder, _ = finished
    models = {name: content for name, content in outcome(folder).items() if name.startswith("models")}
    for experiment, picture in (("iterations", "iterations.png"), ("budget", "budget.png")):
        flags = ["--epsilon=0.1,0.5,1"] if experiment == "budget" else []
        result = run(
            f"--experiment={experiment}", f"--output_dir={folder}", *SHORT[:4], *flags, f"--iterations={'25' if flags else '2,25'}", *SHORT[5:]
        )
        assert result.returncode == 0, result.stderr
        assert (folder / experiment / "synthetic" / picture).exists()
    assert {name: content for name, content in outcome(folder).items() if name.startswith("models")} == models
    result = run("--experiment=claims", "--preset=quick", f"--output_dir={folder}")
    assert result.returncode == 0 and "SE falls by at least 20%" in result.stdout


def test_figure_3_killed_is_figure_3_and_so_it_is_with_one_worker(tmp_path):
    flags = ("--experiment=characteristics", "--cores=5,15", *SHORT)
    process = subprocess.Popen(**command(f"--output_dir={tmp_path / 'two'}", *flags))
    time.sleep(11)
    process.send_signal(signal.SIGKILL)
    process.wait()
    trained = {path: path.stat().st_mtime_ns for path in (tmp_path / "two").rglob("epoch-0005.npz")}
    for workers, folder in ((2, "two"), (1, "one")):
        result = run(f"--output_dir={tmp_path / folder}", f"--workers={workers}", *flags)
        assert result.returncode == 0, result.stderr
    assert outcome(tmp_path / "two") == outcome(tmp_path / "one")
    assert {path: path.stat().st_mtime_ns for path in trained} == trained
    assert (tmp_path / "one" / "characteristics" / "synthetic-single_pass" / "characteristics.png").exists()


@pytest.fixture
def factors(tmp_path):
    """A shop of one's own: tables with text ids, factors in another order, and the CSVs that map them."""
    rng = np.random.default_rng(0)
    pairs = [(f"u{u}", f"i{i}") for u in range(12) for i in rng.choice(15, 6, replace=False)]
    pd.DataFrame(pairs, columns=["user", "item"]).to_csv(tmp_path / "shop.csv", index=False)
    interactions = data.load(str(tmp_path / "shop.csv"))
    for name, ids in (("user", interactions.user_ids), ("item", interactions.item_ids)):
        order = rng.permutation(len(ids))
        pd.DataFrame({"row": range(len(ids)), "id": ids[order]}).to_csv(tmp_path / f"{name}_rows.csv", index=False)
        np.save(tmp_path / f"{name}.npy", rng.normal(size=(len(ids), 4)))
    return tmp_path, [f"--train={tmp_path / 'shop.csv'}", f"--output_dir={tmp_path / 'out'}", "--experiment=audit"]


def test_audit_of_ones_own_factors(factors):
    folder, flags = factors
    flags += [
        f"--{name}_{kind}={folder / file}" for name in ("user", "item") for kind, file in (("factors", f"{name}.npy"), ("rows", f"{name}_rows.csv"))
    ]
    result = run(*flags)
    assert result.returncode == 0, result.stderr
    assert "half of nDCG@10 is gone under BIM" in result.stdout
    assert (folder / "out" / "audit" / "shop" / "audit.html").stat().st_size > 20000


def test_audit_faults_are_told_in_one_line(factors):
    folder, flags = factors
    (folder / "torn.npy").write_bytes(b"torn")
    np.save(folder / "nan.npy", np.full((12, 4), np.nan))
    np.save(folder / "wide.npy", np.zeros((15, 5)))
    user, item = f"--user_factors={folder / 'user.npy'}", f"--item_factors={folder / 'item.npy'}"
    for more, message in (
        ([item], "--user_factors is needed"),
        ([user.replace("user.npy", "none.npy"), item], "No such file"),
        ([user.replace("user.npy", "torn.npy"), item], "not an .npy file"),
        ([user.replace("user.npy", "nan.npy"), item], "finite numbers"),
        ([user, item.replace("item.npy", "wide.npy")], "user factors have 4 columns, item factors 5"),
        ([user, item.replace("item.npy", "user.npy")], "12 rows, the data 15 items"),
    ):
        result = run(*flags, *more)
        lines = result.stderr.splitlines()
        assert result.returncode == 1 and len(lines) == 1 and lines[0].startswith("advrec: ") and message in lines[0], result.stderr


def test_a_backend_that_is_not_installed_is_told(tmp_path):
    try:
        import ray  # noqa: F401
    except ImportError:
        result = run("--backend=ray", f"--output_dir={tmp_path}", *SHORT)
        assert result.returncode == 1 and result.stderr.strip() == "advrec: --backend=ray needs a package that is not installed (ray)"
    else:
        pytest.skip("ray is installed")
