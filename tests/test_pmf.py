"""PMF by hand and against a NumPy restatement."""

from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest

from advrec_tf import data
from advrec_tf.recommenders import PMF
from advrec_tf.recommenders.pmf import rmse


class Oracle:
    """PMF with biases b, c under SGD with momentum 0.8; without biases they stay 0."""

    def __init__(self, P, Q, mean, regularization, rate, biases):
        sizes = len(P), len(Q)
        self.values = [P, Q, *(np.zeros(size) for size in sizes)]
        self.speeds = [np.zeros_like(x) for x in self.values]
        self.mean, self.strength, self.rate, self.biases = mean, regularization, rate, biases

    def batch(self, users, items, ratings):
        P, Q, b, c = self.values
        predicted = self.mean + np.sum(P[users] * Q[items], axis=1) + b[users] + c[items]
        error = ratings - predicted
        slopes = [np.zeros_like(x) for x in self.values]
        pull = 2 * self.strength
        np.add.at(slopes[0], users, -2 * error[:, None] * Q[items] + pull * P[users])
        np.add.at(slopes[1], items, -2 * error[:, None] * P[users] + pull * Q[items])
        if self.biases:
            np.add.at(slopes[2], users, -2 * error + pull * b[users])
            np.add.at(slopes[3], items, -2 * error + pull * c[items])
        self.speeds = [0.8 * v - self.rate * slope for v, slope in zip(self.speeds, slopes)]
        self.values = [x + v for x, v in zip(self.values, self.speeds)]


@pytest.mark.parametrize("biases", [False, True])
def test_pmf_agrees_with_the_oracle(small, biases):
    model = PMF(small.n_users, small.n_items, 3, seed=2, regularization=0.2, biases=biases)
    model.compile(keras.optimizers.SGD(0.01, momentum=0.8))
    P, Q = (x.numpy().astype(float) for x in (model.user_embedding, model.item_embedding))
    mean = small.train_ratings.mean()
    oracle = Oracle(P, Q, mean, 0.2, 0.01, biases)
    for epoch in range(2):
        for *batch, present in zip(*model.batches(small, 100, epoch)):
            oracle.batch(*(part[present > 0] for part in batch))
    model.fit(small, epochs=2, batch_size=100, verbose=0)
    p, q = model.factors
    P, Q, b, c = oracle.values
    np.testing.assert_allclose(p @ q.T, P @ Q.T + b[:, None] + c, atol=1e-4)
    assert float(model.mean) == pytest.approx(mean, rel=1e-6)
    predicted = np.clip(mean + (p @ q.T)[small.test_users, small.test_items], 1, 5)
    expected = np.sqrt(np.mean((predicted - small.test_ratings) ** 2))
    assert rmse(p, q, mean, small) == pytest.approx(expected)


@pytest.mark.parametrize("biases", [False, True])
def test_one_step_by_hand(biases):
    """One rating is 5 and one is 1: the mean is 3 and, at p = q = 1, the errors are 1 and -3."""
    frame = pd.DataFrame({"user": [0, 1], "item": [0, 1], "rating": [5.0, 1.0]})
    held_out = pd.DataFrame({"user": [0], "item": [1], "rating": [2.0]})
    two = data.Interactions.from_frames(frame, held_out)
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


def test_predictions_beyond_the_scale_are_clipped(small):
    """3 + 9 is cut to the highest train rating 5, and 3 - 1 is 2: the errors are 1 and -1."""
    two = replace(
        small,
        test_users=np.int32([0, 1]),
        test_items=np.int32([0, 0]),
        test_ratings=np.float32([4, 3]),
    )
    assert rmse(np.float32([[9], [-1]]), np.float32([[1]]), 3.0, two) == pytest.approx(1)


def test_fit_resumes_where_it_stopped(small):
    once, twice = (PMF(small.n_users, small.n_items, 4) for _ in range(2))
    for model, parts in ((once, [4]), (twice, [1, 3])):
        model.compile()
        for epochs in parts:
            model.fit(small, epochs=epochs, batch_size=25, verbose=0)
    np.testing.assert_array_equal(once.factors[0], twice.factors[0])
    np.testing.assert_array_equal(once.factors[1], twice.factors[1])


@pytest.mark.parametrize("biases", [False, True])
def test_it_saves_and_loads(small, tmp_path, biases):
    model = PMF(small.n_users, small.n_items, 4, seed=1, biases=biases)
    model.compile()
    model.fit(small, epochs=2, batch_size=40, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for trained in (model, loaded):
        trained.fit(small, epochs=1, batch_size=40, verbose=0)
    np.testing.assert_array_equal(loaded.factors[1], model.factors[1])


def test_data_without_ratings_and_bad_options_are_refused(small):
    model = PMF(small.n_users, small.n_items, 4)
    model.compile()
    with pytest.raises(ValueError, match="has no ratings, which PMF needs"):
        model.fit(replace(small, train_ratings=None))
    with pytest.raises(ValueError, match="PMF: regularization must be a number from 0 up, not -1"):
        PMF(3, 3, regularization=-1)


def test_defaults_of_pmf():
    model = PMF(3, 3)
    model.compile()
    assert (model.embedding_dim, model.regularization, model.biases) == (10, 0.1, False)
    optimizer = model.optimizer.get_config()
    assert (optimizer["momentum"], optimizer["nesterov"]) == (0.8, False)
    assert optimizer["learning_rate"] == pytest.approx(0.002)


def test_factors_start_normal_with_deviation_a_tenth():
    drawn = [*PMF(300, 300, 10, seed=0).factors, *PMF(300, 300, 10, seed=1).factors]
    assert len({rows.tobytes() for rows in drawn}) == 4
    for rows in drawn:
        assert rows.std() == pytest.approx(0.1, rel=0.05) and np.abs(rows).max() > 0.25


def test_the_order_of_training_follows_the_seed_and_the_epoch(small):
    models = [PMF(small.n_users, small.n_items, 2, seed=seed) for seed in (0, 1)]
    orders = [model.batches(small, 30, epoch).users for model in models for epoch in (0, 1)]
    assert len({order.tobytes() for order in orders}) == 4
