"""WRMF by SGD and by ALS against dense restatements in NumPy."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from advrec_tf import data, evaluation
from advrec_tf.recommenders import WRMF
from advrec_tf.recommenders.wrmf import targets_and_weights, weighted_gradient, weighted_loss

import oracles


def dense(interactions, targets, weights):
    """x and w of all users x items."""
    X, W = (np.full((interactions.n_users, interactions.n_items), value) for value in (0.0, 1.0))
    X[interactions.train_users, interactions.train_items] = targets
    W[interactions.train_users, interactions.train_items] = weights
    return X, W


def dense_gradient(P, Q, X, W):
    residual = W * (P @ Q.T - X)
    return np.sum(W * (X - P @ Q.T) ** 2), 2 * residual @ Q, 2 * residual.T @ P


def solved(Y, w, x, strength):
    """The row that minimises sum w (x - row . y)^2 + strength |row|^2 over all rows y of Y."""
    A = (Y * w[:, None]).T @ Y + strength * np.eye(Y.shape[1])
    return np.linalg.solve(A, Y.T @ (w * x))


def rated_shop(small):
    """The small data with ratings from 0 to 1, some of them 0."""
    return replace(small, train_ratings=((small.train_ratings - 1) / 4).astype(np.float32))


@pytest.mark.parametrize("feedback", ["binary", "values", "weights"])
def test_the_loss_over_all_pairs_is_the_dense_one(small, problem, feedback):
    P, Q, _ = problem(n_users=small.n_users, n_items=small.n_items)
    targets, weights = targets_and_weights(small, 20, feedback)
    pairs = zip((small.train_users, small.train_items, targets, weights), (0, 0, 0, 1))
    # One more pair, which has no effect.
    filled = [tf.constant(np.append(part, value).astype(part.dtype)) for part, value in pairs]
    gradient = weighted_gradient(tf.constant(P), tf.constant(Q), filled)
    expected = dense_gradient(P.astype(float), Q.astype(float), *dense(small, targets, weights))
    for values, by_hand in zip(gradient, expected):
        np.testing.assert_allclose(values, by_hand, rtol=2e-4, atol=2e-3)
    assert weighted_loss(P, Q, small, targets, weights) == pytest.approx(expected[0], rel=1e-5)


def test_the_loss_without_any_pair_is_that_of_zeros(small, problem):
    P, Q, _ = problem()
    empty = replace(small, train_users=small.train_users[:0], train_items=small.train_items[:0])
    loss = weighted_loss(P, Q, empty, np.zeros(0), np.zeros(0))
    assert loss == pytest.approx(np.sum((P @ Q.T) ** 2), rel=1e-5)


def test_epochs_of_sgd_agree_with_the_oracle(small):
    model = WRMF(small.n_users, small.n_items, 5, seed=3)
    model.compile()
    P, Q = (x.astype(float) for x in model.factors)
    X, W = dense(small, 1, 20)
    adam, losses = oracles.Adam(), []
    for epoch in range(3):
        for users in model.batches(small, 30, epoch).users:
            users = users[users >= 0]
            loss, dp, dq = dense_gradient(P[users], Q, X[users], W[users])
            dP = np.zeros_like(P)
            dP[users] = dp
            losses.append(loss)
            P, Q = adam((P, Q), (dP, dq))
    history = model.fit(small, epochs=3, batch_size=30, verbose=0).history["loss"]
    np.testing.assert_allclose(history, np.reshape(losses, (3, -1)).mean(axis=1), rtol=1e-4)
    np.testing.assert_allclose(model.factors[0], P, atol=2e-4)
    np.testing.assert_allclose(model.factors[1], Q, atol=2e-4)


def test_als_solves_each_row_exactly_and_its_loss_only_falls(small):
    model = WRMF(small.n_users, small.n_items, 5, solver="als", regularization=3.0)
    model.compile()
    losses = []
    X, W = dense(small, 1, 20)
    for _ in range(4):
        model.fit(small, epochs=1)
        P, Q = (x.astype(float) for x in model.factors)
        losses.append(np.sum(W * (X - P @ Q.T) ** 2) + 3 * (np.sum(P**2) + np.sum(Q**2)))
    assert losses == sorted(losses, reverse=True) and losses[0] > losses[-1]
    for item in (0, 7, 31):
        row = solved(P, W[:, item], X[:, item], 3.0)
        np.testing.assert_allclose(Q[item], row, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("feedback", ["binary", "values", "weights"])
def test_als_solves_the_problem_that_weight_and_feedback_describe(small, feedback):
    shop = rated_shop(small)
    options = {"weight": 5.0, "feedback": feedback, "regularization": 0.7}
    model = WRMF(shop.n_users, shop.n_items, 4, seed=2, solver="als", **options)
    before = model.factors[1].astype(float)
    model.compile()
    model.fit(shop, epochs=1)
    X, W = dense(shop, *targets_and_weights(shop, 5.0, feedback))
    P, Q = (x.astype(float) for x in model.factors)
    for user in (0, 11, 79):  # users first, from the items' start
        row = solved(before, W[user], X[user], 0.7)
        np.testing.assert_allclose(P[user], row, rtol=1e-3, atol=1e-4)
    for item in (0, 30, 49):
        row = solved(P, W[:, item], X[:, item], 0.7)
        np.testing.assert_allclose(Q[item], row, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("feedback", ["values", "weights"])
def test_sgd_sees_weight_and_feedback(small, feedback):
    """With one mini-batch that holds all users the reported loss is that of the start."""
    shop = rated_shop(small)
    model = WRMF(shop.n_users, shop.n_items, 4, weight=5.0, feedback=feedback)
    model.compile(jit_compile=False, run_eagerly=True)
    P, Q = (x.astype(float) for x in model.factors)
    loss = dense_gradient(P, Q, *dense(shop, *targets_and_weights(shop, 5.0, feedback)))[0]
    history = model.fit(shop, epochs=1, batch_size=200, verbose=0).history
    assert history["loss"][0] == pytest.approx(loss, rel=1e-5)


def test_targets_and_weights_by_hand(small):
    three = replace(
        small,
        train_users=np.int32([0, 0, 1]),
        train_items=np.int32([0, 1, 0]),
        train_ratings=np.float32([0, 0.5, 1]),
    )
    expected = {
        "binary": ([1, 1, 1], [7, 7, 7]),
        "values": ([0, 0.5, 1], [1, 7, 7]),
        "weights": ([1, 1, 1], [1, 4, 7]),
    }
    for feedback, by_hand in expected.items():
        np.testing.assert_allclose(targets_and_weights(three, 7, feedback), by_hand)
    with pytest.raises(ValueError, match="has no ratings to use as values"):
        targets_and_weights(replace(small, train_ratings=None), 7, "values")


@pytest.mark.parametrize("solver", ["sgd", "als"])
def test_fit_resumes_where_it_stopped(small, solver):
    once, twice = (WRMF(small.n_users, small.n_items, 4, solver=solver) for _ in range(2))
    for model, parts in ((once, [4]), (twice, [1, 3])):
        model.compile()
        for epochs in parts:
            model.fit(small, epochs=epochs, batch_size=25, verbose=0)
    np.testing.assert_array_equal(once.factors[0], twice.factors[0])
    np.testing.assert_array_equal(once.factors[1], twice.factors[1])


def test_it_saves_and_loads(small, tmp_path):
    model = WRMF(small.n_users, small.n_items, 4, seed=1, weight=3.0)
    model.compile()
    model.fit(small, epochs=2, batch_size=40, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.weight == 3.0
    for trained in (model, loaded):
        trained.fit(small, epochs=1, batch_size=40, verbose=0)
    np.testing.assert_array_equal(loaded.factors[1], model.factors[1])


@given(n_users=st.integers(2, 40), batch_size=st.integers(1, 50), seed=st.integers(0, 5))
@settings(max_examples=25, deadline=None)
def test_user_batches_hold_every_user_with_all_pairs(n_users, batch_size, seed):
    interactions = data.synthetic(n_users=n_users, n_items=15, per_user=5, seed=1)
    targets = np.arange(1, len(interactions.train_users) + 1, dtype=np.float32)
    first, second = (
        data.user_batches(interactions, targets, 2 * targets, batch_size, seed, epoch)
        for epoch in (0, 1)
    )
    assert [part.shape for part in first] == [part.shape for part in second]
    assert sorted(first.users[first.users >= 0]) == list(range(n_users))
    pairs = []
    for users, rows, items, x, w in zip(*first):
        real = x > 0
        assert np.all(w[~real] == 1) and np.all(w[real] == 2 * x[real])
        pairs += zip(users[rows[real]], items[real], x[real])
    assert sorted(pairs) == sorted(zip(interactions.train_users, interactions.train_items, targets))


def test_wrmf_beats_popularity_by_far():
    interactions = data.synthetic(seed=1, split="80:20")
    model = WRMF(interactions.n_users, interactions.n_items, 8)
    model.compile()
    model.fit(interactions, epochs=60, batch_size=150, verbose=0)
    popular = np.ones((interactions.n_users, 1)), interactions.item_counts[:, None]
    trained, popularity = (
        evaluation.metrics(evaluation.top_k(*factors, interactions), interactions)["nDCG"]
        for factors in (model.factors, popular)
    )
    assert trained > 2 * popularity


@pytest.mark.parametrize(
    "options",
    [{"feedback": "votes"}, {"weight": 0}, {"solver": "newton"}, {"regularization": -1}],
    ids=str,
)
def test_bad_options_are_refused(options):
    (name,) = options
    with pytest.raises(ValueError, match=f"WRMF: {name} must be"):
        WRMF(3, 3, **options)


def test_defaults_of_wrmf():
    model = WRMF(3, 3)
    model.compile()
    assert (model.embedding_dim, model.weight, model.feedback) == (128, 20, "binary")
    assert (model.solver, model.regularization) == ("sgd", 10)
    assert model.optimizer.decay == 1e-5
    assert float(model.optimizer.learning_rate) == pytest.approx(0.01)


def test_factors_start_normal_with_deviation_a_tenth():
    drawn = [*WRMF(300, 300, 10, seed=0).factors, *WRMF(300, 300, 10, seed=1).factors]
    assert len({rows.tobytes() for rows in drawn}) == 4
    for rows in drawn:
        assert rows.std() == pytest.approx(0.1, rel=0.05) and np.abs(rows).max() > 0.25


def test_the_order_of_training_follows_the_seed_and_the_epoch(small):
    models = [WRMF(small.n_users, small.n_items, 2, seed=seed) for seed in (0, 1)]
    orders = [model.batches(small, 30, epoch).users for model in models for epoch in (0, 1)]
    assert len({order.tobytes() for order in orders}) == 4
