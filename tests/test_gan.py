"""RecSys19: the DCGAN on rating profiles and its zeroth-order refinement."""

from dataclasses import replace

import numpy as np
import pytest
from killing import Killed, contents, killed_after

from advrec_tf import data
from advrec_tf.errors import UserError
from advrec_tf.poisoning import dcgan, gan
from advrec_tf.poisoning.gan import RecSys19Settings, discrete
from advrec_tf.training import WRMFSettings

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
