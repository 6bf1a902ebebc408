"""Rows of a leaderboard against the attacks and certificates called directly."""

import numpy as np
import pytest
from demotion import SHOP

from advrec_tf import evaluation, leaderboard, perturbations
from advrec_tf.evaluation import rank_metrics
from advrec_tf.execution import jobs
from advrec_tf.leaderboard import Entry, auditing, convergence, measuring
from advrec_tf.perturbations import ensemble
from advrec_tf.perturbations.ensemble import THREAT_MODELS, Problem
from advrec_tf.perturbations.losses import Schedule
from advrec_tf.perturbations.single_user import worst_ranks
from advrec_tf.recommenders import MostPopular, Random

BALL, EPSILON, K, SEED = "l2", 0.15, 10, 3
KNOWN = SHOP.matrix().toarray()
KNOWN[SHOP.test_users, SHOP.test_items] = 1  # so that most lists hold their test item
U, s, Vt = np.linalg.svd(KNOWN)
P, Q = np.float32(U[:, :5] * s[:5]), np.float32(Vt[:5].T)  # of the shape in test_ensemble.py
SHARES = {"l2": (0.01, 0.02, 0.05, 0.1, 0.2, 0.4), "linf": (0.11,)}
VALUES = {"nDCG": "nDCG", "HR": "RE", "ICov": "ICov", "EFD": "EFD", "SE": "SE"}


@pytest.fixture
def measured(monkeypatch):
    """Return a function that measures a condition at one epsilon: its rows, and users' nDCG."""
    monkeypatch.setattr(measuring, "EPSILONS", {BALL: (EPSILON,)})
    monkeypatch.setattr(ensemble, "RESTARTS", 2)
    asked = leaderboard.jobs(Entry("mine", seed=SEED), P, Q, SHOP, K)

    def of(threat_model):
        (job,) = (job for job in asked if job.points[0]["threat_model"] == threat_model)
        return jobs.named(job.function)(points=job.points, **job.arguments)

    return of


@pytest.fixture(scope="module")
def problem():
    """Return what is attacked: the quantised normalised factors, with the entry's own seed."""
    return Problem(*perturbations.quantized_canonical(P, Q), SHOP, SEED, K)


def check(row, users, lists):
    """Compare a row and users' nDCG with the metrics of lists."""
    expected = evaluation.metrics(lists, SHOP)
    assert {name: row[name] for name in VALUES} == {n: expected[m] for n, m in VALUES.items()}
    np.testing.assert_array_equal(
        users, np.float32(evaluation.per_user_metrics(lists, SHOP)["nDCG"])
    )


def test_the_clean_row_is_that_of_the_factors(measured, problem):
    (row,), users = measured("")
    form = problem.factors
    check(row, np.float32(users["nDCG"][0]), evaluation.top_k(form.user, form.item, SHOP, K))
    clicks = [np.sum(SHOP.train_users == user) for user in SHOP.test_users]
    popularity = [np.sum(SHOP.train_items == item) for item in SHOP.test_items]
    assert users["user activity"].tolist() == [clicks]
    assert users["item popularity"].tolist() == [popularity]


@pytest.mark.parametrize("threat_model", ["train", "lists", "test"])
def test_a_row_is_its_attack(measured, problem, threat_model):
    rows, users = measured(threat_model)
    assert [row["attack"] for row in rows] == list(THREAT_MODELS[threat_model])
    form = problem.factors
    for index, (row, attack) in enumerate(zip(rows, THREAT_MODELS[threat_model].values())):
        delta = attack(problem, EPSILON, BALL)
        lists = evaluation.top_k(form.user + delta.user, form.item + delta.item, SHOP, K)
        check(row, users["nDCG"][index], lists)
        lengths = np.linalg.norm(delta.user, axis=1)
        assert row["idle"] == np.mean(lengths < 0.001 * form.sizes(EPSILON)[0][:, 0])


def test_the_attack_on_single_users_has_its_own_schedule(measured, problem):
    (row,), users = measured("user")
    sizes, schedule = problem.factors.sizes(EPSILON), Schedule(24, 4.0, 0.2)
    ranks = worst_ranks(problem.factors, SHOP, sizes, BALL, K, schedule)
    expected = rank_metrics(ranks, K)
    assert (row["nDCG"], row["HR"]) == (expected[f"nDCG@{K}"], expected[f"HR@{K}"])
    gains = np.where(ranks <= K, 1 / np.log2(ranks + 1), 0)
    np.testing.assert_array_equal(users["nDCG"], [np.float32(gains)])
    for other in (Schedule(2, 4.0, 0.2), Schedule(12, 6.0, 1.0)):
        assert np.any(worst_ranks(problem.factors, SHOP, sizes, BALL, K, other) != ranks)


def test_a_certified_row_counts_the_rivals_within_reach(measured, problem):
    (row,), users = measured("certificate")
    form = problem.factors
    radii = evaluation.certified_radii(form.user, form.item, SHOP, BALL, K, form.units)
    expected = evaluation.certified_metrics(radii, EPSILON)
    assert (row["nDCG"], row["HR"]) == (expected[f"nDCG@{K}"], expected[f"HR@{K}"])
    assert users["nDCG"].mean() == pytest.approx(row["nDCG"], rel=1e-5)


def test_every_condition_has_its_epsilons_and_its_columns():
    asked = leaderboard.jobs(Entry("iALS", 16, 8, user_normalized=True, seed=2), P, Q, SHOP)
    points = [point for job in asked for point in job.points]
    for ball, epsilons in SHARES.items():
        for threat_model, attacks in {"train": 3, "lists": 2, "test": 2, "user": 1}.items():
            chosen = [p for p in points if (p["threat_model"], p["ball"]) == (threat_model, ball)]
            assert sorted(p["epsilon"] for p in chosen) == sorted(attacks * epsilons)
    shared = {"model": "iALS", "model_rank": 16, "truncated_rank": 8, "user_normalized": True}
    shared |= {"seed": 2, "k": 10, "unit": "relative", "dataset": "synthetic"}
    assert all(point.items() >= shared.items() for point in points)
    assert len({point["factors"] for point in points}) == 1


@pytest.mark.parametrize("room", [leaderboard, convergence])
def test_a_point_tells_the_factors_of_both_sides_apart(room):
    pairs = ((P, Q), (-P, Q), (P, -Q), (P, Q))
    digests = [room.jobs(Entry("mine"), *pair, SHOP)[0].points[0]["factors"] for pair in pairs]
    assert len(set(digests[:3])) == 3 and digests[3] == digests[0]


def test_an_audit_measures_baselines_of_its_own_seed_beside_the_factors():
    facts = auditing.facts_of(P, Q, SHOP, 1.5, K, SEED) | {"unit": "row"}
    assert isinstance(facts.pop("doubts"), list)
    assert facts == {
        **{"data": "synthetic", "users": SHOP.n_users, "items": SHOP.n_items},
        **{"dimension": 5, "mean row norm": 1.5, "k": K, "seed": SEED, "unit": "row"},
    }
    baselines, *others = auditing.jobs(P, Q, SHOP, facts)
    rows, users = jobs.named(baselines.function)(baselines.points, **baselines.arguments)
    models = {"Random": Random(SEED), "MostPopular": MostPopular(SHOP)}
    assert {row["entry"] for row in rows} == set(models)
    for row, ndcg in zip(rows, users["nDCG"]):
        check(row, ndcg, models[row["entry"]].top_k(SHOP, K))
    for job in (baselines, *others):
        for point in job.points:
            assert (point["seed"], point["k"], point["unit"]) == (SEED, K, "row")
    assert {point["entry"] for job in others for point in job.points} == {"factors"}
