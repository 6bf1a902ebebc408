"""Differentiating through the last training steps of a surrogate WRMF, exactly and in bounded memory."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from advrec_tf.data import Interactions, UserBatches, user_batches
from advrec_tf.recommenders import CoupledAdam
from advrec_tf.recommenders.wrmf import BLOCK, batch_rows, weighted_gradient

_BLOCK = 1024  # users whose scores over all items are held at a time


class State(NamedTuple):
    """Everything that a training step changes: the factors and Adam's two moments of each."""

    P: tf.Tensor  # [U + F, D], the fake users last
    Q: tf.Tensor  # [I, D]
    momentum_P: tf.Tensor
    momentum_Q: tf.Tensor
    velocity_P: tf.Tensor
    velocity_Q: tf.Tensor


class FakeBatches(NamedTuple):
    """Which fake users a mini-batch holds: int32 [steps, F'], -1 where there is none."""

    places: np.ndarray  # among the batch's users
    fakes: np.ndarray


def unrolled_batches(
    data: Interactions, n_fakes: int, weight: float, batch_size: int, seed: int, epoch: int
) -> tuple[UserBatches, FakeBatches]:
    """The mini-batches that WRMF.fit makes of the real and fake users together, with the real users' pairs alone in them.

    data: the real interactions among n_users users, of whom the last `n_fakes` have none yet
    """
    ones = np.ones(len(data.train_users), np.float32)
    batches = user_batches(data, ones, weight * ones, batch_size, seed, epoch)
    n_real = data.n_users - n_fakes
    held = [np.flatnonzero(users >= n_real) for users in batches.users]
    width = max(
        1, -(-max(map(len, held)) // 16) * 16
    )  # few different widths, so that few programs are compiled
    places, fakes = (np.full((len(held), width), -1, np.int32) for _ in range(2))
    for step, at in enumerate(held):
        places[step, : len(at)], fakes[step, : len(at)] = at, batches.users[step][at] - n_real
    return batches, FakeBatches(places, fakes)


class Unroller:
    """A training step of WRMF as a pure function of its state and of the fake rows, and its vector-Jacobian product, both compiled."""

    def __init__(self, optimizer: CoupledAdam):
        self.optimizer = optimizer
        self.step = tf.function(self._step, jit_compile=True)
        self.vjp = tf.function(self._vjp, jit_compile=True)

    def _step(
        self,
        state: State,
        step,
        batch: UserBatches,
        fake: FakeBatches,
        X,
        W,
        block: int | None = BLOCK,
    ) -> State:
        """One mini-batch.  The fake rows enter densely, as their zeros have a derivative too.  step: float, from 1; X, W: [F, I]"""
        p = batch_rows(state.P, batch.users)
        _, dp, dq = weighted_gradient(p, state.Q, batch[1:], block)
        present = fake.places >= 0
        fake_p = tf.gather(p, tf.maximum(fake.places, 0))  # [F', D]
        x, w = (tf.gather(part, tf.maximum(fake.fakes, 0)) for part in (X, W))  # [F', I]
        scores = tf.matmul(fake_p, state.Q, transpose_b=True)
        # As for the pairs of weighted_gradient: what is not yet in the sum of squared scores.
        slope = 2 * tf.where(present[:, None], (w - 1) * scores - w * x, 0.0)
        dp += tf.math.unsorted_segment_sum(tf.matmul(slope, state.Q), fake.places, tf.shape(p)[0])
        dq += tf.matmul(slope, fake_p, transpose_a=True)
        dP = tf.math.unsorted_segment_sum(dp, batch.users, tf.shape(state.P)[0])
        new = []
        for value, gradient, momentum, velocity in (
            (state.P, dP, state.momentum_P, state.velocity_P),
            (state.Q, dq, *state[3::2]),
        ):
            new.append(
                self.optimizer.stepped(
                    value, gradient, momentum, velocity, step, self.optimizer.learning_rate.value
                )
            )
        return State(*(part for pair in zip(*new) for part in pair))

    def _vjp(
        self, state: State, step, batch: UserBatches, fake: FakeBatches, X, W, cotangent: State
    ) -> tuple[State, tf.Tensor]:
        """The cotangent of the state before a step, and of the fake rows, from that of the state after it; the weights W are held fixed."""
        with tf.GradientTape() as tape:
            tape.watch([state, X])
            after = self._step(state, step, batch, fake, X, W, None)
        *before, dX = tape.gradient(
            after, [*state, X], output_gradients=cotangent, unconnected_gradients="zero"
        )
        return State(*before), dX

    def train(
        self, state: State, first_step: int, epochs: Iterable, X, W
    ) -> tuple[list[State], State]:
        """Epochs of training; returns the states before each of them and the last.  epochs: (UserBatches, FakeBatches) of each"""
        before, step = [], first_step
        for batches, fakes in epochs:
            before.append(state)
            for batch, fake in _steps(batches, fakes):
                state, step = (
                    self.step(state, tf.constant(step, tf.float32), batch, fake, X, W),
                    step + 1,
                )
        return before, state

    def backward(
        self, before: list[State], first_step: int, epochs: list, X, W, cotangent: State
    ) -> tf.Tensor:
        """d loss / dX, [F, I], from d loss / d(last state).

        Of each epoch only the first state was kept: its steps are done again, and then undone one by one.
        """
        total = tf.zeros_like(X)
        for number in reversed(range(len(epochs))):
            steps = list(_steps(*epochs[number]))
            at = first_step + number * len(steps)
            states = [before[number]]
            for offset, (batch, fake) in enumerate(steps[:-1]):
                states.append(
                    self.step(states[-1], tf.constant(at + offset, tf.float32), batch, fake, X, W)
                )
            for offset in reversed(range(len(steps))):
                cotangent, dX = self.vjp(
                    states.pop(),
                    tf.constant(at + offset, tf.float32),
                    *steps[offset],
                    X,
                    W,
                    cotangent,
                )
                total += dX
        return total


def _steps(batches: UserBatches, fakes: FakeBatches):
    for step in range(len(batches.users)):
        yield (
            UserBatches(*(part[step] for part in batches)),
            FakeBatches(*(part[step] for part in fakes)),
        )


@tf.function(jit_compile=True)
def _adversarial_block(p, Q, targets, count):
    with tf.GradientTape() as tape:
        tape.watch([p, Q])
        scores = tf.matmul(p, Q, transpose_b=True)  # [B, I]
        losses = tf.reduce_logsumexp(scores, axis=1) - tf.reduce_mean(
            tf.gather(scores, targets, axis=1), axis=1
        )
        loss = tf.reduce_sum(tf.where(tf.range(tf.shape(p)[0]) < count, losses, 0.0))
    return loss, *tape.gradient(loss, [p, Q])


def adversarial_loss(
    P, Q, n_real: int, targets: tuple[int, ...]
) -> tuple[float, tf.Tensor, tf.Tensor]:
    """The attacker's loss and its gradient in P and Q: the sum over real users of the mean over targets of -ln softmax(scores)[target].

    P: [U + F, D], Q: [I, D] -> loss, [U + F, D], [I, D]
    """
    block = min(_BLOCK, n_real)
    total, dQ, parts = 0.0, tf.zeros_like(Q), []
    for start in range(0, n_real, block):
        count = min(block, n_real - start)
        p = tf.pad(P[start : start + count], [[0, block - count], [0, 0]])
        loss, dp, dq = _adversarial_block(p, Q, tf.constant(targets), tf.constant(count))
        total, dQ = total + float(loss), dQ + dq
        parts.append(dp[:count])
    return total, tf.concat([*parts, tf.zeros_like(P[n_real:])], axis=0), dQ
