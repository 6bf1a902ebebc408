"""The first half of RecSys19: fake profiles from a DCGAN of the real ones (Christakopoulou and Banerjee, RecSys 2019)."""

from pathlib import Path

import numpy as np

from advrec_tf.data import Interactions, popularity_groups
from advrec_tf.errors import UserError
from advrec_tf.execution.progress import progress_bar
from advrec_tf.poisoning.dcgan import DCGAN, image_shape
from advrec_tf.poisoning.likeness import mean_jaccard
from advrec_tf.poisoning.profiles import Profiles
from advrec_tf.poisoning.ratings import discrete, like_real, random_mask, rating_matrix, scale_of
from advrec_tf.poisoning.settings import GanSettings
from advrec_tf.poisoning.trajectory import Trajectory

LOOKS = ("clicks", "Jaccard", "popular")
COLUMNS = ("epoch", "generator", "discriminator", *LOOKS, *(f"real_{name}" for name in LOOKS))
MOST_CLICKS, MOST_ALIKE = (
    1.25,
    2.0,
)  # profiles look real when their clicks and their Jaccard similarity are at most so many times the real ones'
COLLAPSED = 0.95  # Jaccard between profiles that are all the same
SETTLED = 32  # epochs before which nothing is said about collapse
_SAVE_EVERY = 8


def looks(
    F: np.ndarray, scale: tuple[float, float], popular: np.ndarray
) -> tuple[float, float, float]:
    """Mean clicks of profiles, mean Jaccard similarity of two of them, and the share of popular items in their clicks.

    A click is a value of at least 1.5 times the lowest rating, as what is between .5 and 1.5 is blur; or, on a narrow scale, of half way from what is
    no rating to the highest.
    """
    low, high = scale
    clicked = F >= min(1.5 * low, (low / 2 + high) / 2)
    return (
        float(clicked.sum(axis=1).mean()),
        mean_jaccard(clicked),
        float(clicked[:, popular].sum() / max(clicked.sum(), 1)),
    )


def attack(
    data: Interactions,
    settings: GanSettings,
    seed: int,
    folder: Path,
    epochs: int = GanSettings.epochs,
    progress: bool = True,
) -> Profiles:
    """Fake profiles of a DCGAN that is trained until they look real, or for so many epochs.

    A row of trajectory.csv is an epoch: both losses, and how its profiles and those of real users look (`looks`).
    Raises UserError when there are more fakes than real users, when a loss is not finite, and when all profiles have become the same.
    """
    if settings.fakes > data.n_users:
        raise UserError(
            f"{settings.fakes} fakes are more than the {data.n_users} users of {data.name}"
        )
    scale, popular, name = scale_of(data), popularity_groups(data)["head"], f"{data.name} gan"
    with Trajectory(folder, COLUMNS) as run:
        if run.finished(epochs):
            return run.profiles()
        real, rows = rating_matrix(data), []
        aim = looks(real[np.diff(data.indptr) > 0], scale, popular)
        gan = DCGAN(
            *image_shape(data.n_items), seed, settings.learning_rate, settings.beta_1, scale[1]
        )
        gan.restore(run.state)
        for epoch in progress_bar(
            range(run.done + 1, epochs + 1),
            desc=name,
            unit="epoch",
            initial=run.done,
            total=epochs,
            shown=progress,
        ):
            losses = gan.epoch(real, epoch - 1, settings.batch_size)
            if not np.isfinite(losses).all():
                raise UserError(f"{folder}: the GAN's loss is not finite after epoch {epoch}")
            made = gan.generate(settings.fakes, data.n_items)
            clicks, jaccard, share = looks(made, scale, popular)
            if epoch >= SETTLED and (jaccard > COLLAPSED or clicks < 1):
                raise UserError(
                    f"{data.name}: the GAN has collapsed: after epoch {epoch} its profiles have {clicks:.0f} clicks and a Jaccard similarity of "
                    f"{jaccard:.2f} to each other; another --attack_seed may help"
                )
            rows.append([epoch, *losses, clicks, jaccard, share, *aim])
            stopped = clicks <= MOST_CLICKS * aim[0] and jaccard <= MOST_ALIKE * aim[1]
            if epoch % _SAVE_EVERY == 0 or epoch == epochs or stopped:
                F = (
                    like_real(made, data, seed)
                    if settings.mask is None
                    else np.where(random_mask(made.shape, settings.mask, seed), made, 0)
                )
                profiles = Profiles.from_matrix(
                    settings.name,
                    discrete(F, scale),
                    data,
                    (),
                    rated=data.train_ratings is not None,
                )
                run.add(
                    rows,
                    profiles,
                    score=epoch,
                    state=gan.state() | {"F": F, "stopped": np.array(stopped)},
                )
                rows = []
            if stopped:
                break
        return run.profiles()
