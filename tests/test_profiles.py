"""Fake profiles: on disk, among real users, and what gives them away."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from advrec_tf import data
from advrec_tf.errors import UserError
from advrec_tf.execution import storage
from advrec_tf.poisoning import Profiles
from advrec_tf.poisoning.ratings import rating_matrix

from rated import two_users


def test_saved_profiles_are_read_back(shop, tmp_path):
    X = np.zeros((2, 17))
    X[0, [3, 5]], X[1, 0] = (4, 5), 1
    made = Profiles.from_matrix("mine", X, shop, (3,), rated=True)
    made.save(tmp_path / "profiles")
    read = Profiles.load(tmp_path / "profiles.npz")
    assert (read.name, read.n_users, read.targets) == ("mine", 2, (3,))
    assert read.digest() == made.digest()
    np.testing.assert_array_equal(read.matrix(), X)
    table = pd.read_csv(tmp_path / "profiles.csv")
    assert table.to_numpy().tolist() == [[0, 3, 4], [0, 5, 5], [1, 0, 1]]


COUNTS = "users, items and finite ratings are not as many as each other"


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("users", np.zeros((2, 2), np.int32), "users are not a list of integers within 0 ... 1"),
        ("items", np.zeros(3), "items are not a list of integers within 0 ... 16"),
        ("items", np.array([0, 1, 17]), "items are not a list of integers within 0 ... 16"),
        ("users", np.array([0, 1]), COUNTS),
        ("ratings", np.ones(2, np.float32), COUNTS),
        ("ratings", np.full(3, np.nan), COUNTS),
        ("targets", np.array([[1], [2]]), "targets are not a list of integers within 0 ... 16"),
        ("targets", np.array([17]), "targets are not a list of integers within 0 ... 16"),
        ("n_users", np.array([1, 2]), "its arrays are others"),
        ("ratings", np.float32(3), "its arrays are others"),
    ],
)
def test_arrays_that_are_no_profiles_are_refused(shop, tmp_path, name, value, fault):
    X = np.zeros((2, 17))
    X[0, [3, 5]], X[1, 0] = (4, 5), 1
    made = Profiles.from_matrix("mine", X, shop, (3,), rated=True)
    path = tmp_path / "other.npz"
    storage.save(path, made.arrays() | {name: value})
    with pytest.raises(UserError, match=re.escape(f"{path}: not a file of profiles ({fault})")):
        Profiles.load(path)


@pytest.mark.parametrize("content", [b"", b"PK", b"not an archive" * 20])
def test_a_file_that_is_no_archive_is_refused(tmp_path, content):
    path = tmp_path / "other.npz"
    path.write_bytes(content)
    with pytest.raises(UserError, match="other.npz: the file is damaged or of an earlier version"):
        Profiles.load(path)


def test_profiles_stand_after_the_real_users(shop):
    X = np.zeros((2, 17))
    X[0, [3, 5]], X[1, 0] = (4, 5), 1
    stacked = Profiles.from_matrix("mine", X, shop, (3,), rated=True).stacked_on(shop)
    assert stacked.n_users == 26 and stacked.user_ids[-1] == 25
    assert stacked.fingerprint != shop.fingerprint
    fakes = stacked.train_users >= 24
    assert stacked.train_items[fakes].tolist() == [3, 5, 0]
    assert stacked.train_ratings[fakes].tolist() == [4, 5, 1]
    np.testing.assert_array_equal(stacked.test_items, shop.test_items)
    np.testing.assert_array_equal(np.diff(stacked.indptr)[:24], np.diff(shop.indptr))


def test_merged_profiles_are_both_and_clicks_count_as_fives(shop):
    clicks = Profiles.from_matrix("a", np.eye(2, 17), shop, (1,))
    rated = Profiles.from_matrix("b", 2 * np.eye(1, 17), shop, (1, 2), rated=True)
    both = clicks.merged(rated)
    assert (both.name, both.n_users, both.targets) == ("a+b", 3, (1, 2))
    np.testing.assert_array_equal(both.matrix()[:, :2], [[5, 0], [0, 5], [2, 0]])


def test_profiles_of_another_catalogue_are_refused(shop):
    other = data.synthetic(n_users=24, n_items=18, per_user=6, seed=2)
    made = Profiles.from_matrix("mine", np.eye(2, 18), other, (0,))
    with pytest.raises(UserError, match="another catalogue"):
        made.stacked_on(shop)
    with pytest.raises(UserError, match="different catalogues"):
        made.merged(Profiles.from_matrix("x", np.eye(1, 17), shop, (0,)))


def test_string_ids_get_strings():
    frame = pd.DataFrame({"user": list("aabb"), "item": list("xyxz")})
    tiny = data.Interactions.from_frames(frame, split="random")
    stacked = Profiles.from_matrix("m", np.ones((1, 3)), tiny, (0,)).stacked_on(tiny)
    assert stacked.user_ids.tolist() == ["a", "b", "fake-0"]


def test_a_digest_covers_everything_except_the_name(shop):
    made = Profiles.from_matrix("mine", 2 * np.eye(3, 17), shop, (3,), rated=True)
    assert made.digest() == replace(made, name="yours").digest()
    others = [
        replace(made, users=made.users[::-1].copy()),
        replace(made, items=made.items[::-1].copy()),
        replace(made, ratings=made.ratings + 1),
        replace(made, ratings=None),
        replace(made, targets=(4,)),
        replace(made, targets=(3, 4)),
    ]
    assert len({made.digest(), *(other.digest() for other in others)}) == 7


def test_clicks_beside_ratings_are_fives():
    clicks = np.array([[1, 0, 0, 0], [0, 0, 1, 0]])
    stacked = Profiles.from_matrix("m", clicks, two_users(), (0,)).stacked_on(two_users())
    rows = list(zip(stacked.train_users, stacked.train_items, stacked.train_ratings))
    assert rows[3:] == [(2, 0, 5), (3, 2, 5)]
    assert stacked.user_ids.tolist() == [0, 1, 2, 3]
    assert (stacked.name, stacked.n_users) == ("frame+m", 4)


def test_clicks_beside_clicks_have_no_ratings():
    clicks, shop = np.array([[1, 0, 0, 0], [0, 0, 1, 0]]), two_users(ratings=False)
    made = Profiles.from_matrix("m", clicks, shop, (0,))
    assert made.stacked_on(shop).train_ratings is None
    both = made.merged(Profiles.from_matrix("b", clicks[1:], shop, (0,)))
    assert (both.users.tolist(), both.items.tolist()) == ([0, 1, 2], [0, 2, 2])
    assert (both.ratings, both.targets) == (None, (0,))


def test_copies_of_real_users_overlap_with_them_entirely(shop):
    copies = Profiles.from_matrix("copies", rating_matrix(shop), shop, (0,), rated=True)
    statistics = copies.statistics(shop)
    assert statistics["largest Jaccard with a real user: mean"] == 1
    assert statistics["clicks"] == len(shop.train_users)
    median = statistics["clicks per real user: median"]
    assert statistics["clicks per profile: median"] == median == np.median(np.diff(shop.indptr))


def test_overlaps_by_hand():
    """{0} is user 1's profile and half of user 0's.

    {1, 2, 3} shares one of four items with user 0 and none with user 1.
    """
    matrix = np.array([[1, 0, 0, 0], [0, 1, 1, 1]])
    shop = two_users()
    statistics = Profiles.from_matrix("m", matrix, shop, (1, 3)).statistics(shop)
    assert statistics["largest Jaccard with a real user: mean"] == (1 + 1 / 4) / 2
    assert statistics["largest Jaccard with a real user: most"] == 1
    assert statistics["profiles with a target"] == 1
    assert statistics["distinct profiles"] == 2
    assert statistics["clicks per profile: least"] == 1
    assert statistics["clicks per profile: most"] == 3
