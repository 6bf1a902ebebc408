"""Attacks on factors and on the tables before them."""

from dataclasses import replace

import numpy as np
import pytest

from advrec_tf import evaluation
from advrec_tf.leaderboard import surfaces
from advrec_tf.leaderboard.entries import Entry, changed
from advrec_tf.leaderboard.trained import Trained, accuracy
from advrec_tf.perturbations import ensemble
from advrec_tf.recommenders import LightGCNConfig, train

EPOCHS, ENTRY = 8, Entry("LightGCN", seed=1)


@pytest.fixture(scope="module")
def trained(small, tmp_path_factory):
    """LightGCN after a short training."""
    config, folder = LightGCNConfig(8, 0.05, 64), tmp_path_factory.mktemp("models")
    return Trained(train(small, config, 1, folder, EPOCHS, progress=False), config, 1, small)


def rows_of(trained, surface, threat_model):
    (job,) = (
        job
        for job in surfaces.jobs(ENTRY, EPOCHS, trained, 10, ("served", "parameters"))
        if (job.points[0]["surface"], job.points[0]["threat_model"]) == (surface, threat_model)
    )
    return surfaces.attacked(job.points, **job.arguments)[0]


def test_both_surfaces_have_the_lists_of_the_model_where_nothing_moves(trained, small):
    rows = [rows_of(trained, surface, "")[0] for surface in ("served", "parameters")]
    lists = evaluation.top_k(*trained.model(EPOCHS).factors, small, 10)
    expected = evaluation.metrics(lists, small)
    for row in rows:
        assert row["nDCG"] == pytest.approx(expected["nDCG"]) and row["HR"] == expected["RE"]
    (curve,), users = accuracy([{"epoch": EPOCHS, "k": 10}], trained)
    assert curve["nDCG"] == expected["nDCG"] and users["nDCG"].shape == (1, small.n_users)


def test_quarters_are_of_users_with_few_items_first(trained, small):
    (row,) = rows_of(trained, "served", "")
    lists = evaluation.top_k(*trained.model(EPOCHS).factors, small, 10)
    ndcg = evaluation.per_user_metrics(lists, small)["nDCG"]
    order = np.argsort(np.bincount(small.train_users), kind="stable")
    for n, part in enumerate(np.split(order, 4), start=1):
        assert row[f"nDCG_activity{n}"] == pytest.approx(ndcg[part].mean())
    means = [row[f"nDCG_popularity{n}"] for n in range(1, 5)]
    assert np.mean(means) == pytest.approx(row["nDCG"])


@pytest.mark.parametrize("surface", ["served", "parameters"])
def test_attacks_stay_in_their_budget_and_beat_noise(trained, small, surface):
    problem = surfaces.problem_of(trained, ENTRY, EPOCHS, surface, 10)
    left = {}
    for threat_model, members in surfaces.ATTACKS.items():
        for name, attack in members.items():
            delta = attack(problem, 0.1, "l2")
            for table, part in zip(problem.factors[:2], delta):
                norms = np.linalg.norm(table.astype(float), axis=1)
                largest = 0.1 * np.sqrt(np.mean(norms**2))
                assert np.linalg.norm(part, axis=1).max() <= largest * (1 + 1e-4)
            lists = evaluation.top_k(*problem.factors.moved(*delta), small, 10)
            left[threat_model, name] = evaluation.metrics(lists, small)["nDCG"]
    assert left["test", "smooth DCG"] < 0.8 * left["test", "noise"]


def test_a_smooth_dcg_falls_along_its_slopes_in_the_tables(trained):
    """Against central differences through the propagation, in a direction of each table."""
    problem = surfaces.problem_of(trained, ENTRY, EPOCHS, "parameters", 10)
    factors, loss = problem.factors, problem.loss("test")
    loss.tau = 0.5
    tables = [table.astype(np.float64) for table in factors[:2]]

    def value(*moved):
        P, Q = factors.served(*(np.float32(table) for table in moved))
        items, rivals = loss.items[:, 0], loss.rivals
        margins = np.einsum("ud,ud->u", P, Q[items])[:, None] - np.einsum(
            "ud,urd->ur", P, Q[rivals]
        )
        ranks = 1 + np.sum(1 / (1 + np.exp(margins / (loss.tau * loss.spread))), axis=1)
        return -np.sum(1 / np.log2(1 + ranks), dtype=np.float64)

    # Without the weights that fade beyond the list, the slopes are those of the loss itself.
    loss.k = 10**6
    slopes = factors.served.slopes(loss.gradient, *factors[:2])
    rng = np.random.default_rng(0)
    for side in (0, 1):
        direction = rng.normal(size=tables[side].shape)
        moved = []
        for sign in (1, -1):
            shifted = list(tables)
            shifted[side] = tables[side] + sign * 1e-3 * direction
            moved.append(value(*shifted))
        difference = (moved[0] - moved[1]) / 2e-3
        shared = np.log(2) * loss.tau * loss.spread  # the factor that `pairs` leaves out
        assert np.sum(slopes[side] * direction) / shared == pytest.approx(difference, rel=0.02)


def test_a_problem_without_served_is_as_before(small):
    model = LightGCNConfig(8, propagation_layers=0).build(small, 0)
    P, Q = model.factors
    plain = ensemble.Problem(P, Q, small, unit="absolute")
    through = replace(plain, served=model.served)
    for name, attack in ensemble.THREAT_MODELS["train"].items():
        first, second = (attack(problem, 0.05, "l2") for problem in (plain, through))
        for one, other in zip(first, second):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5, err_msg=name)


def test_a_changed_entry_is_attacked_at_its_changed_factors(trained, small):
    entry = Entry("LightGCN", truncated_rank=3, user_normalized=True, seed=1)
    problem = surfaces.problem_of(trained, entry, EPOCHS, "served", 10)
    assert problem.factors.user.shape == (small.n_users, 3)
    expected = evaluation.top_k(*changed(*trained.model(EPOCHS).factors, entry), small, 10)
    found = evaluation.top_k(*problem.factors.moved(*problem.factors.zeros), small, 10)
    assert np.mean(found == expected) > 0.99
