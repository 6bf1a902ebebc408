"""Metrics of lists by hand, with and without an attack's targets."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from advrec_tf import evaluation
from advrec_tf.evaluation import METRICS, TARGET_METRICS, ranking

from handmade import interactions, random_problem

SECOND = 1 / np.log2(3)  # the discount of rank 2


@pytest.fixture
def tiny():
    """Three users, five items; item 4 is never in train.  Train counts: 2, 1, 1, 2, 0."""
    return interactions([(0, 0), (0, 1), (1, 0), (1, 3), (2, 2), (2, 3)], [(0, 2), (1, 4), (2, 0)])


def test_metrics_by_hand(tiny):
    lists = np.array([[3, 2], [4, 1], [1, 4]])  # hits: rank 2, rank 1, none
    shares = np.array([1, 1, 2, 2]) / 6
    # Items 2 and 4 have the largest novelty: 1 of 6 train interactions, and none at all.
    expected = {
        "PR": 2 / 6,
        "RE": 2 / 3,
        "nDCG": (1 + SECOND) / 3,
        "EFD": np.log2(6) * (SECOND + 1) / (1 + SECOND) / 3,
        "SE": -np.sum(shares * np.log2(shares)),
        "ICov": 4,
    }
    assert evaluation.metrics(lists, tiny) == pytest.approx(expected)


def test_the_registry_names_its_metrics():
    assert evaluation.NAMES == ("PR", "RE", "nDCG", "EFD", "SE", "ICov")
    for registry in (METRICS, TARGET_METRICS):
        assert all(name == metric.name for name, metric in registry.items())
    lower = {name for name, metric in TARGET_METRICS.items() if metric.better == "lower"}
    assert lower == {"target_Recall", "target_HR", "target_score"}


def test_resampled_metrics_are_those_of_the_users_drawn():
    *_, built = random_problem(3)
    tested = ~np.isin(built.test_users, [1, 4])  # some draws hold these users, some do not
    parts = {name: getattr(built, name)[tested] for name in ("test_users", "test_items")}
    built = replace(built, **parts)
    order = np.random.default_rng(1).random((built.n_users, built.n_items))
    lists = np.argsort(order, axis=1)[:, :4]
    lists[2, 1:] = -1
    resampled = evaluation.resampled_metrics(lists, built, resamples=5, seed=7, block=2)
    assert resampled.shape == (5, 6)
    rng = np.random.default_rng(7)
    per_user = pd.DataFrame(
        evaluation.per_user_metrics(lists, built), index=np.unique(built.test_users)
    )
    for values in resampled:
        users = rng.integers(0, built.n_users, built.n_users)
        listed = pd.Series(lists[users].ravel())
        shares = listed[listed >= 0].value_counts(normalize=True)
        means = per_user.reindex(users).mean()  # an untested user has no values
        np.testing.assert_allclose(values, [*means, -(shares * np.log2(shares)).sum(), len(shares)])
    np.testing.assert_allclose(
        resampled, evaluation.resampled_metrics(lists, built, resamples=5, seed=7, block=50)
    )


def test_rank_metrics_by_hand():
    ranks = np.array([1, 3, 10, 11])
    expected = {"HR@10": 3 / 4, "nDCG@10": (1 + 1 / 2 + 1 / np.log2(11)) / 4}
    assert evaluation.rank_metrics(ranks) == pytest.approx(expected)
    assert evaluation.rank_metrics(ranks, 1) == {"HR@1": 1 / 4, "nDCG@1": 1 / 4}


def test_rank_metrics_are_the_list_metrics_with_one_test_item_a_user(small):
    rng = np.random.default_rng(0)
    P, Q = rng.normal(size=(small.n_users, 4)), rng.normal(size=(small.n_items, 4))
    from_lists = evaluation.metrics(evaluation.top_k(P, Q, small), small)
    from_ranks = evaluation.rank_metrics(evaluation.ranks_of_test_items(P, Q, small))
    assert from_ranks == pytest.approx({"HR@10": from_lists["RE"], "nDCG@10": from_lists["nDCG"]})


def test_untested_users_do_not_count():
    built = interactions([(0, 0), (0, 1), (1, 0), (1, 3), (2, 2), (2, 4)], [(0, 2)])
    lists = np.array([[2, 3], [2, 4], [0, 1]])
    assert evaluation.metrics(lists, built)["RE"] == 1
    assert len(evaluation.per_user_metrics(lists, built)["RE"]) == 1


@pytest.mark.parametrize(
    "lists", [np.zeros((2, 2), int), np.full((3, 2), 5), np.zeros(3, int)], ids=str
)
def test_bad_lists_are_refused(tiny, lists):
    with pytest.raises(ValueError, match="lists"):
        evaluation.metrics(lists, tiny)


def test_novelty_and_entropy_are_in_bits(tiny):
    np.testing.assert_allclose(evaluation.novelty(tiny), np.log2([3, 6, 6, 3, 6]))
    lists = np.array([[0, 1], [2, 3], [0, 1]])
    expected = 2 * np.log2(3) / 3 + np.log2(6) / 3
    assert evaluation.metrics(lists, tiny)["SE"] == pytest.approx(expected)
    uniform = interactions([(0, 0), (1, 1), (2, 2), (3, 3)], [(0, 1)])
    assert evaluation.metrics(np.array([[1], [2], [3], [0]]), uniform)["SE"] == pytest.approx(2)


def test_several_test_items_by_hand():
    """Three test items and two slots: the largest sum of discounts is that of two hits."""
    built = interactions([(0, 0), (1, 1), (1, 2), (1, 3)], [(0, 1), (0, 2), (0, 3), (1, 0)])
    full = evaluation.per_user_metrics(np.array([[3, 1], [0, -1]]), built)
    np.testing.assert_allclose(
        [full["PR"], full["RE"], full["nDCG"]], [[1, 0.5], [2 / 3, 1], [1, 1]]
    )
    half = evaluation.per_user_metrics(np.array([[0, 2], [1, 0]]), built)
    np.testing.assert_allclose(
        [half["PR"], half["RE"], half["nDCG"]],
        [[0.5, 0.5], [1 / 3, 1], [SECOND / (1 + SECOND), SECOND]],
    )
    # Every item is one of four train interactions: two bits.
    np.testing.assert_allclose(half["EFD"], 2 * SECOND / (1 + SECOND))


def test_an_empty_slot_is_no_item():
    """The item before user 1's first is user 0's last, a test item: the -1 of user 1 is no hit."""
    built = interactions([(0, 0), (0, 1), (1, 0), (1, 1)], [(0, 3), (1, 2)])
    values = evaluation.metrics(np.array([[2, -1], [3, -1]]), built)
    assert values == {"PR": 0, "RE": 0, "nDCG": 0, "EFD": 0, "SE": 1, "ICov": 2}


@pytest.fixture
def targeted():
    """Four users, targets 1 and 3, item scores 4, 3, 3, 1; for user 3 they are negative.

    User 0 knows target 1, user 1 has no test item, users 2 and 3 know neither target.
    """
    built = interactions([(0, 1), (1, 0), (2, 0), (3, 0)], [(0, 0), (2, 2), (3, 3)])
    P, Q = np.array([[1.0], [1.0], [1.0], [-1.0]]), np.array([[4.0], [3.0], [3.0], [1.0]])
    return P, Q, built


@pytest.mark.parametrize("block", [1, 10**6])
def test_ranks_of_targets_by_hand(targeted, monkeypatch, block):
    """Item 2 ties with item 1; user 3 likes item 3 best, then both of them."""
    monkeypatch.setattr(ranking, "SCORES", block)
    monkeypatch.setattr(ranking, "USERS", 1)
    ranks = evaluation.target_ranks(*targeted, (1, 3))
    np.testing.assert_array_equal(ranks, [[np.nan, 3], [2, 3], [3, 1]])


def test_margins_of_targets_by_hand(targeted):
    """Over the last item of a list; user 0 knows target 1, and user 2 has no full list."""
    lists = np.array([[0, 2], [1, 3], [1, -1], [3, 1]])
    margins = evaluation.target_margins(*targeted, (1, 3), lists)
    np.testing.assert_array_equal(margins, [1 - 3, -np.inf, -1 + 3])


def test_metrics_of_targets_by_hand(targeted):
    P, Q, built = targeted
    lists = np.array([[0, 3], [1, 3], [3, 2], [0, 2]])
    shown = evaluation.target_hits(lists, built, (1, 3))
    np.testing.assert_array_equal(shown, [[False, True], [False, True], [False, False]])
    per_user = evaluation.per_user_poisoning_metrics(lists, built, (1, 3))
    expected = {
        "HR": [1, 1, 0],
        "Recall": [1, 1, 0],
        "Precision": [0.5, 0.5, 0],
        "target_HR": [1, 1, 0],
    }
    assert {name: per_user[name].tolist() for name in expected} == expected
    with_fake = np.vstack([P, [[-1.0]]])  # a fake user, who does not count
    values = evaluation.poisoning_metrics(with_fake, Q, built, (1, 3), 2, lists=lists)
    expected = {
        "HR": 2 / 3,
        "target_HR": 2 / 3,
        "target_Recall": 1 / 3,
        "target_rank": (3 + 2 + 3 + 3 + 1) / 5,
        "target_score": (3 + 1 + 3 + 1 + 3 + 1 - 3 - 1) / 8,
    }
    assert {name: values[name] for name in expected} == pytest.approx(expected)
    assert tuple(values) == evaluation.TARGET_NAMES
