"""RecSys20: fake profiles by bi-level optimisation, Attack I of the low-rank defences paper.

Tang, Wen and Wang, RecSys 2020.
"""

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
from advrec_tf.poisoning.profiles import Profiles
from advrec_tf.poisoning.ratings import strongest
from advrec_tf.poisoning.settings import RecSys20Config
from advrec_tf.poisoning.trajectory import Trajectory
from advrec_tf.poisoning.unrolled import (
    FakeRows,
    State,
    Unroller,
    adversarial_loss,
    unrolled_batches,
)
from advrec_tf.poisoning.unrolled_als import AlsUnroller

METRICS = ("target_HR", "HR", "Recall")
COLUMNS = ("outer_epoch", "loss", *METRICS, "clicks")


def initial_profiles(data: Interactions, fakes: int, click_limit: int) -> np.ndarray:
    """Return the clicks of the first real users with at most `click_limit`: float32 [fakes, items].

    Raises UserError when there are too few such users.
    """
    clicks = np.diff(data.indptr)
    users = np.flatnonzero((clicks > 0) & (clicks <= click_limit))[:fakes]
    if len(users) < fakes:
        raise UserError(
            f"{len(users)} users of {data.name} have at most {click_limit} clicks,"
            f" fewer than the {fakes} fakes that start from them"
        )
    X = np.zeros((fakes, data.n_items), np.float32)
    for row, user in enumerate(users):
        X[row, data.train_items[data.indptr[user] : data.indptr[user + 1]]] = 1
    return X


def binarised(X: np.ndarray, config: RecSys20Config, start: np.ndarray) -> np.ndarray:
    """Return 1 for entries above the threshold and 0 for the others, within the limits.

    With `most_changes`, only the entries of each row that are furthest from `start` differ from it.
    With `click_targets`, all targets are 1.  With `clicks`, only the largest entries of each row
    are 1.  X, start: [fakes, items]
    """
    clicked = X > config.threshold
    if config.most_changes is not None:
        distance = np.where(clicked != (start > 0), np.abs(X - start), 0)
        changed = strongest(distance, np.full(len(X), config.most_changes)) > 0
        clicked = np.where(changed, clicked, start > 0)
    if config.click_targets:
        X = X.copy()
        X[:, list(config.targets)] = np.inf
        clicked[:, list(config.targets)] = True
    if config.clicks is not None:
        largest = np.argsort(-X, axis=1, kind="stable")[:, : config.clicks]
        allowed = np.zeros_like(clicked)
        np.put_along_axis(allowed, largest, True, axis=1)
        clicked &= allowed
    return clicked.astype(np.float32)


class Surrogate:
    """The attacker's WRMF: trained on real and fake users, differentiable in the fake rows."""

    def __init__(self, data: Interactions, config: RecSys20Config, seed: int):
        self.data, self.real, self.config, self.seed = data, data, config, seed
        self.empty = replace(data, n_users=data.n_users + config.fakes)  # the fakes have no pairs
        self.model = self._untrained(seed)
        self.unroller = (
            self._als() if config.surrogate.solver == "als" else Unroller(self.model.optimizer)
        )

    def _als(self) -> AlsUnroller:
        """Return the unroller of ALS sweeps for a surrogate that is trained by ALS."""
        wrmf = self.config.surrogate
        return AlsUnroller(self.data, self.config.fakes, wrmf.weight, wrmf.regularization)

    def _untrained(self, seed: int) -> keras.Model:
        """Return a new surrogate for real and fake users."""
        return self.config.surrogate.build(self.empty, seed)

    def defended(self, X: np.ndarray) -> np.ndarray:
        """Return the fake rows after the known defence, and train on its real users from now on.

        A defence that only rounds has no derivative.  The gradient in the rows it returns stands
        for the gradient in X.
        """
        if self.config.defense is None:
            return X
        n_real = self.real.n_users
        with tempfile.TemporaryDirectory() as scratch:
            fakes = Profiles.from_matrix("fakes", X, self.real, self.config.targets)
            stacked = fakes.stacked_on(self.real)
            cleaned = self.config.defense.cleaned(stacked, n_real, Path(scratch))
        is_real = cleaned.train_users < n_real
        self.data = replace(
            self.real,
            train_users=cleaned.train_users[is_real],
            train_items=cleaned.train_items[is_real],
            train_ratings=None,
            train_timestamps=None,
        )
        self.empty = replace(self.data, n_users=n_real + self.config.fakes)
        if isinstance(self.unroller, AlsUnroller):
            self.unroller = self._als()  # it holds the real users' pairs
        return cleaned.matrix()[n_real:].toarray()

    def train_and_differentiate(
        self, X: np.ndarray, seed: int | None = None
    ) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
        """Train from scratch with fake rows X; return the adversarial loss, P, Q and d loss / dX.

        The gradient goes through the last epochs.  It treats the loss weights of the fake rows as
        constant: `weight` where X > 0 and 1 elsewhere.  The default seed is the surrogate's own.
        X: [F, I]

        Raises UserError when the loss is not finite.
        """
        config, wrmf, model = self.config, self.config.surrogate, self.model
        first = config.epochs - config.unrolled_epochs
        model.seed = self.seed if seed is None else seed
        self._reset()
        if first:
            fakes = Profiles.from_matrix("fakes", X, self.data, config.targets)
            stacked = fakes.stacked_on(self.data)
            model.fit(stacked, epochs=first, batch_size=wrmf.batch_size, verbose=0)
        fakes_X, unroller = tf.constant(X), self.unroller
        rows = FakeRows(fakes_X, tf.where(fakes_X > 0, wrmf.weight, 1.0))
        if isinstance(unroller, AlsUnroller):
            loss, P, Q, gradient = self._by_sweeps(unroller, rows)
        else:
            loss, P, Q, gradient = self._by_steps(unroller, first, rows)
        if not math.isfinite(loss):
            raise UserError(
                f"the surrogate's loss is {loss}: a smaller learning rate of the surrogate may help"
            )
        return loss, P.numpy(), Q.numpy(), gradient.numpy()

    def _reset(self) -> None:
        """Set weights and optimiser back to the start; the model is kept because it is compiled."""
        start = self._untrained(self.model.seed)
        values = *start.weights, *start.optimizer.variables
        for variable, value in zip((*self.model.weights, *self.model.optimizer.variables), values):
            variable.assign(value)

    def _by_sweeps(
        self, unroller: AlsUnroller, rows: FakeRows
    ) -> tuple[float, tf.Tensor, tf.Tensor, tf.Tensor]:
        """Run the last sweeps of alternating least squares forwards and backwards."""
        before, Q = [], tf.identity(self.model.item_embedding.value)
        for _ in range(self.config.unrolled_epochs):
            start = Q
            P, Q = unroller.sweep(start, rows)
            before.append((start, P))
        loss, dP, dQ = adversarial_loss(P, Q, self.data.n_users, self.config.targets)
        gradient = tf.zeros_like(rows.X)
        for start, users in reversed(before):
            dQ, dX = unroller.sweep_vjp(start, rows, users, dP, dQ)
            gradient, dP = gradient + dX, tf.zeros_like(dP)
        return loss, P, Q, gradient

    def _by_steps(
        self, unroller: Unroller, first: int, rows: FakeRows
    ) -> tuple[float, tf.Tensor, tf.Tensor, tf.Tensor]:
        """Run the last epochs of stochastic gradient descent forwards and backwards."""
        config, wrmf, model = self.config, self.config.surrogate, self.model
        optimizer = model.optimizer
        variables = (
            model.user_embedding,
            model.item_embedding,
            *optimizer._momentums,
            *optimizer._velocities,
        )
        state = State(*(tf.identity(variable.value) for variable in variables))
        step = int(optimizer.iterations) + 1
        sizes = config.fakes, wrmf.weight, wrmf.batch_size
        epochs = [
            unrolled_batches(self.empty, *sizes, model.seed, epoch)
            for epoch in range(first, config.epochs)
        ]
        before, last = unroller.train(state, step, epochs, rows)
        loss, dP, dQ = adversarial_loss(last.P, last.Q, self.data.n_users, config.targets)
        cotangent = State(dP, dQ, *map(tf.zeros_like, last[2:]))
        return loss, last.P, last.Q, unroller.backward(before, step, epochs, rows, cotangent)


def attack(
    data: Interactions,
    config: RecSys20Config,
    seed: int,
    folder: Path,
    outer_epochs: int = RecSys20Config.outer_epochs,
    progress: bool = True,
) -> Profiles:
    """Return fake profiles whose training makes a recommender show the targets.

    Each outer epoch trains a fresh surrogate on the current profiles and takes the gradient of the
    adversarial loss in them.  It scales the rows of the gradient to l2 norm 1, makes a step with
    momentum and binarises the profiles.  The profiles with the best target HR@k of the surrogate
    are kept; `folder` holds them after every outer epoch.

    Raises UserError when too few users have few clicks and when the loss is not finite.
    """
    with Trajectory(folder, COLUMNS) as run:
        start = initial_profiles(data, config.fakes, config.click_limit)
        X = run.state.get("X")
        if X is None:
            X = binarised(start, config, start)
        buffer = run.state.get("buffer", np.zeros_like(X))
        if run.done < outer_epochs:
            surrogate = Surrogate(data, config, seed)
        bar = run.epochs(outer_epochs, f"{data.name} {config.name}", progress)
        for epoch in bar:
            loss, P, Q, gradient = surrogate.train_and_differentiate(
                surrogate.defended(X), seed=1000 * seed + epoch if config.fresh_seeds else seed
            )
            measured = poisoning_metrics(P, Q, data, config.targets, config.k)
            bar.set_postfix({name: f"{measured[name]:.4f}" for name in METRICS[:2]})
            clicks = float(X.sum()) / len(X)
            row = [epoch, loss, *(measured[name] for name in METRICS), clicks]
            profiles = Profiles.from_matrix(config.name, X, data, config.targets)
            norms = np.linalg.norm(gradient, axis=1, keepdims=True)
            buffer = config.momentum * buffer + gradient / np.maximum(norms, 1e-12)
            X = binarised(X - config.learning_rate * buffer, config, start)
            run.add([row], profiles, measured["target_HR"], {"X": X, "buffer": buffer})
        return run.profiles()
