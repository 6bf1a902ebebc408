"""The command line of the experiments on perturbed factors."""

import json
import re
import zipfile

import numpy as np
import pandas as pd
import pytest

from advrec_tf import data, evaluation
from advrec_tf.files import locked
from advrec_tf.leaderboard import COMPARED, measuring, worst_case
from advrec_tf.leaderboard.user_ranks import read_board
from advrec_tf.reporting import read_results
from published_runs import publish

from running import SHORT, advrec, answers, outcome, told


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    return folder, advrec("--save_lists", f"--output_dir={folder}", *SHORT)


def test_table1_from_nothing(finished):
    folder, result = finished
    assert result.status == 0, result.err
    assert "synthetic: AMF, best" in result.out and f"Kept in {folder}" in result.out
    kept = {p.name for p in (folder / "table1" / "synthetic").iterdir()}
    assert {
        "results.csv",
        "results.sha256",
        "config.json",
        "report.md",
        "table1.png",
        "lists",
        "jobs",
    } <= kept
    rows = pd.read_csv(folder / "table1" / "synthetic" / "results.csv")
    # Two models by two selections: initial, noise, FGSM twice, and three points of four multi-step attacks.
    again = 2 * (2 + 2 * 3)  # at one selection, FGSM twice, BIM and PGD with other negatives
    assert len(rows) == 2 + 4 * (4 + 4 * 3) + again and (rows["draw"] == 1).sum() == again
    assert len(list((folder / "table1" / "synthetic" / "lists").iterdir())) == len(
        rows.drop(columns="selection").drop_duplicates()
    )
    assert (
        set(rows["selection"].dropna()) == {"best", "last"}
        and not rows[["PR", "RE", "nDCG", "EFD", "SE", "ICov"]].isna().any().any()
    )


def test_selections_are_told_apart_where_evaluations_are_sparse(tmp_path):
    """With an evaluation every fourth epoch the best is 4 or 8, and the last one is 10, whatever it measures."""
    result = advrec(
        f"--output_dir={tmp_path}", *SHORT, "--eval_every=4", "--model_selection=best,last,epoch:7"
    )
    assert result.status == 0, result.err
    rows = pd.read_csv(tmp_path / "table1" / "synthetic" / "results.csv")
    epochs = rows.groupby(["model", "selection"])["epoch"].unique()
    assert (
        epochs["BPR-MF", "last"] == [10]
        and epochs["AMF", "epoch:7"] == [7]
        and epochs["BPR-MF", "best"][0] in (4, 8)
    )
    assert "synthetic: AMF, last (epoch 10; 1 seed(s))" in result.out


def test_the_rows_say_what_was_measured(finished):
    """Budget, step, start and ball of each attack, as the paper has them."""
    rows = pd.read_csv(
        finished[0] / "table1" / "synthetic" / "results.csv", keep_default_na=False, dtype=str
    )
    steps = {
        tuple(row)
        for row in rows.loc[
            rows["attack"] != "", ["attack", "ball", "start", "epsilon", "step_size"]
        ].to_numpy()
    }
    assert steps == {
        ("noise", "", "", "0.5", ""),
        ("fgsm", "", "clean", "0.5", "0.5"),
        ("fgsm", "", "after_pgd", "0.5", "0.5"),
        ("bim", "linf", "zero", "0.5", "0.125"),
        ("bim", "l2", "zero", "0.5", "0.125"),
        ("pgd", "linf", "uniform", "0.5", "0.125"),
        ("pgd", "l2", "uniform", "0.5", "0.125"),
    }
    numbers = rows[
        ((rows["iterations"] != "1") | (rows["attack"] == "fgsm"))
        & ~rows["attack"].isin(["", "noise"])
    ]
    moved = {(r.attack, r.ball, r.start): float(r.user_shift) for r in numbers.itertuples()}
    assert (
        moved["fgsm", "", "clean"] == pytest.approx(0.5, abs=1e-3)
        and moved["bim", "l2", "zero"] <= 0.5 + 1e-6 < moved["bim", "linf", "zero"]
    )
    after, clean = (
        rows[(rows["start"] == start) & (rows["selection"] == "last")]["nDCG"].tolist()
        for start in ("after_pgd", "clean")
    )
    assert after != clean


def test_metrics_of_saved_lists_are_those_of_the_results(finished):
    folder = finished[0] / "table1" / "synthetic"
    interactions = data.load("synthetic")
    rows = pd.read_csv(folder / "results.csv", keep_default_na=False, dtype=str)
    for path in sorted((folder / "lists").iterdir())[::7]:
        measured = evaluation.metrics(evaluation.read_lists(path, interactions), interactions)
        parts = dict(
            re.findall(
                r"(epoch|attack|ball|start|epsilon|iterations|seed|draw)=([^=]+?)(?=_[a-z]+=|$)",
                path.stem,
            )
        )
        row = rows[rows["model"] == path.stem.split("_")[0]]
        for name, value in ({"attack": "", "draw": ""} | parts).items():
            row = row[row[name] == value]
        assert (
            len(row) >= 1
            and float(row["EFD"].iloc[0]) == measured["EFD"]
            and float(row["SE"].iloc[0]) == measured["SE"]
        )


def test_results_of_another_config_and_a_folder_in_use_are_told(finished):
    folder, _ = finished
    before = outcome(folder)
    assert "another config (epsilons [0.5] there, [0.3] here)" in told(
        advrec(f"--output_dir={folder}", *SHORT, "--epsilon=0.3")
    )
    with locked(folder / "table1" / "synthetic"):
        assert "in use by another run" in told(advrec(f"--output_dir={folder}", *SHORT))
    assert outcome(folder) == before


def test_a_data_set_that_cannot_be_had_is_skipped_and_the_rest_runs(finished, monkeypatch):
    folder, _ = finished
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    result = advrec(
        f"--output_dir={folder}", f"--data_dir={folder}", "--dataset=lastfm,synthetic", *SHORT
    )
    assert result.status == 1 and "synthetic: AMF, best" in result.out
    assert (
        len(result.err.splitlines()) == 1
        and "lastfm is skipped: trainingset.tsv is missing" in result.err
    )


def test_figures_use_the_models_that_are_there(finished):
    folder, _ = finished
    models = {
        name: content for name, content in outcome(folder).items() if name.startswith("models")
    }
    for experiment, flags, picture in (
        ("iterations", ["--iterations=2,25"], "iterations.png"),
        ("budget", ["--epsilon=0.1,0.5,1", "--iterations=25"], "budget.png"),
        ("low_rank_against_perturbations", ["--iterations=3", "--svd_ranks=5,20"], "ranks.png"),
    ):
        result = advrec(
            f"--experiment={experiment}",
            f"--output_dir={folder}",
            *(flag for flag in SHORT if "iterations" not in flag),
            *flags,
        )
        assert result.status == 0, result.err
        assert (folder / experiment / "synthetic" / picture).exists()
    assert {
        name: content for name, content in outcome(folder).items() if name.startswith("models")
    } == models
    result = advrec("--experiment=claims", "--dataset=synthetic", f"--output_dir={folder}")
    assert result.status == 0 and "SE falls by at least 20%" in result.out
    unmeasured = [line for line in result.out.splitlines() if "Denser data" in line]
    assert len(unmeasured) == 1 and unmeasured[0].endswith("| not measured |")


def test_iterations_without_25_have_no_claims_about_25(tmp_path):
    result = advrec("--experiment=iterations", f"--output_dir={tmp_path}", *SHORT)
    assert result.status == 0, result.err
    result = advrec("--experiment=claims", "--dataset=synthetic", f"--output_dir={tmp_path}")
    about = [line for line in result.out.splitlines() if "at L = 25 |" in line]
    assert result.status == 0 and about and all(line.endswith("| not measured |") for line in about)
    assert "not decidable (BIM, PGD: fewer than 2 training seeds)" in result.out  # of the one seed


def test_more_attacks_join_the_paper_s(tmp_path):
    flags = [flag for flag in SHORT if "iterations" not in flag] + [
        "--iterations=2",
        "--epsilon=0.5",
        "--more_attacks=noise",
    ]
    result = advrec("--experiment=budget", f"--output_dir={tmp_path}", *flags)
    assert result.status == 0, result.err
    assert "noise" in set(pd.read_csv(tmp_path / "budget" / "synthetic" / "results.csv")["attack"])


def test_figure_3(tmp_path):
    result = advrec(
        "--experiment=characteristics", "--cores=5,15,400", f"--output_dir={tmp_path}", *SHORT
    )
    assert (
        result.status == 1
        and "k = 400 is skipped" in result.err
        and len(result.err.splitlines()) == 1
    )
    folder = tmp_path / "characteristics" / "synthetic-single_pass"
    assert (
        folder / "characteristics.png"
    ).exists() and "-96.10" not in result.out  # the print is of ML-1M
    assert pd.read_csv(folder / "losses.csv")["density"].nunique() == 2
    more = [*SHORT, "--cores=10", "--seed=0,1"]
    assert (
        advrec(
            "--experiment=characteristics",
            f"--output_dir={tmp_path}",
            *{flag.partition("=")[0]: flag for flag in more}.values(),
        ).status
        == 0
    )
    losses = pd.read_csv(folder / "losses.csv")  # of what was measured before, too
    assert losses.groupby("dataset")["seed"].nunique().to_dict() == {
        "synthetic-single_pass-5": 1,
        "synthetic-single_pass-10": 2,
        "synthetic-single_pass-15": 1,
    }


BOARD = (
    *("BPR-MF", "rescaled BPR-MF", "iALS-8", "SVD-8", "MostPopular", "MarginMF"),
    *("AMF:normalised", "iALS-8:4:normalised", "SVD-16:normalised"),
)
BOARD_LABELS = {
    *("BPR-MF", "rescaled BPR-MF", "iALS-8", "SVD-8", "MostPopular", "MarginMF"),
    *("AMF, user-normalised", "iALS-8→4, user-normalised", COMPARED.label),
}


@pytest.fixture
def measured_board(tmp_path, monkeypatch):
    """Measure trained entries and one's own factors, whose name is then given to other factors."""
    rng, shop = np.random.default_rng(0), data.synthetic()
    flags = [flag for flag in SHORT if "--iterations" not in flag]
    flags += [f"--output_dir={tmp_path}", f"--entries={','.join(BOARD)}"]
    monkeypatch.setattr(measuring, "EPSILONS", {"l2": (0.05, 0.2), "linf": (0.05,)})
    for _ in range(2):
        for side, rows in (("P", shop.n_users), ("Q", shop.n_items)):
            np.save(tmp_path / f"{side}.npy", rng.standard_normal((rows, 3)))
        mine = f"--factors=mine:{tmp_path / 'P.npy'}:{tmp_path / 'Q.npy'}"
        result = advrec("--experiment=robustness", *flags, mine)
        assert result.status == 0, result.err
    return tmp_path / "robustness" / "synthetic"


def test_the_leaderboard(measured_board):
    folder = measured_board
    board = pd.read_csv(folder / "leaderboard.csv", keep_default_na=False)
    assert tuple(board.columns) == worst_case.COLUMNS
    mine = {name for name in board["entry"] if name.startswith("mine ")}
    assert len(mine) == 2 and set(board["entry"]) == mine | BOARD_LABELS
    assert (board.groupby("entry").size() == 1 + 4 * 3).all()
    assert set(board["threat_model"]) == {"", "train", "lists", "test", "user"}
    shown = board.set_index(["threat_model", "ball", "epsilon"]).drop(columns="entry")
    twins = (shown[(board["entry"] == f"{name}BPR-MF").to_numpy()] for name in ("", "rescaled "))
    pd.testing.assert_frame_equal(*twins)
    clean = board[board["threat_model"] == ""].set_index("entry")["nDCG"]
    assert (board["nDCG"] <= board["entry"].map(clean)).all()
    record = json.loads((folder / "entries" / "BPR-MF 0.json").read_text())
    assert {"factors", "config", "figures", "flags", "versions"} <= set(record)
    assert len(record["figures"]) == 13 and len(list((folder / "entries").iterdir())) == 11
    worst = pd.read_csv(folder / "worst.csv").groupby("entry").first()
    parts = list(measuring.ENTRY_COLUMNS)
    assert worst.loc["iALS-8→4, user-normalised", parts].tolist() == ["iALS", 8, 4, True]
    model, rank, truncated, normalized = worst.loc["BPR-MF", parts]
    assert (model, normalized) == ("BPR-MF", False) and np.isnan([rank, truncated]).all()
    others = set(board["entry"]) - {COMPARED.label}
    assert set(pd.read_csv(folder / "tests.csv")["second"]) == others
    assert set(pd.read_csv(folder / "groups.csv")["entry"]) == set(board["entry"])
    users = read_board(folder)
    np.testing.assert_allclose(users.rows["users"].map(np.mean), users.rows["nDCG"], rtol=1e-5)
    assert set(users.quarters) == set(worst_case.GROUPS)
    page = (folder / "leaderboard.html").read_text()
    assert "keeps most" in page and page.count("<table>") == 17 and 'alt="Worst nDCG' in page
    _check_published(folder, folder.parents[1] / "published" / "synthetic")


def _check_published(folder, target):
    """Check that a published leaderboard has the measured values."""
    publish.take(folder, target)
    measured, shipped = (read_results(each, "worst.csv") for each in (folder, target))
    assert shipped[["nDCG", "epsilon"]].notna().all().all()
    assert (target / "users.npz").read_bytes() == (folder / "users.npz").read_bytes()
    expected = measured[shipped.columns].where(shipped.notna())
    pd.testing.assert_frame_equal(shipped, expected, rtol=1e-4, check_dtype=False)


def test_bprmf_may_end_before_amf(tmp_path):
    result = advrec(
        "--experiment=iterations",
        "--bprmf_epochs=6",
        f"--output_dir={tmp_path}",
        "--model_selection=last",
        *SHORT,
    )
    assert result.status == 0, result.err
    rows = pd.read_csv(tmp_path / "iterations" / "synthetic" / "results.csv")
    assert rows.groupby("model")["epoch"].unique().map(list)[["AMF", "BPR-MF"]].tolist() == [
        [10],
        [6],
    ]


def matrix(folder, rows):
    """The path of an .npy file of some rows."""
    np.save(folder / "matrix.npy", np.arange(2.0 * rows).reshape(rows, 2))
    return folder / "matrix.npy"


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
        lambda t: [table(t / "d", "0\t0\nx\t1\n")],
        "train.tsv, line 2: the user 'x' is not an integer id",
    ),
    "negative id": (
        lambda t: [table(t / "d", "0\t0\n0\t-1\n")],
        "train.tsv, line 2: the item -1 is negative",
    ),
    "huge id": (lambda t: [table(t / "d", f"0\t0\n0\t{2**63}\n")], "train.tsv, line 2"),
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
        "--factors must be NAME",
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
        "have 3 and 3 rows",
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
    flags, message = FAULTS[name]
    chosen = flags(tmp_path)
    result = advrec(*chosen, *([] if "output" in name else [f"--output_dir={tmp_path / 'out'}"]))
    assert message in told(result)


def test_help_shows_what_an_experiment_reads():
    result = advrec("--experiment=budget", "--help")
    assert result.status == 0 and "--epsilon " in result.out and "--patches" not in result.out
    assert "--patches" in advrec("--experiment=lowrank_table2", "--help").out
    assert "lowrank_table2" in advrec("--help").out


def test_describe():
    result = advrec("--experiment=describe", "--dataset=synthetic")
    assert result.status == 0
    for line in ("users", "items", "interactions", "density", "shape", "popularity Gini"):
        assert line in result.out


def test_published_numbers_stand_beside_their_own_data_and_setting_alone(tmp_path):
    """A file that is called like a public data set, and public data in another setting, have no published column."""
    (tmp_path / "ml-1m.csv").write_text(
        "user,item,timestamp\n"
        + "".join(f"{u},{i},{i}\n" for u in range(40) for i in range(u % 5, 30, 2))
    )
    result = advrec(
        f"--dataset={tmp_path / 'ml-1m.csv'}", f"--output_dir={tmp_path / 'out'}", *SHORT
    )
    assert (
        result.status == 0
        and "own-ml-1m: BPR-MF, best" in result.out
        and "0.0884" not in result.out.split("## Claims")[0]
    )
    assert "## Claims" not in result.out  # the paper says nothing of one's own data


def test_inputs_of_one_name_are_told_apart(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "shop.csv").write_text(
            "user,item\n" + "".join(f"{u},{i}\n" for u in range(20) for i in range(u % 5, 12))
        )
    result = advrec(
        "--experiment=describe", f"--dataset={tmp_path}/a/shop.csv,{tmp_path}/b/shop.csv"
    )
    assert len(set(re.findall(r"^shop-[0-9a-f]{6}$", result.out, re.MULTILINE))) == 2


def test_a_backend_that_is_not_installed_is_told(tmp_path, monkeypatch):
    try:
        import ray  # noqa: F401
    except ImportError:
        from advrec_tf.errors import UserError

        with pytest.raises(UserError, match="--backend=ray needs a package that is not installed"):
            answers("running:advrec", [{}], 1, "ray")
    else:
        pytest.skip("ray is installed")


@pytest.mark.parametrize("flag", ["--job_threads=2", "--job_memory=1.5"])
def test_shares_of_a_cluster_are_not_for_processes_here(tmp_path, flag):
    assert "are of clusters: here --workers says" in told(
        advrec("--experiment=table1", flag, f"--output_dir={tmp_path}", *SHORT)
    )


def test_memory_that_is_not_there_is_told(tmp_path, monkeypatch):
    def load(*_, **__):
        raise MemoryError

    monkeypatch.setattr(data, "load", load)
    assert "out of memory" in told(advrec("--preset=quick", f"--output_dir={tmp_path}"))


def test_seeds_change_what_is_measured(tmp_path):
    """Weights, negatives and the starts of PGD follow the seed, and the rows of two seeds differ in every attack."""
    own = ("--seed=0,1", "--model_selection=last", "--attack_draws=1")
    result = advrec(f"--output_dir={tmp_path}", *(f for f in SHORT if "seed" not in f), *own)
    assert result.status == 0, result.err
    rows = pd.read_csv(tmp_path / "table1" / "synthetic" / "results.csv").fillna(
        {"attack": "", "ball": "", "start": ""}
    )
    for _, part in rows[rows["model"] != "MostPopular"].groupby(
        ["model", "attack", "ball", "start", "iterations"], dropna=False
    ):
        assert part["SE"].nunique() == 2
    assert np.isfinite(rows["SE"]).all()
