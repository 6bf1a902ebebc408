"""Histories in order of time, and the rows that several of them share."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advrec_tf import data
from advrec_tf.data.sequences import histories, in_order_of_time, training_sequences
from advrec_tf.errors import UserError


def timed(seed=0, unknown=0.2, n_users=30):
    """Return data whose train interactions have random times; some are unknown."""
    shop = data.synthetic(n_users=n_users, n_items=20, per_user=9, seed=seed)
    rng = np.random.default_rng(seed)
    times = rng.permutation(len(shop.train_users)).astype(float)
    times[rng.random(len(times)) < unknown] = np.nan
    return replace(shop, train_timestamps=times)


def known_items(shop, user):
    """The user's items with known times, the oldest first; no two times of `timed` are equal."""
    pairs = zip(shop.train_users, shop.train_timestamps, shop.train_items)
    return [item for _, item in sorted((t, i) for u, t, i in pairs if u == user and t == t)]


def test_items_are_in_order_of_time():
    shop = timed()
    for user, items in enumerate(in_order_of_time(shop, 0)):
        assert items.tolist() == known_items(shop, user)


def test_ties_are_in_an_order_that_the_seed_draws():
    shop = timed(unknown=0)
    tied = replace(shop, train_timestamps=np.floor(shop.train_timestamps / 40))
    orders = {tuple(np.concatenate(in_order_of_time(tied, seed))) for seed in (0, 1, [0, 1])}
    assert len(orders) == 3 and orders != {tuple(np.concatenate(in_order_of_time(shop, 0)))}
    time_of = dict(zip(tied.pairs(tied.train_users, tied.train_items), tied.train_timestamps))
    rising = []
    for user, items in enumerate(in_order_of_time(tied, 0)):
        times = [time_of[int(pair)] for pair in tied.pairs(np.full(len(items), user), items)]
        assert times == sorted(times)
        rising += [a < b for a, b, s, t in zip(items, items[1:], times, times[1:]) if s == t]
    assert 0.3 < np.mean(rising) < 0.7  # in the order of the ids it would be 1


@given(st.integers(0, 1000), st.integers(2, 12))
@settings(deadline=None, max_examples=30)
def test_every_known_interaction_follows_once_after_what_came_before(seed, length):
    """The rows, read back, are the users' histories cut into windows from their end."""
    shop = timed(seed)
    rows = training_sequences(shop, length, seed, epoch=0)
    assert rows.items.shape[1] == length
    windows = []
    for items, targets, positions, segments in zip(*rows):
        assert np.all(np.diff(np.flatnonzero(segments >= 0)) == 1)  # filled from the left
        assert np.all(targets[segments < 0] == -1)
        for number in range(segments.max() + 1):
            slots = np.flatnonzero(segments == number)
            assert np.array_equal(slots, slots[0] + np.arange(len(slots)))
            assert positions[slots].tolist() == list(range(len(slots)))
            assert items[slots].tolist() == [-1, *targets[slots][:-1]]
            windows.append(tuple(targets[slots]))
    expected = []
    for user in range(shop.n_users):
        items = known_items(shop, user)
        while items:
            expected.append(tuple(items[-length:]))
            items = items[:-length]
    assert sorted(windows) == sorted(expected)


@given(st.integers(0, 1000), st.integers(2, 12))
@settings(deadline=None, max_examples=30)
def test_a_users_last_slot_ends_the_last_items(seed, length):
    shop = timed(seed, unknown=0.6)
    rows, last = histories(shop, length, seed)
    for user, slot in enumerate(last):
        row, end = divmod(int(slot), length)
        slots = np.flatnonzero(rows.segments[row] == rows.segments[row, end])
        assert slots[-1] == end and rows.targets[row, end] == -1
        history = known_items(shop, user)
        if len(history) < length:
            assert rows.items[row, slots].tolist() == [-1, *history]
        else:
            assert rows.items[row, slots].tolist() == [-1, *history[1 - length :]]


def test_a_row_is_shared_where_there_is_room():
    rows = training_sequences(timed(n_users=60), 12, seed=0, epoch=0)
    assert np.mean(rows.segments >= 0) > 0.85


@pytest.mark.parametrize("times", [None, np.nan])
def test_data_without_times_have_no_order(times):
    shop = data.synthetic(n_users=9, n_items=9, per_user=4)
    filled = None if times is None else np.full(len(shop.train_users), times)
    with pytest.raises(UserError, match="no timestamps"):
        in_order_of_time(replace(shop, train_timestamps=filled), 0)
