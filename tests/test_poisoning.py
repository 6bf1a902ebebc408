"""Fake profiles and the attacks that make them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from killing import Killed, contents, killed_after

from advrec_tf import data, evaluation
from advrec_tf.errors import UserError
from advrec_tf.models import WRMF
from advrec_tf.poisoning import HEURISTICS, Profiles, bilevel, heuristic, likeness, rating_matrix
from advrec_tf.poisoning.bilevel import RecSys20Settings, Surrogate, binarised, initial_profiles
from advrec_tf.training import WRMFSettings

TINY = WRMFSettings(embedding_dim=3, batch_size=9)


@pytest.fixture(scope="module")
def shop():
    return data.synthetic(n_users=24, n_items=17, per_user=6, seed=2, split="80:20")


def settings(shop, **more):
    return RecSys20Settings(4, (1, 5), TINY, **{"epochs": 5, "unrolled_epochs": 3, "k": 5} | more)


# Profiles


def test_profiles_survive_disk_and_stand_after_the_real_users(shop, tmp_path):
    X = np.zeros((2, 17))
    X[0, [3, 5]], X[1, 0] = (4, 5), 1
    made = Profiles.from_matrix("mine", X, shop, (3,), rated=True)
    made.save(tmp_path / "profiles")
    read = Profiles.load(tmp_path / "profiles.npz")
    assert (read.name, read.n_users, read.targets, read.digest()) == ("mine", 2, (3,), made.digest())
    np.testing.assert_array_equal(read.matrix(), X)
    table = pd.read_csv(tmp_path / "profiles.csv")
    assert table.to_numpy().tolist() == [[0, 3, 4], [0, 5, 5], [1, 0, 1]]
    stacked = read.stacked_on(shop)
    assert stacked.n_users == 26 and stacked.user_ids[-1] == 25 and stacked.fingerprint != shop.fingerprint
    fakes = stacked.train_users >= 24
    assert stacked.train_items[fakes].tolist() == [3, 5, 0] and stacked.train_ratings[fakes].tolist() == [4, 5, 1]
    np.testing.assert_array_equal(stacked.test_items, shop.test_items)
    np.testing.assert_array_equal(np.diff(stacked.indptr)[:24], np.diff(shop.indptr))


def test_merged_profiles_are_both_and_clicks_count_as_fives(shop):
    clicks = Profiles.from_matrix("a", np.eye(2, 17), shop, (1,))
    rated = Profiles.from_matrix("b", 2 * np.eye(1, 17), shop, (1, 2), rated=True)
    both = clicks.merged(rated)
    assert (both.name, both.n_users, both.targets) == ("a+b", 3, (1, 2))
    np.testing.assert_array_equal(both.matrix()[:, :2], [[5, 0], [0, 5], [2, 0]])


def test_profiles_of_another_catalogue_are_told(shop):
    other = data.synthetic(n_users=24, n_items=18, per_user=6, seed=2)
    made = Profiles.from_matrix("mine", np.eye(2, 18), other, (0,))
    with pytest.raises(UserError, match="another catalogue"):
        made.stacked_on(shop)
    with pytest.raises(UserError, match="different catalogues"):
        made.merged(Profiles.from_matrix("x", np.eye(1, 17), shop, (0,)))


def test_string_ids_get_strings(shop):
    frame = pd.DataFrame({"user": list("aabb"), "item": list("xyxz")})
    tiny = data.Interactions.from_frames(frame, split="random")
    assert Profiles.from_matrix("m", np.ones((1, 3)), tiny, (0,)).stacked_on(tiny).user_ids.tolist() == ["a", "b", "fake-0"]


def test_what_gives_profiles_away(shop):
    """A copy of a real user overlaps with him entirely, and a histogram of the same ratings has no distance."""
    real = rating_matrix(shop)
    copies = Profiles.from_matrix("copies", real, shop, (0,), rated=True)
    found = copies.statistics(shop)
    assert found["largest Jaccard with a real user: mean"] == 1 and found["clicks"] == len(shop.train_users)
    assert found["clicks per profile: median"] == found["clicks per real user: median"]
    close = likeness(copies, shop)
    assert close["total variation of ratings"] == close["Jensen-Shannon divergence of ratings, bits"] == 0
    far = likeness(Profiles.from_matrix("full", np.full((24, 17), 5), shop, (0,), rated=True), shop)
    assert far["accuracy of a classifier"] == 1 and far["total variation of ratings"] > 0.5


@pytest.mark.parametrize("name", HEURISTICS)
def test_heuristic_profiles(shop, name):
    made = heuristic(name, shop, 6, (2, 9), seed=1, clicks=7)
    X = made.matrix()
    assert np.all((X > 0).sum(axis=1) == 7) and np.all(X[:, [2, 9]] == 5) and X.min() == 0 and np.all(X == np.rint(X))
    assert made.digest() == heuristic(name, shop, 6, (2, 9), seed=1, clicks=7).digest()
    if name == "popular":
        assert len(np.unique(X, axis=0)) == 1
        fillers = np.setdiff1d(np.flatnonzero(X[0]), (2, 9))
        assert shop.item_counts[fillers].min() >= np.delete(shop.item_counts, [2, 9, *fillers]).max()
    with pytest.raises(UserError, match="must hold the 2 targets"):
        heuristic(name, shop, 6, (2, 9), clicks=1)


# Targets and metrics


def test_popularity_groups_split_the_items_at_the_percentiles():
    counts = np.arange(100)
    rows = pd.DataFrame({"user": np.concatenate([np.arange(n + 1) for n in counts]), "item": np.repeat(counts, counts + 1)})
    frame = data.Interactions.from_frames(rows, pd.DataFrame({"user": [50], "item": [0]}))
    groups = data.popularity_groups(frame)
    assert [len(groups[name]) for name in ("head", "upper_torso", "lower_torso", "tail")] == [5, 20, 25, 50]
    assert groups["head"].tolist() == [95, 96, 97, 98, 99]
    assert data.choose_targets(frame, "head", 3, 1) == data.choose_targets(frame, "head", 3, 1) != data.choose_targets(frame, "head", 3, 2)
    with pytest.raises(UserError, match="fewer than the 6"):
        data.choose_targets(frame, "head", 6)


@pytest.mark.parametrize(
    "targets, message", [((17,), "items are numbered 0 to 16"), ((-1,), "not an item"), ((1, 1), "different"), ((), "at least one")]
)
def test_bad_targets_are_told(shop, targets, message):
    with pytest.raises(UserError, match=message):
        data.check_targets(shop, targets)


def test_target_metrics_by_hand():
    """Two users with test items; user 0 knows target 1, which then counts as not shown; ranks are among unknown items."""
    train = pd.DataFrame({"user": [0, 0, 1, 2], "item": [0, 1, 0, 3]})
    tiny = data.Interactions.from_frames(train, pd.DataFrame({"user": [0, 1, 1], "item": [2, 2, 3]}))
    P = np.array([[1.0], [1.0], [1.0], [9.0]])  # the last row is a fake, which is not asked
    Q = np.array([[4.0], [3.0], [2.0], [1.0]])
    found = evaluation.poisoning_metrics(P, Q, tiny, (1, 3), 2)
    # Lists: user 0 (2, 3), user 1 (1, 2).
    expected = {"Recall": (1 + 0.5) / 2, "Precision": 0.5, "HR": 1, "target_HR": 1, "target_Recall": (1 + 1) / 4, "target_rank": (2 + 1 + 3) / 3}
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_a_fifth_is_held_out():
    shop = data.synthetic(n_users=50, n_items=60, per_user=20, seed=4, split="80:20")
    total = np.diff(shop.indptr) + np.bincount(shop.test_users, minlength=50)
    np.testing.assert_array_equal(np.bincount(shop.test_users, minlength=50), np.maximum(1, np.rint(total / 5)))
    assert shop.fingerprint == data.synthetic(n_users=50, n_items=60, per_user=20, seed=4, split="80:20").fingerprint


# RecSys20


def test_the_surrogate_is_a_wrmf_trained_on_real_and_fake_users(shop):
    X = initial_profiles(shop, 4, 100)
    _, P, Q, _ = Surrogate(shop, settings(shop), seed=3).trained_and_differentiated(X)
    model = WRMF(28, 17, 3, seed=3)
    model.compile()
    model.fit(Profiles.from_matrix("x", X, shop, ()).stacked_on(shop), epochs=5, batch_size=9, verbose=0)
    np.testing.assert_allclose(P, model.factors[0], atol=1e-4)
    np.testing.assert_allclose(Q, model.factors[1], atol=1e-4)


def adversarial_loss_by_tape(shop, options, X, W, seed=3):
    """The whole of training as one differentiable program over the dense matrix."""
    model = WRMF(shop.n_users + len(X), shop.n_items, 3, seed=seed)
    P, Q = (tf.constant(x, tf.float64) for x in model.factors)
    real = np.zeros((shop.n_users, shop.n_items))
    real[shop.train_users, shop.train_items] = 1
    data_X = tf.concat([tf.constant(real), X], axis=0)
    weights = np.vstack([np.where(real > 0, 20.0, 1), W])
    empty = replace(shop, n_users=shop.n_users + len(W))
    moments, step = [tf.zeros_like(x) for x in (P, P, Q, Q)], 0
    for epoch in range(options.epochs):
        for users in data.user_batches(empty, *(np.ones(len(shop.train_users), np.float32),) * 2, 9, seed, epoch).users:
            users = users[users >= 0]
            step += 1
            p = tf.gather(P, users)
            slope = 2 * weights[users] * (tf.matmul(p, Q, transpose_b=True) - tf.gather(data_X, users))
            gradients = [tf.tensor_scatter_nd_update(tf.zeros_like(P), users[:, None], slope @ Q), tf.matmul(slope, p, transpose_a=True)]
            new = []
            for place, (value, gradient) in enumerate(zip((P, Q), gradients)):
                gradient = gradient + 1e-5 * value
                m, v = moments[2 * place : 2 * place + 2]
                m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
                moments[2 * place : 2 * place + 2] = m, v
                new.append(value - 0.01 * (m / (1 - 0.9**step)) / (tf.sqrt(v / (1 - 0.999**step)) + 1e-8))
            P, Q = new
    scores = tf.matmul(P[: shop.n_users], Q, transpose_b=True)
    return -tf.reduce_sum(tf.reduce_mean(tf.gather(tf.nn.log_softmax(scores), options.targets, axis=1), axis=1))


def test_the_gradient_is_that_of_full_unrolling_and_of_finite_differences(shop):
    """Through all epochs by plain automatic differentiation in double precision, and by differences with the loss weights held fixed."""
    options = settings(shop, epochs=3, unrolled_epochs=3)
    X = initial_profiles(shop, 4, 100)
    W = np.where(X > 0, 20.0, 1.0)
    loss, _, _, gradient = Surrogate(shop, options, seed=3).trained_and_differentiated(X)
    with tf.GradientTape() as tape:
        x = tf.constant(X, tf.float64)
        tape.watch(x)
        by_tape = adversarial_loss_by_tape(shop, options, x, W)
    expected = tf.convert_to_tensor(tape.gradient(by_tape, x)).numpy()
    assert loss == pytest.approx(float(by_tape), rel=1e-5)
    np.testing.assert_allclose(gradient, expected, atol=2e-3 * np.abs(expected).max())
    for fake, item in ((0, 1), (1, 5), (3, 16)):
        step = np.zeros_like(X, np.float64)
        step[fake, item] = 1e-4
        up, down = (float(adversarial_loss_by_tape(shop, options, tf.constant(X + sign * step), W)) for sign in (1, -1))
        assert expected[fake, item] == pytest.approx((up - down) / 2e-4, rel=1e-3, abs=1e-6)


def als_loss_by_tape(shop, options, X, W, seed=3):
    """Sweeps of alternating least squares as one differentiable program over the dense matrix, in double precision."""
    real = np.zeros((shop.n_users, shop.n_items))
    real[shop.train_users, shop.train_items] = 1
    weights = tf.constant(np.vstack([np.where(real > 0, 20.0, 1), W]))
    x, Q = tf.concat([tf.constant(real), X], axis=0), tf.constant(WRMF(shop.n_users + len(W), shop.n_items, 3, seed=seed).factors[1], tf.float64)
    ridge = 2 * tf.eye(3, dtype=tf.float64)

    def solved(Y, w, x):
        return tf.linalg.solve(tf.einsum("ri,id,ie->rde", w, Y, Y) + ridge, tf.matmul(w * x, Y)[..., None])[..., 0]

    for _ in range(options.epochs):
        P = solved(Q, weights, x)
        Q = solved(P, tf.transpose(weights), tf.transpose(x))
    scores = tf.matmul(P[: shop.n_users], Q, transpose_b=True)
    return -tf.reduce_sum(tf.reduce_mean(tf.gather(tf.nn.log_softmax(scores), options.targets, axis=1), axis=1))


def test_the_gradient_through_sweeps_of_als_is_exact(shop):
    options = replace(settings(shop, epochs=3, unrolled_epochs=3), surrogate=replace(TINY, solver="als", decay=2.0))
    X = initial_profiles(shop, 4, 100)
    loss, P, Q, gradient = Surrogate(shop, options, seed=3).trained_and_differentiated(X)
    with tf.GradientTape() as tape:
        x = tf.constant(X, tf.float64)
        tape.watch(x)
        by_tape = als_loss_by_tape(shop, options, x, np.where(X > 0, 20.0, 1.0))
    expected = tf.convert_to_tensor(tape.gradient(by_tape, x)).numpy()
    assert loss == pytest.approx(float(by_tape), rel=1e-5)
    np.testing.assert_allclose(gradient, expected, atol=2e-3 * np.abs(expected).max())
    model = WRMF(28, 17, 3, seed=3, solver="als", regularization=2.0)
    model.compile()
    model.fit(Profiles.from_matrix("x", X, shop, ()).stacked_on(shop), epochs=3)
    np.testing.assert_allclose(P, model.factors[0], atol=1e-4)
    np.testing.assert_allclose(Q, model.factors[1], atol=1e-4)
    shorter = Surrogate(shop, replace(options, unrolled_epochs=1), seed=3).trained_and_differentiated(X)
    np.testing.assert_allclose(shorter[2], Q, atol=1e-4)


def test_truncated_unrolling_leaves_the_first_epochs_constant(shop):
    """The gradient through the last epoch alone is that of the training that starts where the epochs before it ended."""
    X = initial_profiles(shop, 4, 100)
    whole, last = (Surrogate(shop, settings(shop, epochs=4, unrolled_epochs=n), 0).trained_and_differentiated(X) for n in (4, 1))
    np.testing.assert_allclose(whole[1], last[1], atol=1e-4)
    assert not np.allclose(whole[3], last[3], rtol=0.05)


def test_binarising_holds_the_budget_and_the_targets(shop):
    X = np.array([[0.04, 0.06, 0.9, 0.5, 0.2]])
    base = replace(settings(shop), targets=(0,))
    np.testing.assert_array_equal(binarised(X, base), [[0, 1, 1, 1, 1]])
    np.testing.assert_array_equal(binarised(X, replace(base, clicks=2)), [[0, 0, 1, 1, 0]])
    np.testing.assert_array_equal(binarised(X, replace(base, clicks=2, click_targets=True)), [[1, 0, 1, 0, 0]])
    np.testing.assert_array_equal(binarised(X, replace(base, click_targets=True)), [[1, 1, 1, 1, 1]])


def test_fakes_start_from_the_first_users_with_few_clicks(shop):
    clicks = np.diff(shop.indptr)
    limit = int(np.median(clicks))
    X, users = initial_profiles(shop, 4, limit), np.flatnonzero(clicks <= limit)[:4]
    assert X.sum(axis=1).tolist() == clicks[users].tolist()
    with pytest.raises(UserError, match="users of synthetic have at most 1 clicks, fewer than the 4 fakes"):
        initial_profiles(shop, 4, 1)


def test_a_killed_bilevel_attack_ends_in_the_same_bytes(shop, tmp_path, monkeypatch):
    whole = bilevel.attack(shop, settings(shop), 0, tmp_path / "whole", 3, progress=False)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        killed_after(patch, bilevel, 1)
        bilevel.attack(shop, settings(shop), 0, tmp_path / "killed", 3, progress=False)
    assert Profiles.load(tmp_path / "killed" / "profiles.npz").n_users == 4  # the best so far is there
    bilevel.attack(shop, settings(shop), 0, tmp_path / "killed", 3, progress=False)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole") != {}
    run = pd.read_csv(tmp_path / "whole" / "trajectory.csv")
    assert run["outer_epoch"].tolist() == [0, 1, 2] and whole.digest() == Profiles.load(tmp_path / "whole" / "profiles.npz").digest()


def test_a_surrogate_that_diverges_is_told(shop, tmp_path):
    wild = replace(settings(shop), surrogate=replace(TINY, learning_rate=1e30))
    with pytest.raises(UserError, match="surrogate's loss is"):
        bilevel.attack(shop, wild, 0, tmp_path, 1, progress=False)


def test_the_synthetic_check_target_hit_ratio_rises_clearly(tmp_path):
    """900 real users, 100 fake, 300 items of rank 20, unrolled in full (Tang et al., section 4.2)."""
    interactions = data.synthetic(n_users=900, n_items=300, per_user=25, rank=20, seed=0, split="80:20")
    targets = data.choose_targets(interactions, "upper_torso", 5)
    wrmf = WRMFSettings(embedding_dim=20, batch_size=500)
    options = RecSys20Settings(100, targets, wrmf, epochs=40, unrolled_epochs=40, k=10)
    profiles = bilevel.attack(interactions, options, 0, tmp_path, 8, progress=False)
    hit_ratios = []
    for each in (interactions, profiles.stacked_on(interactions)):
        model = WRMF(each.n_users, each.n_items, 20, seed=1)
        model.compile()
        model.fit(each, epochs=40, batch_size=500, verbose=0)
        hit_ratios.append(evaluation.poisoning_metrics(*model.factors, interactions, targets, 10)["target_HR"])
    assert hit_ratios[1] > 1.3 * hit_ratios[0]
