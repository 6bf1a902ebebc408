"""Which interactions are held out, and sub-samples."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advrec_tf import data
from advrec_tf.data.splits import leave_one_out, one_in_five
from advrec_tf.errors import UserError

from handmade import by_ids, frame_of, pairs, write


def test_a_blank_timestamp_is_older_than_every_known_one(tmp_path):
    table = write(tmp_path / "own.tsv", "0\t5\t1\t\n0\t1\t1\t3\n0\t9\t1\t\n1\t4\t1\t\n1\t2\t1\t\n")
    built = data.load(str(table))
    assert built.item_ids[built.test_items].tolist() == [1, 4]


def test_random_split_follows_the_seed(tmp_path):
    rows = "".join(f"{u}\t{i}\n" for u in range(30) for i in range(10))
    table = write(tmp_path / "own.tsv", rows)
    splits = [data.load(str(table), seed=seed).test_items.tolist() for seed in (0, 0, 1)]
    assert splits[0] == splits[1] != splits[2] and len(set(splits[0])) > 3


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_leave_one_out_takes_one_of_every_user_with_two(seed):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {"u": rng.integers(0, 6, 40), "i": rng.integers(0, 15, 40)}
    ).drop_duplicates()
    times = rng.integers(0, 5, len(frame)).astype(float)
    times[rng.random(len(frame)) < 0.2] = np.nan
    held_out = leave_one_out(frame["u"].to_numpy(), frame["i"].to_numpy(), times, 0)
    frame["age"] = np.nan_to_num(times, nan=-1)
    for _, rows in frame.groupby("u"):
        chosen = rows[held_out[frame.index.get_indexer(rows.index)]]
        assert len(chosen) == (len(rows) > 1)
        if len(rows) > 1:
            latest = rows[rows["age"] == rows["age"].max()]
            assert chosen["i"].item() == latest["i"].max()


def test_data_that_cannot_be_tested_are_refused(tmp_path):
    with pytest.raises(UserError, match="nobody can be tested"):
        data.load(str(write(tmp_path / "own.csv", "0,1\n1,2\n1,2\n")))
    with pytest.raises(UserError, match="nobody can be tested"):
        data.Interactions.from_frames(pd.DataFrame({"user": [], "item": []}))


def test_k_cores_by_hand(tmp_path):
    """With k = 2 user 2 has too few, then item 9; only the iterated core then drops user 1."""
    rows = [(0, 1, 1), (0, 2, 2), (0, 3, 3), (1, 1, 1), (1, 2, 2), (1, 9, 3), (2, 9, 1)]
    rows += [(3, 1, 5), (3, 2, 6), (3, 3, 4)]
    built = data.Interactions.from_frames(frame_of(rows, "timestamp"))
    single = data.k_core(built, 2)
    assert single.user_ids.tolist() == [0, 1, 3] and single.item_ids.tolist() == [1, 2, 3]
    # User 1's test item (9) is gone, so the latest of the rest is held out; others keep theirs.
    held_out = pairs(single.user_ids[single.test_users], single.item_ids[single.test_items])
    assert held_out == [(0, 3), (1, 2), (3, 2)]
    triple = data.k_core(built, 3, "single_pass")
    assert triple.user_ids.tolist() == [0, 1, 3] and triple.item_ids.tolist() == [1, 2]
    with pytest.raises(UserError, match="no user left"):
        data.k_core(built, 3, "iterated")
    with pytest.raises(ValueError, match="protocol"):
        data.k_core(built, 3, "twice")


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), k=st.integers(2, 6))
def test_the_iterated_core_is_a_core(seed, k):
    built = data.synthetic(n_users=30, n_items=25, per_user=8, seed=seed)
    try:
        core = data.k_core(built, k, "iterated")
    except UserError:
        return
    for ids in ((core.train_users, core.test_users), (core.train_items, core.test_items)):
        assert np.bincount(np.concatenate(ids)).min() >= k
    assert len(core.test_users) == core.n_users


def test_a_core_keeps_ratings_and_timestamps(small):
    core = data.k_core(small, 11)
    assert core.n_users < small.n_users and core.n_items < small.n_items
    times = by_ids(small, "train", small.train_timestamps)
    ratings = by_ids(small, "train", small.train_ratings) | by_ids(
        small, "test", small.test_ratings
    )
    assert by_ids(core, "train", core.train_timestamps).items() <= times.items()
    kept = by_ids(core, "train", core.train_ratings) | by_ids(core, "test", core.test_ratings)
    assert len(kept) == len(core.train_users) + len(core.test_users)
    assert kept.items() <= ratings.items()


def test_a_core_of_data_without_timestamps_has_none_and_keeps_the_test_rows(small):
    built = replace(small, train_timestamps=None)
    core, again, other = (data.k_core(built, 11, seed=seed) for seed in (0, 0, 1))
    assert core.train_timestamps is None
    assert core.fingerprint == again.fingerprint != other.fingerprint
    first, second = (by_ids(each, "test", each.test_items) for each in (core, other))
    before = by_ids(built, "test", built.test_items)
    kept = {(u, i) for u, i in before if u in core.user_ids and i in core.item_ids}
    assert kept <= first.keys() & second.keys() and len(kept) < len(first)


def test_a_core_of_data_whose_test_rows_have_no_ratings_has_none(small):
    core = data.k_core(replace(small, test_ratings=None), 11)
    assert core.train_ratings is core.test_ratings is None


def test_a_fifth_of_every_user_is_held_out_as_the_seed_says():
    sizes = np.array([1, 2, 4, 7, 8, 10, 12, 20])
    users = np.repeat(np.arange(len(sizes)), sizes)
    splits = [one_in_five(users, seed) for seed in (0, 0, 1)]
    for held_out in splits:
        counts = np.bincount(users[held_out], minlength=len(sizes))
        assert counts.tolist() == [0, 1, 1, 1, 2, 2, 2, 4]
    assert np.array_equal(splits[0], splits[1]) and not np.array_equal(splits[0], splits[2])


def test_the_80_20_split_follows_its_seed(tmp_path):
    rows = "".join(f"{u}\t{i}\t1\t{i}\n" for u in range(20) for i in range(10))
    table = write(tmp_path / "own.tsv", rows)
    splits = [data.load(str(table), seed=seed, split="80:20") for seed in (0, 0, 1)]
    assert np.bincount(splits[0].test_users).tolist() == [2] * 20
    assert splits[0].fingerprint == splits[1].fingerprint != splits[2].fingerprint


def test_leave_one_out_takes_the_largest_item_of_equally_late_ones():
    users, items = np.array([0, 0, 0, 1, 1]), np.array([4, 9, 2, 8, 3])
    held_out = leave_one_out(users, items, np.array([5.0, 5, 5, np.nan, np.nan]), 0)
    assert items[held_out].tolist() == [9, 8]


def test_a_core_drops_users_first_and_goes_on_only_when_iterated():
    """With k = 2 user 2 goes, then item 12; only the iterated core then drops user 1.

    If items were dropped first, item 12 would still have two interactions.
    """
    rows = [(0, 10, 1), (0, 11, 2), (3, 10, 1), (3, 11, 2), (1, 11, 1), (1, 12, 2), (2, 12, 1)]
    built = data.Interactions.from_frames(frame_of(rows, "timestamp"))
    single, iterated = (data.k_core(built, 2, protocol) for protocol in ("single_pass", "iterated"))
    assert (single.user_ids.tolist(), single.item_ids.tolist()) == ([0, 1, 3], [10, 11])
    assert (iterated.user_ids.tolist(), iterated.item_ids.tolist()) == ([0, 3], [10, 11])
    assert data.k_core(built, 2).fingerprint == single.fingerprint


def test_a_core_does_not_know_when_a_test_row_was():
    """With k = 2 item 12 goes; user 1's test row, which is left alone, becomes a train row."""
    rows = [
        (0, 10, 1, 5),
        (0, 11, 2, 4),
        (3, 10, 1, 3),
        (3, 11, 2, 2),
        (1, 12, 1, 1),
        (1, 10, 2, 5),
    ]
    core = data.k_core(data.Interactions.from_frames(frame_of(rows, "timestamp", "rating")), 2)
    assert by_ids(core, "train", core.train_ratings) == {(0, 10): 5, (3, 10): 3, (1, 10): 5}
    np.testing.assert_array_equal(core.train_timestamps, [1, np.nan, 1])


def test_validation_holds_out_the_last_training_interaction_and_drops_the_test_items():
    frame = pd.DataFrame(
        {
            "user": [0, 0, 0, 0, 1, 1, 2],
            "item": [5, 6, 7, 8, 5, 6, 5],
            "timestamp": [3.0, 9, 8, 7, 1, 2, 1],
            "rating": [1, 2, 3, 4, 5, 1, 2],
        }
    )
    built = data.Interactions.from_frames(frame, name="shop")
    assert built.test_items.tolist() == [1, 1]  # of users 0 and 1, the item 6
    validation = built.validation()
    # User 0 has 5, 7 and 8 left, the latest of which is 7; user 1 has one left, which stays.
    assert pairs(validation.test_users, validation.test_items) == [(0, 2)]
    assert validation.test_ratings.tolist() == [3]
    assert pairs(validation.train_users, validation.train_items) == [(0, 0), (0, 3), (1, 0), (2, 0)]
    assert validation.train_ratings.tolist() == [1, 4, 5, 2]
    assert validation.train_timestamps.tolist() == [3, 7, 1, 1]
    assert validation.name == "shop-validation" and not validation.registered
    assert (validation.n_users, validation.n_items) == (3, 4)
    assert validation.fingerprint != built.fingerprint
    plain = data.Interactions.from_frames(frame[["user", "item"]], split="random", seed=3)
    held_out = plain.validation(1)
    assert held_out.train_ratings is None and len(held_out.test_users) == 1
    assert len({plain.validation(seed).fingerprint for seed in range(9)}) == 3  # of user 0's three
    with pytest.raises(UserError, match="no user has two training interactions"):
        data.Interactions.from_frames(frame[:2]).validation()
