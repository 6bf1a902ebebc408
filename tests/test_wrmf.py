"""WRMF and PMF against dense restatements in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from advrec_tf import data, evaluation
from advrec_tf.models import PMF, WRMF, CoupledAdam
from advrec_tf.models.pmf import rmse
from advrec_tf.models.wrmf import targets_and_weights, weighted_gradient, weighted_loss


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
            new.append(value - self.rate * m / (1 - 0.9**self.step) / (np.sqrt(v / (1 - 0.999**self.step)) + 1e-8))
        return new


@pytest.mark.parametrize("feedback", ["binary", "values", "weights"])
def test_the_loss_over_all_pairs_is_the_dense_one(small, problem, feedback):
    P, Q, _ = problem(n_users=small.n_users, n_items=small.n_items)
    targets, weights = targets_and_weights(small, 20, feedback)
    pairs = small.train_users, small.train_items, targets, weights
    filled = [np.append(part, value).astype(part.dtype) for part, value in zip(pairs, (0, 0, 0, 1))]  # a pair without effect
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
        np.testing.assert_allclose(Q[item], np.linalg.solve(A, P.T @ (W[:, item] * X[:, item])), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "kind", [lambda d: WRMF(d.n_users, d.n_items, 4), lambda d: PMF(d.n_users, d.n_items, 4), lambda d: WRMF(d.n_users, d.n_items, 4, solver="als")]
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
    first, second = (data.user_batches(interactions, targets, 2 * targets, batch_size, seed, epoch) for epoch in (0, 1))
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
            error = present * (ratings - mean - np.sum(P[users] * Q[items], axis=1) - b[users] - c[items])
            steps = [np.zeros_like(x) for x in (P, Q, b, c)]
            np.add.at(steps[0], users, -2 * error[:, None] * Q[items] + 0.4 * present[:, None] * P[users])
            np.add.at(steps[1], items, -2 * error[:, None] * P[users] + 0.4 * present[:, None] * Q[items])
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
    assert rmse(p, q, mean, small) == pytest.approx(np.sqrt(np.mean((predicted - small.test_ratings) ** 2)))


def test_wrmf_beats_popularity_by_far():
    interactions = data.synthetic(seed=1, split="80:20")
    model = WRMF(interactions.n_users, interactions.n_items, 8)
    model.compile()
    model.fit(interactions, epochs=60, batch_size=150, verbose=0)
    popular = np.ones((interactions.n_users, 1)), interactions.item_counts[:, None]
    trained, popularity = (evaluation.metrics(evaluation.top_k(*f, interactions), interactions)["nDCG"] for f in (model.factors, popular))
    assert trained > 2 * popularity


@pytest.mark.parametrize(
    "make",
    [lambda: WRMF(3, 3, feedback="votes"), lambda: WRMF(3, 3, weight=0), lambda: WRMF(3, 3, solver="newton"), lambda: PMF(3, 3, regularization=-1)],
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
