"""Recommenders that serve factors which are functions of their parameters, against differences of
the loss in double precision.
"""

from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from advrec_tf import perturbations
from advrec_tf.execution.threads import threads
from advrec_tf.perturbations import Perturbation
from advrec_tf.recommenders import BPRMF

import oracles

RNG = np.random.default_rng(0)
USER, ITEM = RNG.normal(0, 0.7, (9, 3)), RNG.normal(0, 0.7, (11, 4))
TRIPLES = tuple(RNG.integers(0, rows, 60) for rows in (9, 11, 11))
TWO_TOWERS = (RNG.normal(size=shape) for shape in ((3, 5), (4, 5), (9, 11), (11, 5)))


class TwoTowers(NamedTuple):
    """Users see all items: P = tanh(user A + M item B), and Q has the rows of item B at norm 2."""

    A: np.ndarray
    B: np.ndarray
    M: np.ndarray
    shift: np.ndarray

    def __call__(self, user, item):
        towers = item @ self.B
        rows = 2 * tf.math.l2_normalize(towers + self.shift, axis=1)
        return tf.tanh(user @ self.A + 0.2 * self.M @ towers), rows

    def in_double(self, user, item):
        towers = item @ self.B
        rows = towers + self.shift
        rows = 2 * rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return np.tanh(user @ self.A + 0.2 * self.M @ towers), rows


SERVED = TwoTowers(*TWO_TOWERS)


def closure(user, item):
    """The same recommender as a plain function, whose arrays are constants."""
    return TwoTowers(*map(tf.constant, map(np.float32, SERVED)))(user, item)


def gradients(user, item, step=1e-5):
    """Central differences of the loss in all elements of both parameter tables."""
    tables = [np.float64(user), np.float64(item)]
    found = [np.zeros_like(table) for table in tables]
    for table, gradient in zip(tables, found):
        for index in np.ndindex(table.shape):
            kept, losses = table[index], []
            for sign in (1, -1):
                table[index] = kept + sign * step
                losses.append(oracles.dense_gradient(*SERVED.in_double(*tables), *TRIPLES)[0])
            table[index] = kept
            gradient[index] = (losses[0] - losses[1]) / (2 * step)
    return found


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("served", [SERVED, closure], ids=["tuple", "closure"])
def test_a_step_follows_the_gradient_in_the_parameters(served, count):
    expected = gradients(USER, ITEM)
    with threads(count):
        single = perturbations.fgsm(USER, ITEM, TRIPLES, 0.3, served=served)
        step = perturbations.bim(USER, ITEM, TRIPLES, 0.3, 1, served=served)
    for table, quarter, gradient in zip(single, step, expected):
        direction = oracles.unit_rows(gradient)
        np.testing.assert_allclose(table / 0.3, direction, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(quarter / 0.075, direction, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("count", [1, 2])
def test_later_steps_follow_the_gradient_at_the_perturbed_parameters(count):
    """Two steps in the l2 ball, which the second does not leave, from a start."""
    start = Perturbation(*(0.05 * np.sign(table) for table in (USER, ITEM)))
    user, item = start
    for _ in range(2):
        slopes = map(oracles.unit_rows, gradients(USER + user, ITEM + item))
        user, item = (
            oracles.project(table + 0.1 * slope, 0.3, "l2")
            for table, slope in zip((user, item), slopes)
        )
    with threads(count):
        attack = perturbations.trajectory(
            USER, ITEM, TRIPLES, 0.3, 0.1, "l2", start, (2,), served=SERVED
        )
        found = next(attack)
    np.testing.assert_allclose(found.user, user, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.item, item, rtol=1e-4, atol=1e-5)


def test_a_step_from_a_start_takes_the_gradient_there():
    start = Perturbation(*(0.2 * np.sign(table) for table in (USER, ITEM)))
    found = perturbations.fgsm(USER, ITEM, TRIPLES, 0.3, start, SERVED)
    for table, gradient in zip(found, gradients(USER + start.user, ITEM + start.item)):
        expected = 0.3 * oracles.unit_rows(gradient)
        np.testing.assert_allclose(table, expected, rtol=1e-4, atol=1e-5)


def test_item_biases_by_hand():
    """Users have no parameter for the ones that stand beside biases: p = (3, 4, 1)."""

    def biased(user, item):
        return tf.concat([user, tf.ones([1, 1])], axis=1), item

    parameters = np.array([[3.0, 4.0]]), np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.0]])
    delta = perturbations.fgsm(*parameters, ([0], [0], [1]), 2.0, served=biased)
    np.testing.assert_allclose(delta.user, [[-np.sqrt(2), np.sqrt(2)]], rtol=1e-5)
    item = 2 * np.array([3.0, 4.0, 1.0]) / np.sqrt(26)
    np.testing.assert_allclose(delta.item, [-item, item], rtol=1e-5)


def test_a_table_that_is_not_served_does_not_move():
    items = tf.constant(ITEM[:, :3], tf.float32)
    delta = perturbations.bim(USER, ITEM, TRIPLES, 0.3, 2, served=lambda user, item: (user, items))
    assert delta.user.any() and not delta.item.any() and delta.item.shape == (11, 4)


def test_gathered_rows_give_a_dense_gradient():
    """Every second user shares the row of the user before him."""
    rows = np.arange(9) // 2 * 2
    delta = perturbations.fgsm(
        USER, ITEM[:, :3], TRIPLES, 0.3, served=lambda user, item: (tf.gather(user, rows), item)
    )
    merged = rows[TRIPLES[0]], *TRIPLES[1:]
    expected = perturbations.fgsm(USER[rows], ITEM[:, :3], merged, 0.3)
    np.testing.assert_allclose(delta.user, expected.user, atol=1e-5)
    assert not delta.user[1::2].any()


def test_relative_epsilon_is_a_share_of_the_rms_row_norm_of_each_table():
    options = {"served": SERVED, "unit": "relative"}
    bim = perturbations.bim(USER, ITEM, TRIPLES, 0.2, 1, 0.2, "l2", **options)
    start = perturbations.pgd(USER, ITEM, TRIPLES, 0.2, 0, seed=3, init_range=0.1, **options)
    after = perturbations.fgsm(USER, ITEM, TRIPLES, 0.2, start, **options)
    drawn = perturbations.uniform_start(USER, ITEM, 3, 0.1)
    for side, table in enumerate((USER, ITEM)):
        unit = np.sqrt(np.mean(np.sum(table**2, axis=1)))
        for delta in (bim, after):
            np.testing.assert_allclose(np.linalg.norm(delta[side], axis=1), 0.2 * unit, rtol=1e-5)
        np.testing.assert_allclose(start[side], unit * drawn[side], rtol=1e-5)


def test_points_are_attacks_on_what_is_served():
    points = perturbations.points("noise", [0.2]) + perturbations.points("bim", [0.2], (1, 2))
    points += perturbations.points("fgsm", [0.2], start="after_bim")
    attacks = perturbations.perturbed(USER, ITEM, TRIPLES, points, 3, served=SERVED)
    noise, *deltas = (delta for _, delta in attacks)
    np.testing.assert_allclose(np.linalg.norm(noise.item, axis=1), 0.2, rtol=1e-5)
    expected = [perturbations.bim(USER, ITEM, TRIPLES, 0.2, n, served=SERVED) for n in (1, 2)]
    expected.append(perturbations.fgsm(USER, ITEM, TRIPLES, 0.2, expected[1], SERVED))
    for delta, other in zip(deltas, expected, strict=True):
        np.testing.assert_array_equal(delta.user, other.user)
        np.testing.assert_array_equal(delta.item, other.item)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unit": "row"}, "the unit must be absolute or relative, not 'row'"),
        ({"served": lambda user, item: (user[:5], item[:, :3])}, r"user ids must lie in 0 ... 4"),
        ({"served": lambda user, item: (user, item)}, r"\[U, F\].*not \(9, 3\) and \(11, 4\)"),
        ({"Q": ITEM[0]}, r"factors must be \[rows, dim\], not \(4,\)"),
        ({"P": np.inf * USER}, "not finite"),
    ],
)
def test_what_cannot_be_served_is_said(change, message):
    arguments = {"P": USER, "Q": ITEM, "triples": TRIPLES, "served": SERVED} | change
    with pytest.raises(ValueError, match=message):
        perturbations.trajectory(**arguments)


class Squashed(BPRMF):
    def served(self, user, item):
        return tf.tanh(user), 3 * item


def test_a_model_is_evaluated_and_attacked_by_what_it_serves(small):
    model = Squashed(small.n_users, small.n_items, 4, seed=1)
    user, item = model.user_embedding.numpy(), model.item_embedding.numpy()
    P, Q = model.factors
    np.testing.assert_allclose(P, np.tanh(user), rtol=1e-6)
    np.testing.assert_allclose(Q, 3 * item)
    scores = model((np.array([2, 5]), np.array([3, 1]))).numpy()
    np.testing.assert_allclose(scores, [P[2] @ Q[3], P[5] @ Q[1]], rtol=1e-5)
    triples = (np.array([2]), np.array([3]), np.array([1]))
    delta = perturbations.fgsm(user, item, triples, 0.1, served=model.served)
    slope = (1 - P[2] ** 2) * (Q[1] - Q[3])
    np.testing.assert_allclose(delta.user[2], 0.1 * slope / np.linalg.norm(slope), rtol=1e-4)
