"""WRMF and PMF against dense restatements in NumPy."""

from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from advrec_tf import data, evaluation
from advrec_tf.recommenders import PMF, WRMF, CoupledAdam
from advrec_tf.recommenders.pmf import rmse
from advrec_tf.recommenders.wrmf import targets_and_weights, weighted_gradient, weighted_loss


def dense(interactions, targets, weights):
    """x and w of all users x items."""
    X, W = (np.full((interactions.n_users, interactions.n_items), value) for value in (0.0, 1.0))
    X[interactions.train_users, interactions.train_items] = targets
    W[interactions.train_users, interactions.train_items] = weights
    return X, W


def dense_gradient(P, Q, X, W):
    residual = W * (P @ Q.T - X)
    return np.sum(W * (X - P @ Q.T) ** 2), 2 * residual @ Q, 2 * residual.T @ P


class AdamOracle:
    def __init__(self, decay=1e-5, rate=0.01):
        self.decay, self.rate, self.step, self.moments = decay, rate, 0, {}

    def __call__(self, values, gradients):
        self.step += 1
        new = []
        for place, (value, gradient) in enumerate(zip(values, gradients)):
            gradient = gradient + self.decay * value
            m, v = self.moments.get(place, (0, 0))
            m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
            self.moments[place] = m, v
            new.append(
                value
                - self.rate
                * m
                / (1 - 0.9**self.step)
                / (np.sqrt(v / (1 - 0.999**self.step)) + 1e-8)
            )
        return new


@pytest.mark.parametrize("feedback", ["binary", "values", "weights"])
def test_the_loss_over_all_pairs_is_the_dense_one(small, problem, feedback):
    P, Q, _ = problem(n_users=small.n_users, n_items=small.n_items)
    targets, weights = targets_and_weights(small, 20, feedback)
    pairs = small.train_users, small.train_items, targets, weights
    filled = [
        np.append(part, value).astype(part.dtype) for part, value in zip(pairs, (0, 0, 0, 1))
    ]  # a pair without effect
    loss, dp, dq = weighted_gradient(tf.constant(P), tf.constant(Q), *map(tf.constant, filled))
    expected = dense_gradient(P.astype(float), Q.astype(float), *dense(small, targets, weights))
    for mine, theirs in zip((loss, dp, dq), expected):
        np.testing.assert_allclose(mine, theirs, rtol=2e-4, atol=2e-3)
    assert weighted_loss(P, Q, small, targets, weights) == pytest.approx(expected[0], rel=1e-5)


def test_epochs_of_sgd_agree_with_the_oracle(small):
    model = WRMF(small.n_users, small.n_items, 5, seed=3)
    model.compile()
    P, Q = (x.astype(float) for x in model.factors)
    X, W = dense(small, 1, 20)
    adam, losses = AdamOracle(), []
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
        A = (P * W[:, item, None]).T @ P + 3 * np.eye(5)
        np.testing.assert_allclose(
            Q[item], np.linalg.solve(A, P.T @ (W[:, item] * X[:, item])), rtol=1e-3, atol=1e-4
        )


@pytest.mark.parametrize(
    "kind",
    [
        lambda d: WRMF(d.n_users, d.n_items, 4),
        lambda d: PMF(d.n_users, d.n_items, 4),
        lambda d: WRMF(d.n_users, d.n_items, 4, solver="als"),
    ],
)
def test_fit_goes_on_where_it_stopped(small, kind):
    once, twice = kind(small), kind(small)
    for model, parts in ((once, [4]), (twice, [1, 3])):
        model.compile()
        for epochs in parts:
            model.fit(small, epochs=epochs, batch_size=25, verbose=0)
    for mine, theirs in zip(once.factors, twice.factors):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("model_class", [WRMF, PMF])
def test_models_save_and_load(small, tmp_path, model_class):
    model = model_class(small.n_users, small.n_items, 4, seed=1)
    model.compile()
    model.fit(small, epochs=2, batch_size=40, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for each in (model, loaded):
        each.fit(small, epochs=1, batch_size=40, verbose=0)
    np.testing.assert_array_equal(loaded.factors[1], model.factors[1])


@given(n_users=st.integers(2, 40), batch_size=st.integers(1, 50), seed=st.integers(0, 5))
@settings(max_examples=25, deadline=None)
def test_user_batches_hold_every_user_with_all_his_pairs(n_users, batch_size, seed):
    interactions = data.synthetic(n_users=n_users, n_items=15, per_user=5, seed=1)
    targets = np.arange(1, len(interactions.train_users) + 1, dtype=np.float32)
    first, second = (
        data.user_batches(interactions, targets, 2 * targets, batch_size, seed, epoch)
        for epoch in (0, 1)
    )
    assert [part.shape for part in first] == [part.shape for part in second]
    assert sorted(first.users[first.users >= 0]) == list(range(n_users))
    found = []
    for users, rows, items, x, w in zip(*first):
        real = x > 0
        assert np.all(w[~real] == 1) and np.all(w[real] == 2 * x[real])
        found += zip(users[rows[real]], items[real], x[real])
    assert sorted(found) == sorted(zip(interactions.train_users, interactions.train_items, targets))


@pytest.mark.parametrize("biases", [False, True])
def test_pmf_agrees_with_the_oracle(small, biases):
    model = PMF(small.n_users, small.n_items, 3, seed=2, regularization=0.2, biases=biases)
    model.compile(keras.optimizers.SGD(0.01, momentum=0.8))
    P, Q = (model.user_embedding.numpy().astype(float), model.item_embedding.numpy().astype(float))
    b, c, mean = np.zeros(small.n_users), np.zeros(small.n_items), small.train_ratings.mean()
    speed = [np.zeros_like(x) for x in (P, Q, b, c)]
    for epoch in range(2):
        for users, items, ratings, present in zip(*model.batches(small, 100, epoch)):
            error = present * (
                ratings - mean - np.sum(P[users] * Q[items], axis=1) - b[users] - c[items]
            )
            steps = [np.zeros_like(x) for x in (P, Q, b, c)]
            np.add.at(
                steps[0], users, -2 * error[:, None] * Q[items] + 0.4 * present[:, None] * P[users]
            )
            np.add.at(
                steps[1], items, -2 * error[:, None] * P[users] + 0.4 * present[:, None] * Q[items]
            )
            if biases:
                np.add.at(steps[2], users, -2 * error + 0.4 * present * b[users])
                np.add.at(steps[3], items, -2 * error + 0.4 * present * c[items])
            speed = [0.8 * v - 0.01 * g for v, g in zip(speed, steps)]
            P, Q, b, c = (x + v for x, v in zip((P, Q, b, c), speed))
    model.fit(small, epochs=2, batch_size=100, verbose=0)
    p, q = model.factors
    np.testing.assert_allclose(p @ q.T, P @ Q.T + b[:, None] + c, atol=1e-4)
    assert float(model.mean) == pytest.approx(mean, rel=1e-6)
    predicted = np.clip(mean + (p @ q.T)[small.test_users, small.test_items], 1, 5)
    assert rmse(p, q, mean, small) == pytest.approx(
        np.sqrt(np.mean((predicted - small.test_ratings) ** 2))
    )


def test_wrmf_beats_popularity_by_far():
    interactions = data.synthetic(seed=1, split="80:20")
    model = WRMF(interactions.n_users, interactions.n_items, 8)
    model.compile()
    model.fit(interactions, epochs=60, batch_size=150, verbose=0)
    popular = np.ones((interactions.n_users, 1)), interactions.item_counts[:, None]
    trained, popularity = (
        evaluation.metrics(evaluation.top_k(*f, interactions), interactions)["nDCG"]
        for f in (model.factors, popular)
    )
    assert trained > 2 * popularity


@pytest.mark.parametrize(
    "make",
    [
        lambda: WRMF(3, 3, feedback="votes"),
        lambda: WRMF(3, 3, weight=0),
        lambda: WRMF(3, 3, solver="newton"),
        lambda: PMF(3, 3, regularization=-1),
    ],
)
def test_bad_settings_are_told(make):
    with pytest.raises(ValueError, match="must be|a number"):
        make()


def test_coupled_adam_steps_rows_without_a_gradient(small):
    """The decay goes through the moments on every row, so that nothing stands still."""
    optimizer, variable = CoupledAdam(0.1, decay=0.5), keras.Variable(np.ones((3, 2), np.float32))
    optimizer.build([variable])
    optimizer.apply([tf.zeros((3, 2))], [variable])
    np.testing.assert_allclose(variable.numpy(), 0.9, atol=1e-6)


# By hand


def rated_shop(small, scale=0.2):
    """The small data with ratings from 0 to 1, some of them 0."""
    return replace(
        small, train_ratings=((small.train_ratings - 1) / 4 * scale * 5).astype(np.float32)
    )


def test_targets_and_weights_by_hand(small):
    three = replace(
        small,
        train_users=np.int32([0, 0, 1]),
        train_items=np.int32([0, 1, 0]),
        train_ratings=np.float32([0, 0.5, 1]),
    )
    wanted = {
        "binary": ([1, 1, 1], [7, 7, 7]),
        "values": ([0, 0.5, 1], [1, 7, 7]),
        "weights": ([1, 1, 1], [1, 4, 7]),
    }
    for feedback, (targets, weights) in wanted.items():
        found = targets_and_weights(three, 7, feedback)
        np.testing.assert_allclose(found[0], targets)
        np.testing.assert_allclose(found[1], weights)


@pytest.mark.parametrize("feedback", ["binary", "values", "weights"])
def test_als_solves_the_problem_that_weight_and_feedback_describe(small, feedback):
    shop = rated_shop(small)
    model = WRMF(
        shop.n_users,
        shop.n_items,
        4,
        seed=2,
        solver="als",
        weight=5.0,
        feedback=feedback,
        regularization=0.7,
    )
    before = model.factors[1].astype(float)
    model.compile()
    model.fit(shop, epochs=1)
    X, W = dense(shop, *targets_and_weights(shop, 5.0, feedback))
    P, Q = (x.astype(float) for x in model.factors)
    for user in (0, 11, 79):  # users first, from the items' start
        A = (before * W[user, :, None]).T @ before + 0.7 * np.eye(4)
        np.testing.assert_allclose(
            P[user], np.linalg.solve(A, before.T @ (W[user] * X[user])), rtol=1e-3, atol=1e-4
        )
    for item in (0, 30, 49):
        A = (P * W[:, item, None]).T @ P + 0.7 * np.eye(4)
        np.testing.assert_allclose(
            Q[item], np.linalg.solve(A, P.T @ (W[:, item] * X[:, item])), rtol=1e-3, atol=1e-4
        )


@pytest.mark.parametrize("feedback", ["values", "weights"])
def test_sgd_sees_weight_and_feedback(small, feedback):
    """With one mini-batch that holds everybody the loss reported is that of the start."""
    shop = rated_shop(small)
    model = WRMF(shop.n_users, shop.n_items, 4, weight=5.0, feedback=feedback)
    model.compile(jit_compile=False, run_eagerly=True)
    P, Q = (x.astype(float) for x in model.factors)
    wanted = dense_gradient(P, Q, *dense(shop, *targets_and_weights(shop, 5.0, feedback)))[0]
    assert model.fit(shop, epochs=1, batch_size=200, verbose=0).history["loss"][0] == pytest.approx(
        wanted, rel=1e-5
    )


def test_coupled_adam_agrees_with_the_oracle_when_the_decay_matters():
    optimizer, oracle = CoupledAdam(0.05, decay=0.3), AdamOracle(0.3, 0.05)
    variable, values = (
        keras.Variable(np.float32([[1.0, -2.0], [3.0, 0.0]])),
        (np.array([[1.0, -2.0], [3.0, 0.0]]),),
    )
    optimizer.build([variable])
    for gradient in (
        [[0.5, 0.0], [-1.0, 0.0]],
        [[0.0, 2.0], [0.0, 0.0]],
        [[-3.0, 0.1], [0.2, 0.0]],
    ):
        optimizer.apply([tf.constant(gradient)], [variable])
        values = oracle(values, (np.array(gradient),))
    np.testing.assert_allclose(variable.numpy(), values[0], rtol=1e-5)


def test_the_epsilon_of_adam_is_beside_the_root():
    optimizer, variable = CoupledAdam(1.0, decay=0.0), keras.Variable(np.zeros(1, np.float32))
    optimizer.build([variable])
    optimizer.apply([tf.constant([1e-8])], [variable])
    assert variable.numpy().item() == pytest.approx(-0.5, rel=1e-3)


def test_what_is_trained_by_default():
    optimizer, momentum = CoupledAdam().get_config(), PMF.default_optimizer().get_config()
    assert [
        optimizer[name] for name in ("learning_rate", "decay", "beta_1", "beta_2", "epsilon")
    ] == pytest.approx([0.01, 1e-5, 0.9, 0.999, 1e-8])
    assert (momentum["learning_rate"], momentum["momentum"], momentum["nesterov"]) == (
        pytest.approx(0.002),
        0.8,
        False,
    )
    wrmf, pmf = WRMF(3, 3), PMF(3, 3)
    assert (wrmf.embedding_dim, wrmf.weight, wrmf.feedback, wrmf.solver, wrmf.regularization) == (
        128,
        20,
        "binary",
        "sgd",
        10,
    )
    assert (pmf.embedding_dim, pmf.regularization, pmf.biases) == (10, 0.1, False)


@pytest.mark.parametrize("model_class", [WRMF, PMF])
def test_factors_start_normal_with_deviation_a_tenth(model_class):
    drawn = [rows for seed in (0, 1) for rows in model_class(300, 300, 10, seed=seed).factors]
    assert len({rows.tobytes() for rows in drawn}) == 4
    assert all(
        rows.std() == pytest.approx(0.1, rel=0.05) and np.abs(rows).max() > 0.25 for rows in drawn
    )


@pytest.mark.parametrize("model_class", [WRMF, PMF])
def test_the_order_of_training_follows_the_seed_and_the_epoch(small, model_class):
    orders = [
        model_class(small.n_users, small.n_items, 2, seed=seed).batches(small, 30, epoch).users
        for seed in (0, 1)
        for epoch in (0, 1)
    ]
    assert len({order.tobytes() for order in orders}) == 4


@pytest.mark.parametrize("biases", [False, True])
def test_one_step_of_pmf_by_hand(biases):
    """One rating 5 beside one of 1: the mean is 3 and, at p = q = 1, the errors are 1 and -3."""
    frame = pd.DataFrame({"user": [0, 1], "item": [0, 1], "rating": [5.0, 1.0]})
    two = data.Interactions.from_frames(
        frame, pd.DataFrame({"user": [0], "item": [1], "rating": [2.0]})
    )
    model = PMF(2, 2, 1, regularization=0.5, biases=biases)
    model.compile(keras.optimizers.SGD(0.1), jit_compile=False, run_eagerly=True)
    for variable in (model.user_embedding, model.item_embedding):
        variable.assign(np.ones((2, 1)))
    loss = model.fit(two, epochs=1, verbose=0).history["loss"][0]
    assert loss == pytest.approx(1 + 9 + 0.5 * 4) and float(model.mean) == 3
    moved = [[1 + 0.1 * (2 * 1 - 2 * 0.5)], [1 + 0.1 * (2 * -3 - 2 * 0.5)]]
    P, Q = model.factors
    np.testing.assert_allclose(P[:, :1], moved, rtol=1e-6)
    np.testing.assert_allclose(Q[:, :1], moved, rtol=1e-6)
    if biases:
        np.testing.assert_allclose(P[:, 1:], [[0.2, 1], [-0.6, 1]], rtol=1e-6)
        np.testing.assert_allclose(Q[:, 1:], [[1, 0.2], [1, -0.6]], rtol=1e-6)


def test_the_error_of_predictions_beyond_the_scale_by_hand(small):
    """Predicted 3 + 9, cut to the highest train rating 5, and 3 - 1: the errors are 1 and -1."""
    two = replace(
        small,
        test_users=np.int32([0, 1]),
        test_items=np.int32([0, 0]),
        test_ratings=np.float32([4, 3]),
    )
    assert rmse(np.float32([[9], [-1]]), np.float32([[1]]), 3.0, two) == pytest.approx(1)
