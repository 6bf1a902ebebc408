"""Fake profiles and the attacks that make them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from advrec_tf import data, evaluation
from advrec_tf.defenses import Defense, LowRank
from advrec_tf.errors import UserError
from advrec_tf.poisoning import HEURISTICS, Profiles, bilevel, heuristic, likeness
from advrec_tf.poisoning.bilevel import RecSys20Settings, Surrogate, binarised, initial_profiles
from advrec_tf.poisoning.heuristics import SAMPLED
from advrec_tf.poisoning.ratings import rating_matrix
from advrec_tf.recommenders import WRMF, WRMFConfig

from killing import Killed, contents, killed_after

TINY = WRMFConfig(embedding_dim=3, batch_size=9)


@pytest.fixture(scope="module")
def shop():
    return data.synthetic(n_users=24, n_items=17, per_user=6, seed=2, split="80:20")


def settings(shop, **more):
    return RecSys20Settings(
        4, (1, 5), **{"surrogate": TINY, "epochs": 5, "unrolled_epochs": 3, "k": 5} | more
    )


# Profiles


def test_profiles_survive_disk_and_stand_after_the_real_users(shop, tmp_path):
    X = np.zeros((2, 17))
    X[0, [3, 5]], X[1, 0] = (4, 5), 1
    made = Profiles.from_matrix("mine", X, shop, (3,), rated=True)
    made.save(tmp_path / "profiles")
    read = Profiles.load(tmp_path / "profiles.npz")
    assert (read.name, read.n_users, read.targets, read.digest()) == (
        "mine",
        2,
        (3,),
        made.digest(),
    )
    np.testing.assert_array_equal(read.matrix(), X)
    table = pd.read_csv(tmp_path / "profiles.csv")
    assert table.to_numpy().tolist() == [[0, 3, 4], [0, 5, 5], [1, 0, 1]]
    stacked = read.stacked_on(shop)
    assert (
        stacked.n_users == 26
        and stacked.user_ids[-1] == 25
        and stacked.fingerprint != shop.fingerprint
    )
    fakes = stacked.train_users >= 24
    assert stacked.train_items[fakes].tolist() == [3, 5, 0] and stacked.train_ratings[
        fakes
    ].tolist() == [4, 5, 1]
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
    assert Profiles.from_matrix("m", np.ones((1, 3)), tiny, (0,)).stacked_on(
        tiny
    ).user_ids.tolist() == ["a", "b", "fake-0"]


def test_what_gives_profiles_away(shop):
    """A copy of a real user overlaps with him entirely, and a histogram of the same ratings has no distance."""
    real = rating_matrix(shop)
    copies = Profiles.from_matrix("copies", real, shop, (0,), rated=True)
    found = copies.statistics(shop)
    assert found["largest Jaccard with a real user: mean"] == 1 and found["clicks"] == len(
        shop.train_users
    )
    assert found["clicks per profile: median"] == found["clicks per real user: median"]
    close = likeness(copies, shop)
    assert (
        close["total variation of ratings"]
        == close["Jensen-Shannon divergence of ratings, bits"]
        == 0
    )
    far = likeness(Profiles.from_matrix("full", np.full((24, 17), 5), shop, (0,), rated=True), shop)
    assert far["accuracy of a classifier"] == 1 and far["total variation of ratings"] > 0.5


@pytest.mark.parametrize("name", SAMPLED)
def test_sampled_profiles_are_real_users_and_their_targets(shop, name):
    made, real = (
        heuristic(name, shop, 6, (2, 9), seed=1).matrix(),
        shop.matrix(ratings=True).toarray(),
    )
    if name == "bootstrap_targets":
        assert np.all(made[:, [2, 9]] == 5)
        made, real = np.delete(made, [2, 9], axis=1), np.delete(real, [2, 9], axis=1)
    users = [np.flatnonzero((real == row).all(axis=1)) for row in made]
    assert all(len(found) for found in users) and len({tuple(found) for found in users}) > 1
    with pytest.raises(UserError, match="fewer than the 6 fakes"):
        heuristic(name, shop, 6, (2, 9), clicks=1)


@pytest.mark.parametrize("name", sorted(set(HEURISTICS) - set(SAMPLED)))
def test_heuristic_profiles(shop, name):
    made = heuristic(name, shop, 6, (2, 9), seed=1, clicks=7)
    X = made.matrix()
    assert (
        np.all((X > 0).sum(axis=1) == 7)
        and np.all(X[:, [2, 9]] == 5)
        and X.min() == 0
        and np.all(X == np.rint(X))
    )
    assert made.digest() == heuristic(name, shop, 6, (2, 9), seed=1, clicks=7).digest()
    if name == "popular":
        assert len(np.unique(X, axis=0)) == 1
        fillers = np.setdiff1d(np.flatnonzero(X[0]), (2, 9))
        assert (
            shop.item_counts[fillers].min() >= np.delete(shop.item_counts, [2, 9, *fillers]).max()
        )
    with pytest.raises(UserError, match="must hold the 2 targets"):
        heuristic(name, shop, 6, (2, 9), clicks=1)


def test_a_digest_is_of_everything_but_the_name(shop):
    made = Profiles.from_matrix("mine", 2 * np.eye(3, 17), shop, (3,), rated=True)
    assert made.digest() == replace(made, name="yours").digest()
    others = [
        replace(made, **{part: getattr(made, part)[::-1].copy()}) for part in ("users", "items")
    ]
    others += [
        replace(made, ratings=made.ratings + 1),
        replace(made, ratings=None),
        replace(made, targets=(4,)),
        replace(made, targets=(3, 4)),
    ]
    assert len({made.digest(), *(each.digest() for each in others)}) == 7


def stall(ratings=True):
    """User 0 rates items 0 and 1 with 5 and 1, user 1 item 0 with 5; items 2 and 3 are in test."""
    train, test = (
        pd.DataFrame(rows, columns=["user", "item", "rating"])
        for rows in ([(0, 0, 5.0), (0, 1, 1.0), (1, 0, 5.0)], [(0, 2, 3.0), (1, 3, 4.0)])
    )
    return data.Interactions.from_frames(
        *((train, test) if ratings else (train[["user", "item"]], test[["user", "item"]]))
    )


def test_clicks_beside_ratings_are_fives_and_beside_clicks_nothing():
    fakes = np.array([[1, 0, 0, 0], [0, 0, 1, 0]])
    stacked = Profiles.from_matrix("m", fakes, stall(), (0,)).stacked_on(stall())
    assert list(zip(stacked.train_users, stacked.train_items, stacked.train_ratings))[3:] == [
        (2, 0, 5),
        (3, 2, 5),
    ]
    assert (
        stacked.user_ids.tolist() == [0, 1, 2, 3]
        and stacked.name == "frame+m"
        and stacked.n_users == 4
    )
    assert (
        Profiles.from_matrix("m", fakes, stall(False), (0,)).stacked_on(stall(False)).train_ratings
        is None
    )
    both = Profiles.from_matrix("a", fakes, stall(), (0,)).merged(
        Profiles.from_matrix("b", fakes[1:], stall(), (0,))
    )
    assert (both.users.tolist(), both.items.tolist(), both.ratings, both.targets) == (
        [0, 1, 2],
        [0, 2, 2],
        None,
        (0,),
    )


@pytest.mark.parametrize("rated", [False, True])
def test_likeness_by_hand(rated):
    """Of 8 cells each: real ones hold none, 1 and 5 in 5, 1 and 2 of them, the fakes in 4, 0 and 4; clicks count as fives."""
    fakes = Profiles.from_matrix(
        "m", (5 if rated else 1) * np.array([[1, 0, 0, 0], [1, 1, 1, 0]]), stall(), (0,), rated
    )
    found = likeness(fakes, stall())
    assert found["total variation of ratings"] == pytest.approx((1 + 1 + 2) / 8 / 2)
    real = 5 / 8 * np.log2(10 / 9) + 1 / 8 * np.log2(2) + 2 / 8 * np.log2(4 / 6)
    fake = 4 / 8 * np.log2(8 / 9) + 4 / 8 * np.log2(8 / 6)
    assert found["Jensen-Shannon divergence of ratings, bits"] == pytest.approx((real + fake) / 2)
    assert (found["clicks per fake profile"], found["clicks per real profile"]) == (2, 1.5)


def test_overlaps_by_hand():
    """{0} is all of user 1's profile and half of user 0's; {1, 2, 3} shares one of four items with user 0 and none with user 1."""
    found = Profiles.from_matrix(
        "m", np.array([[1, 0, 0, 0], [0, 1, 1, 1]]), stall(), (1, 3)
    ).statistics(stall())
    assert (
        found["largest Jaccard with a real user: mean"] == (1 + 1 / 4) / 2
        and found["largest Jaccard with a real user: most"] == 1
    )
    assert (
        found["profiles with a target"],
        found["distinct profiles"],
        found["clicks per profile: most"],
    ) == (1, 2, 3)


def catalogue():
    """100 items, number n clicked by n + 1 users, so that 95 to 99 are the head; even ones are rated 1 and odd ones 5."""
    items = np.repeat(np.arange(100), np.arange(1, 101))
    users = np.concatenate([np.arange(n + 1) for n in range(100)])
    train = pd.DataFrame({"user": users, "item": items, "rating": 1.0 + 4 * (items % 2)})
    return data.Interactions.from_frames(
        train, pd.DataFrame({"user": [50], "item": [0], "rating": [3.0]})
    )


def test_half_of_a_bandwagon_is_the_head():
    X = heuristic("bandwagon", catalogue(), 40, (7,), clicks=5).matrix()
    in_head = (X[:, 95:] > 0).sum(axis=1)
    assert in_head.min() == 2 and in_head.mean() < 2.5 and np.all(X[:, 95:][X[:, 95:] > 0] == 5)
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
    even, odd = (
        [X[:, start::2][X[:, start::2] > 0].mean() for X in (average, random)] for start in (0, 1)
    )
    assert even[0] < 2.3 and odd[0] > 3.7 and 2.6 < even[1] < 3.4 and 2.6 < odd[1] < 3.4


def test_heuristics_follow_their_seed_and_hold_a_real_users_clicks(shop):
    made = [heuristic("random", shop, 4, (7,), seed=seed) for seed in (0, 1)]
    assert made[0].digest() != made[1].digest() and len(made[0].users) == 4 * round(
        len(shop.train_users) / 24
    )
    clicks = heuristic("popular", stall(False), 1, (3,), clicks=2)
    assert (clicks.items.tolist(), clicks.ratings) == ([0, 3], None)


# Targets and metrics


def test_popularity_groups_split_the_items_at_the_percentiles():
    counts = np.arange(100)
    rows = pd.DataFrame(
        {
            "user": np.concatenate([np.arange(n + 1) for n in counts]),
            "item": np.repeat(counts, counts + 1),
        }
    )
    frame = data.Interactions.from_frames(rows, pd.DataFrame({"user": [50], "item": [0]}))
    groups = data.popularity_groups(frame)
    assert [len(groups[name]) for name in ("head", "upper_torso", "lower_torso", "tail")] == [
        5,
        20,
        25,
        50,
    ]
    assert groups["head"].tolist() == [95, 96, 97, 98, 99]
    assert (
        data.choose_targets(frame, "head", 3, 1)
        == data.choose_targets(frame, "head", 3, 1)
        != data.choose_targets(frame, "head", 3, 2)
    )
    with pytest.raises(UserError, match="fewer than the 6"):
        data.choose_targets(frame, "head", 6)


@pytest.mark.parametrize(
    "targets, message",
    [
        ((17,), "items are numbered 0 to 16"),
        ((-1,), "not an item"),
        ((1, 1), "different"),
        ((), "at least one"),
    ],
)
def test_bad_targets_are_told(shop, targets, message):
    with pytest.raises(UserError, match=message):
        data.check_targets(shop, targets)


def test_target_metrics_by_hand():
    """Two users with test items; user 0 knows target 1, which then counts as not shown; ranks are among unknown items."""
    train = pd.DataFrame({"user": [0, 0, 1, 2], "item": [0, 1, 0, 3]})
    tiny = data.Interactions.from_frames(
        train, pd.DataFrame({"user": [0, 1, 1], "item": [2, 2, 3]})
    )
    P = np.array([[1.0], [1.0], [1.0], [9.0]])  # the last row is a fake, which is not asked
    Q = np.array([[4.0], [3.0], [2.0], [1.0]])
    found = evaluation.poisoning_metrics(P, Q, tiny, (1, 3), 2)
    # Lists: user 0 (2, 3), user 1 (1, 2).
    expected = {
        "Recall": (1 + 0.5) / 2,
        "Precision": 0.5,
        "HR": 1,
        "target_HR": 1,
        "target_Recall": (1 + 1) / 4,
        "target_rank": (2 + 1 + 3) / 3,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_a_fifth_is_held_out():
    shop = data.synthetic(n_users=50, n_items=60, per_user=20, seed=4, split="80:20")
    total = np.diff(shop.indptr) + np.bincount(shop.test_users, minlength=50)
    np.testing.assert_array_equal(
        np.bincount(shop.test_users, minlength=50), np.maximum(1, np.rint(total / 5))
    )
    assert (
        shop.fingerprint
        == data.synthetic(n_users=50, n_items=60, per_user=20, seed=4, split="80:20").fingerprint
    )


# RecSys20


def test_the_surrogate_is_a_wrmf_trained_on_real_and_fake_users(shop):
    X = initial_profiles(shop, 4, 100)
    _, P, Q, _ = Surrogate(shop, settings(shop), seed=3).trained_and_differentiated(X)
    model = WRMF(28, 17, 3, seed=3)
    model.compile()
    model.fit(
        Profiles.from_matrix("x", X, shop, ()).stacked_on(shop), epochs=5, batch_size=9, verbose=0
    )
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
        for users in data.user_batches(
            empty, *(np.ones(len(shop.train_users), np.float32),) * 2, 9, seed, epoch
        ).users:
            users = users[users >= 0]
            step += 1
            p = tf.gather(P, users)
            slope = (
                2 * weights[users] * (tf.matmul(p, Q, transpose_b=True) - tf.gather(data_X, users))
            )
            gradients = [
                tf.tensor_scatter_nd_update(tf.zeros_like(P), users[:, None], slope @ Q),
                tf.matmul(slope, p, transpose_a=True),
            ]
            new = []
            for place, (value, gradient) in enumerate(zip((P, Q), gradients)):
                gradient = gradient + 1e-5 * value
                m, v = moments[2 * place : 2 * place + 2]
                m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
                moments[2 * place : 2 * place + 2] = m, v
                new.append(
                    value - 0.01 * (m / (1 - 0.9**step)) / (tf.sqrt(v / (1 - 0.999**step)) + 1e-8)
                )
            P, Q = new
    scores = tf.matmul(P[: shop.n_users], Q, transpose_b=True)
    return -tf.reduce_sum(
        tf.reduce_mean(tf.gather(tf.nn.log_softmax(scores), options.targets, axis=1), axis=1)
    )


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
        up, down = (
            float(adversarial_loss_by_tape(shop, options, tf.constant(X + sign * step), W))
            for sign in (1, -1)
        )
        assert expected[fake, item] == pytest.approx((up - down) / 2e-4, rel=1e-3, abs=1e-6)


def als_loss_by_tape(shop, options, X, W, seed=3):
    """Sweeps of alternating least squares as one differentiable program over the dense matrix, in double precision."""
    real = np.zeros((shop.n_users, shop.n_items))
    real[shop.train_users, shop.train_items] = 1
    weights = tf.constant(np.vstack([np.where(real > 0, 20.0, 1), W]))
    x, Q = (
        tf.concat([tf.constant(real), X], axis=0),
        tf.constant(WRMF(shop.n_users + len(W), shop.n_items, 3, seed=seed).factors[1], tf.float64),
    )
    ridge = 2 * tf.eye(3, dtype=tf.float64)

    def solved(Y, w, x):
        return tf.linalg.solve(
            tf.einsum("ri,id,ie->rde", w, Y, Y) + ridge, tf.matmul(w * x, Y)[..., None]
        )[..., 0]

    for _ in range(options.epochs):
        P = solved(Q, weights, x)
        Q = solved(P, tf.transpose(weights), tf.transpose(x))
    scores = tf.matmul(P[: shop.n_users], Q, transpose_b=True)
    return -tf.reduce_sum(
        tf.reduce_mean(tf.gather(tf.nn.log_softmax(scores), options.targets, axis=1), axis=1)
    )


def test_the_gradient_through_sweeps_of_als_is_exact(shop):
    options = replace(
        settings(shop, epochs=3, unrolled_epochs=3),
        surrogate=replace(TINY, solver="als", regularization=2.0),
    )
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
    shorter = Surrogate(
        shop, replace(options, unrolled_epochs=1), seed=3
    ).trained_and_differentiated(X)
    np.testing.assert_allclose(shorter[2], Q, atol=1e-4)


def test_truncated_unrolling_leaves_the_first_epochs_constant(shop):
    """The gradient through the last epoch alone is that of the training that starts where the epochs before it ended."""
    X = initial_profiles(shop, 4, 100)
    whole, last = (
        Surrogate(shop, settings(shop, epochs=4, unrolled_epochs=n), 0).trained_and_differentiated(
            X
        )
        for n in (4, 1)
    )
    np.testing.assert_allclose(whole[1], last[1], atol=1e-4)
    assert not np.allclose(whole[3], last[3], rtol=0.05)


# The outer epochs, with a surrogate that is written down


class Scripted:
    """Stands for the surrogate: gives gradients [F, I] from a list, shows the targets or not, and remembers what it was given."""

    def __init__(self, gradients, shown=None):
        self.gradients, self.found, self.asked = gradients, shown or [False] * len(gradients), []

    def __call__(self, interactions, settings, seed):
        return self

    def shown(self, X):
        return X

    def trained_and_differentiated(self, X, W=None, seed=None):
        number = len(self.asked)
        self.asked.append((X.copy(), seed))
        return (
            0.5,
            np.ones((5, 1)),
            np.array([[1.0], [1], [1], [2 * self.found[number]]]),
            np.array(self.gradients[number], np.float32),
        )


def three_users():
    """Users 0 and 1, from whom the two fakes start, click {0, 1} and {1, 2}; nobody clicks the target 3."""
    train = pd.DataFrame({"user": [0, 0, 1, 1, 2, 2], "item": [0, 1, 1, 2, 0, 2]})
    return data.Interactions.from_frames(
        train, pd.DataFrame({"user": [0, 1, 2, 2], "item": [2, 0, 1, 3]})
    )


def outer_epochs(monkeypatch, folder, scripted, seed=0, **more):
    """-> the fakes that each outer epoch began with, and the profiles"""
    monkeypatch.setattr(bilevel, "Surrogate", scripted)
    options = RecSys20Settings(2, (3,), TINY, **{"k": 1} | more)
    profiles = bilevel.attack(
        three_users(), options, seed, folder, len(scripted.gradients), progress=False
    )
    return [X.tolist() for X, _ in scripted.asked], profiles


NOTHING = [[0, 0, 0, 0]] * 2


def test_a_step_goes_against_the_gradient_at_the_same_length_in_every_row(monkeypatch, tmp_path):
    """Row 0 loses item 0 and gains .01 of item 3; row 1, of a gradient ten thousand times as small, gains item 0."""
    fakes, _ = outer_epochs(
        monkeypatch, tmp_path, Scripted([[[10, 0, 0, -0.1], [-0.001, 0, 0, 0]], NOTHING])
    )
    assert fakes == [[[1, 1, 0, 0], [0, 1, 1, 0]], [[0, 1, 0, 0], [1, 1, 1, 0]]]


def test_steps_gather_momentum(monkeypatch, tmp_path):
    """Twice the same gradient: 1 - .6 stays a click, and 1 - .6 (1 + .9) does not; after it the momentum goes on alone."""
    steps = [[[1, 0, 0, 0], [0, 0, 0, 0]]] * 2 + [[[0, 0, 0, 0], [0, -1, 0, 0]]] * 2
    fakes, _ = outer_epochs(
        monkeypatch, tmp_path / "with", Scripted(steps), learning_rate=0.6, momentum=0.9
    )
    assert [rows[0] for rows in fakes] == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0]]
    fakes, _ = outer_epochs(
        monkeypatch, tmp_path / "without", Scripted(steps), learning_rate=0.6, momentum=0.0
    )
    assert [rows[0] for rows in fakes] == [[1, 1, 0, 0]] * 4


@pytest.mark.parametrize(
    "threshold, first", [(0.05, [1, 1, 0, 1]), (0.04, [1, 1, 1, 1]), (0.06, [1, 1, 0, 0])]
)
def test_a_click_is_what_is_above_the_threshold(monkeypatch, tmp_path, threshold, first):
    """A step of .07 along (.6, .8): .042 and .056."""
    steps = Scripted([[[0, 0, -3, -4], [0, 0, 0, 0]], NOTHING])
    assert (
        outer_epochs(monkeypatch, tmp_path, steps, learning_rate=0.07, threshold=threshold)[0][1][0]
        == first
    )


def test_the_first_of_the_best_profiles_are_kept(monkeypatch, tmp_path):
    steps = [[[row == item for item in range(4)] for row in (n, n)] for n in range(4)]
    fakes, profiles = outer_epochs(
        monkeypatch, tmp_path, Scripted(steps, [False, True, False, True]), momentum=0.0
    )
    assert len({str(rows) for rows in fakes}) == 4
    assert (
        profiles.matrix().tolist() == fakes[1]
        and profiles.targets == (3,)
        and profiles.name == "recsys20"
    )
    table = pd.read_csv(tmp_path / "trajectory.csv")
    assert table["target_HR"].tolist() == [0, 1, 0, 1] and table["clicks"].tolist() == [
        np.sum(rows) / 2 for rows in fakes
    ]


def test_a_budget_and_the_targets_hold_from_the_start(monkeypatch, tmp_path):
    steps = [[[0, 0, -1, 0], [0, 0, 0, 0]], NOTHING]
    fakes, _ = outer_epochs(
        monkeypatch, tmp_path / "1", Scripted(steps), clicks=1, learning_rate=2.0
    )
    assert fakes == [[[1, 0, 0, 0], [0, 1, 0, 0]], [[0, 0, 1, 0], [0, 1, 0, 0]]]
    fakes, _ = outer_epochs(
        monkeypatch,
        tmp_path / "2",
        Scripted(steps),
        clicks=2,
        click_targets=True,
        learning_rate=2.0,
    )
    assert fakes == [[[1, 0, 0, 1], [0, 1, 0, 1]], [[0, 0, 1, 1], [0, 1, 0, 1]]]


def test_every_outer_epoch_has_a_seed_of_its_own_unless_asked_otherwise(monkeypatch, tmp_path):
    seeds = {}
    for seed, fresh in ((0, True), (1, True), (1, False)):
        scripted = Scripted([NOTHING] * 3)
        outer_epochs(monkeypatch, tmp_path / f"{seed}{fresh}", scripted, seed, fresh_seeds=fresh)
        seeds[seed, fresh] = [own for _, own in scripted.asked]
    assert len({*seeds[0, True], *seeds[1, True]}) == 6 and seeds[1, False] == [1, 1, 1]


def test_the_surrogate_follows_the_seed_it_is_given(shop):
    options = settings(
        shop, epochs=2, unrolled_epochs=1, surrogate=replace(TINY, solver="als", regularization=2.0)
    )
    X, surrogate = initial_profiles(shop, 4, 100), Surrogate(shop, options, seed=3)
    own, other, again = (
        surrogate.trained_and_differentiated(X, seed=seed)[1] for seed in (None, 4, 3)
    )
    np.testing.assert_array_equal(own, again)
    assert not np.allclose(own, other, atol=1e-3)


def test_the_published_settings_are_the_defaults():
    one = RecSys20Settings(1, (0,))
    assert (
        one.epochs,
        one.unrolled_epochs,
        one.learning_rate,
        one.momentum,
        one.threshold,
        one.click_limit,
    ) == (50, 10, 1.0, 0.95, 0.05, 100)
    assert (one.clicks, one.click_targets, one.fresh_seeds, one.k) == (None, False, True, 50)


def test_fakes_start_from_users_up_to_the_limit():
    """Clicks 3, 2 and 1; who has none, as after a defence, is nobody to start from."""
    train = pd.DataFrame({"user": [0, 0, 0, 1, 1, 2], "item": [0, 1, 2, 1, 2, 0]})
    built = data.Interactions.from_frames(train, pd.DataFrame({"user": [1], "item": [3]}))
    assert initial_profiles(built, 2, 2).tolist() == [[0, 1, 1, 0], [1, 0, 0, 0]]
    assert initial_profiles(built, 2, 3).tolist() == [[1, 1, 1, 0], [0, 1, 1, 0]]
    emptied = replace(built, train_users=built.train_users[3:], train_items=built.train_items[3:])
    assert initial_profiles(emptied, 2, 3).tolist() == [[0, 1, 1, 0], [1, 0, 0, 0]]


def test_binarising_holds_the_budget_and_the_targets(shop):
    X = np.array([[0.04, 0.06, 0.9, 0.5, 0.2]])
    base = replace(settings(shop), targets=(0,))
    for more, expected in (
        ({}, [0, 1, 1, 1, 1]),
        ({"clicks": 2}, [0, 0, 1, 1, 0]),
        ({"clicks": 2, "click_targets": True}, [1, 0, 1, 0, 0]),
        ({"click_targets": True}, [1, 1, 1, 1, 1]),
        (
            {"most_changes": 2},
            [0, 0, 1, 0, 0],
        ),  # of five changes from 1, 0, 0, 0, 0 the two furthest are 1 -> .04 and 0 -> .9
    ):
        start = np.array([[1.0, 0, 0, 0, 0]])
        np.testing.assert_array_equal(binarised(X, replace(base, **more), start), [expected])


def test_an_aware_attacker_sees_what_the_defence_leaves(shop):
    """The defence leaves out item 1 and every click of user 0."""

    class Fewer(Defense):
        def cleaned(self, data, n_real, cache_dir):
            kept = (data.train_items != 1) & (data.train_users > 0)
            return replace(
                data,
                train_users=data.train_users[kept],
                train_items=data.train_items[kept],
                train_ratings=None,
                train_timestamps=None,
            )

    surrogate = Surrogate(shop, settings(shop, defense=Fewer()), 0)
    seen = surrogate.shown(np.ones((4, 17), np.float32))
    assert seen[:, 1].sum() == 0 and seen.sum() == 4 * 16
    assert (
        0 not in surrogate.data.train_users
        and 1 not in surrogate.data.train_items
        and surrogate.data.n_users == shop.n_users
    )
    assert surrogate.empty.n_users == shop.n_users + 4
    np.testing.assert_array_equal(Surrogate(shop, settings(shop), 0).shown(seen), seen)


def test_an_aware_attack_ends_in_other_profiles(shop, tmp_path):
    options = [
        settings(shop, epochs=3, unrolled_epochs=2, defense=defense)
        for defense in (None, LowRank(8, 2))
    ]
    plain, aware = (
        bilevel.attack(shop, each, 0, tmp_path / f"{n}", 3, progress=False)
        for n, each in enumerate(options)
    )
    assert plain.digest() != aware.digest()


def test_fakes_start_from_the_first_users_with_few_clicks(shop):
    clicks = np.diff(shop.indptr)
    limit = int(np.median(clicks))
    X, users = initial_profiles(shop, 4, limit), np.flatnonzero(clicks <= limit)[:4]
    assert X.sum(axis=1).tolist() == clicks[users].tolist()
    with pytest.raises(
        UserError, match="users of synthetic have at most 1 clicks, fewer than the 4 fakes"
    ):
        initial_profiles(shop, 4, 1)


def test_a_killed_bilevel_attack_ends_in_the_same_bytes(shop, tmp_path, monkeypatch):
    whole = bilevel.attack(shop, settings(shop), 0, tmp_path / "whole", 3, progress=False)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        killed_after(patch, bilevel, 1)
        bilevel.attack(shop, settings(shop), 0, tmp_path / "killed", 3, progress=False)
    assert (
        Profiles.load(tmp_path / "killed" / "profiles.npz").n_users == 4
    )  # the best so far is there
    bilevel.attack(shop, settings(shop), 0, tmp_path / "killed", 3, progress=False)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole") != {}
    run = pd.read_csv(tmp_path / "whole" / "trajectory.csv")
    assert (
        run["outer_epoch"].tolist() == [0, 1, 2]
        and whole.digest() == Profiles.load(tmp_path / "whole" / "profiles.npz").digest()
    )


def test_a_surrogate_that_diverges_is_told(shop, tmp_path):
    wild = replace(settings(shop), surrogate=replace(TINY, learning_rate=1e30))
    with pytest.raises(UserError, match="surrogate's loss is"):
        bilevel.attack(shop, wild, 0, tmp_path, 1, progress=False)


def test_the_synthetic_check_target_hit_ratio_rises_clearly(tmp_path):
    """900 real users, 100 fake, 300 items of rank 20, unrolled in full (Tang et al., section 4.2)."""
    interactions = data.synthetic(
        n_users=900, n_items=300, per_user=25, rank=20, seed=0, split="80:20"
    )
    targets = data.choose_targets(interactions, "upper_torso", 5)
    wrmf = WRMFConfig(embedding_dim=20, batch_size=500)
    options = RecSys20Settings(100, targets, wrmf, epochs=40, unrolled_epochs=40, k=10)
    profiles = bilevel.attack(interactions, options, 0, tmp_path, 8, progress=False)
    hit_ratios = []
    for each in (interactions, profiles.stacked_on(interactions)):
        model = WRMF(each.n_users, each.n_items, 20, seed=1)
        model.compile()
        model.fit(each, epochs=40, batch_size=500, verbose=0)
        hit_ratios.append(
            evaluation.poisoning_metrics(*model.factors, interactions, targets, 10)["target_HR"]
        )
    assert hit_ratios[1] > 1.3 * hit_ratios[0]
