"""Negatives and mini-batches."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advrec_tf import data
from advrec_tf.errors import UserError

from handmade import interactions


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_negatives_are_unknown_items(seed):
    built = data.synthetic(n_users=12, n_items=9, per_user=6, seed=seed)
    users, positives, negatives = data.sample_triples(built, seed)
    known = built.pairs(built.train_users, built.train_items)
    assert not np.isin(built.pairs(users, negatives), known).any()
    assert negatives.min() >= 0 and negatives.max() < built.n_items
    np.testing.assert_array_equal(built.pairs(users, positives), known)


def test_negatives_are_uniform_and_may_be_the_test_item():
    train = [(0, item) for item in (0, 3, 4)] + [(1, item) for item in range(1, 7)]
    built = interactions(train, [(0, 5)])
    draws = []
    for seed in range(2000):
        triples = data.sample_triples(built, seed)
        draws.append(triples.negatives[triples.users == 0])
    draws = np.concatenate(draws)
    counts = np.bincount(draws, minlength=7)
    assert counts[[0, 3, 4]].sum() == 0
    np.testing.assert_allclose(counts[[1, 2, 5, 6]] / len(draws), 0.25, atol=0.02)


def test_a_user_who_knows_every_item_is_refused():
    built = interactions([(0, 0), (0, 1), (1, 0)], [(1, 1)])
    with pytest.raises(UserError, match="user 0 of frame knows every item"):
        data.sample_triples(built, 0)


def test_an_epoch_is_shuffled_and_a_function_of_its_number(small):
    first, again, other = (data.shuffled_batches(small, 64, 0, epoch) for epoch in (7, 7, 8))
    assert first.users.shape == (len(small.train_users) // 64, 64)
    seen = small.pairs(first.users.ravel(), first.positives.ravel())
    assert len(np.unique(seen)) == len(seen)
    assert np.isin(seen, small.pairs(small.train_users, small.train_items)).all()
    for part, same, different in zip(first, again, other):
        assert np.array_equal(part, same) and not np.array_equal(part, different)
    assert data.shuffled_batches(small, 10**6, 0, 0).users.shape == (1, len(small.train_users))


def test_triples_follow_the_seed(small):
    draws = [data.sample_triples(small, seed).negatives for seed in (3, 3, 4)]
    assert np.array_equal(draws[0], draws[1]) and not np.array_equal(draws[0], draws[2])


def by_pair(built, batches):
    """Return the negatives of an epoch of one batch, in the order of the train pairs."""
    order = np.argsort(built.pairs(batches.users, batches.positives).ravel())
    return batches.negatives.ravel()[order]


def test_every_epoch_and_seed_has_its_own_negatives_and_its_own_order(small):
    n = len(small.train_users)
    first, *others = (data.shuffled_batches(small, n, *key) for key in ((0, 0), (0, 1), (1, 0)))
    for other in others:
        assert not np.array_equal(by_pair(small, first), by_pair(small, other))
        assert not np.array_equal(first.positives, other.positives)


def test_every_epoch_and_seed_has_its_own_order_of_ratings(small):
    known = sorted(zip(small.train_users, small.train_items, small.train_ratings))
    orders = [data.rating_batches(small, 100, *key) for key in ((0, 0), (0, 0), (0, 1), (1, 0))]
    for batches in orders:
        present = batches.present == 1
        assert sorted(zip(*(part[present] for part in batches[:3]))) == known
    same = [np.array_equal(orders[0].items, other.items) for other in orders[1:]]
    assert same == [True, False, False]


def test_every_epoch_and_seed_has_its_own_order_of_users(small):
    ratings = small.train_ratings
    orders = [
        data.user_batches(small, ratings, ratings, 16, *key).users.ravel()
        for key in ((0, 0), (0, 0), (0, 1), (1, 0))
    ]
    assert all(sorted(order) == list(range(small.n_users)) for order in orders)
    assert [np.array_equal(orders[0], other) for other in orders[1:]] == [True, False, False]
