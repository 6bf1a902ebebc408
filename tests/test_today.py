"""The experiments on recommenders of today: from flags to pages, and their claims."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from advrec_tf.evaluation.verdicts import Relation
from advrec_tf.execution.records import write_record
from advrec_tf.execution.storage import write_csv
from advrec_tf.leaderboard import surfaces
from advrec_tf.leaderboard.entries import Entry
from experiments.lowrank import poisoned_flags
from experiments.today import baselines, models, published, surfaces_claims, surfaces_page

from running import advrec

TINY = ("--preset=quick", "--seed=0", "--lightgcn_epochs=2", "--sasrec_epochs=1", "--workers=1")


def test_baselines_are_measured_over_their_epochs(tmp_path):
    flags = "--experiment=baselines", "--models=iALS,LightGCN,SASRec", f"--output_dir={tmp_path}"
    result = advrec(*flags, *TINY)
    assert result.status == 0 and "most accurate" in result.out, result.err
    rows = pd.read_csv(tmp_path / "baselines" / "synthetic" / "results.csv")
    assert rows.groupby("model")["epoch"].max().to_dict() == {
        "LightGCN": 2,
        "SASRec": 1,
        "iALS": 15,
    }
    assert set(rows[rows["model"] == "iALS"]["epoch"]) == {2, 4, 8, 15}
    assert advrec(*flags, *TINY).status == 0  # from what is stored


def test_settings_of_a_data_set_go_before_the_defaults(small, tmp_path):
    given = {"lightgcn_epochs": None, "sasrec_epochs": 7}
    for dataset, models_of in models.SEARCHED.items():
        data = replace(small, name=dataset)
        for name, settings in models_of.items():
            training = models.training(name, data, 0, tmp_path, given)
            wanted = settings | ({"epochs": 7} if "SASRec" in name else {})
            made = {key: getattr(training.config, key) for key in wanted}
            assert made == wanted and training.epochs == wanted["epochs"]
    plain = models.training("LightGCN", small, 0, tmp_path, given)
    assert plain.config.batch_size == len(small.train_users) // models.BATCHES
    assert plain.epochs == 100


def test_models_of_sequences_are_left_out_without_times(tmp_path):
    table = tmp_path / "clicks.csv"
    rng = np.random.default_rng(0)
    pairs = pd.DataFrame({"user": np.repeat(np.arange(30), 6), "item": rng.integers(0, 20, 180)})
    pairs.drop_duplicates().to_csv(table, index=False)
    flags = "--experiment=baselines", f"--dataset={table}", f"--output_dir={tmp_path}"
    result = advrec(*flags, *TINY, "--models=LightGCN,SASRec")
    assert result.status == 0, result.err
    rows = pd.read_csv(tmp_path / "baselines" / "clicks" / "results.csv")
    assert set(rows["model"]) == {"LightGCN"}
    alone = advrec(*flags, *TINY, "--models=SASRec")
    assert alone.status == 1 and "clicks has no timestamps, which SASRec need" in alone.err


def test_an_unknown_model_is_told(tmp_path):
    result = advrec("--experiment=surfaces", "--models=GRU4Rec", f"--output_dir={tmp_path}", *TINY)
    assert result.status == 1 and "where NAME is one of BPR-MF, iALS, LightGCN" in result.err


def test_both_surfaces_are_attacked_and_judged(tmp_path):
    names = "--models=LightGCN,LightGCN-APR,iALS:4:normalised"
    flags = "--experiment=surfaces", names, f"--output_dir={tmp_path}"
    result = advrec(*flags, *TINY)
    assert result.status == 0 and "at its factors" in result.out, result.err
    folder = tmp_path / "surfaces" / "synthetic"
    rows = pd.read_csv(folder / "results.csv")
    surfaces_of = rows.groupby("entry")["surface"].unique().map(sorted).to_dict()
    both = ["parameters", "served"]
    assert surfaces_of == {
        **{"LightGCN": both, "LightGCN-APR": both},
        **{"iALS→4, user-normalised": ["served"], "MostPopular": ["served"]},
    }
    assert (folder / "surfaces.png").exists()
    text = (folder / "report.md").read_text()
    assert "Equal epsilons are other acts" in text and "## Claims" in text


def made_up(values):
    """Rows of one model: values by (surface, threat model, attack, epsilon) for each of 3 seeds."""
    rows = []
    for (surface, threat_model, attack, epsilon), ndcg in values.items():
        for seed in range(3):
            key = {"dataset": "d", **Entry("LightGCN", seed=seed).columns, "epoch": 1, "k": 10}
            key |= {"factors": "abc"}
            key |= {"surface": surface, "threat_model": threat_model}
            quarters = dict.fromkeys(surfaces.QUARTERS, ndcg)
            row = {"epsilon": epsilon, "attack": attack, "nDCG": ndcg + seed / 1000}
            rows.append(key | row | {"HR": 0.1, "ICov": 5} | quarters)
    popular = rows[0] | {"entry": "MostPopular", "epsilon": 0.0, "nDCG": 0.05}
    return pd.DataFrame([*rows, popular]).reindex(columns=surfaces.LAYOUT.columns)


@pytest.fixture
def rows():
    values = {}
    for surface, times in (("served", 1.0), ("parameters", 0.5)):
        values[surface, "", "", 0.0] = 0.2
        for epsilon, left in ((0.05, 0.1), (0.1, 0.08)):
            for attack, part in (("fgsm", 0.15), ("bim", left * times), ("pgd", 0.12)):
                values[surface, "train", attack, epsilon] = part
            values[surface, "train", "noise", epsilon] = 0.01
            values[surface, "test", "smooth DCG", epsilon] = left * times
    return made_up(values)


def test_the_worst_attack_is_none_of_noise(rows):
    worst = surfaces_claims.worst(rows, "LightGCN", "served", "train", 0.05)
    np.testing.assert_allclose(worst, [0.1, 0.101, 0.102])
    smaller = surfaces_claims.worst(rows, "LightGCN", "served", "test", 0.01)
    np.testing.assert_allclose(smaller, [0.2, 0.201, 0.202])  # nothing was measured so far


def test_claims_compare_what_they_say(rows):
    found = {
        (claim.section, claim.sentence): (claim.relation, part.mean)
        for claim, (part,) in surfaces_claims.cases(rows)
    }
    assert len(found) == 5  # without a model that was trained adversarially
    less = Relation.LESS_THAN_OTHER
    steps = "Many steps do more harm than one"
    assert found["LightGCN, served", steps] == (less, pytest.approx(-0.05))
    assert found["LightGCN, parameters", steps] == (less, pytest.approx(-0.1))
    popular = "Many steps leave less than MostPopular has"
    assert found["LightGCN, served", popular] == (less, pytest.approx(0.031))
    relation, difference = found[
        "LightGCN, both", "An attack at the tables leaves a smaller share than one at the factors"
    ]
    assert relation is less and difference == pytest.approx(-25, abs=0.2)


def test_the_page_says_what_is_left(rows):
    said = surfaces_page.answer(rows)
    assert "at its factors 50% (training pairs) and 50% (held-out items)" in said
    assert "at its tables 75% (training pairs) and 75% (held-out items)" in said
    text = surfaces_page.report(rows, "d")
    assert "| LightGCN | 3 | 0.2010 | 0.1510 | 0.1010 | 0.1210 | 0.1010 |" in text
    assert "| LightGCN | parameters | activity | 25% | 25% | 25% | 25% |" in text


def test_a_measured_accuracy_stands_beside_the_published_one_of_the_same_k():
    assert published.beside("gowalla-lightgcn", "LightGCN", 20).nDCG == 0.1547
    assert published.beside("gowalla-lightgcn", "LightGCN", 10) is None
    assert published.beside("gowalla-lightgcn", "iALS", 20).model == "EASE"
    frame = pd.DataFrame(
        {
            "dataset": "gowalla-lightgcn",
            "model": ["LightGCN"] * 4,
            "factors": "abc",
            "seed": [0, 0, 1, 2],
            "epoch": [1, 2, 2, 2],
            "k": 20,
            "RE": 0.18,
            "nDCG": [0.9, 0.16, 0.15, 0.14],
            "ICov": 9,
        }
    )
    (row,) = baselines.comparison(frame, "gowalla-lightgcn").itertuples()
    assert row.nDCG == pytest.approx(0.15) and row.published_RE == 0.1820
    assert row.difference == pytest.approx(0.15 / 0.1547 - 1)
    said = baselines.answer(frame, "gowalla-lightgcn")
    assert said == "LightGCN has nDCG 0.1500, 3.0% below published 0.1547."


def test_lightgcn_is_a_victim_whose_learning_rate_falls_over_its_epochs(tmp_path):
    values = {"victim_dim": None, "victim_epochs": 7}
    (config,) = poisoned_flags.victims_of(values, "lightgcn").values()
    assert (config.epochs, config.embedding_dim) == (7, 64)
    flags = "--experiment=poison", "--victim=lightgcn", "--attack=bandwagon", "--victim_epochs=3"
    result = advrec(*flags, "--preset=quick", "--seed=0", f"--output_dir={tmp_path}")
    assert result.status == 0 and "LightGCN, targets of the head" in result.out, result.err


def test_published_numbers_stand_beside_public_data_alone(tmp_path):
    rows = [("ml-1m", "SASRec", "abc", 0, 1, 10, 0.2, 0.1, 9)]
    frame = pd.DataFrame(rows, columns=baselines.LAYOUT.columns)
    for known in (True, False):
        folder = tmp_path / str(known) / "ml-1m"
        write_csv(folder / "results.csv", frame)
        record = {"config": {}, "runs": [], "statistics": {"published": known}}
        write_record(folder / "config.json", record)
        baselines.report([folder])
        assert ("BERT4Rec" in (folder / "report.md").read_text()) == known
