"""RecSys19: GAN-made fake profiles refined by zeroth-order steps (Christakopoulou and Banerjee, RecSys 2019), Attack II of the low-rank paper."""

from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from advrec_tf.data import Interactions
from advrec_tf.errors import UserError
from advrec_tf.evaluation import target_hits, top_k
from advrec_tf.poisoning.dcgan import DCGAN, image_shape
from advrec_tf.poisoning.profiles import Profiles, highest_rating
from advrec_tf.poisoning.settings import RecSys19Settings
from advrec_tf.poisoning.trajectory import Trajectory
from advrec_tf.training import checkpoints

MOST_RATINGS = 20  # a scale above is no scale of ratings, but counts of plays, say


def rating_matrix(data: Interactions) -> np.ndarray:
    """float32 [users, items]: the train ratings (the highest for each click where there are none), 0 elsewhere.  The GAN's training set."""
    return data.matrix(ratings=True).toarray() if data.train_ratings is not None else data.matrix().toarray() * np.float32(highest_rating(data))


def discrete(F: np.ndarray, scale: tuple[float, float] = (1.0, 5.0)) -> np.ndarray:
    """Values as ratings: nothing below half of the lowest, else the nearest step of the scale.  Without this every fake would rate everything."""
    low, high = scale
    step = min(low, 1.0)
    return np.where(F < low / 2, 0, np.clip(step * np.rint(F / step), low, high)).astype(np.float32)


def scale_of(data: Interactions) -> tuple[float, float]:
    """The lowest and the highest rating, 1 and 5 where there are none.  Raises UserError for what is no scale of ratings."""
    low, high = (1.0, highest_rating(data)) if data.train_ratings is None else data.rating_scale
    if not 0 < low <= high <= MOST_RATINGS:
        raise UserError(f"the ratings of {data.name} run from {low:g} to {high:g}, which is no scale that RecSys19 can imitate (0 to {MOST_RATINGS})")
    return low, high


class Oblivious:
    """A recommender that knows of no attack: it goes on training on whatever profiles it is given."""

    def __init__(self, data: Interactions, settings: RecSys19Settings, seed: int):
        self.data, self.settings, self.scale = data, settings, scale_of(data)
        empty = Profiles.from_matrix("none", np.zeros((settings.fakes, data.n_items)), data, settings.targets)
        self.model: keras.Model = settings.recommender.build(empty.stacked_on(data), seed)

    def after(self, epochs: int, F: np.ndarray) -> float:
        """The attacker's goal after more epochs with profiles F: the targets' hit ratio, or their mean predicted score, over real users."""
        data, settings = self.data, self.settings
        profiles = Profiles.from_matrix("probe", discrete(F, self.scale), data, settings.targets, rated=data.train_ratings is not None)
        self.model.fit(profiles.stacked_on(data), epochs=epochs, batch_size=settings.recommender.batch_size, verbose=0)
        P, Q = self.model.factors
        if not (np.isfinite(P).all() and np.isfinite(Q).all()):
            raise UserError("the oblivious recommender's factors are not finite: a smaller learning rate of it may help")
        P = P[: data.n_users]
        if settings.goal == "score":
            return float(np.mean(P @ Q[list(settings.targets)].T))
        return float(target_hits(top_k(P, Q, data, settings.k), data, settings.targets).any(axis=1).mean())


def zeroth_order_step(F: np.ndarray, recommender: Oblivious, settings: RecSys19Settings) -> tuple[np.ndarray, float, list[float]]:
    """F + eta sum_k (f(F + a Z_k) - f(F)) Z_k over the first rank-1 directions Z_k = u_k v_k^T of F's singular vectors, clipped to [0, highest].

    The recommender trains on from f(F) for every probe, and stands at f(F) again afterwards.
    F: [fakes, items] -> F after the step, f(F), f of the probes
    """
    base = recommender.after(settings.base_epochs, F)
    state = checkpoints.capture(recommender.model)
    left, _, right = np.linalg.svd(F, full_matrices=False)
    probes, change = [], np.zeros_like(F)
    for u, v in zip(left.T[: settings.directions], right[: settings.directions]):
        direction = np.outer(u, v).astype(np.float32)
        probes.append(recommender.after(settings.probe_epochs, np.clip(F + settings.smoothing * direction, 0, recommender.scale[1])))
        checkpoints.restore(recommender.model, state)
        change += (probes[-1] - base) * direction
    return np.clip(F + settings.step_size * change, 0, recommender.scale[1]), base, probes


def attack(data: Interactions, settings: RecSys19Settings, seed: int, folder: Path, outer_epochs: int = 10, progress: bool = True) -> Profiles:
    """Fake profiles from a DCGAN of the real ones, then `outer_epochs` zeroth-order steps towards the attacker's goal; the best is kept.

    `folder` also holds the GAN (gan.npz, its losses in gan.csv) and its unrefined profiles (made.npz).
    Raises UserError when there are more fakes than real users, and when a loss is not finite.
    """
    if settings.fakes > data.n_users:
        raise UserError(f"{settings.fakes} fakes are more than the {data.n_users} users of {data.name}")
    scale = scale_of(data)
    with Trajectory(folder, ("outer_epoch", "goal", "best_probe", "clicks")) as run:
        F, losses = run.state.get("F"), run.state.get("gan")
        rated = data.train_ratings is not None
        if F is None:
            gan = DCGAN(*image_shape(data.n_items), seed, settings.learning_rate, settings.beta_1, scale[1])
            losses = gan.train(rating_matrix(data), settings.gan_epochs, settings.batch_size, folder, progress=progress, name=f"{data.name} recsys19")
            F = gan.generate(settings.fakes, data.n_items)
            Profiles.from_matrix("gan", discrete(F, scale), data, settings.targets, rated).save(folder / "made")
        if run.done < outer_epochs:
            recommender = Oblivious(data, settings, seed)
            if run.done:
                checkpoints.restore(recommender.model, {name[6:]: value for name, value in run.state.items() if name.startswith("model.")})
            else:
                recommender.after(settings.warm_epochs, F)
        for epoch in tqdm(range(run.done, outer_epochs), f"{data.name} recsys19", initial=run.done, total=outer_epochs, disable=not progress or None):
            profiles = Profiles.from_matrix(settings.name, discrete(F, scale), data, settings.targets, rated)
            clicks = len(profiles.items) / settings.fakes
            F, goal, probes = zeroth_order_step(F, recommender, settings)
            model = {f"model.{name}": value for name, value in checkpoints.capture(recommender.model).items()}
            run.add([epoch, goal, max(probes), clicks], profiles, score=goal, state={"F": F, "gan": losses, **model})
        return run.profiles()
