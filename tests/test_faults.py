"""Faults of the command line: each is one line that says what is wrong, and status 1."""

import zipfile

import numpy as np
import pytest

from advrec_tf import data
from advrec_tf.errors import UserError

from running import SHORT, advrec, answers, error_line


def matrix(folder, rows):
    """Return the path of an .npy file of some rows."""
    np.save(folder / "matrix.npy", np.arange(2.0 * rows).reshape(rows, 2))
    return folder / "matrix.npy"


def table(folder, text, test=None):
    """Return the flag of a data set with this train table."""
    folder.mkdir()
    (folder / "train.tsv").write_text(text)
    (folder / "test.tsv").write_text(test or "0\t1\n")
    return f"--dataset={folder}"


def zipped(folder, content):
    """Return the flags of an ML-1M whose archive is `content`."""
    (folder / "ml-1m").mkdir(parents=True)
    (folder / "ml-1m" / "ml-1m.zip").write_bytes(content)
    return "--dataset=ml-1m", f"--data_dir={folder}"


def another_zip(path):
    """Return the bytes of an archive with another table."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ml-1m/ratings.dat", "1::1::5::1\n")
    return path.read_bytes()


QUICK = "--preset=quick"
FAULTS = {
    "wrong flag": (lambda t: ["--epoch_count=3"], "Unknown command line flag 'epoch_count'"),
    "wrong value": (lambda t: ["--epochs=many"], "--epochs must be a whole number from 1 up"),
    "stray word": (lambda t: ["table1"], "unexpected argument 'table1'"),
    "missing file": (
        lambda t: ["--dataset=ml-1m", f"--data_dir={t}"],
        "get it from https://files.grouplens.org/datasets/movielens/ml-1m.zip",
    ),
    "corrupt zip": (lambda t: zipped(t / "d", b"PK\x03\x04 torn"), "ml-1m.zip: wrong checksum"),
    "wrong checksum": (
        lambda t: zipped(t / "d", another_zip(t / "a.zip")),
        "ml-1m.zip: wrong checksum",
    ),
    "non-numeric row": (
        lambda t: [table(t / "d", "0\t0\nx\t1\n"), "--ids=integer"],
        "train.tsv, line 2: the user 'x' is not an integer id",
    ),
    "negative rating": (
        lambda t: [table(t / "d", "0\t0\t3\n0\t1\t-1\n")],
        "train.tsv, line 2: the rating '-1' is negative",
    ),
    "no positives": (
        lambda t: [table(t / "d", "0\t0\t3\n0\t1\t2\n"), "--positive_from=4"],
        "train.tsv: no rating is 4 or more",
    ),
    "a wrong encoding": (
        lambda t: [table(t / "d", "0\t0\n"), "--encoding=no-such"],
        "train.tsv: not a text file in no-such",
    ),
    "two fields at one place": (
        lambda t: [table(t / "d", "user\titem\n0\t0\n"), "--columns=user=user,item=user"],
        "user",
    ),
    "test pair in train": (
        lambda t: [table(t / "d", "0\t0\n0\t1\n")],
        "test.tsv, line 1: the test pair (0, 1) is also in train",
    ),
    "nan epsilon": (lambda t: ["--epsilon=nan"], "--epsilon must be different numbers from 0 up"),
    "unwritable output": (lambda t: [QUICK, "--output_dir=/dev/null/x"], "/dev/null/x"),
    "no iterations": (lambda t: ["--iterations=", QUICK], "--iterations is empty"),
    "iterations of nothing": (
        lambda t: ["--iterations=0", QUICK],
        "--iterations must be different whole numbers from 1 up",
    ),
    "bad seed": (lambda t: ["--seed=one"], "--seed must be different whole numbers"),
    "equal seeds": (lambda t: ["--seed=1,1"], "--seed must be different whole numbers"),
    "never evaluated": (
        lambda t: [QUICK, "--epochs=9", "--amf_start=5", "--eval_every=5"],
        "synthetic: none of AMF's epochs 6 to 9 is evaluated, as every 5th is, so none is best",
    ),
    "neither a word nor a number": (
        lambda t: ["--eval_every=often"],
        "--eval_every must be auto or a whole number from 1 up, not 'often'",
    ),
    "negative split": (
        lambda t: [QUICK, "--split_seed=-1"],
        "--split_seed must be a whole number from 0 to 4294967295",
    ),
    "large dimension": (
        lambda t: [QUICK, "--embedding_dim=100000000"],
        "--embedding_dim must be a whole number from 1 to 10000",
    ),
    "bad selection": (lambda t: ["--model_selection=worst", QUICK], "--model_selection must be of"),
    "unknown attack": (
        lambda t: ["--more_attacks=cw", QUICK],
        "--more_attacks must be of noise, fgsm, bim, pgd",
    ),
    "long lists": (lambda t: [QUICK, "--k=5000"], "--k=5000 is more than the 400 items"),
    "no results": (lambda t: [QUICK, "--experiment=claims"], "holds no results on synthetic"),
    "two budgets": (
        lambda t: [QUICK, "--epsilon=0.1,0.5"],
        "--epsilon takes one value in this experiment",
    ),
    "no epoch left": (
        lambda t: [QUICK, "--model_selection=epoch:5000"],
        "names no epoch of BPR-MF on synthetic",
    ),
    "two selections": (
        lambda t: [QUICK, "--experiment=budget", "--model_selection=best,last"],
        "--model_selection takes one value",
    ),
    "amf before its start": (lambda t: [QUICK, "--amf_start=500"], "must be less than --epochs"),
    "unknown entry": (
        lambda t: [QUICK, "--experiment=robustness", "--entries=kNN"],
        "--entries must be NAME, NAME:RANK (truncated), NAME:normalised or NAME:RANK:normalised",
    ),
    "factors with a baseline's name": (
        lambda t: [
            QUICK,
            "--experiment=robustness",
            f"--factors=Random:{matrix(t, 3)}:{matrix(t, 3)}",
        ],
        "names of their own",
    ),
    "factors with a path's name": (
        lambda t: [
            QUICK,
            "--experiment=robustness",
            f"--factors=a/b:{matrix(t, 3)}:{matrix(t, 3)}",
        ],
        "the name 'a/b' must have 1 to 120 bytes",
    ),
    "lists beyond the items": (
        lambda t: [QUICK, "--experiment=robustness", "--k=9999"],
        "--k=9999 is more than",
    ),
    "factors without paths": (
        lambda t: [QUICK, "--experiment=robustness", "--factors=mine"],
        "--factors must be NAME:USERS.npy:ITEMS.npy or NAME:MODEL",
    ),
    "factors that are not there": (
        lambda t: [QUICK, "--experiment=robustness", "--factors=mine:a.npy:b.npy"],
        "a.npy",
    ),
    "factors of an entry's name": (
        lambda t: [
            QUICK,
            "--experiment=robustness",
            f"--factors=SVD:{matrix(t, 3)}:{matrix(t, 3)}",
        ],
        "names of their own",
    ),
    "factors of other data": (
        lambda t: [
            QUICK,
            "--experiment=robustness",
            f"--factors=mine:{matrix(t, 3)}:{matrix(t, 3)}",
        ],
        "mine: the user factors have 3 rows, the data 600 users",
    ),
    "BPR-MF ends before AMF starts": (
        lambda t: [QUICK, "--bprmf_epochs=20"],
        "--bprmf_epochs (20) must be from --amf_start (60) to --epochs (120)",
    ),
    "BPR-MF ends after AMF": (
        lambda t: [QUICK, "--bprmf_epochs=200"],
        "--bprmf_epochs (200) must be from --amf_start (60) to --epochs (120)",
    ),
    "another's flag": (
        lambda t: [QUICK, "--experiment=table1", "--attack=recsys20"],
        "--attack is not read by --experiment=table1",
    ),
    "a table that is given": (
        lambda t: [QUICK, "--experiment=lowrank_table3", "--attack=random"],
        "--attack is not read by",
    ),
    "no core": (
        lambda t: [QUICK, "--experiment=characteristics", "--cores=500"],
        "k = 500 is skipped: the 500-core of synthetic",
    ),
    "factors before data": (
        lambda t: ["--experiment=audit", f"--data_dir={t}"],
        "--user_factors is needed",
    ),
    "attack before data": (
        lambda t: ["--experiment=poison", "--attack=worm", f"--data_dir={t}"],
        "--attack must be of none, recsys20",
    ),
    "large budget": (
        lambda t: [QUICK, "--epsilon=1e39"],
        "--epsilon must be different numbers from 0 up",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_one_line_and_a_status(tmp_path, name):
    flags_of, message = FAULTS[name]
    flags = [f"--output_dir={tmp_path / 'out'}", *flags_of(tmp_path)]
    assert message in error_line(advrec(*flags))


def test_a_backend_that_is_not_installed_is_told(tmp_path, monkeypatch):
    try:
        import ray  # noqa: F401
    except ImportError:
        with pytest.raises(UserError, match="--backend=ray needs a package that is not installed"):
            answers("running:advrec", [{}], 1, "ray")
    else:
        pytest.skip("ray is installed")


@pytest.mark.parametrize("flag", ["--job_threads=2", "--job_memory=1.5"])
def test_shares_of_a_cluster_are_not_for_processes_here(tmp_path, flag):
    assert "are of clusters: here --workers says" in error_line(
        advrec("--experiment=table1", flag, f"--output_dir={tmp_path}", *SHORT)
    )


def test_memory_that_is_not_there_is_told(tmp_path, monkeypatch):
    def load(*_, **__):
        raise MemoryError

    monkeypatch.setattr(data, "load", load)
    assert "out of memory" in error_line(advrec("--preset=quick", f"--output_dir={tmp_path}"))
