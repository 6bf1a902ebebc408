"""The second half of RecSys19: zeroth-order steps that make profiles promote the targets.

Christakopoulou and Banerjee, RecSys 2019.
"""

from pathlib import Path

import keras
import numpy as np
from scipy.special import expit

from advrec_tf.data import Interactions
from advrec_tf.errors import UserError
from advrec_tf.evaluation import target_hits, target_margins, top_k
from advrec_tf.poisoning import gan
from advrec_tf.poisoning.heuristics import sampled_users
from advrec_tf.poisoning.profiles import Profiles
from advrec_tf.poisoning.ratings import discrete, random_mask, rating_matrix, scale_of
from advrec_tf.poisoning.settings import RecSys19Config
from advrec_tf.poisoning.trajectory import Trajectory, attack_folder
from advrec_tf.recommenders import checkpoints

SOFTNESS = 0.1  # of the smoothed hit ratio, in predicted scores
COLUMNS = ("outer_epoch", "goal", "best_probe", "clicks", "changed_entries")


class Oblivious:
    """A recommender that knows of no attack and continues training on whatever it is given."""

    def __init__(self, data: Interactions, config: RecSys19Config, seed: int):
        self.data, self.config, self.scale = data, config, scale_of(data)
        shape = config.fakes, data.n_items
        self.mask = None if config.mask is None else random_mask(shape, config.mask, seed)
        empty = Profiles.from_matrix("none", np.zeros(shape), data, config.targets)
        self.model: keras.Model = config.recommender.build(empty.stacked_on(data), seed)

    def profiles(self, F: np.ndarray) -> Profiles:
        """Return F as the recommender sees it: ratings inside the mask, and forced targets."""
        ratings = discrete(F if self.mask is None else np.where(self.mask, F, 0), self.scale)
        targets = self.config.targets
        if self.config.click_targets:
            ratings[:, list(targets)] = self.scale[1]
        rated = self.data.train_ratings is not None
        return Profiles.from_matrix(self.config.name, ratings, self.data, targets, rated)

    def goal_after(self, epochs: int, F: np.ndarray) -> float:
        """Train for more epochs with the profiles of F and return the attacker's goal.

        It is a mean over real users: the hit ratio of the targets, its smoothed version (a sigmoid
        of their margin over the last item of a list), or their predicted score.

        Raises UserError when the factors are not finite.
        """
        data, config = self.data, self.config
        poisoned, batch_size = self.profiles(F).stacked_on(data), config.recommender.batch_size
        self.model.fit(poisoned, epochs=epochs, batch_size=batch_size, verbose=0)
        P, Q = self.model.factors
        if not (np.isfinite(P).all() and np.isfinite(Q).all()):
            raise UserError(
                "the oblivious recommender's factors are not finite: a smaller learning rate of it"
                " may help"
            )
        P = P[: data.n_users]
        if config.goal == "score":
            return float(np.mean(P @ Q[list(config.targets)].T, dtype=np.float64))
        lists = top_k(P, Q, data, config.k)
        if config.goal == "smoothed_hit":
            margins = target_margins(P, Q, data, config.targets, lists)
            return float(expit(margins / SOFTNESS).mean())
        return float(target_hits(lists, data, config.targets).any(axis=1).mean())


def zeroth_order_step(
    F: np.ndarray,
    recommender: Oblivious,
    config: RecSys19Config,
    blind: np.random.Generator | None = None,
) -> tuple[np.ndarray, float, list[float]]:
    """Return F after a step, f(F) and f of the probes.  F: [fakes, items]

    The step is F + eta a sum_k (f(F + a Z_k) - f(F)) Z_k, clipped to [0, highest].  The Z_k are the
    first rank-1 directions u_k v_k^T of F's singular vectors.  With `largest_move` the step is
    scaled so that this is its largest entry.  A `blind` step draws random differences of the same
    norm, so that it does not depend on the goal.

    f trains the recommender for `probe_epochs` from one and the same state, for f(F) as for every
    probe.  Otherwise their difference would be what training alone changes.  Afterwards the
    recommender is in that state again.
    """
    state, highest = checkpoints.capture(recommender.model), recommender.scale[1]

    def f(profiles: np.ndarray) -> float:
        """Return the goal after training on these profiles, from the state before the step."""
        checkpoints.restore(recommender.model, state)
        return recommender.goal_after(config.probe_epochs, np.clip(profiles, 0, highest))

    left, _, right = np.linalg.svd(F, full_matrices=False)
    pairs = zip(left.T[: config.directions], right)
    directions = [np.outer(u, v).astype(np.float32) for u, v in pairs]
    base, *probes = [f(F + change) for change in (0, *(config.smoothing * Z for Z in directions))]
    checkpoints.restore(recommender.model, state)
    differences = np.array(probes) - base
    if blind is not None:
        drawn = blind.standard_normal(len(differences))
        differences = drawn * np.linalg.norm(differences) / np.linalg.norm(drawn)
    change = sum(d * Z for d, Z in zip(differences.astype(np.float32), directions))
    largest, scale = np.abs(change).max(), config.step_size * config.smoothing
    if config.largest_move is not None and largest > 0:
        scale = config.largest_move / largest
    return np.clip(F + scale * change, 0, highest), base, probes


def starting_profiles(
    data: Interactions, config: RecSys19Config, seed: int, folder: Path, progress: bool
) -> np.ndarray:
    """Return the profiles that the steps start from, float32 [fakes, items].

    They are real users' profiles or those of the GAN, which is trained in a sibling of `folder`.
    """
    if config.start == "bootstrap":
        return rating_matrix(data, sampled_users(data, config.fakes, seed))
    gan_folder = attack_folder(data, config.gan, config.gan_epochs, seed, folder.parent.parent)
    gan.attack(data, config.gan, seed, gan_folder, config.gan_epochs, progress)
    with Trajectory(gan_folder) as run:
        return run.state["F"]


def attack(
    data: Interactions,
    config: RecSys19Config,
    seed: int,
    folder: Path,
    outer_epochs: int = RecSys19Config.outer_epochs,
    progress: bool = True,
) -> Profiles:
    """Return the profiles after `outer_epochs` zeroth-order steps towards the attacker's goal.

    A row of trajectory.csv is a step.  It has f(F) before it and the best probe.  Of the profiles
    after it, it has the clicks and the number of entries that the steps so far have changed.

    Raises UserError when the recommender's factors are not finite, and as `gan.attack`.
    """
    with Trajectory(folder, COLUMNS) as run:
        F = run.state["F"] if run.done else starting_profiles(data, config, seed, folder, progress)
        if run.done < outer_epochs:
            recommender = Oblivious(data, config, seed)
            untrained = checkpoints.capture(recommender.model)
            first = run.state.get("first", recommender.profiles(F).matrix())
        for epoch in run.epochs(outer_epochs, f"{data.name} {config.name}", progress):
            checkpoints.restore(recommender.model, untrained)
            recommender.goal_after(config.base_epochs, F)
            blind = np.random.default_rng([seed, epoch]) if config.blind else None
            F, goal, probes = zeroth_order_step(F, recommender, config, blind)
            profiles = recommender.profiles(F)
            clicks = len(profiles.items) / config.fakes
            changed = np.count_nonzero(profiles.matrix() != first)
            row = [epoch, goal, max(probes), clicks, changed]
            run.add([row], profiles, epoch, {"F": F, "first": first})
        return run.profiles()
