"""RecSys19: the DCGAN on rating profiles and its zeroth-order refinement."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from advrec_tf import data
from advrec_tf.errors import UserError
from advrec_tf.poisoning import dcgan, gan, zeroth_order
from advrec_tf.poisoning.ratings import discrete, like_real, random_mask, strongest
from advrec_tf.poisoning.settings import (
    GOALS,
    GanSettings,
    RecSys19Settings,
    RefinedBootstrapSettings,
)
from advrec_tf.poisoning.similarity import mean_jaccard
from advrec_tf.recommenders import WRMFConfig

from killing import Killed, contents, killed_after
from running import NARROW

TINY = WRMFConfig(embedding_dim=3, batch_size=9)


@pytest.fixture(scope="module")
def shop():
    return data.synthetic(n_users=24, n_items=17, per_user=6, seed=2, split="80:20")


@pytest.mark.parametrize(
    "n_items, shape",
    [(1682, (29, 58)), (300, (15, 20)), (3706, (53, 70)), (7, (2, 4)), (1, (1, 1))],
)
def test_image_shapes_hold_every_profile(n_items, shape):
    height, width = dcgan.image_shape(n_items)
    assert (height, width) == shape and height * width >= n_items and height <= width <= 2 * height


def test_images_are_profiles_and_back():
    X = np.array([[0, 1, 5, 0, 3, 2, 4]], np.float32)
    images = dcgan.to_images(X)
    assert (
        images.shape == (1, 2, 4, 1)
        and images.min() == -1
        and images.max() == 1
        and images[0, 1, 3, 0] == -1
    )
    np.testing.assert_allclose(dcgan.to_profiles(images, 7), X, atol=1e-6)
    np.testing.assert_array_equal(
        discrete(np.array([0, 0.49, 0.5, 1.4, 4.6, 5.0])), [0, 0, 1, 1, 5, 5]
    )


def test_generator_and_discriminator_fit_each_other():
    made = dcgan.generator(5, 9, 0)(np.zeros((2, dcgan.NOISE)))
    assert made.shape == (2, 5, 9, 1) and dcgan.discriminator(5, 9, 0)(made).shape == (2, 1)


class Quadratic:
    """A recommender whose goal is known: -|F - aim|^2, and that remembers what it was asked."""

    scale = 1.0, 5.0

    def __init__(self, aim):
        self.aim, self.model, self.asked = aim, None, []

    def after(self, epochs, F):
        self.asked.append((epochs, F))
        return -float(np.sum((F - self.aim) ** 2))


def test_a_zeroth_order_step_by_hand(monkeypatch):
    monkeypatch.setattr(zeroth_order.checkpoints, "capture", lambda model: None)
    monkeypatch.setattr(zeroth_order.checkpoints, "restore", lambda model, state: None)
    rng = np.random.default_rng(0)
    F, aim = rng.uniform(0.5, 2, (3, 6)).astype(np.float32), np.full((3, 6), 3.0)
    recommender = Quadratic(aim)
    options = RecSys19Settings(3, (0,), directions=2, smoothing=0.5, step_size=0.05)
    after, base, probes = zeroth_order.zeroth_order_step(F, recommender, options)
    U, _, Vt = np.linalg.svd(F)
    change = np.zeros_like(F)
    for place in range(2):
        Z = np.outer(U[:, place], Vt[place])
        probe = -np.sum((np.clip(F + 0.5 * Z, 0, 5) - aim) ** 2)
        assert probes[place] == pytest.approx(probe, rel=1e-4)
        change += (probe - base) * Z
    np.testing.assert_allclose(after, np.clip(F + 0.05 * 0.5 * change, 0, 5), atol=1e-4)
    assert [epochs for epochs, _ in recommender.asked] == [options.probe_epochs] * 3
    moved, _, _ = zeroth_order.zeroth_order_step(
        F, recommender, replace(options, largest_move=0.25)
    )
    np.testing.assert_allclose(
        moved, np.clip(F + 0.25 * change / np.abs(change).max(), 0, 5), atol=1e-4
    )
    blind, _, _ = zeroth_order.zeroth_order_step(
        F, recommender, replace(options, step_size=0.001), np.random.default_rng(0)
    )
    size = np.linalg.norm(np.clip(F + 0.001 * 0.5 * change, 0, 5) - F)
    assert np.linalg.norm(blind - F) == pytest.approx(size, rel=1e-3) and not np.allclose(
        blind, F + 0.001 * 0.5 * change, atol=1e-6
    )
    still, _, _ = zeroth_order.zeroth_order_step(F, Flat(aim), replace(options, largest_move=0.25))
    np.testing.assert_array_equal(still, F)


class Flat(Quadratic):
    """One whose goal never moves."""

    def after(self, epochs, F):
        return 0.5


def test_a_killed_attack_ends_in_the_same_bytes(shop, tmp_path, monkeypatch):
    options = RecSys19Settings(
        5, (1, 5), TINY, gan_epochs=3, base_epochs=2, probe_epochs=1, directions=2, k=5
    )
    monkeypatch.setattr(gan, "_SAVE_EVERY", 1)
    monkeypatch.setattr(dcgan, "FILTERS", NARROW)
    whole = zeroth_order.attack(
        shop, options, 0, tmp_path / "whole" / "synthetic" / "a", 3, progress=False
    )
    assert (
        whole.n_users == 5
        and whole.matrix().max() <= 5
        and len(list((tmp_path / "whole" / "synthetic").iterdir())) == 2
    )
    for stop in (1, 3, 1):  # in the GAN, in the steps, and in them again
        with monkeypatch.context() as patch, pytest.raises(Killed):
            killed_after(patch, gan, stop)
            zeroth_order.attack(
                shop, options, 0, tmp_path / "killed" / "synthetic" / "a", 3, progress=False
            )
    zeroth_order.attack(
        shop, options, 0, tmp_path / "killed" / "synthetic" / "a", 3, progress=False
    )
    for own in (tmp_path / "whole" / "synthetic").iterdir():
        assert contents(tmp_path / "killed" / "synthetic" / own.name) == contents(own)
    with pytest.raises(UserError, match="more than the 24 users"):
        gan.attack(shop, GanSettings(25), 0, tmp_path / "many", 1, progress=False)


def test_nothing_below_a_half_is_a_rating():
    np.testing.assert_array_equal(
        discrete(np.array([[-3.0, 0.49, 0.5], [1.6, 2.4, 9.0]])), [[0, 0, 1], [2, 2, 5]]
    )


# The recommender that is asked


def als_options(**more):
    return RecSys19Settings(
        **{
            "fakes": 3,
            "targets": (1, 5),
            "recommender": replace(TINY, solver="als", decay=2.0),
            "k": 4,
        }
        | more
    )


def test_the_goal_is_the_hit_ratio_or_the_mean_score_of_the_targets_over_real_users(shop):
    F = np.full((3, 17), 4.0)
    hits, smoothed, score = (
        zeroth_order.Oblivious(shop, als_options(goal=goal), seed=1) for goal in GOALS
    )
    found = hits.after(2, F), score.after(2, F)
    P, Q = hits.model.factors
    assert len(P) == 27
    scores = P[:24] @ Q.T
    scores[shop.train_users, shop.train_items] = -np.inf
    best = np.argsort(-scores, axis=1)[:, :4]
    tested = np.unique(shop.test_users)
    assert found[0] == pytest.approx(np.mean([bool({1, 5} & set(best[user])) for user in tested]))
    assert found[1] == pytest.approx(np.mean(P[:24] @ Q[[1, 5]].T), rel=1e-5)
    margins = scores[tested][:, [1, 5]].max(axis=1) - np.sort(scores[tested], axis=1)[:, -4]
    assert smoothed.after(2, F) == pytest.approx(
        np.mean(1 / (1 + np.exp(-margins / zeroth_order.SOFTNESS))), rel=1e-4
    )


def test_the_recommender_sees_ratings_and_goes_on_from_where_it_stands(shop):
    nothing, faint, clear, other = (
        zeroth_order.Oblivious(shop, als_options(goal="score"), seed) for seed in (1, 1, 1, 2)
    )
    empty = nothing.after(1, np.zeros((3, 17)))
    assert (
        faint.after(1, np.full((3, 17), 0.4)) == empty != clear.after(1, np.full((3, 17), 0.6))
        and other.after(1, np.zeros((3, 17))) != empty
    )
    one, two = nothing.after(1, np.zeros((3, 17))), faint.after(1, np.zeros((3, 17)))
    assert one == two != empty


def test_a_probe_starts_where_the_base_ended_and_leaves_no_trace(monkeypatch):
    events, options = [], RecSys19Settings(3, (0,), directions=2)

    class Recorder(Quadratic):
        def after(self, epochs, F):
            events.append("after")
            return super().after(epochs, F)

    monkeypatch.setattr(
        zeroth_order.checkpoints, "capture", lambda model: events.append("capture") or "state"
    )
    monkeypatch.setattr(
        zeroth_order.checkpoints, "restore", lambda model, state: events.append(f"restore {state}")
    )
    zeroth_order.zeroth_order_step(
        np.eye(3, 6, dtype=np.float32), Recorder(np.zeros((3, 6))), options
    )
    assert events == ["capture", *["restore state", "after"] * 3, "restore state"]


def test_probes_and_the_step_stay_on_the_scale(monkeypatch):
    for name in ("capture", "restore"):
        monkeypatch.setattr(zeroth_order.checkpoints, name, lambda *args: None)
    F = np.array([[4.0, 1.0], [1.0, 2.0]], np.float32)
    recommender = Quadratic(np.array([[5.0, 0.0], [0.0, 5.0]]))
    after, base, probes = zeroth_order.zeroth_order_step(
        F, recommender, RecSys19Settings(2, (0,), directions=5, smoothing=50.0, step_size=100.0)
    )
    assert base == -(1 + 1 + 1 + 9) and len(probes) == 2  # no more directions than rows
    for scale in (np.array([probe for _, probe in recommender.asked[1:]]), after):
        assert scale.min() == 0 and scale.max() == 5


# The attack, with everything that learns written down


def test_the_last_profiles_are_kept_and_every_change_is_counted(shop, tmp_path, monkeypatch):
    """Three steps on two users' own profiles, of which the second undoes the first."""
    start = zeroth_order.start_of(shop, RefinedBootstrapSettings(2, (1, 5)), 6, tmp_path, False)
    values, asked = (
        iter(
            [(5 - start, 0.3, [0.9]), (start, 0.1, [0.2]), (np.where(start, 0, 2), 0.2, [0.0, 0.5])]
        ),
        [],
    )

    class Asked(zeroth_order.Oblivious):
        def after(self, epochs, F):
            asked.append((epochs, float(F.sum())))

    monkeypatch.setattr(zeroth_order, "Oblivious", Asked)
    monkeypatch.setattr(
        zeroth_order, "zeroth_order_step", lambda F, recommender, settings, blind: next(values)
    )
    options = RefinedBootstrapSettings(2, (1, 5), replace(TINY, solver="als"))
    profiles = zeroth_order.attack(shop, options, 6, tmp_path, 3, progress=False)
    np.testing.assert_array_equal(profiles.matrix() > 0, start == 0)
    assert [epochs for epochs, _ in asked] == [50, 50, 50] and asked[0][1] == asked[2][
        1
    ] == start.sum() != asked[1][1]
    table = pd.read_csv(tmp_path / "trajectory.csv")
    assert table["goal"].tolist() == [0.3, 0.1, 0.2] and table["best_probe"].tolist() == [
        0.9,
        0.2,
        0.5,
    ]
    assert (
        table["changed_entries"].tolist() == [start.size, 0, start.size]
        and table["clicks"].tolist()[1] == np.count_nonzero(start) / 2
    )


def test_targets_are_clicked_by_all_only_if_that_is_asked_for(shop):
    F = np.zeros((3, 17))
    plain, forced = (
        zeroth_order.Oblivious(shop, als_options(click_targets=asked), 0).profiles(F).matrix()
        for asked in (False, True)
    )
    assert not plain.any() and np.all(forced[:, [1, 5]] > 0) and np.count_nonzero(forced) == 6


def test_a_mask_is_all_that_a_profile_can_have(shop):
    made = (
        zeroth_order.Oblivious(shop, als_options(mask=4), 0)
        .profiles(np.full((3, 17), 3.0))
        .matrix()
    )
    assert np.all(np.count_nonzero(made, axis=1) == 4)
    np.testing.assert_array_equal(made > 0, random_mask((3, 17), 4, 0))
    assert not np.array_equal(random_mask((3, 17), 4, 0), random_mask((3, 17), 4, 1))


def test_profiles_keep_their_strongest_entries_as_many_as_a_real_user_has(shop):
    np.testing.assert_array_equal(
        strongest(np.array([[3.0, 1, 3, 2], [1, 2, 3, 4]]), np.array([2, 1])),
        [[3, 0, 3, 0], [0, 0, 0, 4]],
    )
    kept = like_real(np.random.default_rng(0).random((40, 17)) + 1, shop, 0)
    assert (
        set(np.count_nonzero(kept, axis=1)) <= set(np.diff(shop.indptr))
        and len(set(np.count_nonzero(kept, axis=1))) > 1
    )


def test_the_settings_of_the_re_implementation_are_the_defaults():
    one, its_gan = RecSys19Settings(1, (0,)), GanSettings(1)
    assert (
        its_gan.epochs,
        its_gan.batch_size,
        its_gan.learning_rate,
        its_gan.beta_1,
        its_gan.mask,
    ) == (128, 64, 2e-4, 0.5, None)
    assert replace(one, gan_epochs=7, mask=90).gan == GanSettings(1, epochs=7, mask=90)
    assert (one.directions, one.smoothing, one.step_size, one.base_epochs, one.probe_epochs) == (
        5,
        50,
        100,
        50,
        5,
    )
    assert (one.goal, one.k, one.largest_move, one.click_targets) == ("hit", 10, None, False)


# The GAN


def test_profiles_follow_the_seed_of_the_weights_and_that_of_the_noise():
    first, other = dcgan.DCGAN(2, 4, 0), dcgan.DCGAN(2, 4, 1)
    made = first.generate(3, 7)
    assert made.shape == (3, 7) and made.min() >= 0 and made.max() <= 5
    np.testing.assert_array_equal(made, first.generate(3, 7))
    assert not np.allclose(
        made, first.generate(5, 7)[:3], atol=1e-5
    )  # the statistics are those of the batch
    other.seed = 0
    assert not np.allclose(made, other.generate(3, 7), atol=1e-5)
    first.seed = 1
    assert not np.allclose(made, first.generate(3, 7), atol=1e-5)


def test_every_epoch_goes_through_all_profiles_in_an_order_and_with_noise_of_its_own():
    orders, noises = set(), set()
    for seed in (0, 1):
        model, batches = dcgan.DCGAN(2, 4, 0), []
        model.seed = seed
        model.step = lambda images, noise, seen=batches: (
            seen.append((images.numpy(), noise.numpy())) or (0.5, 0.5)
        )
        for epoch in range(3):
            model.epoch(np.eye(6, 7), epoch, 3)
            (first, one), (second, other) = batches[2 * epoch : 2 * epoch + 2]
            order = dcgan.to_profiles(np.concatenate([first, second]), 7).argmax(axis=1)
            assert sorted(order) == list(range(6))
            orders.add(tuple(order))
            noises |= {one.tobytes(), other.tobytes()}
    assert len(orders) == 6 and len(noises) == 12


def test_both_losses_begin_at_chance():
    """Weights are small, so every logit is near 0: ln 2 for the generator, and twice that for the discriminator's two halves."""
    tf.config.run_functions_eagerly(True)
    try:
        losses = dcgan.DCGAN(2, 4, 0).epoch(np.eye(4, 7, dtype=np.float32), 0, 4)
    finally:
        tf.config.run_functions_eagerly(False)
    np.testing.assert_allclose(losses, [np.log(2), 2 * np.log(2)], atol=0.15)


class Scripted:
    """A GAN whose profiles are given, an epoch after the other."""

    def __init__(self, made):
        self.made = iter(made)

    def __call__(self, *args):
        return self

    def restore(self, state):
        pass

    def state(self):
        return {}

    def epoch(self, profiles, epoch, batch_size):
        return np.array([0.1, 0.2])

    def generate(self, fakes, n_items):
        return next(self.made)


def test_a_gan_stops_when_its_profiles_look_real_and_goes_on_while_they_do_not(
    shop, tmp_path, monkeypatch
):
    real = shop.matrix().toarray()[:6] * 5
    blurred, alike = np.where(real > 0, real, 1.6).astype(np.float32), np.tile(real[:1], (6, 1))
    monkeypatch.setattr(gan, "DCGAN", Scripted([blurred, alike, real, blurred]))
    gan.attack(shop, GanSettings(6), 0, tmp_path, 4, progress=False)
    table = pd.read_csv(tmp_path / "trajectory.csv")
    assert (
        table["epoch"].tolist() == [1, 2, 3]
        and table["clicks"].tolist()[0] == 17
        and table["Jaccard"].tolist()[1] == 1
    )
    assert (
        table["real_clicks"].nunique() == 1
        and table["real_clicks"][0] == np.count_nonzero(shop.train_ratings >= 1.5) / 24
    )
    before = contents(tmp_path)
    gan.attack(
        shop, GanSettings(6), 0, tmp_path, 4, progress=False
    )  # it is not asked for a fourth epoch
    assert contents(tmp_path) == before


def test_what_is_a_click_of_a_narrow_scale():
    """Of ratings from 4 to 5 all are clicks, and of 1 to 5 what is at least 1.5."""
    F = np.array([[4.0, 5.0, 1.0, 0.0], [5.0, 4.0, 0.0, 0.0]])
    assert (
        gan.looks(F, (4.0, 5.0), np.array([0]))[0] == 2
        and gan.looks(F, (1.0, 5.0), np.array([0]))[0] == 2
    )
    assert gan.looks(F + 0.5, (1.0, 5.0), np.array([0]))[0] == 2.5


@pytest.mark.parametrize(
    "made",
    [
        np.zeros((6, 17), np.float32),
        np.tile(np.float32([5, 0, 5, 0, 0, 5, 5, 5] + [0] * 9), (6, 1)),
    ],
)
def test_a_collapse_ends_the_gan_in_one_line(shop, tmp_path, monkeypatch, made):
    monkeypatch.setattr(gan, "DCGAN", Scripted([made] * 40))
    with pytest.raises(UserError, match=f"collapsed: after epoch {gan.SETTLED} "):
        gan.attack(shop, GanSettings(6), 0, tmp_path, 40, progress=False)


def test_the_mean_jaccard_similarity_by_hand():
    X = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0], [1, 1, 0, 0]], bool)
    assert mean_jaccard(X) == pytest.approx((1 / 3 + 1 + 1 / 3) / 3) and np.isnan(
        mean_jaccard(X[2:])
    )


def test_the_generator_learns_what_the_discriminator_takes_for_real():
    """Before the same judge what it makes after a step has higher logits; and the judge, before the same fakes, learns to tell them."""
    model, rng = dcgan.DCGAN(2, 4, 0), np.random.default_rng(0)
    images, noise = (
        tf.constant(dcgan.to_images(np.eye(4, 7))),
        tf.constant(rng.standard_normal((4, dcgan.NOISE), np.float32)),
    )
    make, judge = model.models

    def logits():
        made = make(noise, training=True)
        return float(tf.reduce_mean(judge(made, training=True))), float(
            tf.reduce_mean(judge(images, training=True))
        )

    before, weights = logits(), [part.get_weights() for part in model.models]
    tf.config.run_functions_eagerly(True)
    try:
        model.step(images, noise)
    finally:
        tf.config.run_functions_eagerly(False)
    after = [part.get_weights() for part in model.models]
    judge.set_weights(weights[1])
    assert logits()[0] > before[0]
    make.set_weights(weights[0])
    judge.set_weights(after[1])
    fake, real = logits()
    assert real - fake > before[1] - before[0]
