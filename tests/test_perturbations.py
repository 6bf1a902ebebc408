"""Noise, FGSM, BIM and PGD, against values by hand and loops in double precision."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from advrec_tf import perturbations
from advrec_tf.perturbations import Perturbation, bim, fgsm, noise, pgd, trajectory, uniform_start

import oracles

ATTACKS = {
    "fgsm": fgsm,
    "bim": bim,
    "bim-l2": lambda *a, **k: bim(*a, ball="l2", **k),
    "pgd": pgd,
    "pgd-l2": lambda *a, **k: pgd(*a, ball="l2", **k),
    "noise": lambda P, Q, triples, epsilon=0.5: noise(P, Q, epsilon),
}


def assert_close(delta, user, item, atol=1e-6):
    np.testing.assert_allclose(delta.user, user, atol=atol)
    np.testing.assert_allclose(delta.item, item, atol=atol)


@pytest.mark.parametrize("ball", ["linf", "l2"])
def test_ten_iterations_agree_with_the_oracle(problem, ball):
    P, Q, triples = problem(seed=1)
    expected = oracles.attack(P, Q, triples, 0.5, 10, 0.125, ball)
    assert_close(bim(P, Q, triples, 0.5, 10, ball=ball), *expected, atol=1e-5)
    start = uniform_start(P, Q, seed=4)
    expected = oracles.attack(P, Q, triples, 0.5, 10, 0.125, ball, start)
    assert_close(pgd(P, Q, triples, 0.5, 10, ball=ball, seed=4), *expected, atol=1e-5)


def test_fgsm_agrees_with_the_oracle_from_both_starts(problem):
    P, Q, triples = problem(seed=2)
    for init in (None, pgd(P, Q, triples, 0.5, 5)):
        at = (P, Q) if init is None else (P + init.user, Q + init.item)
        _, *gradients = oracles.dense_gradient(*at, *triples)
        expected = [0.5 * oracles.unit_rows(gradient) for gradient in gradients]
        assert_close(fgsm(P, Q, triples, 0.5, init=init), *expected, atol=1e-5)


def test_trajectory_reads_prefixes_of_one_run(problem):
    P, Q, triples = problem(seed=3)
    for stop, delta in zip((0, 1, 4, 9), trajectory(P, Q, triples, 0.3, read_at=(0, 1, 4, 9))):
        assert_close(delta, *bim(P, Q, triples, 0.3, stop), atol=0)


def test_one_iteration_of_bim_is_a_quarter_of_fgsm(problem):
    P, Q, triples = problem()
    user, item = fgsm(P, Q, triples, 0.4)
    assert_close(bim(P, Q, triples, 0.4, 1), user / 4, item / 4)


@pytest.mark.parametrize("name", ATTACKS)
def test_every_attack_keeps_its_promises(problem, name):
    P, Q, triples = problem(seed=5)
    before, attack = (P.copy(), Q.copy()), ATTACKS[name]
    delta = attack(P, Q, triples, epsilon=0.7)
    assert delta.user.shape == P.shape and delta.item.shape == Q.shape
    for table in delta:
        assert table.dtype == np.float32
        if name in ("bim", "pgd"):
            assert np.abs(table).max() <= 0.7
        else:
            assert np.linalg.norm(table, axis=1).max() <= 0.7 * (1 + 1e-5)
    np.testing.assert_array_equal(P, before[0])
    np.testing.assert_array_equal(Q, before[1])
    assert_close(attack(P, Q, triples, epsilon=0.7), *delta, atol=0)
    zero = attack(P, Q, triples, epsilon=0.0)
    assert not zero.user.any() and not zero.item.any()
    if name != "noise":
        moved = oracles.dense_gradient(P + delta.user, Q + delta.item, *triples)
        assert moved[0] > oracles.dense_gradient(P, Q, *triples)[0]


@pytest.mark.parametrize("name", ["fgsm", "bim", "bim-l2"])
def test_rows_without_gradient_stay_zero(problem, name):
    P, Q, triples = problem()
    delta = ATTACKS[name](P, Q, triples)
    assert not delta.user[-2:].any() and not delta.item[-3:].any()
    assert delta.user[:5].any()


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    epsilon=st.floats(0, 20),
    ball=st.sampled_from(["linf", "l2"]),
    iterations=st.integers(0, 6),
)
def test_no_perturbation_leaves_its_ball(seed, epsilon, ball, iterations):
    rng = np.random.default_rng(seed)
    P, Q = rng.normal(size=(6, 3)), rng.normal(size=(8, 3))
    triples = tuple(rng.integers(0, n, 20) for n in (6, 8, 8))
    delta = bim(P, Q, triples, epsilon, iterations, step_size=1.5 * epsilon, ball=ball)
    for table in delta:
        sizes = np.abs(table) if ball == "linf" else np.linalg.norm(table, axis=1)
        assert sizes.max() <= epsilon * (1 + 1e-5)


def test_chunks_and_triples_in_another_order_make_the_same_attack(problem):
    P, Q, triples = problem(seed=9)
    order = np.random.default_rng(0).permutation(len(triples[0]))
    expected = bim(P, Q, triples, 0.5, 3)
    chunks = perturbations.chunk_triples(triples, len(P), len(Q))
    assert_close(bim(P, Q, chunks, 0.5, 3), *expected, atol=0)
    assert_close(bim(P, Q, tuple(ids[order] for ids in triples), 0.5, 3), *expected, atol=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        {"epsilon": -1},
        {"epsilon": float("nan")},
        {"epsilon": []},
        {"epsilon": float("inf")},
        {"step_size": -0.1},
        {"step_size": float("nan")},
        {"read_at": ()},
        {"read_at": (-1,)},
        {"read_at": (2.5,)},
        {"read_at": (3, 1)},
        {"ball": "l1"},
        {"init": Perturbation(np.zeros((2, 2)), np.zeros((2, 2)))},
        {"P": np.zeros((23, 6))},
        {"P": np.zeros(23)},
        {"P": np.full((23, 7), np.nan)},
        {"triples": (np.array([0]), np.array([0]))},
        {"triples": (np.array([0]), np.array([0]), np.array([0, 1]))},
        {"triples": (np.array([], int),) * 3},
        {"triples": (np.array([23]), np.array([0]), np.array([1]))},
        {"triples": (np.array([0]), np.array([0]), np.array([31]))},
        {"triples": (np.array([0]), np.array([-1]), np.array([1]))},
        {"triples": (np.array([0.5]), np.array([0]), np.array([1]))},
    ],
    ids=str,
)
def test_bad_arguments_are_refused(problem, change):
    P, Q, triples = problem()
    arguments = {"P": P, "Q": Q, "triples": triples} | change
    with pytest.raises(ValueError, match=r"must|init has|not finite"):
        trajectory(**arguments)


# By hand


def pair():
    """One user and one triple. The loss falls along (liked - other) for the user, along p for the
    liked item and against p for the other.
    """
    P, Q = np.array([[3.0, 4.0]], np.float32), np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    return P, Q, (np.array([0]), np.array([0]), np.array([1]))


def test_fgsm_by_hand():
    r = np.sqrt(0.5)
    assert_close(fgsm(*pair(), epsilon=2.0), [[-2 * r, 2 * r]], [[-1.2, -1.6], [1.2, 1.6]])


def test_fgsm_takes_its_gradient_at_its_start_and_returns_only_its_step():
    """At the start p = (0, -1) and q_0 - q_1 = (0, -1)."""
    start = Perturbation(np.array([[-3.0, -5.0]]), np.array([[0.0, 0.0], [1.0, 0.0]]))
    assert_close(fgsm(*pair(), 0.5, init=start), [[0, 0.5]], [[0, 0.5], [0, -0.5]])


def test_fgsm_spends_epsilon_on_every_row_with_a_gradient(problem):
    P, Q, triples = problem(n=900)
    delta = fgsm(P, Q, triples, 0.7)
    for table, rows in zip(delta, (np.unique(triples[0]), np.unique(triples[1:]))):
        np.testing.assert_allclose(np.linalg.norm(table[rows], axis=1), 0.7, rtol=1e-5)


def test_a_step_by_hand_ends_on_the_edge_of_either_ball():
    """A step of 3 along (-1, 1) / sqrt 2 and along (3, 4) / 5 is cut to an epsilon of 1."""
    r = np.sqrt(0.5)
    linf = bim(*pair(), epsilon=1.0, iterations=1, step_size=3.0)
    assert_close(linf, [[-1, 1]], [[-1, -1], [1, 1]])
    l2 = bim(*pair(), epsilon=1.0, iterations=1, step_size=3.0, ball="l2")
    assert_close(l2, [[-r, r]], [[-0.6, -0.8], [0.6, 0.8]])
    inside = bim(*pair(), epsilon=1.0, iterations=1, step_size=0.5)
    assert_close(inside, [[-r / 2, r / 2]], [[-0.3, -0.4], [0.3, 0.4]])


@pytest.mark.parametrize("ball", ["linf", "l2"])
def test_the_default_step_is_a_quarter_of_epsilon(ball):
    first, third = trajectory(*pair(), epsilon=0.8, ball=ball, read_at=(1, 3))
    np.testing.assert_allclose(np.linalg.norm(first.item, axis=1), 0.2, rtol=1e-5)
    assert 0.5 < np.linalg.norm(third.item[0]) < 0.6 + 1e-6  # three steps, nearly straight


def test_projections_by_hand():
    rows = tf.constant([[3.0, 4.0], [0.3, -0.4], [0.0, 0.0]])
    projected = perturbations.project_l2(rows, 1.0)
    np.testing.assert_allclose(projected, [[0.6, 0.8], [0.3, -0.4], [0, 0]], rtol=1e-6)
    clipped = perturbations.project_linf(tf.constant([[3.0, -4.0], [0.3, -0.4]]), 1.0)
    np.testing.assert_allclose(clipped, [[1, -1], [0.3, -0.4]], rtol=1e-6)
    unit = perturbations.normalize_rows(rows)
    np.testing.assert_allclose(unit, [[0.6, 0.8], [0.6, -0.8], [0, 0]], rtol=1e-6)
    small = tf.constant([[3e-5, 4e-5], [3e-7, 4e-7]])  # below 1e-6 a row counts as nearly zero
    unit = perturbations.normalize_rows(small)
    np.testing.assert_allclose(unit, [[0.6, 0.8], [0.3, 0.4]], rtol=1e-5)


# Starts and noise


def test_pgd_is_bim_from_its_start(problem):
    P, Q, triples = problem(seed=6)
    start = uniform_start(P, Q, seed=7, init_range=0.02)
    assert_close(pgd(P, Q, triples, 0.5, 0, seed=7, init_range=0.02), *start, atol=0)
    two = pgd(P, Q, triples, 0.5, 2, seed=7, init_range=0.02)
    assert_close(two, *next(trajectory(P, Q, triples, 0.5, init=start, read_at=(2,))), atol=0)
    for table, flat in zip(two, bim(P, Q, triples, 0.5, 2)):
        assert not np.allclose(table, flat, atol=1e-3)


def test_pgd_starts_within_its_range_and_follows_the_seed(problem):
    P, Q, triples = problem()
    start = pgd(P, Q, triples, 0.5, 0, seed=1)
    assert 0.04 < np.abs(start.user).max() <= 0.05
    assert np.abs(pgd(P, Q, triples, 0.5, 0, seed=1, init_range=0.2).item).max() > 0.1
    assert not np.array_equal(start.user, pgd(P, Q, triples, 0.5, 0, seed=2).user)


def test_the_first_projection_brings_a_start_into_the_ball(problem):
    P, Q, triples = problem()
    clipped = (np.clip(table, -0.01, 0.01) for table in uniform_start(P, Q, seed=1))
    assert_close(pgd(P, Q, triples, 0.01, 1, step_size=0.0, seed=1), *clipped, atol=1e-7)


def test_a_uniform_start_fills_its_range_and_differs_for_users_and_items():
    P = Q = np.zeros((300, 20), np.float32)
    start = uniform_start(P, Q, seed=3, init_range=0.2)
    for table in start:
        assert table.min() == pytest.approx(-0.2, abs=1e-3)
        assert table.max() == pytest.approx(0.2, abs=1e-3)
        assert table.std() == pytest.approx(0.2 / np.sqrt(3), rel=0.05)
        assert abs(table.mean()) < 0.01
    assert not np.array_equal(start.user, start.item)
    for table, other in zip(start, uniform_start(P, Q, seed=4, init_range=0.2)):
        assert not np.array_equal(table, other)
    default = uniform_start(P, Q, seed=3).user  # its range is 0.05
    np.testing.assert_array_equal(default * 4, start.user)


@pytest.mark.parametrize("init_range", [-0.1, float("nan")])
def test_a_start_of_no_range_is_refused(init_range):
    with pytest.raises(ValueError, match="init_range must be a number from 0 up"):
        uniform_start(np.zeros((3, 2)), np.zeros((3, 2)), init_range=init_range)


def test_a_grid_from_a_start_is_read_from_one_run(problem):
    P, Q, triples = problem(seed=8)
    start, read_at = uniform_start(P, Q, seed=2), (0, 2, 2, 5)
    deltas = trajectory(P, Q, triples, 0.4, init=start, read_at=read_at)
    for stop, delta in zip(read_at, deltas):
        assert_close(delta, *pgd(P, Q, triples, 0.4, stop, seed=2), atol=0)


def test_noise_has_rows_of_epsilon_in_all_directions_and_follows_the_seed():
    P = Q = np.full((400, 5), 7.0, np.float32)
    drawn = noise(P, Q, 0.3, seed=1)
    for table, again, other in zip(drawn, noise(P, Q, 0.3, seed=1), noise(P, Q, 0.3, seed=2)):
        np.testing.assert_allclose(np.linalg.norm(table, axis=1), 0.3, rtol=1e-5)
        assert np.abs(table.mean(axis=0)).max() < 0.03
        np.testing.assert_array_equal(table, again)
        assert not np.allclose(table, other)
    assert not np.allclose(drawn.user, drawn.item)
