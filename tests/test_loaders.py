"""Data sets by name and own data by path, their names, seeds and targets."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from advrec_tf import data
from advrec_tf.data.loaders import SOURCES
from advrec_tf.errors import UserError

from handmade import frame_of, pairs, write


def test_ratings_in_the_grouplens_layout(tmp_path):
    rows = [
        "1::10::5::100",
        "1::20::3::300",
        "1::30::1::200",
        "7::20::4::50",
        "7::10::2::50",
        "9::10::1::7",
    ]
    write(tmp_path / "ml-1m" / "ratings.dat", "\n".join(rows) + "\n")
    built = data.load("ml-1m", tmp_path)
    assert (built.n_users, built.n_items, built.name) == (3, 3, "ml-1m")
    np.testing.assert_array_equal(built.user_ids, [1, 7, 9])
    np.testing.assert_array_equal(built.item_ids, [10, 20, 30])
    # User 1's latest is item 20; of user 7's, equally late, the largest id; user 9 has one.
    assert pairs(built.test_users, built.test_items) == [(0, 1), (1, 1)]
    assert pairs(built.train_users, built.train_items) == [(0, 0), (0, 2), (1, 0), (2, 0)]
    np.testing.assert_array_equal(built.indptr, [0, 2, 3, 4])
    assert built.train_users.dtype == built.test_items.dtype == np.int32


def test_pre_split_tables_keep_their_rows_and_ids(tmp_path):
    write(tmp_path / "ml-1m" / "trainingset.tsv", "0\t2\t5\t10\n1\t0\t4\t\n0\t0\t1\t5\n")
    write(tmp_path / "ml-1m" / "testset.tsv", "0\t1\t5\t11\n1\t3\t2\t12\n")
    built = data.load("ml-1m", tmp_path)
    assert pairs(built.train_users, built.train_items) == [(0, 0), (0, 2), (1, 0)]
    assert pairs(built.test_users, built.test_items) == [(0, 1), (1, 3)]
    assert built.unseen_test_items == 2 and built.statistics()["test items never in train"] == 2


def test_own_folder_that_is_split(tmp_path):
    write(tmp_path / "shop" / "train.csv", "uid,sid\n3,1\n4,1\n4,2\n")
    write(tmp_path / "shop" / "test.csv", "uid,sid\n3,2\n3,9\n")
    built = data.load(str(tmp_path / "shop"))
    assert built.name == "shop" and pairs(built.test_users, built.test_items) == [(0, 1), (0, 2)]


def test_bad_rows_of_the_grouplens_layout_too(tmp_path):
    write(tmp_path / "ml-1m" / "ratings.dat", "1::10::5::100\n1::11::-3::300\n")
    with pytest.raises(UserError, match="ratings.dat, line 2: the rating '-3' is negative"):
        data.load("ml-1m", tmp_path)


@pytest.mark.parametrize(
    "test, message",
    [
        ("0\t1\n5\t0\n", "line 2: the test user 5 has no train"),
        ("0\t1\n1\t1\n", r"line 2: the test pair \(1, 1\) is also"),
    ],
)
def test_bad_test_rows_name_the_file_and_the_line(tmp_path, test, message):
    write(tmp_path / "own" / "train.tsv", "0\t0\n1\t1\n")
    write(tmp_path / "own" / "test.tsv", test)
    with pytest.raises(UserError, match=f"test.tsv, {message}"):
        data.load(str(tmp_path / "own"))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"split": "last"}, "no timestamps"),
        ({"split": "middle"}, "neither last nor random"),
        ({"columns": {"user": "who", "item": 1}}, "no column 'who'"),
        ({"columns": {"users": 0, "item": 1}}, "none of user"),
    ],
)
def test_bad_arguments_are_refused(tmp_path, arguments, message):
    with pytest.raises(UserError, match=message):
        data.load(str(write(tmp_path / "own.csv", "0,1\n0,2\n")), **arguments)


def test_a_missing_path_a_folder_without_tables_and_a_binary_file_are_refused(tmp_path):
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"\xff\xfe\x00")
    for path, message in (
        (tmp_path / "absent.csv", "neither one of"),
        (tmp_path, "holds no"),
        (binary, "not a text file"),
    ):
        with pytest.raises(UserError, match=message):
            data.load(str(path))


def test_synthetic_data_are_seeded_and_skewed():
    sizes = {"n_users": 50, "n_items": 40, "per_user": 10}
    first, again, other = (data.load("synthetic", seed=seed, **sizes) for seed in (4, 4, 5))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    large = data.load("synthetic")
    assert large.statistics()["popularity Gini"] > 0.3
    assert len(large.test_users) == large.n_users == 600


@pytest.mark.parametrize("seed", [-1, 1.5, None, "0"])
def test_a_seed_is_a_whole_number_from_0_up(small, tmp_path, seed):
    table = write(tmp_path / "own.csv", "0,1\n0,2\n")
    for draw in (
        lambda: data.load(str(table), seed=seed),
        lambda: data.load("synthetic", seed=seed),
        lambda: data.synthetic(n_users=3, n_items=4, per_user=2, seed=seed),
        lambda: data.sample_triples(small, seed),
        lambda: data.sample_triples(small, [0, seed]),
        lambda: data.choose_targets(small, "tail", 2, seed),
        lambda: data.k_core(replace(small, train_timestamps=None), 2, seed=seed),
        lambda: data.shuffled_batches(small, 8, seed, 0),
        lambda: data.user_batches(small, small.train_ratings, small.train_ratings, 8, seed, 0),
        lambda: data.rating_batches(small, 8, seed, 0),
        lambda: data.Interactions.from_frames(frame_of([(0, 0), (0, 1)]), split="80:20", seed=seed),
    ):
        message = f"^the seed must be a whole number from 0 up, not {seed}$"
        with pytest.raises(UserError, match=message):
            draw()


def test_a_seed_may_be_huge(small):
    assert len(data.sample_triples(small, 2**200).users) == len(small.train_users)
    assert len(data.choose_targets(small, "tail", 2, np.int64(3))) == 2


def public(tmp_path, monkeypatch, users=2, items=3, interactions=5):
    """Return a data folder with a gowalla of 2 users, 3 items and 5 pairs; set published sizes."""
    write(tmp_path / "gowalla" / "train.csv", "uid,sid\n0,0\n0,0\n0,1\n1,2\n")
    write(tmp_path / "gowalla" / "test.csv", "uid,sid\n0,2\n1,0\n")
    sizes = {"users": users, "items": items, "interactions": interactions}
    monkeypatch.setitem(SOURCES, "gowalla", SOURCES["gowalla"]._replace(**sizes))
    return tmp_path


def test_a_named_data_set_of_the_published_sizes_is_registered(tmp_path, monkeypatch):
    built = data.load("gowalla", public(tmp_path, monkeypatch))
    assert built.registered and replace(built, name="other").registered
    assert not data.k_core(built, 1).registered
    assert not data.load(str(tmp_path / "gowalla")).registered
    assert not data.load("synthetic").registered
    folder = public(tmp_path, monkeypatch, items=None, interactions=None)
    assert data.load("gowalla", folder).registered


@pytest.mark.parametrize("part", ["users", "items", "interactions"])
def test_a_named_data_set_of_other_sizes_is_not_registered(tmp_path, monkeypatch, part):
    assert not data.load("gowalla", public(tmp_path, monkeypatch, **{part: 4})).registered


def clicked(counts, test):
    """Return data of items that are clicked so often, with a test pair."""
    users = np.concatenate([np.arange(count) for count in counts])
    train = pd.DataFrame({"user": users, "item": np.repeat(counts, counts)})
    return data.Interactions.from_frames(train, frame_of([test]), name="gowalla")


def test_only_the_registered_gowalla_has_built_in_targets():
    built = clicked(np.arange(1, 101), (50, 1))
    drawn = data.choose_targets(built)
    assert drawn == data.choose_targets(replace(built, name="shop", registered=True))
    assert set(drawn) == {95, 96, 97, 98, 99}
    with pytest.raises(UserError, match="target 259 is not an item"):
        data.choose_targets(replace(built, registered=True))


def test_own_inputs_never_have_the_name_of_a_public_data_set(tmp_path):
    for name, expected in (
        ("ml-1m.csv", "own-ml-1m"),
        ("gowalla.tsv", "own-gowalla"),
        ("synthetic.csv", "own-synthetic"),
        ("ml-2m.csv", "ml-2m"),
    ):
        assert data.load(str(write(tmp_path / name, "0,1\n0,2\n"))).name == expected
    for table in ("train.csv", "test.csv"):
        write(tmp_path / "any" / "ml-1m" / table, f"0,{len(table)}\n")
    assert data.load(str(tmp_path / "any" / "ml-1m")).name == "own-ml-1m"


def test_inputs_of_different_paths_have_different_names(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = ["a/shop.csv", str(tmp_path / "b" / "shop.csv"), "other.csv", "ml-1m", "ml-1m"]
    named = data.distinct_names([replace(small, name=Path(path).stem) for path in paths], paths)
    digits = [
        hashlib.sha256(str(tmp_path / folder / "shop.csv").encode()).hexdigest()[:6]
        for folder in "ab"
    ]
    names = [f"shop-{digits[0]}", f"shop-{digits[1]}", "other", "ml-1m", "ml-1m"]
    assert [built.name for built in named] == names
    assert named[0].fingerprint == small.fingerprint
    assert data.distinct_names([small], ["synthetic"]) == [small]


def test_synthetic_data_are_split_as_asked():
    last, again, random, fifth = (
        data.synthetic(n_users=30, n_items=40, per_user=10, split=split)
        for split in (None, "last", "random", "80:20")
    )
    assert last.fingerprint == again.fingerprint != random.fingerprint
    assert last.has_one_test_item_each and random.has_one_test_item_each
    assert not fifth.has_one_test_item_each


def test_the_split_of_synthetic_data_has_their_seed():
    built = data.synthetic(n_users=30, n_items=40, per_user=10, seed=5, split="80:20")
    parts = [(built.train_users, built.train_items), (built.test_users, built.test_items)]
    users, items = (np.concatenate(columns) for columns in zip(*parts))
    frame = pd.DataFrame({"user": built.user_ids[users], "item": built.item_ids[items]})
    again = data.Interactions.from_frames(frame, split="80:20", seed=5)
    assert again.fingerprint == built.fingerprint


def test_an_item_at_a_percentile_is_of_the_group_below_it():
    built = clicked(np.arange(101), (0, 0))  # the percentiles are 0, 1, ..., 100
    groups = {
        name: (items.min(), items.max(), len(items))
        for name, items in data.popularity_groups(built).items()
    }
    assert groups == {
        "head": (96, 100, 5),
        "upper_torso": (76, 95, 20),
        "lower_torso": (51, 75, 25),
        "tail": (0, 50, 51),
    }
