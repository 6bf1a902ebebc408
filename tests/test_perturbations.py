import numpy as np
import oracles
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from advrec_tf import perturbations
from advrec_tf.perturbations import Perturbation, bim, fgsm, noise, pgd, trajectory, uniform_start
from advrec_tf.perturbations.gradient import TripleChunks, chunk_triples

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
    loss, dP, dQ = perturbations.batch_gradient(tf.constant(P), tf.constant(Q), *map(tf.constant, triples))
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
    np.testing.assert_allclose(4 * bim(P, Q, triples, 0.4, 1).user, fgsm(P, Q, triples, 0.4).user, atol=1e-6)


@pytest.mark.parametrize("name", ATTACKS)
def test_every_attack_keeps_its_promises(problem, name):
    P, Q, triples = problem(seed=5)
    before, attack = (P.copy(), Q.copy()), ATTACKS[name]
    delta = attack(P, Q, triples, epsilon=0.7)
    assert delta.user.shape == P.shape and delta.item.shape == Q.shape and delta.user.dtype == np.float32
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
        assert oracles.dense_gradient(P + delta.user, Q + delta.item, *triples)[0] > oracles.dense_gradient(P, Q, *triples)[0]


@pytest.mark.parametrize("name", ["fgsm", "bim", "bim-l2"])
def test_rows_without_gradient_stay_zero(problem, name):
    P, Q, triples = problem()
    delta = ATTACKS[name](P, Q, triples)
    assert not delta.user[-2:].any() and not delta.item[-3:].any()
    assert delta.user[:5].any()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), epsilon=st.floats(0, 20), ball=st.sampled_from(["linf", "l2"]), iterations=st.integers(0, 6))
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
