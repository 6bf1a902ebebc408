"""RecSys19's GAN: the DCGAN on rating profiles, and when its training ends."""

import contextlib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from advrec_tf.errors import UserError
from advrec_tf.poisoning import dcgan, gan
from advrec_tf.poisoning.ratings import discrete, like_real, random_mask, strongest
from advrec_tf.poisoning.settings import GanConfig, RecSys19Config

from killing import contents


@contextlib.contextmanager
def uncompiled():
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


# Profiles as images and as ratings


@pytest.mark.parametrize(
    "n_items, shape",
    [(1682, (29, 58)), (300, (15, 20)), (3706, (53, 70)), (7, (2, 4)), (1, (1, 1))],
)
def test_image_shapes_hold_every_profile(n_items, shape):
    height, width = dcgan.image_shape(n_items)
    assert (height, width) == shape and height * width >= n_items and height <= width <= 2 * height


def test_images_are_turned_back_into_profiles():
    X = np.array([[0, 1, 5, 0, 3, 2, 4]], np.float32)
    images = dcgan.to_images(X)
    assert images.shape == (1, 2, 4, 1) and images[0, 1, 3, 0] == -1
    assert (images.min(), images.max()) == (-1, 1)
    np.testing.assert_allclose(dcgan.to_profiles(images, 7), X, atol=1e-6)


def test_values_become_the_nearest_ratings_and_none_below_a_half():
    values = np.array([[-3.0, 0, 0.49, 0.5, 1.4], [1.6, 2.4, 4.6, 5.0, 9.0]])
    np.testing.assert_array_equal(discrete(values), [[0, 0, 0, 1, 1], [2, 2, 5, 5, 5]])


def test_profiles_keep_their_strongest_entries_as_many_as_a_real_user_has(shop):
    F = np.array([[3.0, 1, 3, 2], [1, 2, 3, 4]])
    np.testing.assert_array_equal(strongest(F, np.array([2, 1])), [[3, 0, 3, 0], [0, 0, 0, 4]])
    kept = like_real(np.random.default_rng(0).random((40, 17)) + 1, shop, 0)
    counts = set(np.count_nonzero(kept, axis=1))
    assert counts <= set(np.diff(shop.indptr)) and len(counts) > 1


def test_a_random_mask_follows_its_seed():
    first, again, other = (random_mask((3, 17), 4, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.sum(axis=1), [4, 4, 4])
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_defaults_are_those_of_the_re_implementation():
    default = GanConfig(1)
    assert (default.epochs, default.batch_size, default.mask) == (128, 64, None)
    assert (default.learning_rate, default.beta_1) == (2e-4, 0.5)
    steps = replace(RecSys19Config(1, (0,)), gan_epochs=7, mask=90)
    assert steps.gan == GanConfig(1, epochs=7, mask=90)


# The networks


def test_generator_and_discriminator_fit_each_other():
    made = dcgan.generator(5, 9, 0)(np.zeros((2, dcgan.NOISE)))
    assert made.shape == (2, 5, 9, 1)
    assert dcgan.discriminator(5, 9, 0)(made).shape == (2, 1)


def test_profiles_follow_the_seed_of_the_weights_and_that_of_the_noise():
    first, other = dcgan.DCGAN(2, 4, 0), dcgan.DCGAN(2, 4, 1)
    made = first.generate(3, 7)
    assert made.shape == (3, 7) and made.min() >= 0 and made.max() <= 5
    np.testing.assert_array_equal(made, first.generate(3, 7))
    # Batch normalisation uses the statistics of the batch.
    assert not np.allclose(made, first.generate(5, 7)[:3], atol=1e-5)
    other.seed = 0
    assert not np.allclose(made, other.generate(3, 7), atol=1e-5)
    first.seed = 1
    assert not np.allclose(made, first.generate(3, 7), atol=1e-5)


def test_every_epoch_has_its_own_order_of_all_profiles_and_its_own_noise():
    orders, noises = set(), set()
    for seed in (0, 1):
        model, batches = dcgan.DCGAN(2, 4, 0), []
        model.seed = seed

        def record(images, noise, batches=batches):
            batches.append((images.numpy(), noise.numpy()))
            return 0.5, 0.5

        model.step = record
        for epoch in range(3):
            batches.clear()
            model.epoch(np.eye(6, 7), epoch, 3)
            images = np.concatenate([images for images, _ in batches])
            order = dcgan.to_profiles(images, 7).argmax(axis=1)
            assert sorted(order) == list(range(6))
            orders.add(tuple(order))
            noises |= {noise.tobytes() for _, noise in batches}
    assert len(orders) == 6 and len(noises) == 12


def test_both_losses_begin_at_chance():
    """Weights are small, so every logit is near 0.

    The loss is ln 2 for the generator, and twice that for the discriminator's two halves.
    """
    with uncompiled():
        losses = dcgan.DCGAN(2, 4, 0).epoch(np.eye(4, 7, dtype=np.float32), 0, 4)
    np.testing.assert_allclose(losses, [np.log(2), 2 * np.log(2)], atol=0.15)


def test_a_step_improves_each_network_against_the_other_one_before_it():
    """The generator's images get higher logits; the discriminator separates real and fake more."""
    model, rng = dcgan.DCGAN(2, 4, 0), np.random.default_rng(0)
    images = tf.constant(dcgan.to_images(np.eye(4, 7)))
    noise = tf.constant(rng.standard_normal((4, dcgan.NOISE), np.float32))
    generator, discriminator = model.models

    def logits():
        made = generator(noise, training=True)
        scores = (discriminator(x, training=True) for x in (made, images))
        return [float(tf.reduce_mean(score)) for score in scores]

    before, weights = logits(), [network.get_weights() for network in model.models]
    with uncompiled():
        model.step(images, noise)
    after = [network.get_weights() for network in model.models]
    discriminator.set_weights(weights[1])
    assert logits()[0] > before[0]
    generator.set_weights(weights[0])
    discriminator.set_weights(after[1])
    fake, real = logits()
    assert real - fake > before[1] - before[0]


# When the training ends


class Scripted:
    """A GAN with given profiles, one epoch after the other."""

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


def test_a_gan_stops_when_its_profiles_look_real(shop, tmp_path, monkeypatch):
    """The first profiles have too many clicks, the second are all alike; a fourth is not made."""
    real = shop.matrix().toarray()[:6] * 5
    blurred = np.where(real > 0, real, 1.6).astype(np.float32)
    alike = np.tile(real[:1], (6, 1))
    monkeypatch.setattr(gan, "DCGAN", Scripted([blurred, alike, real, blurred]))
    gan.attack(shop, GanConfig(6), 0, tmp_path, 4, progress=False)
    table = pd.read_csv(tmp_path / "trajectory.csv")
    assert table["epoch"].tolist() == [1, 2, 3]
    assert table["clicks"][0] == 17 and table["Jaccard"][1] == 1
    assert set(table["real_clicks"]) == {np.count_nonzero(shop.train_ratings >= 1.5) / 24}
    before = contents(tmp_path)
    gan.attack(shop, GanConfig(6), 0, tmp_path, 4, progress=False)
    assert contents(tmp_path) == before


def test_the_values_that_count_as_clicks():
    """On a scale from 4 to 5 all ratings are clicks, on one from 1 to 5 those of at least 1.5."""
    F = np.array([[4.0, 5.0, 1.0, 0.0], [5.0, 4.0, 0.0, 0.0]])
    assert gan.looks(F, (4.0, 5.0), np.array([0]))[0] == 2
    assert gan.looks(F, (1.0, 5.0), np.array([0]))[0] == 2
    assert gan.looks(F + 0.5, (1.0, 5.0), np.array([0]))[0] == 2.5


@pytest.mark.parametrize("row", [[0] * 17, [5, 0, 5, 0, 0, 5, 5, 5] + [0] * 9])
def test_a_collapse_ends_the_gan_with_one_line(shop, tmp_path, monkeypatch, row):
    monkeypatch.setattr(gan, "DCGAN", Scripted([np.tile(np.float32(row), (6, 1))] * 40))
    with pytest.raises(UserError, match=f"collapsed: after epoch {gan.SETTLED} "):
        gan.attack(shop, GanConfig(6), 0, tmp_path, 40, progress=False)


def test_more_fakes_than_real_users_are_refused(shop, tmp_path):
    with pytest.raises(UserError, match="more than the 24 users"):
        gan.attack(shop, GanConfig(25), 0, tmp_path, 1, progress=False)
