"""Experiments on perturbed factors: sub-samples, points and published numbers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from advrec_tf import data, perturbations
from advrec_tf.cli import flags
from experiments.multistep import budget, characteristics, perturbed, table1

from specs import perturbed_spec, shop, values


@pytest.mark.parametrize("registered", [True, False])
def test_published_numbers_are_of_registered_data(registered):
    shop_data = replace(shop(), registered=registered, name="ml-1m")
    given = {**flags.values("table1", {}), "experiment": "table1"}
    (spec,) = perturbed.specs(given, [shop_data], Path("out"))
    assert spec.published == registered
    assert (("published", "epoch:377") in spec.epochs_of(spec.bprmf)) == registered


def test_sub_samples_without_timestamps_follow_the_split_seed():
    # Many test items fall out of the 5-core, so that others are held out at random.
    rare = data.synthetic(n_users=60, n_items=150, per_user=9, seed=3, split="random")
    bare = replace(rare, train_timestamps=None)
    first, again, other = (
        characteristics.sub_samples(values("characteristics", cores=["5"], split_seed=seed), bare)
        for seed in "001"
    )
    fingerprints = [cores[0].fingerprint for cores, _ in (first, again, other)]
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]


def test_sub_samples_are_cut_as_asked_from_the_sparsest_on_and_stay_registered(capsys):
    given = values("characteristics", cores=["6", "4", "99"], k_core="iterated")
    for registered in (True, False):
        cores, missing = characteristics.sub_samples(given, replace(shop(), registered=registered))
        assert missing == 1 and "k = 99 is skipped" in capsys.readouterr().err
        assert [core.name for core in cores] == ["synthetic-iterated-4", "synthetic-iterated-6"]
        assert [core.registered for core in cores] == [registered] * 2


@pytest.fixture
def one_model(monkeypatch):
    """Let BPR-MF's epoch 9 be the only trained model."""
    monkeypatch.setattr(perturbed, "weights_of", lambda spec, seed: [(spec.bprmf, 9, ["last"], {})])


def test_a_job_has_the_seed_of_its_points_and_the_start_that_was_asked_for(one_model):
    given = {"seed": ["3", "4"], "pgd_init": "0.2", "iterations": ["1", "3"], "k": "7"}
    spec = perturbed_spec("iterations", model_selection=["last"], save_lists=True, **given)
    jobs = perturbed.jobs(spec, spec.attacks)
    assert [job.points[0]["seed"] for job in jobs] == [3] * 4 + [4] * 4
    for job in jobs:
        assert len({point["seed"] for point in job.points}) == 1
        assert job.arguments["init_range"] == 0.2
        assert job.arguments["data"] is spec.data and {p["k"] for p in job.points} == {7}
        assert {point["epoch"] for point in job.points} == {9}
        assert len(set(job.files)) == len(job.points)
        folder = Path("out") / "iterations" / "synthetic" / "lists"
        assert job.arguments["lists_dir"] == folder
    seeds = [job.points[0]["seed"] for job in perturbed.baselines(spec)]
    assert seeds == [3, 3, 4, 4]


def test_table_1_takes_fgsm_after_pgd_where_pgd_ended(one_model):
    spec = perturbed_spec("table1", iterations=["1", "3"], seed=["0"], model_selection=["last"])
    points = []
    for job in table1.jobs(spec):
        points += [point for point in job.points if point.get("start") == "after_pgd"]
    assert {(point["attack"], point["step_size"]) for point in points} == {("fgsm", 0.5)}
    assert [point.get("draw") for point in points] == [None, 1]  # the quick preset has two draws


def test_figure_3_draws_again_at_the_papers_epsilon_and_reads_others_of_the_first_selection(
    monkeypatch,
):
    given = {"epsilon": ["0.25", "0.5"], "iterations": ["1", "3"], "seed": ["0"]}
    spec = perturbed_spec("characteristics", model_selection=["last", "best"], **given)
    epochs = {"last": 9, "best": 4}
    monkeypatch.setattr(
        perturbed,
        "weights_of",
        lambda spec, seed: [(spec.bprmf, epochs[name], [name], {}) for name in spec.selections],
    )
    points = [point for job in characteristics.jobs(spec) for point in job.points]
    measured = {(p["selection"], p.get("draw", 0), p["epsilon"]) for p in points if "epsilon" in p}
    assert measured == {("last", 0, 0.25), ("last", 0, 0.5), ("last", 1, 0.5), ("best", 0, 0.5)}
    drawn = {(p["attack"], p["iterations"]) for p in points if p.get("draw")}
    assert drawn == {("fgsm", 1), ("bim", 1), ("bim", 3), ("pgd", 1), ("pgd", 3)}


def test_figure_2_cuts_the_epsilons_of_an_attack_into_jobs(one_model):
    epsilons = [str(e / 10) for e in range(1, 9)]
    given = {"iterations": ["25"], "seed": ["0"], "model_selection": ["last"]}
    spec = perturbed_spec("budget", epsilon=epsilons, **given)
    attacked = [
        job.points
        for job in budget.jobs(spec)
        if job.points[0].get("attack") in ("fgsm", "bim", "pgd")
    ]
    assert [len(points) for points in attacked] == [7, 1] * 4  # BIM has two balls
    measured = [point["epsilon"] for points in attacked for point in points]
    assert sorted(measured) == sorted(4 * [e / 10 for e in range(1, 9)])


def test_points_that_share_a_run_are_those_of_each_alone(problem):
    P, Q, triples = problem()
    points = perturbations.points("pgd", [0.2, 0.4], (2, 5))
    points += perturbations.points("fgsm", [0.4], start="after_pgd")
    shared = [delta for _, delta in perturbations.perturbed(P, Q, triples, points, 7, 0.1)]
    alone = [
        perturbations.pgd(P, Q, triples, epsilon, count, seed=7, init_range=0.1)
        for epsilon in (0.2, 0.4)
        for count in (2, 5)
    ]
    alone.append(perturbations.fgsm(P, Q, triples, 0.4, init=alone[-1]))
    for one, other in zip(shared, alone, strict=True):
        np.testing.assert_array_equal(one.user, other.user)
        np.testing.assert_array_equal(one.item, other.item)
    bim = next(perturbations.perturbed(P, Q, triples, perturbations.points("bim", [0.4], (2,))))[1]
    assert not np.array_equal(bim.user, alone[2].user)
    assert not np.array_equal(perturbations.fgsm(P, Q, triples, 0.4).user, alone[-1].user)
