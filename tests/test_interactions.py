"""Interactions from frames: ids, duplicates, ratings, fingerprints."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from advrec_tf import data
from advrec_tf.errors import UserError

from handmade import frame_of, interactions, pairs, write


def test_duplicates_collapse_into_the_latest(tmp_path):
    table = write(tmp_path / "own.tsv", "0\t1\t1\t9\n0\t2\t1\t5\n0\t2\t1\t\n0\t1\t1\t2\n")
    built = data.load(str(table))
    assert built.duplicates == 2
    assert pairs(built.test_users, built.item_ids[built.test_items]) == [(0, 1)]


def test_the_fingerprint_depends_on_every_part():
    fingerprints = {
        interactions(train, test).fingerprint
        for train, test in (
            ([(0, 0), (1, 1)], [(0, 1)]),
            ([(0, 0), (1, 1)], [(1, 0)]),
            ([(0, 1), (1, 0)], [(0, 0)]),
        )
    }
    assert len(fingerprints) == 3


def test_the_train_matrix_holds_ones_or_ratings(small):
    clicks, rated = small.matrix(), small.matrix(ratings=True)
    assert clicks.shape == rated.shape == (small.n_users, small.n_items)
    assert clicks.dtype == rated.dtype == np.float32
    dense = np.zeros(clicks.shape, np.float32)
    dense[small.train_users, small.train_items] = small.train_ratings
    np.testing.assert_array_equal(rated.toarray(), dense)
    np.testing.assert_array_equal(clicks.toarray(), dense > 0)


def test_the_rating_scale_is_that_of_the_train_ratings():
    built = data.Interactions.from_frames(
        frame_of([(0, 0, 2), (0, 1, 4.5), (1, 0, 3)], "rating"), frame_of([(1, 1, 5)], "rating")
    )
    assert built.rating_scale == (2, 4.5) and all(type(end) is float for end in built.rating_scale)


def test_data_without_ratings_are_refused():
    built = data.Interactions.from_frames(frame_of([(0, 0), (0, 1)]), name="shop")
    for ask in (lambda: built.matrix(ratings=True), lambda: built.rating_scale):
        with pytest.raises(UserError, match="shop has no ratings"):
            ask()


TEXT_IDS = {
    "str": lambda ids: pd.Series(ids, dtype="str"),
    "string": lambda ids: pd.Series(ids, dtype="string"),
    "object": lambda ids: pd.Series(ids, dtype=object),
    "category": lambda ids: pd.Series(
        pd.Categorical(ids, categories=sorted(set(ids), reverse=True))
    ),
    "mixed": lambda ids: pd.Series([7 if each == "7" else each for each in ids], dtype=object),
}


@pytest.mark.parametrize("kind", TEXT_IDS)
def test_text_ids_are_plain_sorted_arrays_and_survive_a_file(tmp_path, kind):
    users, items = ["b", "b", "7", "7"], ["long", "7", "c", "7"]
    frame = pd.DataFrame({"user": TEXT_IDS[kind](users), "item": TEXT_IDS[kind](items)})
    built = data.Interactions.from_frames(frame, split="random")
    assert built.user_ids.dtype.kind == "U" and built.user_ids.tolist() == ["7", "b"]
    assert built.item_ids.tolist() == ["7", "c", "long"]
    train, test = (
        pairs(built.train_users, built.train_items),
        pairs(built.test_users, built.test_items),
    )
    assert sorted(train + test) == [(0, 0), (0, 1), (1, 0), (1, 2)]
    np.savez(tmp_path / "ids.npz", ids=built.item_ids)
    with np.load(tmp_path / "ids.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["ids"], built.item_ids)


@pytest.mark.parametrize("kind", ["int64", "uint8", "Int64", "object", "category"])
def test_integer_ids_stay_integers(kind):
    built = data.Interactions.from_frames(frame_of([(10, 3), (10, 20), (9, 3)]).astype(kind))
    assert built.user_ids.dtype.kind in "iu" and built.user_ids.tolist() == [9, 10]
    assert built.item_ids.tolist() == [3, 20]


def test_a_missing_id_is_refused():
    with pytest.raises(UserError, match="shop, line 1: the item is missing"):
        data.Interactions.from_frames(frame_of([("a", "x"), ("a", None)]), name="shop")


def test_ratings_of_the_train_table_stay_where_the_test_table_has_none(tmp_path):
    write(tmp_path / "shop" / "train.csv", "user,item,rating\n0,1,4\n0,0,2\n")
    write(tmp_path / "shop" / "test.csv", "user,item\n0,2\n")
    built = data.load(str(tmp_path / "shop"))
    assert built.train_ratings.tolist() == [2, 4] and built.test_ratings is None
    train, test = frame_of([(0, 1), (0, 0)]), frame_of([(0, 2, 1)], "rating")
    assert data.Interactions.from_frames(train, test).test_ratings is None


def test_repeated_pairs_of_split_tables_keep_the_latest():
    columns = "rating", "timestamp"
    known = [(0, 0, 1, 9), (0, 0, 2, 9), (0, 0, 3, 8)]
    blank = [(0, 0, 4, np.nan), (0, 1, 5, np.nan), (0, 1, 6, np.nan)]
    train = frame_of(known + blank, *columns)
    test = frame_of([(0, 2, 7, 3), (0, 2, 8, 2)], *columns)
    built = data.Interactions.from_frames(train, test)
    assert built.duplicates == 5
    assert built.train_ratings.tolist() == [2, 6] and built.test_ratings.tolist() == [7]
    np.testing.assert_array_equal(built.train_timestamps, [9, np.nan])
    untimed = data.Interactions.from_frames(train.drop(columns="timestamp"), test)
    assert untimed.train_ratings.tolist() == [4, 6] and untimed.test_ratings.tolist() == [7]


def test_repeated_pairs_of_a_random_split_keep_the_latest():
    rows = [(0, 0, 1, 9), (0, 0, 2, 8), (0, 1, 3, 9), (0, 1, 4, 8)]
    built = data.Interactions.from_frames(frame_of(rows, "rating", "timestamp"), split="random")
    assert sorted([*built.train_ratings, *built.test_ratings]) == [1, 3]


# A change, and whether `fingerprint` changes; `ratings_fingerprint` always does.
FINGERPRINTED = {
    "users": ({"n_users": 81}, True),
    "items": ({"n_items": 51}, True),
    "train users": ({"train_users": "changed"}, True),
    "train items": ({"train_items": "changed"}, True),
    "test users": ({"test_users": "changed"}, True),
    "test items": ({"test_items": "changed"}, True),
    "ratings": ({"train_ratings": "changed"}, False),
    "no ratings": ({"train_ratings": None}, False),
}


@pytest.mark.parametrize("part", FINGERPRINTED)
def test_fingerprints_depend_on_what_a_model_reads(small, part):
    change, seen = FINGERPRINTED[part]
    change = {
        field: np.roll(getattr(small, field), 1) if isinstance(value, str) else value
        for field, value in change.items()
    }
    other = replace(small, **change)
    assert (other.fingerprint != small.fingerprint) == seen
    assert other.ratings_fingerprint != small.ratings_fingerprint
    same = replace(small, name="x", train_timestamps=None)
    assert same.ratings_fingerprint == small.ratings_fingerprint


def test_statistics_by_hand():
    """Items are clicked 3, 1, 0 and 0 times in train: Gini = (3 * 3 + 1 * 1) / (4 * 4)."""
    built = interactions([(0, 0), (1, 0), (2, 0), (2, 0), (2, 1)], [(0, 1), (1, 2), (2, 3)])
    expected = {
        "users": 3,
        "items": 4,
        "interactions": 7,
        "train": 4,
        "test": 3,
        "density": 7 / 12,
        "size": 12,
        "shape": 3 / 4,
        "popularity Gini": 10 / 16,
        "share of the most popular 10%": 0.75,
        "duplicates collapsed": 1,
        "test items never in train": 2,
    }
    assert built.statistics() == pytest.approx(expected)


def test_interactions_print_as_one_line():
    train, test = (pd.DataFrame({"user": [0, 1], "item": items}) for items in ([0, 1], [2, 0]))
    shop = data.Interactions.from_frames(train, test, name="shop")
    line = "Interactions('shop': 2 users, 3 items, 2 train and 2 test interactions)"
    assert repr(shop) == line
