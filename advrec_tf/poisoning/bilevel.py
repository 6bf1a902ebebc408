"""RecSys20: fake profiles by bi-level optimisation (Tang, Wen and Wang, RecSys 2020), Attack I of the low-rank defences paper."""

import math
import tempfile
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from advrec_tf.data import Interactions
from advrec_tf.errors import UserError
from advrec_tf.evaluation import poisoning_metrics
from advrec_tf.execution.progress import progress_bar
from advrec_tf.poisoning.profiles import Profiles
from advrec_tf.poisoning.ratings import strongest
from advrec_tf.poisoning.settings import RecSys20Settings
from advrec_tf.poisoning.trajectory import Trajectory
from advrec_tf.poisoning.unrolled import State, Unroller, adversarial_loss, unrolled_batches
from advrec_tf.poisoning.unrolled_als import AlsUnroller


def initial_profiles(data: Interactions, fakes: int, click_limit: int) -> np.ndarray:
    """The first real users with at most `click_limit` clicks, as rows of 0 and 1: float32 [fakes, items].

    Raises UserError when there are not so many.
    """
    clicks = np.diff(data.indptr)
    users = np.flatnonzero((clicks > 0) & (clicks <= click_limit))[:fakes]
    if len(users) < fakes:
        raise UserError(
            f"{len(users)} users of {data.name} have at most {click_limit} clicks, fewer than the {fakes} fakes that start from them"
        )
    X = np.zeros((fakes, data.n_items), np.float32)
    for row, user in enumerate(users):
        X[row, data.train_items[data.indptr[user] : data.indptr[user + 1]]] = 1
    return X


def binarised(X: np.ndarray, settings: RecSys20Settings, start: np.ndarray) -> np.ndarray:
    """1 above the threshold and 0 below; under a budget only each row's largest values can be 1; the targets are, if that is asked for.

    With `most_changes` only those of each row that are furthest from `start` may differ from it.  X, start: [fakes, items]
    """
    clicked = X > settings.threshold
    if settings.most_changes is not None:
        distance = np.where(clicked != (start > 0), np.abs(X - start), 0)
        clicked = np.where(
            strongest(distance, np.full(len(X), settings.most_changes)) > 0, clicked, start > 0
        )
    if settings.click_targets:
        X = X.copy()
        X[:, list(settings.targets)] = np.inf
        clicked[:, list(settings.targets)] = True
    if settings.clicks is not None:
        kept = np.argsort(-X, axis=1, kind="stable")[:, : settings.clicks]
        within = np.zeros_like(clicked)
        np.put_along_axis(within, kept, True, axis=1)
        clicked &= within
    return clicked.astype(np.float32)


class Surrogate:
    """The attacker's own WRMF: trained on real and fake users, and differentiated with respect to the fake rows."""

    def __init__(self, data: Interactions, settings: RecSys20Settings, seed: int):
        self.data, self.real, self.settings, self.seed = data, data, settings, seed
        self.empty = replace(
            data, n_users=data.n_users + settings.fakes
        )  # the fakes have no pairs of their own here
        self.model = self._untrained(seed)
        self.unroller = (
            self._als() if settings.surrogate.solver == "als" else Unroller(self.model.optimizer)
        )

    def _als(self) -> AlsUnroller:
        wrmf = self.settings.surrogate
        return AlsUnroller(self.data, self.settings.fakes, wrmf.weight, wrmf.regularization)

    def shown(self, X: np.ndarray) -> np.ndarray:
        """The fake rows that training sees, and takes the real users' part for its own: the data after the defence that the attacker knows of.

        A defence that only rounds has no derivative; the gradient with respect to what it lets through is taken for that with respect to X.
        """
        if self.settings.defense is None:
            return X
        with tempfile.TemporaryDirectory() as scratch:
            stacked = Profiles.from_matrix("fakes", X, self.real, self.settings.targets).stacked_on(
                self.real
            )
            cleaned = self.settings.defense.cleaned(stacked, self.real.n_users, Path(scratch))
        ours = cleaned.train_users < self.real.n_users
        pairs = {"train_users": cleaned.train_users[ours], "train_items": cleaned.train_items[ours]}
        self.data = replace(self.real, **pairs, train_ratings=None, train_timestamps=None)
        self.empty = replace(self.data, n_users=self.data.n_users + self.settings.fakes)
        if isinstance(self.unroller, AlsUnroller):
            self.unroller = self._als()  # it holds the real users' pairs
        return cleaned.matrix()[self.real.n_users :].toarray()

    def _untrained(self, seed: int) -> keras.Model:
        return self.settings.surrogate.build(self.empty, seed)

    def trained_and_differentiated(
        self, X: np.ndarray, W: np.ndarray | None = None, seed: int | None = None
    ) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
        """Trains from scratch, from `seed` or its own, with fake rows X; returns the adversarial loss, P, Q and d loss / dX through the last epochs.

        The loss weights of the fake rows, `weight` where X > 0 and 1 elsewhere unless W is given, are held fixed.  X, W: [F, I]
        """
        settings, wrmf, model = self.settings, self.settings.surrogate, self.model
        first = settings.epochs - settings.unrolled_epochs
        model.seed = self.seed if seed is None else seed
        start = self._untrained(model.seed)  # the model itself is kept: it is compiled
        for variable, value in zip(
            (*model.weights, *model.optimizer.variables),
            (*start.weights, *start.optimizer.variables),
        ):
            variable.assign(value)
        if first:
            stacked = Profiles.from_matrix("fakes", X, self.data, settings.targets).stacked_on(
                self.data
            )
            model.fit(stacked, epochs=first, batch_size=wrmf.batch_size, verbose=0)
        X = tf.constant(X)
        W = tf.where(X > 0, wrmf.weight, 1.0) if W is None else tf.constant(W)
        way = self.unroller
        loss, P, Q, gradient = (
            self._by_sweeps(way, X, W)
            if isinstance(way, AlsUnroller)
            else self._by_steps(way, first, X, W)
        )
        if not math.isfinite(loss):
            raise UserError(
                f"the surrogate's loss is {loss}: a smaller learning rate of the surrogate may help"
            )
        return loss, P.numpy(), Q.numpy(), gradient.numpy()

    def _by_sweeps(
        self, unroller: AlsUnroller, X: tf.Tensor, W: tf.Tensor
    ) -> tuple[float, tf.Tensor, tf.Tensor, tf.Tensor]:
        """The last sweeps of alternating least squares, forth and back."""
        before, Q = [], tf.identity(self.model.item_embedding.value)
        for _ in range(self.settings.unrolled_epochs):
            start = Q
            P, Q = unroller.sweep(start, X, W)
            before.append((start, P))
        loss, dP, dQ = adversarial_loss(P, Q, self.data.n_users, self.settings.targets)
        gradient = tf.zeros_like(X)
        for start, users in reversed(before):
            dQ, dX = unroller.sweep_vjp(start, X, W, users, dP, dQ)
            gradient, dP = gradient + dX, tf.zeros_like(dP)
        return loss, P, Q, gradient

    def _by_steps(
        self, unroller: Unroller, first: int, X: tf.Tensor, W: tf.Tensor
    ) -> tuple[float, tf.Tensor, tf.Tensor, tf.Tensor]:
        """The last epochs of stochastic gradient descent, forth and back."""
        settings, wrmf, model = self.settings, self.settings.surrogate, self.model
        moments = [
            slot.value
            for slots in (model.optimizer._momentums, model.optimizer._velocities)
            for slot in slots
        ]
        state = State(
            *(
                tf.identity(value)
                for value in (model.user_embedding.value, model.item_embedding.value, *moments)
            )
        )
        step = int(model.optimizer.iterations) + 1
        epochs = [
            unrolled_batches(
                self.empty, settings.fakes, wrmf.weight, wrmf.batch_size, model.seed, epoch
            )
            for epoch in range(first, settings.epochs)
        ]
        before, last = unroller.train(state, step, epochs, X, W)
        loss, dP, dQ = adversarial_loss(last.P, last.Q, self.data.n_users, settings.targets)
        cotangent = State(dP, dQ, *map(tf.zeros_like, last[2:]))
        return loss, last.P, last.Q, unroller.backward(before, step, epochs, X, W, cotangent)


def attack(
    data: Interactions,
    settings: RecSys20Settings,
    seed: int,
    folder: Path,
    outer_epochs: int = 30,
    progress: bool = True,
) -> Profiles:
    """Fake profiles whose training makes a recommender show the targets; the best so far is in `folder` after every outer epoch.

    Each outer epoch trains a fresh surrogate on the current profiles, takes the gradient of the adversarial loss with respect to them, scales its
    rows to l2 norm 1, makes a step with momentum and binarises.  The best by the surrogate's target HR@k is kept.

    Raises UserError when too few users have few clicks, and when the surrogate's loss is not finite.
    """
    with Trajectory(folder, ("outer_epoch", "loss", "target_HR", "HR", "Recall", "clicks")) as run:
        start = initial_profiles(data, settings.fakes, settings.click_limit)
        X = run.state.get("X")
        if X is None:
            X = binarised(start, settings, start)
        buffer = run.state.get("buffer", np.zeros_like(X))
        if run.done < outer_epochs:
            surrogate = Surrogate(data, settings, seed)
        bar = progress_bar(
            range(run.done, outer_epochs),
            desc=f"{data.name} recsys20",
            unit="epoch",
            initial=run.done,
            total=outer_epochs,
            shown=progress,
        )
        for epoch in bar:
            seen = surrogate.shown(X)
            loss, P, Q, gradient = surrogate.trained_and_differentiated(
                seen, seed=1000 * seed + epoch if settings.fresh_seeds else seed
            )
            measured = poisoning_metrics(P, Q, data, settings.targets, settings.k)
            bar.set_postfix(
                {"target HR": f"{measured['target_HR']:.4f}", "HR": f"{measured['HR']:.4f}"}
            )
            row = [
                epoch,
                loss,
                *(measured[name] for name in ("target_HR", "HR", "Recall")),
                float(X.sum()) / len(X),
            ]
            profiles = Profiles.from_matrix(settings.name, X, data, settings.targets)
            norms = np.linalg.norm(gradient, axis=1, keepdims=True)
            buffer = settings.momentum * buffer + gradient / np.maximum(norms, 1e-12)
            X = binarised(X - settings.learning_rate * buffer, settings, start)
            run.add([row], profiles, score=measured["target_HR"], state={"X": X, "buffer": buffer})
        return run.profiles()
