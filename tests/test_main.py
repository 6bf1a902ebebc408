"""The command line of the experiments on perturbed factors, and of describe and claims."""

import re

import numpy as np
import pandas as pd
import pytest

from advrec_tf import data, evaluation
from advrec_tf.files import locked

from running import SHORT, advrec, error_line, outcome

WITHOUT_ITERATIONS = [flag for flag in SHORT if not flag.startswith("--iterations")]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return the output folder of table1, and what the command printed."""
    folder = tmp_path_factory.mktemp("finished")
    result = advrec("--save_lists", f"--output_dir={folder}", *SHORT)
    assert result.status == 0, result.err
    return folder, result


def rows_of(output_dir, experiment, **options):
    """Return the rows of an experiment on synthetic data."""
    return pd.read_csv(output_dir / experiment / "synthetic" / "results.csv", **options)


def test_table_1_writes_its_files_and_prints_what_it_found(finished):
    folder, result = finished
    assert "synthetic: AMF, best" in result.report and len(result.out.splitlines()) <= 10
    assert re.search(
        "BPR-MF: FGSM takes -?[0-9]+%, BIM takes .*in the l2 ball of FGSM, BIM", result.out
    )
    assert f"Report: {folder}" in result.out and result.out.split("\n")[1] in result.report
    written = {path.name for path in (folder / "table1" / "synthetic").iterdir()}
    assert {"results.csv", "results.sha256", "config.json", "report.md"} <= written
    assert {"table1.png", "lists", "jobs"} <= written


def test_table_1_has_a_row_for_every_model_selection_attack_and_draw(finished):
    """Two models by two selections: clean, noise, FGSM twice, three points of four attacks."""
    rows = rows_of(finished[0], "table1")
    again = 2 * (2 + 2 * 3)  # at one selection, FGSM twice, BIM and PGD with other negatives
    assert len(rows) == 2 + 4 * (4 + 4 * 3) + again and (rows["draw"] == 1).sum() == again
    lists = list((finished[0] / "table1" / "synthetic" / "lists").iterdir())
    assert len(lists) == len(rows.drop(columns="selection").drop_duplicates())
    assert set(rows["selection"].dropna()) == {"best", "last"}
    assert not rows[["PR", "RE", "nDCG", "EFD", "SE", "ICov"]].isna().any().any()


def test_selections_differ_where_evaluations_are_sparse(tmp_path):
    """With an evaluation every fourth epoch the best of ten epochs is 4 or 8, never 7 or 10."""
    flags = ("--eval_every=4", "--model_selection=best,last,epoch:7")
    result = advrec(f"--output_dir={tmp_path}", *SHORT, *flags)
    assert result.status == 0, result.err
    epochs = rows_of(tmp_path, "table1").groupby(["model", "selection"])["epoch"].unique()
    assert epochs["BPR-MF", "last"] == [10] and epochs["AMF", "epoch:7"] == [7]
    assert epochs["BPR-MF", "best"][0] in (4, 8)
    assert "synthetic: AMF, last (epoch 10; 1 seed(s))" in result.report


def test_epsilon_step_start_and_ball_of_each_attack_are_the_paper_s(finished):
    rows = rows_of(finished[0], "table1", keep_default_na=False, dtype=str)
    columns = ["attack", "ball", "start", "epsilon", "step_size"]
    assert set(rows.loc[rows["attack"] != "", columns].itertuples(index=False, name=None)) == {
        ("noise", "", "", "0.5", ""),
        ("fgsm", "", "clean", "0.5", "0.5"),
        ("fgsm", "", "after_pgd", "0.5", "0.5"),
        ("bim", "linf", "zero", "0.5", "0.125"),
        ("bim", "l2", "zero", "0.5", "0.125"),
        ("pgd", "linf", "uniform", "0.5", "0.125"),
        ("pgd", "l2", "uniform", "0.5", "0.125"),
    }


def test_attacks_move_the_factors_as_far_as_they_may(finished):
    rows = rows_of(finished[0], "table1", keep_default_na=False, dtype=str)
    ended = (rows["iterations"] != "1") | (rows["attack"] == "fgsm")
    rows = rows[ended & ~rows["attack"].isin(["", "noise"])]
    shifts = {(row.attack, row.ball, row.start): float(row.user_shift) for row in rows.itertuples()}
    assert shifts["fgsm", "", "clean"] == pytest.approx(0.5, abs=1e-3)
    assert shifts["bim", "l2", "zero"] <= 0.5 + 1e-6 < shifts["bim", "linf", "zero"]
    last = rows[rows["selection"] == "last"].groupby("start")["nDCG"].agg(list)
    assert last["after_pgd"] != last["clean"]


def test_metrics_of_saved_lists_are_those_of_the_results(finished):
    folder, interactions = finished[0] / "table1" / "synthetic", data.load("synthetic")
    rows = rows_of(finished[0], "table1", keep_default_na=False, dtype=str)
    names = "epoch|attack|ball|start|epsilon|iterations|seed|draw"
    part = re.compile(rf"({names})=([^=]+?)(?=_[a-z]+=|$)")
    for path in sorted((folder / "lists").iterdir())[::7]:
        measured = evaluation.metrics(evaluation.read_lists(path, interactions), interactions)
        row = rows[rows["model"] == path.stem.split("_")[0]]
        for name, value in ({"attack": "", "draw": ""} | dict(part.findall(path.stem))).items():
            row = row[row[name] == value]
        assert len(row) >= 1
        assert float(row["EFD"].iloc[0]) == measured["EFD"]
        assert float(row["SE"].iloc[0]) == measured["SE"]


def test_results_of_another_config_and_a_folder_in_use_are_errors(finished):
    folder, _ = finished
    before = outcome(folder)
    line = error_line(advrec(f"--output_dir={folder}", *SHORT, "--epsilon=0.3"))
    assert "another config (epsilons [0.5] there, [0.3] here)" in line
    with locked(folder / "table1" / "synthetic"):
        assert "in use by another run" in error_line(advrec(f"--output_dir={folder}", *SHORT))
    assert outcome(folder) == before


def test_a_missing_data_set_is_skipped_and_the_rest_runs(finished, monkeypatch):
    folder, _ = finished
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    flags = (f"--data_dir={folder}", "--dataset=lastfm,synthetic")
    result = advrec(f"--output_dir={folder}", *flags, *SHORT)
    assert result.status == 1 and "synthetic: AMF, best" in result.report
    (line,) = result.err.splitlines()
    assert "lastfm is skipped: trainingset.tsv is missing" in line


def test_figures_and_claims_use_the_models_of_table_1(finished):
    folder, _ = finished

    def models():
        return {path: text for path, text in outcome(folder).items() if path.startswith("models")}

    before = models()
    for experiment, flags, picture in (
        ("iterations", ["--iterations=2,25"], "iterations.png"),
        ("budget", ["--epsilon=0.1,0.5,1", "--iterations=25"], "budget.png"),
        ("low_rank_against_perturbations", ["--iterations=3", "--svd_ranks=5,20"], "ranks.png"),
    ):
        result = advrec(
            f"--experiment={experiment}", f"--output_dir={folder}", *WITHOUT_ITERATIONS, *flags
        )
        assert result.status == 0, result.err
        assert (folder / experiment / "synthetic" / picture).exists()
    assert models() == before
    result = advrec("--experiment=claims", "--dataset=synthetic", f"--output_dir={folder}")
    assert result.status == 0 and "SE falls by at least 20%" in result.report
    (unmeasured,) = [line for line in result.report.splitlines() if "Denser data" in line]
    assert unmeasured.endswith("| not measured |")


def test_iterations_without_25_have_no_claims_about_25(tmp_path):
    result = advrec("--experiment=iterations", f"--output_dir={tmp_path}", *SHORT)
    assert result.status == 0, result.err
    result = advrec("--experiment=claims", "--dataset=synthetic", f"--output_dir={tmp_path}")
    about = [line for line in result.report.splitlines() if "at L = 25 |" in line]
    assert result.status == 0 and about and all(line.endswith("| not measured |") for line in about)
    assert (
        "not decidable (BIM, PGD: fewer than 2 training seeds)" in result.report
    )  # of the one seed


def test_more_attacks_join_the_paper_s(tmp_path):
    flags = ("--iterations=2", "--epsilon=0.5", "--more_attacks=noise")
    result = advrec("--experiment=budget", f"--output_dir={tmp_path}", *WITHOUT_ITERATIONS, *flags)
    assert result.status == 0, result.err
    assert "noise" in set(rows_of(tmp_path, "budget")["attack"])


def test_figure_3_measures_sub_samples_and_skips_empty_ones(tmp_path):
    flags = ("--experiment=characteristics", f"--output_dir={tmp_path}", *SHORT)
    result = advrec(*flags, "--cores=5,15,400")
    (line,) = result.err.splitlines()
    assert result.status == 1 and "k = 400 is skipped" in line
    folder = tmp_path / "characteristics" / "synthetic-single_pass"
    assert (folder / "characteristics.png").exists()
    assert result.report and "-96.10" not in result.report  # the paper's number is of ML-1M
    assert pd.read_csv(folder / "losses.csv")["density"].nunique() == 2
    assert advrec(*flags, "--cores=10", "--seed=0,1").status == 0
    losses = pd.read_csv(folder / "losses.csv")  # also of the earlier sub-samples
    assert losses.groupby("dataset")["seed"].nunique().to_dict() == {
        "synthetic-single_pass-5": 1,
        "synthetic-single_pass-10": 2,
        "synthetic-single_pass-15": 1,
    }


def test_bprmf_may_end_before_amf(tmp_path):
    flags = ("--experiment=iterations", "--bprmf_epochs=6", "--model_selection=last")
    result = advrec(f"--output_dir={tmp_path}", *SHORT, *flags)
    assert result.status == 0, result.err
    epochs = rows_of(tmp_path, "iterations").groupby("model")["epoch"].unique().map(list)
    assert epochs[["AMF", "BPR-MF"]].tolist() == [[10], [6]]


def test_describe():
    result = advrec("--experiment=describe", "--dataset=synthetic")
    assert result.status == 0
    for line in ("users", "items", "interactions", "density", "shape", "popularity Gini"):
        assert line in result.out


def shop_csv(path, columns, pairs):
    """Write a table of (user, item) pairs; every further column repeats the item."""
    lines = [
        ",".join(map(str, (user, item, item)[: columns.count(",") + 1])) for user, item in pairs
    ]
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([columns, *lines]) + "\n")
    return path


def test_published_numbers_do_not_stand_beside_your_own_data(tmp_path):
    """A file that is called like a public data set is not that data set."""
    pairs = [(user, item) for user in range(40) for item in range(user % 5, 30, 2)]
    path = shop_csv(tmp_path / "ml-1m.csv", "user,item,timestamp", pairs)
    result = advrec(f"--dataset={path}", f"--output_dir={tmp_path / 'out'}", *SHORT)
    assert result.status == 0 and "own-ml-1m: BPR-MF, best" in result.report
    assert "0.0884" not in result.report and "## Claims" not in result.report


def test_inputs_of_one_name_get_different_names(tmp_path):
    pairs = [(user, item) for user in range(20) for item in range(user % 5, 12)]
    paths = [shop_csv(tmp_path / folder / "shop.csv", "user,item", pairs) for folder in "ab"]
    result = advrec("--experiment=describe", f"--dataset={paths[0]},{paths[1]}")
    assert len(set(re.findall(r"^shop-[0-9a-f]{6}$", result.out, re.MULTILINE))) == 2


def test_seeds_change_what_is_measured(tmp_path):
    """Weights, negatives and the starts of PGD follow the seed: every attack has other rows."""
    flags = ("--seed=0,1", "--model_selection=last", "--attack_draws=1")
    result = advrec(f"--output_dir={tmp_path}", *SHORT, *flags)
    assert result.status == 0, result.err
    rows = rows_of(tmp_path, "table1")
    keys = ["model", "attack", "ball", "start", "iterations"]
    for _, part in rows[rows["model"] != "MostPopular"].groupby(keys, dropna=False):
        assert part["SE"].nunique() == 2
    assert np.isfinite(rows["SE"]).all()
