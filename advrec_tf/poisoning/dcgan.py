"""A DCGAN whose images are rating profiles."""

import math

import keras
import numpy as np
import tensorflow as tf

NOISE = 100
FILTERS = (64, 128, 256, 512)


def image_shape(n_items: int) -> tuple[int, int]:
    """Height and width of the smallest image, at most twice as wide as high, that holds a profile; of several, the squarest.

    1,682 items are 29 x 58 exactly; what does not factor is filled up.
    """
    heights = range(max(1, math.isqrt(n_items // 2)), math.isqrt(n_items) + 2)
    shapes = [(height, -(-n_items // height)) for height in heights]
    return min(
        (s for s in shapes if s[0] <= s[1] <= 2 * s[0]),
        key=lambda s: (s[0] * s[1], s[1] - s[0]),
        default=(1, n_items),
    )


def to_images(profiles: np.ndarray, highest: float = 5.0) -> np.ndarray:
    """Ratings [N, items], 0 where there is none, as images [N, H, W, 1] in [-1, 1] (of five, (rating - 2.5) / 2.5)."""
    height, width = image_shape(profiles.shape[1])
    filled = np.pad(profiles, ((0, 0), (0, height * width - profiles.shape[1])))
    return ((filled - highest / 2) / (highest / 2)).reshape(-1, height, width, 1).astype(np.float32)


def to_profiles(images: np.ndarray, n_items: int, highest: float = 5.0) -> np.ndarray:
    """The inverse of `to_images`: values in [0, highest], [N, items]."""
    return (highest / 2 * images + highest / 2).reshape(len(images), -1)[:, :n_items]


class Cropped(keras.layers.Layer):
    """The upper left corner of an image: a doubled size may be one too many."""

    def __init__(self, height, width, **kwargs):
        super().__init__(**kwargs)
        self.height, self.width = height, width

    def call(self, images):
        return images[:, : self.height, : self.width]


def generator(height: int, width: int, seed: int) -> keras.Model:
    """Noise [N, 100] -> images [N, H, W, 1] in [-1, 1], by four transposed convolutions that double the sides."""
    sizes: list[tuple[int, ...]] = [(height, width)]
    for _ in FILTERS:
        sizes.append(tuple(-(-side // 2) for side in sizes[-1]))
    layers = [
        keras.layers.Dense(math.prod(sizes[-1]) * FILTERS[-1], kernel_initializer=_normal(seed, 0)),
        keras.layers.Reshape((*sizes[-1], FILTERS[-1])),
    ]
    for number, (filters, size) in enumerate(zip((*FILTERS[-2::-1], 1), sizes[-2::-1]), 1):
        layers += [keras.layers.BatchNormalization(), keras.layers.ReLU()]
        layers += [
            keras.layers.Conv2DTranspose(
                filters, 5, 2, "same", kernel_initializer=_normal(seed, number)
            ),
            Cropped(*size),
        ]
    return keras.Sequential([keras.Input((NOISE,)), *layers, keras.layers.Activation("tanh")])


def discriminator(height: int, width: int, seed: int) -> keras.Model:
    """Images [N, H, W, 1] -> logits [N, 1] of being real, by four convolutions that halve the sides."""
    layers = []
    for number, filters in enumerate(FILTERS):
        layers.append(
            keras.layers.Conv2D(
                filters, 5, 2, "same", kernel_initializer=_normal(seed, 10 + number)
            )
        )
        layers += [keras.layers.BatchNormalization()] if number else []
        layers.append(keras.layers.LeakyReLU(0.2))
    layers += [keras.layers.Flatten(), keras.layers.Dense(1, kernel_initializer=_normal(seed, 20))]
    return keras.Sequential([keras.Input((height, width, 1)), *layers])


def _normal(seed: int, number: int) -> keras.initializers.Initializer:
    return keras.initializers.RandomNormal(stddev=0.02, seed=1000 * seed + number)


class DCGAN:
    """Generator and discriminator with their optimisers, Adam(2e-4, beta_1 = .5), both trained on every mini-batch, on the usual logistic losses."""

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
        return [
            variable for part in (*self.models, *self.optimizers) for variable in part.variables
        ]

    def _step(self, images, noise):
        """One mini-batch for both.  images: [B, H, W, 1], noise: [B, 100] -> the generator's and the discriminator's loss"""
        make, judge = self.models
        with tf.GradientTape() as first, tf.GradientTape() as second:
            made = make(noise, training=True)
            real, fake = judge(images, training=True), judge(made, training=True)
            losses = _logistic(fake, 1.0), _logistic(real, 1.0) + _logistic(fake, 0.0)
        for tape, loss, model, optimizer in zip(
            (first, second), losses, self.models, self.optimizers
        ):
            optimizer.apply(
                tape.gradient(loss, model.trainable_variables), model.trainable_variables
            )
        return losses

    def epoch(self, profiles: np.ndarray, epoch: int, batch_size: int) -> np.ndarray:
        """Trains on all full mini-batches of rating profiles [N, items], in an order drawn from (seed, epoch); the generator's and the
        discriminator's mean loss."""
        batch_size, losses = min(batch_size, len(profiles)), []
        rng = np.random.default_rng([self.seed, epoch])
        order = rng.permutation(len(profiles))
        for start in range(0, len(profiles) - batch_size + 1, batch_size):
            noise = rng.standard_normal((batch_size, NOISE), np.float32)
            images = to_images(profiles[order[start : start + batch_size]], self.highest)
            losses.append(
                [float(loss) for loss in self.step(tf.constant(images), tf.constant(noise))]
            )
        return np.mean(losses, axis=0)

    def state(self) -> dict[str, np.ndarray]:
        """Everything that training changes, by name."""
        return {f"gan.{place}": variable.numpy() for place, variable in enumerate(self.variables)}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """The inverse of `state`; without such arrays nothing is done."""
        if "gan.0" in state:
            for place, variable in enumerate(self.variables):
                variable.assign(state[f"gan.{place}"])

    def generate(self, count: int, n_items: int) -> np.ndarray:
        """Profiles with values in [0, highest], float32 [count, items].

        Batch norm takes the statistics of this very batch, as in training: after so few steps its running averages lag behind, and
        profiles made with them rate several times as many items.
        """
        noise = np.random.default_rng([self.seed, 1 << 20]).standard_normal(
            (count, NOISE), np.float32
        )
        return to_profiles(
            self.models[0](tf.constant(noise), training=True).numpy(), n_items, self.highest
        )


def _logistic(logits, label: float):
    return tf.reduce_mean(
        tf.nn.sigmoid_cross_entropy_with_logits(label * tf.ones_like(logits), logits)
    )
