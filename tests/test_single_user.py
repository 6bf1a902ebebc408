"""Attacks on single users, against the certificate, attacks on all users and brute force."""

import numpy as np
import pandas as pd
import pytest
from demotion import SHOP, K, P, Q

from advrec_tf import data, evaluation, perturbations
from advrec_tf.perturbations.ensemble import THREAT_MODELS, Problem
from advrec_tf.perturbations.losses import Schedule
from advrec_tf.perturbations.single_user import worst_ranks

SCHEDULE = Schedule(24, 4.0, 0.2)


@pytest.fixture(scope="module", params=[("l2", 0.1), ("linf", 0.04)], ids=lambda pair: pair[0])
def attacked(request):
    """Return the problem, the ball and epsilon, and every rank found in lists of all items."""
    ball, epsilon = request.param
    problem = Problem(P, Q, SHOP)
    sizes = problem.factors.sizes(epsilon)
    ranks = worst_ranks(problem.factors, SHOP, sizes, ball, SHOP.n_items, SCHEDULE)
    return problem, ball, epsilon, ranks


def test_one_user_loses_more_than_among_others(attacked):
    problem, ball, epsilon, ranks = attacked
    user, item = problem.factors.user, problem.factors.item
    delta = THREAT_MODELS["test"]["smooth DCG"](problem, epsilon, ball)
    shared = evaluation.ranks_of_test_items(user + delta.user, item + delta.item, SHOP)
    assert ranks.mean() > shared.mean()
    assert np.all(ranks >= evaluation.ranks_of_test_items(user, item, SHOP))


def test_no_user_loses_more_than_the_certificate_allows(attacked):
    problem, ball, epsilon, ranks = attacked
    tables = problem.factors.user, problem.factors.item
    radii = evaluation.certified_radii(*tables, SHOP, ball, 60, problem.factors.units)
    assert np.all(ranks <= 1 + np.sum(radii <= epsilon * (1 + 1e-5), axis=1))


def test_the_search_ends_for_users_whose_item_has_left_the_list(attacked):
    problem, ball, epsilon, ranks = attacked
    sizes = problem.factors.sizes(epsilon)
    short = worst_ranks(problem.factors, SHOP, sizes, ball, K, SCHEDULE)
    np.testing.assert_array_equal(short <= K, ranks <= K)
    assert np.all(short <= ranks) and np.any(short < ranks)


def worst_rank(p, Q, item, rivals):
    """Return the worst rank over all directions and lengths .3 of a user's row, with steps of .2
    of all items' rows.
    """
    angles, lengths = np.meshgrid(np.linspace(0, 2 * np.pi, 400), np.linspace(0, 0.3, 7))
    steps = np.stack([lengths * np.cos(angles), lengths * np.sin(angles)], axis=-1)
    moved = p + steps.reshape(-1, 2)
    away = 0.2 * moved / np.linalg.norm(moved, axis=1, keepdims=True)
    scores = moved @ Q[rivals].T + np.sum(away * moved, axis=1, keepdims=True)
    tested = np.sum((Q[item] - away) * moved, axis=1, keepdims=True)
    return 1 + np.sum(scores >= tested, axis=1).max()


def test_the_search_is_nearly_always_as_good_as_brute_force():
    """It never finds a rank that brute force does not find."""
    train = [(0, item) for item in (0, 1, *range(2, 9))] + [(1, 0), (1, 1)]
    frames = (pd.DataFrame(rows, columns=["user", "item"]) for rows in (train, [(0, 9), (1, 5)]))
    small, agree = data.Interactions.from_frames(*frames), []
    sizes = np.float32([[0.3]]), np.float32([[0.2]])
    for seed in range(10):
        rng = np.random.default_rng(seed)
        p, q = rng.standard_normal((2, 2)), rng.standard_normal((small.n_items, 2))
        factors = perturbations.normalized_factors(p, q, "absolute")
        ranks = worst_ranks(factors, small, sizes, "l2", small.n_items, SCHEDULE)
        for rank, user, item in zip(ranks, small.test_users, small.test_items):
            known = small.train_items[small.indptr[user] : small.indptr[user + 1]]
            rivals = [other for other in range(small.n_items) if other not in (item, *known)]
            worst = worst_rank(factors.user[user], factors.item, item, rivals)
            assert rank <= worst
            agree.append(rank == worst)
    assert np.mean(agree) >= 0.8
