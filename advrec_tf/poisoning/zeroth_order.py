"""The second half of RecSys19: zeroth-order steps that make profiles promote the targets (Christakopoulou and Banerjee, RecSys 2019)."""

from pathlib import Path

import keras
import numpy as np
from scipy.special import expit

from advrec_tf.data import Interactions
from advrec_tf.errors import UserError
from advrec_tf.evaluation import target_hits, target_margins, top_k
from advrec_tf.execution.progress import progress_bar
from advrec_tf.poisoning import gan
from advrec_tf.poisoning.heuristics import sampled_users
from advrec_tf.poisoning.profiles import Profiles
from advrec_tf.poisoning.ratings import discrete, random_mask, rating_matrix, scale_of
from advrec_tf.poisoning.settings import RecSys19Settings
from advrec_tf.poisoning.trajectory import Trajectory, own_folder
from advrec_tf.recommenders import checkpoints

SOFTNESS = 0.1  # of the smoothed hit ratio, in predicted scores


class Oblivious:
    """A recommender that knows of no attack: it goes on training on whatever profiles it is given."""

    def __init__(self, data: Interactions, settings: RecSys19Settings, seed: int):
        self.data, self.settings, self.scale = data, settings, scale_of(data)
        self.mask = (
            None
            if settings.mask is None
            else random_mask((settings.fakes, data.n_items), settings.mask, seed)
        )
        empty = Profiles.from_matrix(
            "none", np.zeros((settings.fakes, data.n_items)), data, settings.targets
        )
        self.model: keras.Model = settings.recommender.build(empty.stacked_on(data), seed)

    def profiles(self, F: np.ndarray) -> Profiles:
        """F as it is given to the recommender: ratings, of a mask alone if there is one, and of all targets if asked for."""
        ratings = discrete(F if self.mask is None else np.where(self.mask, F, 0), self.scale)
        if self.settings.click_targets:
            ratings[:, list(self.settings.targets)] = self.scale[1]
        return Profiles.from_matrix(
            self.settings.name,
            ratings,
            self.data,
            self.settings.targets,
            rated=self.data.train_ratings is not None,
        )

    def after(self, epochs: int, F: np.ndarray) -> float:
        """The attacker's goal after more epochs with the profiles of F, over real users: the targets' hit ratio, the same with a sigmoid of
        their margin over the last item of a list in place of a hit, or their mean predicted score."""
        data, settings = self.data, self.settings
        self.model.fit(
            self.profiles(F).stacked_on(data),
            epochs=epochs,
            batch_size=settings.recommender.batch_size,
            verbose=0,
        )
        P, Q = self.model.factors
        if not (np.isfinite(P).all() and np.isfinite(Q).all()):
            raise UserError(
                "the oblivious recommender's factors are not finite: a smaller learning rate of it may help"
            )
        P = P[: data.n_users]
        if settings.goal == "score":
            return float(np.mean(P @ Q[list(settings.targets)].T, dtype=np.float64))
        lists = top_k(P, Q, data, settings.k)
        if settings.goal == "smoothed_hit":
            return float(
                expit(target_margins(P, Q, data, settings.targets, lists) / SOFTNESS).mean()
            )
        return float(target_hits(lists, data, settings.targets).any(axis=1).mean())


def zeroth_order_step(
    F: np.ndarray,
    recommender: Oblivious,
    settings: RecSys19Settings,
    blind: np.random.Generator | None = None,
) -> tuple[np.ndarray, float, list[float]]:
    """F + eta a sum_k (f(F + a Z_k) - f(F)) Z_k over the first rank-1 directions Z_k = u_k v_k^T of F's singular vectors, clipped to [0, highest].

    f trains the recommender `probe_epochs` further from one and the same state, for f(F) as for every probe: otherwise their difference would be
    what training alone changes.  The recommender stands at that state again afterwards.  With `largest_move` the step is scaled so that its
    largest entry is that.  A step that is `blind` has random differences of the same norm: what it does, the attacker's goal has no part in.

    F: [fakes, items] -> F after the step, f(F), f of the probes
    """
    state, highest = checkpoints.capture(recommender.model), recommender.scale[1]
    left, _, right = np.linalg.svd(F, full_matrices=False)
    directions = [
        np.outer(u, v).astype(np.float32) for u, v in zip(left.T[: settings.directions], right)
    ]

    def f(profiles: np.ndarray) -> float:
        checkpoints.restore(recommender.model, state)
        return recommender.after(settings.probe_epochs, np.clip(profiles, 0, highest))

    base, *probes = [
        f(F + change)
        for change in (0, *(settings.smoothing * direction for direction in directions))
    ]
    checkpoints.restore(recommender.model, state)
    differences = np.array(probes) - base
    if blind is not None:
        drawn = blind.standard_normal(len(differences))
        differences = drawn * np.linalg.norm(differences) / np.linalg.norm(drawn)
    change = sum(
        difference * direction
        for difference, direction in zip(differences.astype(np.float32), directions)
    )
    largest = np.abs(change).max()
    scale = settings.step_size * settings.smoothing
    if settings.largest_move is not None and largest > 0:
        scale = settings.largest_move / largest
    return np.clip(F + scale * change, 0, highest), base, probes


def start_of(
    data: Interactions, settings: RecSys19Settings, seed: int, folder: Path, progress: bool
) -> np.ndarray:
    """The profiles that the steps start from, float32 [fakes, items]: real users', or those of the GAN, which is trained in a folder beside."""
    if settings.start == "bootstrap":
        return rating_matrix(data, sampled_users(data, settings.fakes, seed))
    own = own_folder(data, settings.gan, settings.gan_epochs, seed, Path(folder).parent.parent)
    gan.attack(data, settings.gan, seed, own, settings.gan_epochs, progress)
    with Trajectory(own) as run:
        return run.state["F"]


def attack(
    data: Interactions,
    settings: RecSys19Settings,
    seed: int,
    folder: Path,
    outer_epochs: int = 10,
    progress: bool = True,
) -> Profiles:
    """Profiles after `outer_epochs` zeroth-order steps towards the attacker's goal.

    A row of trajectory.csv is a step: f(F) before it, the best probe, and of the profiles after it the clicks and how many entries the steps so far
    have changed.  Raises UserError when the recommender's factors are not finite, and whatever `gan.attack` does.
    """
    with Trajectory(
        folder, ("outer_epoch", "goal", "best_probe", "clicks", "changed_entries")
    ) as run:
        F = run.state["F"] if run.done else start_of(data, settings, seed, folder, progress)
        if run.done < outer_epochs:
            recommender = Oblivious(data, settings, seed)
            untrained, first = (
                checkpoints.capture(recommender.model),
                run.state.get("first", recommender.profiles(F).matrix()),
            )
        name = f"{data.name} {settings.name}"
        for epoch in progress_bar(
            range(run.done, outer_epochs),
            desc=name,
            initial=run.done,
            total=outer_epochs,
            shown=progress,
        ):
            checkpoints.restore(recommender.model, untrained)
            recommender.after(settings.base_epochs, F)
            blind = np.random.default_rng([seed, epoch]) if settings.blind else None
            F, goal, probes = zeroth_order_step(F, recommender, settings, blind)
            profiles = recommender.profiles(F)
            row = [
                epoch,
                goal,
                max(probes),
                len(profiles.items) / settings.fakes,
                np.count_nonzero(profiles.matrix() != first),
            ]
            run.add([row], profiles, score=epoch, state={"F": F, "first": first})
        return run.profiles()
