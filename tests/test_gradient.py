"""The BPR loss and its gradient, against loops over triples in double precision."""

import numpy as np
import pytest
import tensorflow as tf

from advrec_tf import perturbations
from advrec_tf.perturbations.chunks import TripleChunks, chunk_triples

import oracles


def full(P, Q, triples):
    chunks = TripleChunks(*map(tf.constant, chunk_triples(triples, len(P), len(Q))))
    return [x.numpy() for x in perturbations.full_gradient(tf.constant(P), tf.constant(Q), chunks)]


@pytest.mark.parametrize("n", [1, 15, 16, 17, 300, 3000])
def test_full_gradient_is_the_sum_over_triples(problem, n):
    P, Q, triples = problem(seed=n, n=n)
    _, *expected = oracles.dense_gradient(P, Q, *triples)
    for gradient, wanted in zip(full(P, Q, triples), expected):
        np.testing.assert_allclose(gradient, wanted, atol=1e-5 * max(1, np.abs(wanted).max()))


@pytest.mark.parametrize("part", range(4))
def test_items_read_users_in_order_and_keep_the_order_of_their_triples(problem, part):
    """Each part goes through the users once for positives and once for negatives."""
    P, Q, triples = problem(n=3000)
    chunks = chunk_triples(triples, len(P), len(Q))
    size = chunks.positive.size
    item = chunks.item[part].ravel()
    slot, user = (x[part].reshape(len(item), -1) for x in (chunks.slot, chunks.user_of_slot))
    negative = slot[:, 0] >= size
    assert np.all(np.diff(negative.astype(int)) >= 0)
    for sign in (False, True):
        assert np.all(np.diff(user[negative == sign, 0]) >= 0)
    for number in np.unique(item):
        slots = slot[item == number].ravel()
        assert np.all(np.diff(slots[slots < 2 * size]) > 0)


def test_full_gradient_agrees_with_finite_differences(problem):
    P, Q, triples = problem(n=40)
    dP, _ = full(P, Q, triples)
    for user, column in ((0, 0), (5, 3), (12, 6)):
        losses = []
        for step in (1e-5, -1e-5):
            moved = P.astype(np.float64)
            moved[user, column] += step
            losses.append(oracles.dense_gradient(moved, Q, *triples)[0])
        assert dP[user, column] == pytest.approx((losses[0] - losses[1]) / 2e-5, abs=1e-4)


def test_batch_gradient_is_the_sum_over_triples(problem):
    P, Q, triples = problem()
    result = perturbations.batch_gradient(
        tf.constant(P), tf.constant(Q), *map(tf.constant, triples)
    )
    for value, wanted in zip(result, oracles.dense_gradient(P, Q, *triples)):
        np.testing.assert_allclose(value, wanted, rtol=1e-5, atol=1e-5)


def test_a_margin_below_the_clip_has_no_gradient():
    P, Q = np.full((1, 2), 10, np.float32), np.array([[-5, -5], [5, 5]], np.float32)
    assert not np.any(full(P, Q, ([0], [0], [1]))[0])


@pytest.mark.parametrize(
    ("margin", "loss"),
    [
        (0.0, np.log(2)),
        (np.log(3), np.log(4 / 3)),
        (-79.0, 79),
        (-80.5, 80),
        (-1000.0, 80),
        (1e9, 0),
    ],
)
def test_the_loss_is_clipped_at_80_by_hand(margin, loss):
    assert float(perturbations.bpr_loss(tf.constant([margin]))) == pytest.approx(loss, rel=1e-6)


def test_the_loss_is_a_sum_by_hand():
    loss = perturbations.bpr_loss(tf.constant([[0.0, 0.0], [0.0, -90.0]]))
    assert float(loss) == pytest.approx(3 * np.log(2) + 80)


@pytest.mark.parametrize(
    ("margin", "slope"), [(-79.5, -1), (-80.5, 0), (0.0, -1 / 2), (np.log(3), -1 / 4)]
)
def test_the_slope_of_the_loss_is_zero_beyond_the_clip(margin, slope):
    P, Q = np.array([[1.0, 0.0]], np.float32), np.array([[margin, 0], [0, 0]], np.float32)
    triples = np.array([0]), np.array([0]), np.array([1])
    dP, dQ = full(P, Q, triples)
    np.testing.assert_allclose(dP, [[slope * margin, 0]], rtol=1e-4)
    np.testing.assert_allclose(dQ, [[slope, 0], [-slope, 0]], rtol=1e-4)
    assert perturbations.fgsm(P, Q, triples, 1.0).item.any() == (slope != 0)
