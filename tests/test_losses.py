"""The losses of the ensemble and their Frank-Wolfe loop, against losses written out anew."""

import numpy as np
import pytest
from demotion import FACTORS, RNG, SHOP, TEST, K, P, Q, known, margins_of, spread_of, strongest
from scipy.special import expit, log_softmax

from advrec_tf import data, evaluation, perturbations
from advrec_tf.perturbations import ensemble, losses
from advrec_tf.perturbations.losses import Schedule, SmoothDCG

LISTS = evaluation.top_k(P, Q, SHOP, K)


def smooth_dcg(p, q, items, weights, temperature, rivals):
    """Return the loss, whose largest value is the least DCG."""
    total = 0.0
    for margins in margins_of(p, q, items, rivals):
        ranks = 1 + expit(-margins / temperature).sum(axis=1)
        total -= np.sum(weights / np.log2(1 + ranks))
    return total


def softmax(p, q):
    total = 0.0
    for user in range(len(p)):
        logs = log_softmax(np.float64(q) @ np.float64(p[user]))
        total -= logs[known(user)].sum()
    return total


def differences(loss, p, q, elements, step=1e-5):
    """Return the derivative of a loss in elements (side, row, column)."""
    derivatives = []
    for side, row, column in elements:
        values = []
        for sign in (1, -1):
            tables = [np.float64(p).copy(), np.float64(q).copy()]
            tables[side][row, column] += sign * step
            values.append(loss(*tables))
        derivatives.append((values[0] - values[1]) / (2 * step))
    return derivatives


@pytest.mark.parametrize(
    ("items", "weights"), [(TEST, np.ones(1)), (LISTS, 1 / np.arange(1, 4))], ids=["test", "lists"]
)
def test_the_gradient_is_that_of_the_smooth_dcg(items, weights, monkeypatch):
    monkeypatch.setattr(losses, "CUTOFF", SHOP.n_items)  # no weight fades
    p, q = FACTORS.user, FACTORS.item
    loss = SmoothDCG(FACTORS[:2], SHOP, items, weights, K)
    loss.tau, rivals = 0.3, strongest(p, q, items)
    assert loss.spread == pytest.approx(spread_of(FACTORS, items), rel=1e-4)
    temperature = 0.3 * loss.spread
    gradients = [loss.gradient(side, p, q) for side in (0, 1)]
    elements = [(0, 3, 1), (1, int(rivals[5][2]), 3)]
    for side, gradient in enumerate(gradients):
        elements.append((side, *np.unravel_index(np.abs(gradient).argmax(), gradient.shape)))
    expected = differences(
        lambda p, q: smooth_dcg(p, q, items, weights, temperature, rivals), p, q, elements
    )
    values = [gradients[side][row, column] for side, row, column in elements]
    scaled = np.array(values) / np.log(2) / temperature
    np.testing.assert_allclose(scaled, expected, rtol=1e-3, atol=1e-4)
    assert np.any(expected)


def test_the_weight_of_an_item_fades_beyond_the_list():
    """All margins are 0: one rival makes a rank of 1.5, where no weight fades, and 20 make 11."""
    loss = SmoothDCG(FACTORS[:2], SHOP, TEST, np.ones(1), K)
    margins = np.zeros((SHOP.n_users, 1, 20), np.float32)
    fading = np.exp(-(11 - K - losses.CUTOFF) / losses.FADE)
    many = 0.25 * fading / (np.log2(12) ** 2 * 12)
    one = 0.25 / (np.log2(2.5) ** 2 * 2.5)
    np.testing.assert_allclose(loss.pairs(margins), many, rtol=1e-5)
    np.testing.assert_allclose(loss.pairs(margins[:, :, :1]), one, rtol=1e-5)
    loss.user_weights = np.full((SHOP.n_users, 1, 1), 2.0)
    np.testing.assert_allclose(loss.pairs(margins[:, :, :1]), 2 * one, rtol=1e-5)


def test_a_look_counts_the_dcg_of_test_items():
    loss = SmoothDCG(FACTORS[:2], SHOP, TEST, np.ones(1), K)
    moved = FACTORS.user + 0.1 * RNG.standard_normal(FACTORS.user.shape).astype(np.float32)
    expected = evaluation.metrics(evaluation.top_k(moved, FACTORS.item, SHOP, K), SHOP)["nDCG"]
    assert loss.look(moved, FACTORS.item) == pytest.approx(expected * SHOP.n_users)
    assert expected > 0


def test_a_look_at_whole_lists_by_hand():
    """Every item of a list is above every rival, so that each has rank 1."""
    lists = evaluation.top_k(FACTORS.user, FACTORS.item, SHOP, K)
    loss = SmoothDCG(FACTORS[:2], SHOP, lists, 1 / np.arange(1, K + 1), K)
    expected = SHOP.n_users * (1 + 1 / 2 + 1 / 3)
    assert loss.look(FACTORS.user, FACTORS.item) == pytest.approx(expected)


def test_known_items_are_rivals_in_neither_table():
    """Users have fewer rivals than a loss sees, and both gradients come from the same slopes.

    With unit items the gradient of users is the slopes themselves.
    """
    small = data.synthetic(n_users=15, n_items=12, per_user=7, rank=2)
    p, q = (RNG.standard_normal((n, 3)).astype(np.float32) for n in (15, 12))
    factors = perturbations.normalized_factors(p, q)
    loss = SmoothDCG(factors[:2], small, ensemble.items_of_test(small), np.ones(1), 10)
    clicks = small.matrix().toarray() > 0
    slopes = loss.gradient(0, p, np.eye(12, dtype=np.float32))
    assert slopes.any() and not slopes[clicks].any() and np.all(slopes.sum(axis=1) < 1e-6)
    np.testing.assert_allclose(loss.gradient(1, p, q), slopes.T @ p, atol=1e-5)


def test_the_gradient_of_a_softmax_over_all_items():
    loss = losses.Softmax(SHOP)
    gradients = [loss.gradient(side, FACTORS.user, FACTORS.item) for side in (0, 1)]
    elements = [(0, 3, 1), (0, 17, 4), (1, int(known(3)[0]), 0), (1, 11, 3)]
    expected = differences(softmax, FACTORS.user, FACTORS.item, elements)
    values = [gradients[side][row, column] for side, row, column in elements]
    np.testing.assert_allclose(values, expected, rtol=1e-3, atol=1e-3)


def test_slopes_of_far_margins_do_not_underflow():
    x = np.float32([-np.inf, -50, -1, 0, 1, 50, np.inf])
    above, slopes = losses.logistic(x)
    finite = np.float64(x[1:-1])
    np.testing.assert_allclose(above, [0, *expit(-finite), 0], rtol=1e-5)
    np.testing.assert_allclose(slopes, [0, *expit(finite) * expit(-finite), 0], rtol=1e-5)
    assert slopes.dtype == np.float32 and slopes[1] > 0


@pytest.mark.parametrize("ball", ["l2", "linf"])
def test_no_point_of_the_ball_is_above_the_linear_maximiser(ball):
    """Also for rows whose squares single precision does not hold."""
    scales, size = np.float32([[1], [1e-28], [1], [1e28]]), np.array([[0.3], [1.0], [0.0], [2.0]])
    gradient = scales * RNG.standard_normal((4, 5)).astype(np.float32)
    best = losses.linear_maximiser(gradient, size, ball)
    norms = np.abs(best).max(axis=1) if ball == "linf" else np.linalg.norm(best, axis=1)
    np.testing.assert_allclose(norms, size[:, 0], rtol=1e-5)
    highest = np.sum(best * gradient, axis=1)
    for _ in range(200):
        point = RNG.uniform(-1, 1, gradient.shape)
        if ball == "l2":
            point /= np.maximum(np.linalg.norm(point, axis=1, keepdims=True), 1e-9)
        assert np.all(highest >= np.sum(size * point * gradient, axis=1) * (1 - 1e-5))


@pytest.mark.parametrize("ball", ["l2", "linf"])
def test_a_row_without_gradient_has_no_maximiser(ball):
    assert not np.any(losses.linear_maximiser(np.zeros((2, 5)), np.ones((1, 1)), ball))


def test_frank_wolfe_by_hand():
    """The loss is <a, P> + <b, Q> and the momentum 3/4: a quarter of the maximiser, then 7/16.

    A row without gradient does not move.
    """
    slopes = np.array([[3.0, 4.0], [0.0, 0.0]]), np.array([[-2.0, 0.0]])
    factors = perturbations.normalized_factors(np.ones((2, 2)), np.ones((1, 2)), "absolute")
    delta = [np.array([[0.0, 0.0], [0.1, 0.1]]), np.zeros((1, 2))]
    for share in (0.25, 0.4375):
        delta = losses.frank_wolfe(
            factors, lambda side, *_: slopes[side], factors.sizes(1.0), "l2", 0.75, delta
        )
        np.testing.assert_allclose(delta[0], [[0.6 * share, 0.8 * share], [0.1, 0.1]])
        np.testing.assert_allclose(delta[1], [[-share, 0]])


def test_users_move_before_items():
    calls = []

    def gradient(side, p, q):
        calls.append((side, p.item(), q.item()))
        return np.ones_like((p, q)[side])

    factors = perturbations.normalized_factors(np.ones((1, 1)), np.ones((1, 1)), "absolute")
    zeros = [np.zeros((1, 1)), np.zeros((1, 1))]
    losses.frank_wolfe(factors, gradient, factors.sizes(1.0), "l2", 0.5, zeros)
    assert calls == [(0, 1, 1), (1, 1.5, 1)]


def test_a_schedule_by_hand():
    schedule = Schedule(4, 8.0, 0.5)
    first, last = losses.MOMENTA
    assert schedule.at(0, 0.1) == pytest.approx((0.8, first))
    assert schedule.at(2, 0.1) == pytest.approx((0.2, (first + last) / 2))
    assert schedule.at(4, 0.1) == pytest.approx((0.05, last))


def test_the_relative_size_by_hand():
    tables = np.float32([[3, 4], [0, 0]]), np.float32([[0, 2]])
    factors = perturbations.normalized_factors(*tables, "absolute")
    sizes = np.float32([[0.5], [0.5]]), np.float32([[0.4]])
    expected = (0.5 / np.sqrt(25 / 2) + 0.4 / 2) / 2
    assert losses.relative_size(factors, sizes, "l2") == pytest.approx(expected)
    linf = losses.relative_size(factors, sizes, "linf")
    assert linf == pytest.approx(np.sqrt(2) * expected)


def test_the_relative_size_of_a_relative_epsilon_is_epsilon():
    size = losses.relative_size(FACTORS, FACTORS.sizes(0.07), "l2")
    assert size == pytest.approx(0.07, rel=1e-5)
