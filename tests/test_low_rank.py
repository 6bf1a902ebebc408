"""Low-rank reconstruction as a defence: training interactions from it, and the cache."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from advrec_tf import data
from advrec_tf.defenses import LowRank, low_rank, reconstruct, reconstruct_full
from advrec_tf.defenses.training_interactions import (
    CHOICES,
    training_interactions,
    training_ratings,
)
from advrec_tf.errors import UserError
from advrec_tf.execution import storage


@pytest.fixture(scope="module")
def shop():
    return data.synthetic(n_users=40, n_items=30, per_user=8, seed=5, split="80:20")


def ratings_of(interactions):
    return interactions.matrix(ratings=True).toarray()


# Training interactions from a reconstruction


def test_clicks_from_a_reconstruction(shop):
    values = np.random.default_rng(0).random((40, 30)).astype(np.float32)
    binary, kept, weighted, dense = (
        training_interactions(shop, sparse.csr_matrix(values), conversion, 0.5)
        for conversion in ("binarize", "binarize_and_keep", "weights", "dense")
    )
    np.testing.assert_array_equal(binary.matrix().toarray() > 0, values > 0.5)
    clicks = shop.matrix().toarray() > 0
    np.testing.assert_array_equal(kept.matrix().toarray() > 0, (values > 0.5) | clicks)
    expected = values[shop.train_users, shop.train_items]
    np.testing.assert_array_equal(weighted.train_ratings, expected)
    assert weighted.fingerprint == shop.fingerprint != weighted.ratings_fingerprint
    np.testing.assert_array_equal(ratings_of(dense), values)
    for interactions in (binary, kept, weighted, dense):
        np.testing.assert_array_equal(interactions.test_items, shop.test_items)


def test_weights_are_held_between_0_and_1_and_clicks_are_above_the_threshold(shop):
    values = np.linspace(-1, 2, 40 * 30, dtype=np.float32).reshape(40, 30)
    weighted = training_interactions(shop, sparse.csr_matrix(values), "weights", 0.5)
    expected = np.clip(values[shop.train_users, shop.train_items], 0, 1)
    np.testing.assert_allclose(weighted.train_ratings, expected)
    halves = sparse.csr_matrix(np.full((40, 30), 0.5, np.float32))
    clicks = [
        len(training_interactions(shop, halves, "binarize", threshold).train_users)
        for threshold in (0.5, 0.49)
    ]
    assert clicks == [0, 1200]


@pytest.mark.parametrize("share", [0, 30, 100])
@pytest.mark.parametrize("choose", CHOICES)
def test_a_share_of_new_ratings(shop, share, choose):
    values = np.random.default_rng(1).uniform(-1, 7, (40, 30)).astype(np.float32)
    X, rebuilt = ratings_of(shop), sparse.csr_matrix(values)
    built = ratings_of(training_ratings(shop, rebuilt, share, choose, keep_originals=True))
    candidates, new = (X == 0) & (values >= 0.5), (built > 0) & (X == 0)
    assert new.sum() == round(candidates.sum() * share / 100) and not (new & ~candidates).any()
    np.testing.assert_array_equal(built[X > 0], X[X > 0])
    np.testing.assert_allclose(built[new], np.clip(values[new], 1, 5))
    if choose == "magnitude" and 0 < share < 100:
        assert values[new].min() >= values[candidates & ~new].max()
    replaced = ratings_of(training_ratings(shop, rebuilt, share, choose))
    np.testing.assert_allclose(replaced[X > 0], np.clip(values[X > 0], 1, 5))
    with pytest.raises(UserError, match="0 ... 100"):
        training_ratings(shop, rebuilt, 101)


@pytest.mark.parametrize(
    "options, expected",
    [
        ({"share": 50}, [[3.5, 2, 3, 0], [0, 0, 2.5, 4]]),
        ({"share": 50, "keep_originals": True}, [[2, 4, 3, 0], [0, 0, 3, 4]]),
        ({}, [[3.5, 2, 3, 0], [2, 2, 2.5, 4]]),
    ],
)
def test_new_ratings_by_hand(options, expected):
    """Ratings go from 2 to 4, so new ones are at least 1.

    Half of 1, 3, 1.5 and 9 are 3 and 9, which is clipped to 4.
    """
    train = pd.DataFrame({"user": [0, 0, 1], "item": [0, 1, 2], "rating": [2.0, 4.0, 3.0]})
    test = pd.DataFrame({"user": [0], "item": [3], "rating": [2.0]})
    small = data.Interactions.from_frames(train, test)
    rebuilt = sparse.csr_matrix(np.float32([[3.5, 1.0, 3.0, 0.9], [1.0, 1.5, 2.5, 9.0]]))
    built = training_ratings(small, rebuilt, **options)
    np.testing.assert_array_equal(ratings_of(built), expected)


def test_random_new_ratings_are_the_same_every_time_and_not_the_largest(shop):
    values = np.random.default_rng(1).uniform(1, 5, (40, 30)).astype(np.float32)
    rebuilt = sparse.csr_matrix(values)
    first, again = (training_ratings(shop, rebuilt, 20, "random").fingerprint for _ in range(2))
    assert first == again != training_ratings(shop, rebuilt, 20).fingerprint


# The defence


def test_every_reconstruction_is_the_one_asked_for(shop, tmp_path):
    """All are in one cache, so that none may be taken for another."""
    matrix, rated = shop.matrix(), shop.matrix(ratings=True)
    wanted = {
        LowRank(10, 3): reconstruct(matrix, 10, 3, 0.1),
        LowRank(10, 4): reconstruct(matrix, 10, 4, 0.1),
        LowRank(15, 3): reconstruct(matrix, 15, 3, 0.1),
        LowRank(10, 3, shuffle_seed=0): reconstruct(matrix, 10, 3, 0.1, seed=0),
        LowRank(10, 3, shuffle_seed=1): reconstruct(matrix, 10, 3, 0.1, seed=1),
        LowRank(10, 3, "ratings"): reconstruct(rated, 10, 3, 0.1),
        LowRank(None, 3): next(reconstruct_full(matrix, (3,), 0.1)),
        LowRank(None, 3, "ratings"): next(reconstruct_full(rated, (3,), 0.1)),
    }
    for defense, expected in wanted.items():
        rebuilt = defense.rebuilt(shop, tmp_path).toarray()
        np.testing.assert_allclose(rebuilt, expected.toarray(), atol=1e-6, err_msg=str(defense))
    assert len({built.toarray().round(4).tobytes() for built in wanted.values()}) == len(wanted)


@pytest.mark.parametrize(
    "enter, feedback",
    [
        ("binarize", "binary"),
        ("binarize_and_keep", "binary"),
        ("weights", "weights"),
        ("dense", "values"),
    ],
)
def test_the_threshold_and_the_conversion_are_those_asked_for(shop, tmp_path, enter, feedback):
    rebuilt = reconstruct(shop.matrix(), 10, 3, 0.1)
    for threshold in (0.3, 0.6):
        built = LowRank(10, 3, enter, threshold).cleaned(shop, 40, tmp_path)
        expected = training_interactions(shop, rebuilt, enter, threshold)
        assert built.ratings_fingerprint == expected.ratings_fingerprint
    assert LowRank(10, 3, enter).feedback == feedback


@pytest.mark.parametrize(
    "options",
    [{}, {"share": 25.0}, {"share": 25.0, "choose": "random"}, {"keep_originals": True}],
    ids=str,
)
def test_the_share_and_the_choice_of_ratings_are_those_asked_for(shop, tmp_path, options):
    rebuilt = reconstruct(shop.matrix(ratings=True), 10, 3, 0.1)
    built = LowRank(10, 3, "ratings", **options).cleaned(shop, 40, tmp_path).ratings_fingerprint
    assert built == training_ratings(shop, rebuilt, **options).ratings_fingerprint
    assert (built == training_ratings(shop, rebuilt).ratings_fingerprint) == (options == {})


def test_the_matrix_of_ratings_can_be_read_as_clicks(shop, tmp_path):
    """The rank is full, so every rating is above 0.5."""
    cleaned = LowRank(5, 5, "rating_matrix").cleaned(shop, 40, tmp_path)
    assert (cleaned.matrix() != shop.matrix()).nnz == 0 and cleaned.train_ratings is None


def test_dropped_patches_are_another_defence(tmp_path):
    shop = data.synthetic(n_users=23, n_items=20, per_user=6, split="80:20")
    kept, dropped = LowRank(5, 5), LowRank(5, 5, partial="drop")
    assert kept.identity(shop) != dropped.identity(shop)
    names = [defense.columns["defense"] for defense in (kept, dropped)]
    assert names == ["low_rank", "low_rank:drop"]
    emptied = np.diff(dropped.cleaned(shop, 23, tmp_path).indptr) == 0
    assert emptied[20:].all() and not emptied[:20].any()
    assert (np.diff(kept.cleaned(shop, 23, tmp_path).indptr) > 0).all()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"partial": "halve"}, "partial patches are treated by one of keep, drop, not 'halve'"),
        ({"enter": "softly"}, "values enter by one of binarize"),
        ({"choose": "best"}, "new ratings are chosen by one of magnitude, random, not 'best'"),
        ({"threshold": 0.05}, "a number from 0.1 up, not 0.05"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        LowRank(5, 5, **options)


# The cache


def test_the_cache_builds_once_and_notices_damage(tmp_path, capsys):
    built = []

    def build():
        built.append(1)
        return {"x": np.arange(5.0), "y": np.array([[1, 2]])}

    for _ in range(2):
        cached = storage.cached(tmp_path, {"a": 1}, build)
        np.testing.assert_array_equal(cached["x"], np.arange(5.0))
    assert len(built) == 1
    path = storage.entry(tmp_path, {"a": 1})
    original = path.read_bytes()
    np.savez(path, **{**dict(np.load(path)), "x": np.arange(5.0) + 1})
    cached = storage.cached(tmp_path, {"a": 1}, build)
    np.testing.assert_array_equal(cached["x"], np.arange(5.0))
    assert len(built) == 2 and path.read_bytes() == original
    assert str(path) in capsys.readouterr().err
    path.write_bytes(original[: len(original) // 2])
    storage.cached(tmp_path, {"a": 1}, build)
    assert len(built) == 3 and path.read_bytes() == original
    storage.cached(tmp_path, {"a": 2}, build)
    assert len(built) == 4


def test_a_reconstruction_is_made_once(shop, tmp_path, monkeypatch):
    first = LowRank(10, 3).cleaned(shop, 40, tmp_path)
    monkeypatch.setattr(low_rank, "reconstruct", None)
    again = LowRank(10, 3).cleaned(shop, 40, tmp_path)
    np.testing.assert_array_equal(first.train_items, again.train_items)
    low_rank.prepare_full(shop, (4, 9), tmp_path)
    monkeypatch.setattr(low_rank, "reconstruct_full", None)
    assert LowRank(None, 4).cleaned(shop, 40, tmp_path).n_users == 40
    low_rank.prepare_full(shop, (4, 9), tmp_path)
