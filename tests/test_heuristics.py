"""Fake profiles by rule, and their likeness to real ones."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from advrec_tf import data
from advrec_tf.errors import UserError
from advrec_tf.poisoning import HEURISTICS, Plan, Profiles, heuristic, likeness, make
from advrec_tf.poisoning.ratings import rating_matrix
from advrec_tf.poisoning.similarity import mean_jaccard

from rated import two_users

SAMPLED = ("bootstrap", "bootstrap_targets")  # profiles of real users


@pytest.mark.parametrize("name", ["random", "bootstrap"])
def test_a_plan_is_made_with_all_of_its_fields(shop, tmp_path, name):
    plan = Plan(6, (2, 9), {}, clicks=7, outer_epochs=None, seed=3)
    made = make(shop, name, plan, 10, tmp_path)
    assert made.digest() == heuristic(name, shop, 6, (2, 9), seed=3, clicks=7).digest()
    changes = ({"seed": 4}, {"clicks": 8}, {"targets": (2, 8)}, {"fakes": 5})
    for change in changes:
        other = make(shop, name, replace(plan, **change), 10, tmp_path)
        assert other.digest() != made.digest(), change


@pytest.mark.parametrize("name", SAMPLED)
def test_sampled_profiles_are_real_users_and_their_targets(shop, name):
    made = heuristic(name, shop, 6, (2, 9), seed=1).matrix()
    real = shop.matrix(ratings=True).toarray()
    if name == "bootstrap_targets":
        assert np.all(made[:, [2, 9]] == 5)
        made, real = np.delete(made, [2, 9], axis=1), np.delete(real, [2, 9], axis=1)
    users = [tuple(np.flatnonzero((real == row).all(axis=1))) for row in made]
    assert all(users) and len(set(users)) > 1
    with pytest.raises(UserError, match="fewer than the 6 fakes"):
        heuristic(name, shop, 6, (2, 9), clicks=1)


@pytest.mark.parametrize("name", sorted(set(HEURISTICS) - set(SAMPLED)))
def test_a_profile_holds_the_targets_and_as_many_clicks_as_asked_for(shop, name):
    made = heuristic(name, shop, 6, (2, 9), seed=1, clicks=7)
    X = made.matrix()
    assert np.all((X > 0).sum(axis=1) == 7) and np.all(X[:, [2, 9]] == 5)
    assert X.min() == 0 and np.all(X == np.rint(X))
    assert made.digest() == heuristic(name, shop, 6, (2, 9), seed=1, clicks=7).digest()
    with pytest.raises(UserError, match="must hold the 2 targets"):
        heuristic(name, shop, 6, (2, 9), clicks=1)


def test_popular_profiles_are_all_the_most_popular_items(shop):
    X = heuristic("popular", shop, 6, (2, 9), seed=1, clicks=7).matrix()
    assert len(np.unique(X, axis=0)) == 1
    fillers = np.setdiff1d(np.flatnonzero(X[0]), (2, 9))
    others = np.delete(shop.item_counts, [2, 9, *fillers])
    assert shop.item_counts[fillers].min() >= others.max()


def catalogue():
    """100 items: item n is clicked by n + 1 users, so that 95 to 99 are the head.

    Even items are rated 1 and odd ones 5.
    """
    items = np.repeat(np.arange(100), np.arange(1, 101))
    users = np.concatenate([np.arange(n + 1) for n in range(100)])
    train = pd.DataFrame({"user": users, "item": items, "rating": 1.0 + 4 * (items % 2)})
    test = pd.DataFrame({"user": [50], "item": [0], "rating": [3.0]})
    return data.Interactions.from_frames(train, test)


def test_half_of_a_bandwagon_is_the_head():
    X = heuristic("bandwagon", catalogue(), 40, (7,), clicks=5).matrix()
    head = X[:, 95:]
    in_head = (head > 0).sum(axis=1)
    assert in_head.min() == 2 and in_head.mean() < 2.5 and np.all(head[head > 0] == 5)
    assert np.all((X > 0).sum(axis=1) == 5) and len(np.unique(X, axis=0)) == 40
    rest = np.delete(X, [7, *range(95, 100)], axis=1)
    assert 1 < rest[rest > 0].mean() < 5


def test_average_profiles_rate_around_the_items_mean_and_random_ones_around_that_of_all():
    average, random = (
        heuristic(name, catalogue(), 60, (7,), seed=3, clicks=11).matrix()
        for name in ("average", "random")
    )
    np.testing.assert_array_equal(average > 0, random > 0)
    average[:, 7] = random[:, 7] = 0

    def mean(X, first):
        ratings = X[:, first::2]
        return ratings[ratings > 0].mean()

    assert mean(average, 0) < 2.3 and mean(average, 1) > 3.7
    assert 2.6 < mean(random, 0) < 3.4 and 2.6 < mean(random, 1) < 3.4


def test_heuristics_follow_their_seed_and_hold_a_real_users_clicks(shop):
    first, second = (heuristic("random", shop, 4, (7,), seed=seed) for seed in (0, 1))
    assert first.digest() != second.digest()
    assert len(first.users) == 4 * round(len(shop.train_users) / 24)


def test_profiles_of_clicks_have_no_ratings():
    made = heuristic("popular", two_users(ratings=False), 1, (3,), clicks=2)
    assert (made.items.tolist(), made.ratings) == ([0, 3], None)


# Likeness


def test_the_same_ratings_have_no_distance_and_full_profiles_are_told_apart(shop):
    copies = Profiles.from_matrix("copies", rating_matrix(shop), shop, (0,), rated=True)
    close = likeness(copies, shop)
    assert close["total variation of ratings"] == 0
    assert close["Jensen-Shannon divergence of ratings, bits"] == 0
    far = likeness(Profiles.from_matrix("full", np.full((24, 17), 5), shop, (0,), rated=True), shop)
    assert far["accuracy of a classifier"] == 1 and far["total variation of ratings"] > 0.5


@pytest.mark.parametrize("rated", [False, True])
def test_likeness_by_hand(rated):
    """Both have 8 cells.

    The real ones hold none, 1 and 5 in 5, 1 and 2 of them, the fakes in 4, 0 and 4.  Clicks count
    as fives.
    """
    matrix = np.array([[1, 0, 0, 0], [1, 1, 1, 0]]) * (5 if rated else 1)
    values = likeness(Profiles.from_matrix("m", matrix, two_users(), (0,), rated), two_users())
    assert values["total variation of ratings"] == pytest.approx((1 + 1 + 2) / 8 / 2)
    real = 5 / 8 * np.log2(10 / 9) + 1 / 8 * np.log2(2) + 2 / 8 * np.log2(4 / 6)
    fake = 4 / 8 * np.log2(8 / 9) + 4 / 8 * np.log2(8 / 6)
    assert values["Jensen-Shannon divergence of ratings, bits"] == pytest.approx((real + fake) / 2)
    assert (values["clicks per fake profile"], values["clicks per real profile"]) == (2, 1.5)


def test_the_mean_jaccard_similarity_by_hand():
    X = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0], [1, 1, 0, 0]], bool)
    assert mean_jaccard(X) == pytest.approx((1 / 3 + 1 + 1 / 3) / 3)
    assert np.isnan(mean_jaccard(X[2:]))
