"""Differentiate through the last training steps of a surrogate WRMF, exactly, in bounded memory."""

from collections.abc import Iterator
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


class FakeRows(NamedTuple):
    """The fake users' interactions and their weights in the loss."""

    X: tf.Tensor  # [F, I]
    W: tf.Tensor  # [F, I]


class FakeBatches(NamedTuple):
    """The fake users in a mini-batch: int32 [steps, F'], -1 where there is none."""

    rows: np.ndarray  # among the users of the batch
    fakes: np.ndarray  # among all fakes


class Batches(NamedTuple):
    """The mini-batches of an epoch, or one of them."""

    real: UserBatches
    fake: FakeBatches


def unrolled_batches(
    data: Interactions, n_fakes: int, weight: float, batch_size: int, seed: int, epoch: int
) -> Batches:
    """Return the mini-batches of WRMF.fit on real and fake users, with the real users' pairs only.

    data: the real interactions among n_users users; the last `n_fakes` users have none
    """
    ones = np.ones(len(data.train_users), np.float32)
    batches = user_batches(data, ones, weight * ones, batch_size, seed, epoch)
    n_real = data.n_users - n_fakes
    held = [np.flatnonzero(users >= n_real) for users in batches.users]
    # Few different widths, so that few programs are compiled.
    width = max(1, -(-max(map(len, held)) // 16) * 16)
    rows, fakes = (np.full((len(held), width), -1, np.int32) for _ in range(2))
    for step, columns in enumerate(held):
        rows[step, : len(columns)] = columns
        fakes[step, : len(columns)] = batches.users[step][columns] - n_real
    return Batches(batches, FakeBatches(rows, fakes))


class Unroller:
    """A training step of WRMF as a pure function of its state and the fake rows, and its VJP.

    Both are compiled.
    """

    def __init__(self, optimizer: CoupledAdam):
        self.optimizer = optimizer
        self.step = tf.function(self._step, jit_compile=True)
        self.vjp = tf.function(self._vjp, jit_compile=True)

    def _step(
        self, state: State, step, batch: Batches, rows: FakeRows, block: int | None = BLOCK
    ) -> State:
        """Return the state after one mini-batch.  step: float, from 1

        The fake rows are dense, because their zeros have a derivative too.
        """
        real, fake = batch
        p = batch_rows(state.P, real.users)
        _, dp, dq = weighted_gradient(p, state.Q, real[1:], block)
        present = fake.rows >= 0
        fake_p = tf.gather(p, tf.maximum(fake.rows, 0))  # [F', D]
        x, w = (tf.gather(part, tf.maximum(fake.fakes, 0)) for part in rows)  # [F', I]
        scores = tf.matmul(fake_p, state.Q, transpose_b=True)
        # As for the pairs of weighted_gradient: what is not yet in the sum of squared scores.
        slope = 2 * tf.where(present[:, None], (w - 1) * scores - w * x, 0.0)
        dp += tf.math.unsorted_segment_sum(tf.matmul(slope, state.Q), fake.rows, tf.shape(p)[0])
        dq += tf.matmul(slope, fake_p, transpose_a=True)
        dP = tf.math.unsorted_segment_sum(dp, real.users, tf.shape(state.P)[0])
        rate = self.optimizer.learning_rate.value
        P, momentum_P, velocity_P = self.optimizer.stepped(
            state.P, dP, state.momentum_P, state.velocity_P, step, rate
        )
        Q, momentum_Q, velocity_Q = self.optimizer.stepped(
            state.Q, dq, state.momentum_Q, state.velocity_Q, step, rate
        )
        return State(P, Q, momentum_P, momentum_Q, velocity_P, velocity_Q)

    def _vjp(
        self, state: State, step, batch: Batches, rows: FakeRows, cotangent: State
    ) -> tuple[State, tf.Tensor]:
        """Return the cotangents of the state before a step and of X, from that after the step.

        The weights W are constant.
        """
        with tf.GradientTape() as tape:
            tape.watch([state, rows.X])
            after = self._step(state, step, batch, rows, None)
        *before, dX = tape.gradient(
            after, [*state, rows.X], output_gradients=cotangent, unconnected_gradients="zero"
        )
        return State(*before), dX

    def train(
        self, state: State, first_step: int, epochs: list[Batches], rows: FakeRows
    ) -> tuple[list[State], State]:
        """Train for some epochs; return the states before each of them and the last state."""
        before, step = [], first_step
        for batches in epochs:
            before.append(state)
            for batch in _steps(batches):
                state = self.step(state, tf.constant(step, tf.float32), batch, rows)
                step += 1
        return before, state

    def backward(
        self,
        before: list[State],
        first_step: int,
        epochs: list[Batches],
        rows: FakeRows,
        cotangent: State,
    ) -> tf.Tensor:
        """Return d loss / dX, [F, I], from d loss / d(last state).

        Only the first state of each epoch is stored.  The steps of an epoch are repeated, and then
        differentiated one by one in reverse.
        """
        total = tf.zeros_like(rows.X)
        for number in reversed(range(len(epochs))):
            steps = list(_steps(epochs[number]))
            first = first_step + number * len(steps)
            times = [tf.constant(first + offset, tf.float32) for offset in range(len(steps))]
            states = [before[number]]
            for time, batch in zip(times, steps[:-1]):
                states.append(self.step(states[-1], time, batch, rows))
            while states:
                last = len(states) - 1
                cotangent, dX = self.vjp(states.pop(), times[last], steps[last], rows, cotangent)
                total += dX
        return total


def _steps(batches: Batches) -> Iterator[Batches]:
    """Yield the mini-batches of an epoch: real and fake users of one step."""
    for step in range(len(batches.real.users)):
        real = UserBatches(*(part[step] for part in batches.real))
        yield Batches(real, FakeBatches(*(part[step] for part in batches.fake)))


@tf.function(jit_compile=True)
def _adversarial_block(p, Q, targets, count):
    """Return the attacker's loss of a block of users, and its gradients by p and by Q.

    p: [B, D], of which the first `count` are users and the others padding; Q: [I, D]. The loss of a
    user is the negative mean log-softmax of the targets' scores.
    """
    with tf.GradientTape() as tape:
        tape.watch([p, Q])
        scores = tf.matmul(p, Q, transpose_b=True)  # [B, I]
        of_targets = tf.reduce_mean(tf.gather(scores, targets, axis=1), axis=1)
        losses = tf.reduce_logsumexp(scores, axis=1) - of_targets
        loss = tf.reduce_sum(tf.where(tf.range(tf.shape(p)[0]) < count, losses, 0.0))
    return loss, *tape.gradient(loss, [p, Q])


def adversarial_loss(
    P, Q, n_real: int, targets: tuple[int, ...]
) -> tuple[float, tf.Tensor, tf.Tensor]:
    """Return the attacker's loss and its gradient in P and Q.

    The loss is the sum over real users of the mean over targets of -ln softmax(scores)[target].
    The softmax is over all items, also those that a user has clicked.

    P: [U + F, D], `n_real` = U real users before F fake ones, whose gradient is 0; Q: [I, D]
    -> loss, [U + F, D], [I, D]
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
