"""The first half of RecSys19: fake profiles from a DCGAN of the real ones.

Christakopoulou and Banerjee, RecSys 2019.
"""

from pathlib import Path

import numpy as np

from advrec_tf.data import Interactions, popularity_groups
from advrec_tf.errors import UserError
from advrec_tf.poisoning.dcgan import DCGAN, image_shape
from advrec_tf.poisoning.profiles import Profiles
from advrec_tf.poisoning.ratings import discrete, like_real, random_mask, rating_matrix, scale_of
from advrec_tf.poisoning.settings import GanConfig
from advrec_tf.poisoning.similarity import mean_jaccard
from advrec_tf.poisoning.trajectory import Trajectory

LOOKS = ("clicks", "Jaccard", "popular")
COLUMNS = ("epoch", "generator", "discriminator", *LOOKS, *(f"real_{name}" for name in LOOKS))
MAX_CLICKS, MAX_JACCARD = 1.25, 2.0  # of profiles that look real, relative to the real ones
COLLAPSED = 0.95  # mean Jaccard similarity of profiles that are all the same
SETTLED = 32  # epochs before a collapse is reported
SAVE_EVERY = 8  # epochs


def looks(
    F: np.ndarray, scale: tuple[float, float], popular: np.ndarray
) -> tuple[float, float, float]:
    """Return mean clicks, the mean Jaccard similarity of two profiles and the popular share.

    A click is a value of at least 1.5 times the lowest rating; on a narrow scale the midpoint of
    half the lowest and the highest rating suffices.  Lower values are blur.

    F: [fakes, items]; scale: lowest and highest rating; popular: item numbers
    """
    low, high = scale
    clicked = F >= min(1.5 * low, (low / 2 + high) / 2)
    popular_share = clicked[:, popular].sum() / max(clicked.sum(), 1)
    return float(clicked.sum(axis=1).mean()), mean_jaccard(clicked), float(popular_share)


def attack(
    data: Interactions,
    config: GanConfig,
    seed: int,
    folder: Path,
    epochs: int = GanConfig.epochs,
    progress: bool = True,
) -> Profiles:
    """Train a DCGAN until its profiles look real, at most `epochs` epochs, and return them.

    A row of trajectory.csv is an epoch: both losses, and the `looks` of its profiles and of real
    users.  Raises UserError when there are more fakes than real users, when a loss is not finite,
    and when all profiles have become the same.
    """
    if config.fakes > data.n_users:
        raise UserError(
            f"{config.fakes} fakes are more than the {data.n_users} users of {data.name}"
        )
    with Trajectory(folder, COLUMNS) as run:
        if not run.finished(epochs):
            _train(data, config, seed, run, epochs, progress)
        return run.profiles()


def _train(
    data: Interactions, config: GanConfig, seed: int, run: Trajectory, epochs: int, progress: bool
) -> None:
    """Train the GAN until its profiles look like real ones or the epochs are done, and store them.

    Every SAVE_EVERY epochs it stores profiles and weights, so that a killed run resumes there.
    Raises UserError if the loss is not finite or the GAN collapses to one profile.
    """
    scale, popular = scale_of(data), popularity_groups(data)["head"]
    real = rating_matrix(data)
    real_looks = looks(real[np.diff(data.indptr) > 0], scale, popular)
    shape = image_shape(data.n_items)
    gan = DCGAN(*shape, seed, config.learning_rate, config.beta_1, scale[1])
    gan.restore(run.state)
    rows = []
    for done in run.epochs(epochs, f"{data.name} {config.name}", progress):
        losses = gan.epoch(real, done, config.batch_size)
        epoch = done + 1
        if not np.isfinite(losses).all():
            raise UserError(f"{run.folder}: the GAN's loss is not finite after epoch {epoch}")
        made = gan.generate(config.fakes, data.n_items)
        clicks, jaccard, popular_share = looks(made, scale, popular)
        if epoch >= SETTLED and (jaccard > COLLAPSED or clicks < 1):
            raise UserError(
                f"{data.name}: the GAN has collapsed: after epoch {epoch} its profiles have"
                f" {clicks:.0f} clicks and a Jaccard similarity of {jaccard:.2f} to each other;"
                " another --attack_seed may help"
            )
        rows.append([epoch, *losses, clicks, jaccard, popular_share, *real_looks])
        stopped = clicks <= MAX_CLICKS * real_looks[0] and jaccard <= MAX_JACCARD * real_looks[1]
        if epoch % SAVE_EVERY == 0 or epoch == epochs or stopped:
            F = _sparsified(made, data, config, seed)
            profiles = Profiles.from_matrix(
                config.name, discrete(F, scale), data, (), rated=data.train_ratings is not None
            )
            run.add(rows, profiles, epoch, gan.state() | {"F": F, "stopped": np.array(stopped)})
            rows = []
        if stopped:
            break


def _sparsified(made: np.ndarray, data: Interactions, config: GanConfig, seed: int) -> np.ndarray:
    """Keep a real user's number of largest entries in each row, or those of a random mask."""
    if config.mask is None:
        return like_real(made, data, seed)
    return np.where(random_mask(made.shape, config.mask, seed), made, 0)
