"""Experiments on poisoned data: what is trained, defended and measured."""

from dataclasses import replace

import numpy as np
import pytest

from advrec_tf import evaluation
from advrec_tf.defenses import Transformation, measuring
from advrec_tf.errors import UserError
from advrec_tf.execution import jobs
from experiments.lowrank import figure2, figure4, figure6, table2, table3
from experiments.lowrank import table1 as lowrank_table1
from experiments.lowrank.victim_jobs import UNDEFENDED, reconstructions, victim_jobs

from specs import poisoned_spec, shop, values


@pytest.fixture
def trainings(monkeypatch):
    """Return what is trained: data, settings, epochs and seed.  Random factors are the result."""
    trainings = []
    rng = np.random.default_rng(0)

    def train_or_load(data, settings, epochs, seed, folder, progress=True):
        trainings.append((data, settings, epochs, seed))
        P, Q = rng.normal(size=(data.n_users, 4)), rng.normal(size=(40, 4))
        return {"P": P, "Q": Q, "mean": np.float64(0)}

    monkeypatch.setattr(measuring, "train_or_load", train_or_load)
    return trainings


def run_job(job):
    return jobs.named(job.function)(points=job.points, **job.arguments)


def test_a_recommender_is_trained_on_what_the_defence_makes_of_the_poisoned_data(
    trainings, tmp_path
):
    given = {"attack": ["random"], "fakes": "6", "seed": ["3"]}
    spec = poisoned_spec("lowrank_table2", tmp_path, enter="weights", patches=["20x5"], **given)
    asked = victim_jobs(spec, ["none", "random"], reconstructions(spec))
    rows = [run_job(job)[0][0] for job in asked]
    assert [row["attack"] for row in rows] == ["none", "none", "random", "random"]
    assert [row["seed"] for row in rows] == [3] * 4
    assert [row["defense"] for row in rows] == ["none", "low_rank:weights"] * 2
    data, settings, *_ = zip(*trainings, strict=True)
    assert [each.n_users for each in data] == [60, 60, 66, 66]
    assert [each.feedback for each in settings] == ["binary", "weights"] * 2
    assert {(epochs, seed) for _, _, epochs, seed in trainings} == {(50, 3)}
    assert data[3].train_ratings.max() <= 1  # reconstructed values


def test_a_recommender_is_measured_on_the_real_users_of_the_clean_data(trainings, tmp_path):
    spec = poisoned_spec("poison", tmp_path, attack=["random"], fakes="6", seed=["0"])
    (job,) = victim_jobs(spec, ["random"], [UNDEFENDED])
    rng = np.random.default_rng(0)
    (row,), users = run_job(job)
    P, Q = rng.normal(size=(66, 4)), rng.normal(size=(40, 4))
    expected = evaluation.poisoning_metrics(P[:60], Q, spec.data, spec.plans["tail"].targets, 10)
    assert {name: row[name] for name in expected} == expected
    assert users["HR"].shape == (1, len(np.unique(spec.data.test_users)))


def test_figure_6_keeps_the_original_ratings(tmp_path):
    spec = poisoned_spec("lowrank_figure6", tmp_path, attack=["random"], fakes="6", seed=["0"])
    first = figure6.EXPERIMENT.jobs(spec)[: len(spec.values["shares"]) * 2]
    defenses = [job.arguments["spec"].defense for job in first]
    for defense in defenses:
        before = defense.before if isinstance(defense, Transformation) else defense
        assert before.keep_originals
    names = {defense.columns["defense"] for defense in defenses}
    assert names == {"new ratings", "new ratings + transformation"}


def test_each_length_of_figure_4_is_a_model(tmp_path):
    spec = poisoned_spec("lowrank_figure4", tmp_path, attack=["random"], fakes="6", seed=["0"])
    assert {job.points[0]["model"] for job in figure4.EXPERIMENT.jobs(spec)} == {"PMF(4)", "PMF(8)"}
    assert spec.config["victims"]["PMF"]["embedding_dim"] is None


def test_table_3_has_its_own_attacks(tmp_path):
    given = values("lowrank_table3", target_group=["tail"])
    (spec,) = table3.EXPERIMENT.specs(given, [shop(split="80:20")], tmp_path)
    assert spec.all_attacks == ["recsys19", "recsys20", "recsys19+recsys20"]
    short = replace(spec, attacks=("random",), values={**spec.values, "patches": [(20, 5)]})
    assert {job.points[0]["attack"] for job in table3.EXPERIMENT.jobs(short)} == {"none", "random"}


def test_detectors_are_tested_on_another_run_of_the_attack(tmp_path):
    given = {"attack": ["random"], "fakes": "6", "seed": ["0"]}
    spec = poisoned_spec(
        "lowrank_table1", tmp_path, attack_seed=["4"], other_outer_epochs="7", **given
    )
    other, names = lowrank_table1.unknown_attacks(spec)
    assert (other.plans["tail"].seed, other.plans["tail"].outer_epochs) == (5, 7)
    assert names == ["bandwagon", "recsys20", "recsys20_disguised", "recsys19"]


def test_the_folds_of_detectors_follow_the_seed(tmp_path):
    spec = poisoned_spec("lowrank_figure2", tmp_path, attack=["random"], fakes="6", seed=["2"])
    points = []
    for job in figure2.jobs(spec):
        points += job.points
    assert {point["seed"] for point in points} == {2}
    assert {point["fold"] for point in points} == {0, 1, 2}


def test_an_experiment_of_one_attack_refuses_none(tmp_path):
    given = values("lowrank_table2", attack=["none"], target_group=["tail"])
    with pytest.raises(UserError, match="takes one --attack, not none"):
        table2.EXPERIMENT.specs(given, [shop(split="80:20")], tmp_path)
