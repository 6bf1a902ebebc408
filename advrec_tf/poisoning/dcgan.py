"""A DCGAN whose images are rating profiles."""

import math

import keras
import numpy as np
import tensorflow as tf

NOISE = 100
FILTERS = (64, 128, 256, 512)


def image_shape(n_items: int) -> tuple[int, int]:
    """Return height and width of the smallest image that holds a profile, at most twice as wide.

    Among several the squarest is taken.  1,682 items are 29 x 58 exactly; other numbers are padded.
    """
    heights = range(max(1, math.isqrt(n_items // 2)), math.isqrt(n_items) + 2)
    shapes = [(height, -(-n_items // height)) for height in heights]
    return min(
        (s for s in shapes if s[0] <= s[1] <= 2 * s[0]),
        key=lambda s: (s[0] * s[1], s[1] - s[0]),
        default=(1, n_items),
    )


def to_images(profiles: np.ndarray, highest: float = 5.0) -> np.ndarray:
    """Map ratings in [0, highest] to [-1, 1].  profiles: [N, items] -> float32 [N, H, W, 1]"""
    height, width = image_shape(profiles.shape[1])
    padded = np.pad(profiles, ((0, 0), (0, height * width - profiles.shape[1])))
    return ((padded - highest / 2) / (highest / 2)).reshape(-1, height, width, 1).astype(np.float32)


def to_profiles(images: np.ndarray, n_items: int, highest: float = 5.0) -> np.ndarray:
    """Invert `to_images`.  images: [N, H, W, 1] -> [N, items] in [0, highest]"""
    return (highest / 2 * images + highest / 2).reshape(len(images), -1)[:, :n_items]


class Cropped(keras.layers.Layer):
    """Keeps the upper left corner of an image, because a doubled size may be one too large."""

    def __init__(self, height, width, **kwargs):
        super().__init__(**kwargs)
        self.height, self.width = height, width

    def call(self, images):
        """Return the upper left part of each image, of the layer's height and width."""
        return images[:, : self.height, : self.width]


def generator(height: int, width: int, seed: int) -> keras.Model:
    """Build the generator: four transposed convolutions that double the sides.

    It maps noise [N, 100] to images [N, H, W, 1] in [-1, 1].
    """
    sizes: list[tuple[int, ...]] = [(height, width)]
    for _ in FILTERS:
        sizes.append(tuple(-(-side // 2) for side in sizes[-1]))
    layers = [
        keras.layers.Dense(math.prod(sizes[-1]) * FILTERS[-1], kernel_initializer=_normal(seed, 0)),
        keras.layers.Reshape((*sizes[-1], FILTERS[-1])),
    ]
    for number, (filters, size) in enumerate(zip((*FILTERS[-2::-1], 1), sizes[-2::-1]), 1):
        initializer = _normal(seed, number)
        layers += [
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.Conv2DTranspose(filters, 5, 2, "same", kernel_initializer=initializer),
            Cropped(*size),
        ]
    return keras.Sequential([keras.Input((NOISE,)), *layers, keras.layers.Activation("tanh")])


def discriminator(height: int, width: int, seed: int) -> keras.Model:
    """Build the discriminator: four convolutions that halve the sides.

    It maps images [N, H, W, 1] to logits [N, 1] of being real.
    """
    layers = []
    for number, filters in enumerate(FILTERS):
        initializer = _normal(seed, 10 + number)
        layers.append(keras.layers.Conv2D(filters, 5, 2, "same", kernel_initializer=initializer))
        layers += [keras.layers.BatchNormalization()] if number else []
        layers.append(keras.layers.LeakyReLU(0.2))
    layers += [keras.layers.Flatten(), keras.layers.Dense(1, kernel_initializer=_normal(seed, 20))]
    return keras.Sequential([keras.Input((height, width, 1)), *layers])


def _normal(seed: int, number: int) -> keras.initializers.Initializer:
    """Return DCGAN's random weights, which follow from the model's seed and the layer's number."""
    return keras.initializers.RandomNormal(stddev=0.02, seed=1000 * seed + number)


class DCGAN:
    """A generator and a discriminator with an Adam optimiser each.

    Every mini-batch trains both on their logistic losses.
    """

    def __init__(
        self,
        height: int,
        width: int,
        seed: int,
        learning_rate: float = 2e-4,
        beta_1: float = 0.5,
        highest: float = 5.0,
    ):
        self.seed, self.highest = seed, highest
        self.models = generator(height, width, seed), discriminator(height, width, seed)
        self.optimizers = tuple(keras.optimizers.Adam(learning_rate, beta_1) for _ in self.models)
        for model, optimizer in zip(self.models, self.optimizers):
            optimizer.build(model.trainable_variables)
        self.step = tf.function(self._step, reduce_retracing=True)

    @property
    def variables(self) -> list:
        """Return all variables of the models and optimisers."""
        return [
            variable for part in (*self.models, *self.optimizers) for variable in part.variables
        ]

    def _step(self, images, noise):
        """Train both models on one mini-batch and return the generator's and the other's loss.

        images: [B, H, W, 1], noise: [B, 100]
        """
        make, discriminate = self.models
        with tf.GradientTape() as first, tf.GradientTape() as second:
            made = make(noise, training=True)
            real, fake = discriminate(images, training=True), discriminate(made, training=True)
            losses = _logistic(fake, 1.0), _logistic(real, 1.0) + _logistic(fake, 0.0)
        for tape, loss, model, optimizer in zip(
            (first, second), losses, self.models, self.optimizers
        ):
            variables = model.trainable_variables
            optimizer.apply(tape.gradient(loss, variables), variables)
        return losses

    def epoch(self, profiles: np.ndarray, epoch: int, batch_size: int) -> np.ndarray:
        """Train on all full mini-batches and return the mean loss of each model, [2].

        The order is drawn from (seed, epoch).  profiles: ratings [N, items]
        """
        batch_size, losses = min(batch_size, len(profiles)), []
        rng = np.random.default_rng([self.seed, epoch])
        order = rng.permutation(len(profiles))
        for start in range(0, len(profiles) - batch_size + 1, batch_size):
            noise = rng.standard_normal((batch_size, NOISE), np.float32)
            images = to_images(profiles[order[start : start + batch_size]], self.highest)
            batch = tf.constant(images), tf.constant(noise)
            losses.append([float(loss) for loss in self.step(*batch)])
        return np.mean(losses, axis=0)

    def state(self) -> dict[str, np.ndarray]:
        """Return everything that training changes, by name."""
        return {f"gan.{number}": variable.numpy() for number, variable in enumerate(self.variables)}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Invert `state`.  Without its arrays nothing changes."""
        if "gan.0" in state:
            for number, variable in enumerate(self.variables):
                variable.assign(state[f"gan.{number}"])

    def generate(self, count: int, n_items: int) -> np.ndarray:
        """Return generated profiles with values in [0, highest], float32 [count, items].

        Batch normalisation uses the statistics of this batch, as in training.  After so few steps
        its running averages lag behind, and profiles would rate several times as many items.
        """
        rng = np.random.default_rng([self.seed, 1 << 20])
        noise = tf.constant(rng.standard_normal((count, NOISE), np.float32))
        images = self.models[0](noise, training=True).numpy()
        return to_profiles(images, n_items, self.highest)


def _logistic(logits, label: float):
    """Return the mean cross-entropy of logits against one label: 1 for real, 0 for fake."""
    labels = label * tf.ones_like(logits)
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels, logits))
