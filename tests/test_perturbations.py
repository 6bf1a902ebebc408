import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from advrec_tf import perturbations
from advrec_tf.perturbations import Perturbation, bim, fgsm, noise, pgd, trajectory, uniform_start
from advrec_tf.perturbations.gradient import TripleChunks, chunk_triples

import oracles

ATTACKS = {
    "fgsm": fgsm,
    "bim": bim,
    "bim-l2": lambda *a, **k: bim(*a, ball="l2", **k),
    "pgd": pgd,
    "pgd-l2": lambda *a, **k: pgd(*a, ball="l2", **k),
    "noise": lambda P, Q, triples, epsilon=0.5: noise(P, Q, epsilon),
}


def full(P, Q, triples):
    chunks = TripleChunks(*map(tf.constant, chunk_triples(triples, len(P), len(Q))))
    return [x.numpy() for x in perturbations.full_gradient(tf.constant(P), tf.constant(Q), chunks)]


@pytest.mark.parametrize("n", [1, 15, 16, 17, 300, 3000])
def test_full_gradient_is_the_sum_over_triples(problem, n):
    P, Q, triples = problem(seed=n, n=n)
    _, dP, dQ = oracles.dense_gradient(P, Q, *triples)
    for ours, wanted in zip(full(P, Q, triples), (dP, dQ)):
        np.testing.assert_allclose(ours, wanted, atol=1e-5 * max(1, np.abs(wanted).max()))


def test_chunks_of_items_go_through_the_users_once_and_an_item_s_own_keep_their_order(problem):
    """Of each part, once for positives and once for negatives."""
    P, Q, triples = problem(n=3000)
    chunks = chunk_triples(triples, len(P), len(Q))
    size = chunks.positive.size
    for item, place, user in zip(chunks.item, chunks.place, chunks.user_of_place):
        item, place, user = (
            item.ravel(),
            place.reshape(len(item.ravel()), -1),
            user.reshape(len(item.ravel()), -1),
        )
        negative = place[:, 0] >= size
        assert np.all(np.diff(negative.astype(int)) >= 0) and all(
            np.all(np.diff(user[negative == which, 0]) >= 0) for which in (False, True)
        )
        for each in np.unique(item):
            own = place[item == each].ravel()
            own = own[own < 2 * size]
            assert np.all(np.diff(own) > 0)


def test_full_gradient_agrees_with_finite_differences(problem):
    P, Q, triples = problem(n=40)
    dP, _ = full(P, Q, triples)
    for u, d in ((0, 0), (5, 3), (12, 6)):
        moved = [P.astype(np.float64) for _ in range(2)]
        moved[0][u, d] += 1e-5
        moved[1][u, d] -= 1e-5
        up, down = (oracles.dense_gradient(x, Q, *triples)[0] for x in moved)
        assert dP[u, d] == pytest.approx((up - down) / 2e-5, abs=1e-4)


def test_batch_gradient_is_the_sum_over_triples(problem):
    P, Q, triples = problem()
    loss, dP, dQ = perturbations.batch_gradient(
        tf.constant(P), tf.constant(Q), *map(tf.constant, triples)
    )
    wanted = oracles.dense_gradient(P, Q, *triples)
    for ours, oracle in zip((loss, dP, dQ), wanted):
        np.testing.assert_allclose(ours, oracle, rtol=1e-5, atol=1e-5)


def test_a_margin_below_the_clip_has_no_gradient():
    P, Q = np.full((1, 2), 10, np.float32), np.array([[-5, -5], [5, 5]], np.float32)
    assert not np.any(full(P, Q, ([0], [0], [1]))[0])


@pytest.mark.parametrize("ball", ["linf", "l2"])
def test_ten_iterations_agree_with_the_oracle(problem, ball):
    P, Q, triples = problem(seed=1)
    start = uniform_start(P, Q, seed=4)
    for name, ours, begun in (
        ("bim", bim(P, Q, triples, 0.5, 10, ball=ball), None),
        ("pgd", pgd(P, Q, triples, 0.5, 10, ball=ball, seed=4), start),
    ):
        wanted = oracles.attack(P, Q, triples, 0.5, 10, 0.125, ball, begun)
        np.testing.assert_allclose(ours.user, wanted[0], atol=1e-5, err_msg=name)
        np.testing.assert_allclose(ours.item, wanted[1], atol=1e-5, err_msg=name)


def test_fgsm_agrees_with_the_oracle_from_both_starts(problem):
    P, Q, triples = problem(seed=2)
    for init in (None, pgd(P, Q, triples, 0.5, 5)):
        at = (P, Q) if init is None else (P + init.user, Q + init.item)
        _, dP, dQ = oracles.dense_gradient(*at, *triples)
        ours = fgsm(P, Q, triples, 0.5, init=init)
        np.testing.assert_allclose(ours.user, 0.5 * oracles.unit_rows(dP), atol=1e-5)
        np.testing.assert_allclose(ours.item, 0.5 * oracles.unit_rows(dQ), atol=1e-5)


def test_trajectory_reads_prefixes_of_one_run(problem):
    P, Q, triples = problem(seed=3)
    for stop, delta in zip((0, 1, 4, 9), trajectory(P, Q, triples, 0.3, read_at=(0, 1, 4, 9))):
        alone = bim(P, Q, triples, 0.3, stop)
        np.testing.assert_array_equal(delta.user, alone.user)
        np.testing.assert_array_equal(delta.item, alone.item)


def test_one_iteration_of_bim_is_a_quarter_of_fgsm(problem):
    P, Q, triples = problem()
    np.testing.assert_allclose(
        4 * bim(P, Q, triples, 0.4, 1).user, fgsm(P, Q, triples, 0.4).user, atol=1e-6
    )


@pytest.mark.parametrize("name", ATTACKS)
def test_every_attack_keeps_its_promises(problem, name):
    P, Q, triples = problem(seed=5)
    before, attack = (P.copy(), Q.copy()), ATTACKS[name]
    delta = attack(P, Q, triples, epsilon=0.7)
    assert (
        delta.user.shape == P.shape
        and delta.item.shape == Q.shape
        and delta.user.dtype == np.float32
    )
    for side in delta:
        if name in ("bim", "pgd"):
            assert np.abs(side).max() <= 0.7
        else:
            assert np.linalg.norm(side, axis=1).max() <= 0.7 * (1 + 1e-5)
    np.testing.assert_array_equal(P, before[0])
    np.testing.assert_array_equal(Q, before[1])
    again = attack(P, Q, triples, epsilon=0.7)
    np.testing.assert_array_equal(delta.user, again.user)
    zero = attack(P, Q, triples, epsilon=0.0)
    assert not zero.user.any() and not zero.item.any()
    if name != "noise":
        assert (
            oracles.dense_gradient(P + delta.user, Q + delta.item, *triples)[0]
            > oracles.dense_gradient(P, Q, *triples)[0]
        )


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
def test_the_budget_holds(seed, epsilon, ball, iterations):
    rng = np.random.default_rng(seed)
    P, Q = rng.normal(size=(6, 3)), rng.normal(size=(8, 3))
    triples = tuple(rng.integers(0, n, 20) for n in (6, 8, 8))
    delta = bim(P, Q, triples, epsilon, iterations, step_size=1.5 * epsilon, ball=ball)
    for side in delta:
        sizes = np.abs(side) if ball == "linf" else np.linalg.norm(side, axis=1)
        assert sizes.max() <= epsilon * (1 + 1e-5)


def test_pgd_starts_within_its_range_and_follows_the_seed(problem):
    P, Q, triples = problem()
    start = pgd(P, Q, triples, 0.5, 0, seed=1)
    assert 0.04 < np.abs(start.user).max() <= 0.05
    assert np.abs(pgd(P, Q, triples, 0.5, 0, seed=1, init_range=0.2).item).max() > 0.1
    assert not np.array_equal(start.user, pgd(P, Q, triples, 0.5, 0, seed=2).user)


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
def test_bad_arguments_are_told(problem, change):
    P, Q, triples = problem()
    arguments = {"P": P, "Q": Q, "triples": triples} | change
    with pytest.raises(ValueError, match=r"must|init has|not finite"):
        trajectory(**arguments)


# By hand


def pair(p=(3.0, 4.0), liked=(1.0, 0.0), other=(0.0, 1.0)):
    """One user and one triple: its loss falls along (liked - other) for the user, along p for the liked item and against p for the other."""
    return (
        np.array([p], np.float32),
        np.array([liked, other], np.float32),
        (np.array([0]), np.array([0]), np.array([1])),
    )


def assert_close(delta, user, item, atol=1e-6):
    np.testing.assert_allclose(delta.user, user, atol=atol)
    np.testing.assert_allclose(delta.item, item, atol=atol)


def test_fgsm_by_hand():
    r = np.sqrt(0.5)
    assert_close(fgsm(*pair(), epsilon=2.0), [[-2 * r, 2 * r]], [[-1.2, -1.6], [1.2, 1.6]])


def test_fgsm_takes_its_gradient_where_it_starts_and_returns_its_own_step_alone():
    P, Q, triples = pair()
    start = Perturbation(
        np.array([[-3.0, -5.0]]), np.array([[0.0, 0.0], [1.0, 0.0]])
    )  # p = (0, -1), q_0 - q_1 = (0, -1)
    assert_close(fgsm(P, Q, triples, 0.5, init=start), [[0, 0.5]], [[0, 0.5], [0, -0.5]])


def test_fgsm_spends_its_whole_budget_on_every_row_with_a_gradient(problem):
    P, Q, triples = problem(n=900)
    delta = fgsm(P, Q, triples, 0.7)
    for side, rows in zip(delta, (np.unique(triples[0]), np.unique(triples[1:]))):
        np.testing.assert_allclose(np.linalg.norm(side[rows], axis=1), 0.7, rtol=1e-5)


def test_two_steps_by_hand_end_on_the_edge_of_either_ball():
    """A step of 3 along (-1, 1) / sqrt 2 and along (3, 4) / 5, cut to a budget of 1."""
    r = np.sqrt(0.5)
    assert_close(
        bim(*pair(), epsilon=1.0, iterations=1, step_size=3.0), [[-1, 1]], [[-1, -1], [1, 1]]
    )
    assert_close(
        bim(*pair(), epsilon=1.0, iterations=1, step_size=3.0, ball="l2"),
        [[-r, r]],
        [[-0.6, -0.8], [0.6, 0.8]],
    )
    assert_close(
        bim(*pair(), epsilon=1.0, iterations=1, step_size=0.5),
        [[-r / 2, r / 2]],
        [[-0.3, -0.4], [0.3, 0.4]],
    )


@pytest.mark.parametrize("ball", ["linf", "l2"])
def test_the_default_step_is_a_quarter_of_the_budget(ball):
    first, third = trajectory(*pair(), epsilon=0.8, ball=ball, read_at=(1, 3))
    np.testing.assert_allclose(np.linalg.norm(first.item, axis=1), 0.2, rtol=1e-5)
    assert 0.5 < np.linalg.norm(third.item[0]) < 0.6 + 1e-6  # three steps, nearly straight


def test_projections_by_hand():
    rows = tf.constant([[3.0, 4.0], [0.3, -0.4], [0.0, 0.0]])
    np.testing.assert_allclose(
        perturbations.project_l2(rows, 1.0), [[0.6, 0.8], [0.3, -0.4], [0, 0]], rtol=1e-6
    )
    np.testing.assert_allclose(
        perturbations.project_linf(tf.constant([[3.0, -4.0], [0.3, -0.4]]), 1.0),
        [[1, -1], [0.3, -0.4]],
        rtol=1e-6,
    )
    np.testing.assert_allclose(
        perturbations.normalize_rows(rows), [[0.6, 0.8], [0.6, -0.8], [0, 0]], rtol=1e-6
    )
    small = tf.constant([[3e-5, 4e-5], [3e-7, 4e-7]])  # below 1e-6 a row counts as nearly zero
    np.testing.assert_allclose(
        perturbations.normalize_rows(small), [[0.6, 0.8], [0.3, 0.4]], rtol=1e-5
    )


def test_the_loss_by_hand_is_held_at_80_from_there_on():
    for margin, loss in (
        (0.0, np.log(2)),
        (np.log(3), np.log(4 / 3)),
        (-79.0, 79),
        (-80.5, 80),
        (-1000.0, 80),
        (1e9, 0),
    ):
        assert float(perturbations.bpr_loss(tf.constant([margin]))) == pytest.approx(loss, rel=1e-6)
    assert float(perturbations.bpr_loss(tf.constant([[0.0, 0.0], [0.0, -90.0]]))) == pytest.approx(
        3 * np.log(2) + 80
    )


@pytest.mark.parametrize(
    "margin, slope", [(-79.5, -1), (-80.5, 0), (0.0, -1 / 2), (np.log(3), -1 / 4)]
)
def test_beyond_the_clip_the_gradient_is_frozen(margin, slope):
    P, Q, triples = pair((1.0, 0.0), (margin, 0.0), (0.0, 0.0))
    dP, dQ = full(P, Q, triples)
    np.testing.assert_allclose(dP, [[slope * margin, 0]], rtol=1e-4)
    np.testing.assert_allclose(dQ, [[slope, 0], [-slope, 0]], rtol=1e-4)
    assert fgsm(P, Q, triples, 1.0).item.any() == (slope != 0)


# Starts and noise


def test_pgd_is_bim_from_its_start(problem):
    P, Q, triples = problem(seed=6)
    start = uniform_start(P, Q, seed=7, init_range=0.02)
    assert_close(pgd(P, Q, triples, 0.5, 0, seed=7, init_range=0.02), *start, atol=0)
    from_start, flat = (
        pgd(P, Q, triples, 0.5, 2, seed=7, init_range=0.02),
        bim(P, Q, triples, 0.5, 2),
    )
    assert_close(
        from_start, *next(trajectory(P, Q, triples, 0.5, init=start, read_at=(2,))), atol=0
    )
    assert not np.allclose(from_start.user, flat.user, atol=1e-3) and not np.allclose(
        from_start.item, flat.item, atol=1e-3
    )


def test_the_first_projection_mends_a_start_beyond_the_budget(problem):
    P, Q, triples = problem()
    start = uniform_start(P, Q, seed=1)
    held = pgd(P, Q, triples, 0.01, 1, step_size=0.0, seed=1)
    assert_close(
        held, np.clip(start.user, -0.01, 0.01), np.clip(start.item, -0.01, 0.01), atol=1e-7
    )


def test_a_uniform_start_fills_its_range_and_is_drawn_apart_for_users_and_items():
    P = Q = np.zeros((300, 20), np.float32)
    start = uniform_start(P, Q, seed=3, init_range=0.2)
    for side in start:
        assert side.min() == pytest.approx(-0.2, abs=1e-3) and side.max() == pytest.approx(
            0.2, abs=1e-3
        )
        assert side.std() == pytest.approx(0.2 / np.sqrt(3), rel=0.05) and abs(side.mean()) < 0.01
    assert not np.array_equal(start.user, start.item)
    other = uniform_start(P, Q, seed=4, init_range=0.2)
    assert not np.array_equal(start.user, other.user) and not np.array_equal(start.item, other.item)
    np.testing.assert_array_equal(
        uniform_start(P, Q, seed=3).user * 4, start.user
    )  # the default range is 0.05
    for bad in (-0.1, float("nan")):
        with pytest.raises(ValueError, match="init_range"):
            uniform_start(P, Q, init_range=bad)


def test_a_grid_from_a_start_is_read_from_one_run(problem):
    P, Q, triples = problem(seed=8)
    start = uniform_start(P, Q, seed=2)
    for stop, delta in zip(
        (0, 2, 2, 5), trajectory(P, Q, triples, 0.4, init=start, read_at=(0, 2, 2, 5))
    ):
        assert_close(delta, *pgd(P, Q, triples, 0.4, stop, seed=2), atol=0)


def test_chunks_made_beforehand_and_triples_in_another_order_make_the_same_attack(problem):
    P, Q, triples = problem(seed=9)
    order = np.random.default_rng(0).permutation(len(triples[0]))
    wanted = bim(P, Q, triples, 0.5, 3)
    assert_close(bim(P, Q, chunk_triples(triples, len(P), len(Q)), 0.5, 3), *wanted, atol=0)
    assert_close(bim(P, Q, tuple(part[order] for part in triples), 0.5, 3), *wanted, atol=1e-5)


def test_noise_has_rows_of_the_budget_in_all_directions_and_follows_the_seed():
    P = Q = np.full((400, 5), 7.0, np.float32)
    drawn = noise(P, Q, 0.3, seed=1)
    for side, again, other in zip(drawn, noise(P, Q, 0.3, seed=1), noise(P, Q, 0.3, seed=2)):
        np.testing.assert_allclose(np.linalg.norm(side, axis=1), 0.3, rtol=1e-5)
        assert np.abs(side.mean(axis=0)).max() < 0.03
        np.testing.assert_array_equal(side, again)
        assert not np.allclose(side, other)
    assert not np.allclose(drawn.user, drawn.item)
