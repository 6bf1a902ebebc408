"""RecSys19: the DCGAN on rating profiles and its zeroth-order refinement."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from advrec_tf import data
from advrec_tf.errors import UserError
from advrec_tf.poisoning import dcgan, gan
from advrec_tf.poisoning.gan import RecSys19Settings, discrete
from advrec_tf.poisoning.settings import GOALS
from advrec_tf.training import WRMFSettings

from killing import Killed, contents, killed_after

TINY = WRMFSettings(embedding_dim=3, batch_size=9)


@pytest.fixture(scope="module")
def shop():
    return data.synthetic(n_users=24, n_items=17, per_user=6, seed=2, split="80:20")


@pytest.mark.parametrize("n_items, shape", [(1682, (29, 58)), (300, (15, 20)), (3706, (53, 70)), (7, (2, 4)), (1, (1, 1))])
def test_image_shapes_hold_every_profile(n_items, shape):
    height, width = dcgan.image_shape(n_items)
    assert (height, width) == shape and height * width >= n_items and height <= width <= 2 * height


def test_images_are_profiles_and_back():
    X = np.array([[0, 1, 5, 0, 3, 2, 4]], np.float32)
    images = dcgan.to_images(X)
    assert images.shape == (1, 2, 4, 1) and images.min() == -1 and images.max() == 1 and images[0, 1, 3, 0] == -1
    np.testing.assert_allclose(dcgan.to_profiles(images, 7), X, atol=1e-6)
    np.testing.assert_array_equal(discrete(np.array([0, 0.49, 0.5, 1.4, 4.6, 5.0])), [0, 0, 1, 1, 5, 5])


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
    monkeypatch.setattr(gan.checkpoints, "capture", lambda model: None)
    monkeypatch.setattr(gan.checkpoints, "restore", lambda model, state: None)
    rng = np.random.default_rng(0)
    F, aim = rng.uniform(0.5, 2, (3, 6)).astype(np.float32), np.full((3, 6), 3.0)
    recommender = Quadratic(aim)
    options = RecSys19Settings(3, (0,), directions=2, smoothing=0.5, step_size=0.05)
    after, base, probes = gan.zeroth_order_step(F, recommender, options)
    U, _, Vt = np.linalg.svd(F)
    expected = F.astype(float)
    for place in range(2):
        Z = np.outer(U[:, place], Vt[place])
        probe = -np.sum((np.clip(F + 0.5 * Z, 0, 5) - aim) ** 2)
        assert probes[place] == pytest.approx(probe, rel=1e-4)
        expected += 0.05 * (probe - base) * Z
    np.testing.assert_allclose(after, np.clip(expected, 0, 5), atol=1e-4)
    assert [epochs for epochs, _ in recommender.asked] == [options.base_epochs, *[options.probe_epochs] * 2]


def test_a_killed_gan_attack_ends_in_the_same_bytes(shop, tmp_path, monkeypatch):
    options = RecSys19Settings(5, (1, 5), TINY, gan_epochs=3, batch_size=8, warm_epochs=2, base_epochs=2, probe_epochs=1, directions=2, k=5)
    real = dcgan.DCGAN.train

    def train(self, *args, **kwargs):
        return real(self, *args, **kwargs | {"save_every": 1})

    monkeypatch.setattr(dcgan.DCGAN, "train", train)
    whole = gan.attack(shop, options, 0, tmp_path / "whole", 3, progress=False)
    assert whole.n_users == 5 and whole.matrix().max() <= 5
    for stop in (1, 2):
        with monkeypatch.context() as patch, pytest.raises(Killed):
            if stop == 1:
                patch.setattr(dcgan.pd.DataFrame, "to_csv", lambda *args, **kwargs: (_ for _ in ()).throw(Killed))
            else:
                killed_after(patch, gan, 1)
            gan.attack(shop, options, 0, tmp_path / "killed", 3, progress=False)
    gan.attack(shop, options, 0, tmp_path / "killed", 3, progress=False)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    with pytest.raises(UserError, match="more than the 24 users"):
        gan.attack(shop, replace(options, fakes=25), 0, tmp_path / "many", 1, progress=False)


def test_nothing_below_a_half_is_a_rating():
    np.testing.assert_array_equal(discrete(np.array([[-3.0, 0.49, 0.5], [1.6, 2.4, 9.0]])), [[0, 0, 1], [2, 2, 5]])


# The recommender that is asked


def als_options(**more):
    return RecSys19Settings(**{"fakes": 3, "targets": (1, 5), "recommender": replace(TINY, solver="als", decay=2.0), "k": 4} | more)


def test_the_goal_is_the_hit_ratio_or_the_mean_score_of_the_targets_over_real_users(shop):
    F = np.full((3, 17), 4.0)
    hits, score = (gan.Oblivious(shop, als_options(goal=goal), seed=1) for goal in GOALS)
    found = hits.after(2, F), score.after(2, F)
    P, Q = hits.model.factors
    assert len(P) == 27
    scores = P[:24] @ Q.T
    scores[shop.train_users, shop.train_items] = -np.inf
    best = np.argsort(-scores, axis=1)[:, :4]
    tested = np.unique(shop.test_users)
    assert found[0] == pytest.approx(np.mean([bool({1, 5} & set(best[user])) for user in tested]))
    assert found[1] == pytest.approx(np.mean(P[:24] @ Q[[1, 5]].T), rel=1e-5)


def test_the_recommender_sees_ratings_and_goes_on_from_where_it_stands(shop):
    nothing, faint, clear, other = (gan.Oblivious(shop, als_options(goal="score"), seed) for seed in (1, 1, 1, 2))
    empty = nothing.after(1, np.zeros((3, 17)))
    assert faint.after(1, np.full((3, 17), 0.4)) == empty != clear.after(1, np.full((3, 17), 0.6)) and other.after(1, np.zeros((3, 17))) != empty
    one, two = nothing.after(1, np.zeros((3, 17))), faint.after(1, np.zeros((3, 17)))
    assert one == two != empty


def test_a_probe_starts_where_the_base_ended_and_leaves_no_trace(monkeypatch):
    events, options = [], RecSys19Settings(3, (0,), directions=2)

    class Recorder(Quadratic):
        def after(self, epochs, F):
            events.append("after")
            return super().after(epochs, F)

    monkeypatch.setattr(gan.checkpoints, "capture", lambda model: events.append("capture") or "state")
    monkeypatch.setattr(gan.checkpoints, "restore", lambda model, state: events.append(f"restore {state}"))
    gan.zeroth_order_step(np.eye(3, 6, dtype=np.float32), Recorder(np.zeros((3, 6))), options)
    assert events == ["after", "capture", "after", "restore state", "after", "restore state"]


def test_probes_and_the_step_stay_on_the_scale(monkeypatch):
    for name in ("capture", "restore"):
        monkeypatch.setattr(gan.checkpoints, name, lambda *args: None)
    F = np.array([[4.0, 1.0], [1.0, 2.0]], np.float32)
    recommender = Quadratic(np.array([[5.0, 0.0], [0.0, 5.0]]))
    after, base, probes = gan.zeroth_order_step(F, recommender, RecSys19Settings(2, (0,), directions=5, smoothing=50.0, step_size=100.0))
    assert base == -(1 + 1 + 1 + 9) and len(probes) == 2  # no more directions than rows
    for scale in (np.array([probe for _, probe in recommender.asked[1:]]), after):
        assert scale.min() == 0 and scale.max() == 5


# The attack, with everything that learns written down


def test_the_first_of_the_best_profiles_are_kept(shop, tmp_path, monkeypatch):
    """Goals .1, .3, .3: kept are the profiles that the second step began with, and a probe that did better is not."""
    steps, warmed = iter([(2.0, 0.1, [0.9]), (3.0, 0.3, [0.2]), (4.0, 0.3, [0.0, 0.5])]), []

    class Made:
        def __init__(self, height, width, seed, learning_rate, beta_1, highest):
            assert (height, width, seed, learning_rate, beta_1, highest) == (*dcgan.image_shape(17), 6, 2e-4, 0.5, 5)

        def train(self, profiles, epochs, batch_size, folder, **kwargs):
            assert profiles.shape == (24, 17) and (epochs, batch_size) == (64, 64)
            return np.zeros((64, 3))

        def generate(self, count, n_items):
            return np.full((count, n_items), 1.0, np.float32)

    class Asked:
        model = None

        def __init__(self, *args):
            pass

        def after(self, epochs, F):
            warmed.append((epochs, F.max()))

    def step(F, recommender, settings):
        value, goal, probes = next(steps)
        return np.full_like(F, value), goal, probes

    monkeypatch.setattr(gan, "DCGAN", Made)
    monkeypatch.setattr(gan, "Oblivious", Asked)
    monkeypatch.setattr(gan, "zeroth_order_step", step)
    monkeypatch.setattr(gan.checkpoints, "capture", lambda model: {})
    profiles = gan.attack(shop, als_options(), 6, tmp_path, 3, progress=False)
    assert np.all(profiles.matrix() == 2) and warmed == [(50, 1)]
    assert np.all(gan.Profiles.load(tmp_path / "made.npz").matrix() == 1)
    table = pd.read_csv(tmp_path / "trajectory.csv")
    assert table["goal"].tolist() == [0.1, 0.3, 0.3] and table["best_probe"].tolist() == [0.9, 0.2, 0.5] and table["clicks"].tolist() == [17] * 3


def test_the_settings_of_the_re_implementation_are_the_defaults():
    one = RecSys19Settings(1, (0,))
    assert (one.gan_epochs, one.batch_size, one.learning_rate, one.beta_1) == (64, 64, 2e-4, 0.5)
    assert (one.directions, one.smoothing, one.step_size, one.warm_epochs, one.base_epochs, one.probe_epochs) == (5, 50, 100, 50, 10, 5)
    assert (one.goal, one.k) == ("hit_ratio", 10)


# The GAN


def test_profiles_follow_the_seed_of_the_weights_and_that_of_the_noise():
    first, other = dcgan.DCGAN(2, 4, 0), dcgan.DCGAN(2, 4, 1)
    made = first.generate(3, 7)
    assert made.shape == (3, 7) and made.min() >= 0 and made.max() <= 5
    np.testing.assert_array_equal(made, first.generate(3, 7))
    assert not np.allclose(made, first.generate(5, 7)[:3], atol=1e-5)  # the statistics are those of the batch
    other.seed = 0
    assert not np.allclose(made, other.generate(3, 7), atol=1e-5)
    first.seed = 1
    assert not np.allclose(made, first.generate(3, 7), atol=1e-5)


def test_every_epoch_goes_through_all_profiles_in_an_order_and_with_noise_of_its_own(tmp_path):
    orders, noises = set(), set()
    for seed in (0, 1):
        model, batches = dcgan.DCGAN(2, 4, 0), []
        model.seed = seed
        model.step = lambda images, noise, seen=batches: seen.append((images.numpy(), noise.numpy())) or (0.5, 0.5)
        model.train(np.eye(6, 7), 3, 3, tmp_path / f"{seed}", progress=False)
        for epoch in range(3):
            (first, one), (second, other) = batches[2 * epoch : 2 * epoch + 2]
            order = dcgan.to_profiles(np.concatenate([first, second]), 7).argmax(axis=1)
            assert sorted(order) == list(range(6))
            orders.add(tuple(order))
            noises |= {one.tobytes(), other.tobytes()}
    assert len(orders) == 6 and len(noises) == 12


def test_both_losses_begin_at_chance(tmp_path):
    """Weights are small, so every logit is near 0: ln 2 for the generator, and twice that for the discriminator's two halves."""
    tf.config.run_functions_eagerly(True)
    try:
        dcgan.DCGAN(2, 4, 0).train(np.eye(4, 7, dtype=np.float32), 1, 4, tmp_path, progress=False)
    finally:
        tf.config.run_functions_eagerly(False)
    first = pd.read_csv(tmp_path / "gan.csv").iloc[0]
    assert first["generator"] == pytest.approx(np.log(2), abs=0.15) and first["discriminator"] == pytest.approx(2 * np.log(2), abs=0.15)


def test_the_generator_learns_what_the_discriminator_takes_for_real():
    """Before the same judge what it makes after a step has higher logits; and the judge, before the same fakes, learns to tell them."""
    model, rng = dcgan.DCGAN(2, 4, 0), np.random.default_rng(0)
    images, noise = tf.constant(dcgan.to_images(np.eye(4, 7))), tf.constant(rng.standard_normal((4, dcgan.NOISE), np.float32))
    make, judge = model.models

    def logits():
        made = make(noise, training=True)
        return float(tf.reduce_mean(judge(made, training=True))), float(tf.reduce_mean(judge(images, training=True)))

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
