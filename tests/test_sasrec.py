"""SASRec: its states, loss, step and attacks against NumPy that encodes one sequence at a time."""

from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from advrec_tf import data, evaluation, perturbations
from advrec_tf.data.sequences import in_order_of_time, training_sequences
from advrec_tf.errors import UserError
from advrec_tf.execution.threads import threads
from advrec_tf.recommenders import SASRec, SASRecConfig, epoch_file, train

import oracles

DIM, LENGTH = 4, 5


def with_times(shop, seed=0):
    """Return the data with random train times, a tenth of them unknown."""
    rng = np.random.default_rng(seed)
    times = rng.permutation(len(shop.train_users)).astype(float)
    times[rng.random(len(times)) < 0.1] = np.nan
    return replace(shop, train_timestamps=times)


@pytest.fixture(scope="module")
def shop():
    """Return data with times; user 2 has no known time."""
    timed = with_times(data.synthetic(n_users=10, n_items=8, per_user=5, seed=1))
    times = np.where(timed.train_users == 2, np.nan, timed.train_timestamps)
    return replace(timed, train_timestamps=times)


def model_of(shop, scale=1.0, **options):
    """Return a model whose weights are large enough to matter."""
    options = {"dropout": 0.0, "length": LENGTH} | options
    model = SASRecConfig(embedding_dim=DIM, **options).model(shop, seed=0)
    rng = np.random.default_rng(1)
    for variable in model.trainable_variables:
        variable.assign(variable.numpy() + scale * rng.normal(0, 0.4, variable.shape))
    model.compile(keras.optimizers.SGD(1.0))
    return model


def values_of(model):
    return [variable.numpy().astype(float) for variable in model.trainable_variables]


def normalized(x, norm):
    return (x - x.mean()) / np.sqrt(x.var() + 1e-6) * norm[0] + norm[1]


def states(values, items):
    """The state after the start and after each item of one sequence, slot by slot."""
    positions, table, attention, dense, biases, norms = values
    scale = np.sqrt(table.shape[1])
    inputs = [np.zeros(table.shape[1]), *(scale * table[i] for i in items)]
    x = [row + position for row, position in zip(inputs, positions)]
    for n in range(len(attention)):
        z = [normalized(row, norms[2 * n]) for row in x]
        q, k, v, out = attention[n]
        moved = []
        for t, row in enumerate(z):
            scores = np.array([(row @ q) @ (other @ k) / scale for other in z[: t + 1]])
            shares = np.exp(scores - scores.max())
            shares /= shares.sum()
            seen = sum(share * (other @ v) for share, other in zip(shares, z))
            moved.append(x[t] + seen @ out)
        x = []
        for row in moved:
            hidden = np.maximum(normalized(row, norms[2 * n + 1]) @ dense[n, 0] + biases[n, 0], 0)
            x.append(row + hidden @ dense[n, 1] + biases[n, 1])
    return np.array([normalized(row, norms[-1]) for row in x])


def factors(values, shop):
    """P and Q, user by user."""
    P = [states(values, items[1 - LENGTH :])[-1] for items in in_order_of_time(shop, 0)]
    return np.array(P), values[1]


def loss(values, shop):
    """The mean of -ln softmax over all windows of all users."""
    losses = []
    for items in in_order_of_time(shop, 0):
        for end in range(len(items), 0, -LENGTH):
            window = items[max(0, end - LENGTH) : end]
            scores = states(values, window[:-1]) @ values[1].T
            log_sums = np.log(np.exp(scores).sum(axis=1))
            losses += list(log_sums - scores[np.arange(len(window)), window])
    return np.mean(losses)


def differences(function, values, which):
    """Central differences of a function of all values, in the arrays `which`."""
    slopes = []
    for n in which:
        slope = np.zeros_like(values[n])
        for index in np.ndindex(slope.shape):
            found = []
            for sign in (1, -1):
                moved = [value.copy() for value in values]
                moved[n][index] += sign * 1e-5
                found.append(function(moved))
            slope[index] = (found[0] - found[1]) / 2e-5
        slopes.append(slope)
    return slopes


def test_users_states_are_those_of_their_last_items(shop):
    """A user without known times has the state of the start."""
    model = model_of(shop)
    P, Q = factors(values_of(model), shop)
    np.testing.assert_allclose(model.factors[0], P, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.factors[1], Q, rtol=1e-6)


@pytest.mark.parametrize("epsilon", [0.0, 0.3])
def test_a_step_is_that_of_the_formula(shop, epsilon):
    model = model_of(shop, epsilon=epsilon, adversarial_weight=0.7)
    values = values_of(model)
    everything = range(len(values))
    expected, gradient = (
        loss(values, shop),
        differences(lambda v: loss(v, shop), values, everything),
    )
    if epsilon:
        moved = [value.copy() for value in values]
        for n in range(2):
            size = epsilon * np.sqrt(np.mean(np.sum(values[n] ** 2, axis=1)))
            moved[n] += size * oracles.unit_rows(gradient[n])
        expected += 0.7 * loss(moved, shop)
        slopes = differences(lambda v: loss(v, shop), moved, everything)
        gradient = [clean + 0.7 * slope for clean, slope in zip(gradient, slopes)]
    rows = training_sequences(shop, LENGTH, seed=0, epoch=0)
    reported = model.train_on_batch(tuple(part[None] for part in rows))
    np.testing.assert_allclose(reported, expected, rtol=1e-4)
    for after, value, slope in zip(values_of(model), values, gradient):
        np.testing.assert_allclose(after, value - slope, rtol=1e-3, atol=1e-5)


def test_an_attack_follows_the_gradient_through_the_encoder(shop):
    model = model_of(shop)
    values, triples = values_of(model), data.sample_triples(shop, seed=0)
    slopes = differences(
        lambda v: oracles.dense_gradient(*factors(v, shop), *triples)[0], values, range(2)
    )
    tables = [table.numpy() for table in model.tables]
    delta = perturbations.fgsm(*tables, triples, 0.1, served=model.served, unit="relative")
    for table, part, slope in zip(values, delta, slopes):
        size = 0.1 * np.sqrt(np.mean(np.sum(table**2, axis=1)))
        expected = size * oracles.unit_rows(slope)
        assert np.linalg.norm(part - expected) < 1e-4 * np.linalg.norm(expected)


def test_attacks_have_the_same_bytes_with_any_number_of_threads(small):
    timed = with_times(small)
    model = SASRecConfig(8, length=8, dropout=0.0).build(timed, seed=0)
    tables, triples = [table.numpy() for table in model.tables], data.sample_triples(small, seed=0)
    deltas = []
    for count in (1, 2):
        with threads(count):
            deltas.append(perturbations.bim(*tables, triples, 0.1, 4, served=model.served))
    for first, second in zip(*deltas):
        np.testing.assert_array_equal(first, second)


def test_dropout_keeps_the_mean_and_follows_from_the_step(shop):
    model = model_of(shop, dropout=0.25)
    ones = tf.ones([200, 300])
    dropped = model._drop(ones, 1).numpy()
    assert set(np.unique(dropped)) == {np.float32(0), np.float32(4 / 3)}
    assert np.mean(dropped == 0) == pytest.approx(0.25, abs=0.01)
    np.testing.assert_array_equal(dropped, model._drop(ones, 1))
    assert np.any(dropped != model._drop(ones, 2))
    model.optimizer.iterations.assign(1)
    assert np.any(dropped != model._drop(ones, 1))


def test_a_resumed_training_has_the_same_bytes(small, tmp_path):
    timed = with_times(small)
    config = SASRecConfig(8, 0.03, 8, length=8, epsilon=0.1)
    whole = train(timed, config, 3, tmp_path / "whole", epochs=4, progress=False)
    train(timed, config, 3, tmp_path / "parts", epochs=1, progress=False)
    parts = train(timed, config, 3, tmp_path / "parts", epochs=4, progress=False)
    first, second = (np.load(epoch_file(folder, 4)) for folder in (whole, parts))
    for name in first.files:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


def test_it_learns_which_item_comes_next():
    """In a circle of items, the next one follows from the last one alone."""
    starts = np.random.default_rng(0).integers(0, 12, 40)
    items = (starts[:, None] + np.arange(7)) % 12
    table = pd.DataFrame({"user": np.repeat(np.arange(40), 7), "item": items.ravel()})
    circle = data.Interactions.from_frames(table.assign(timestamp=np.tile(np.arange(7.0), 40)))
    model = SASRecConfig(16, 0.01, 4, length=8, dropout=0.1).build(circle, seed=0)
    model.fit(circle, 4, epochs=30, verbose=0)
    lists = evaluation.top_k(*model.factors, circle, 1)
    assert evaluation.metrics(lists, circle)["RE"] == 1


def test_its_weights_depend_on_the_times(shop):
    later = replace(shop, train_timestamps=shop.train_timestamps[::-1].copy())
    config = SASRecConfig()
    assert config.fingerprint(shop) != config.fingerprint(later)
    assert shop.fingerprint == later.fingerprint


def test_without_times_it_says_so(small):
    model = SASRec(small.n_users, small.n_items, embedding_dim=8)
    model.compile()
    with pytest.raises(UserError, match="no timestamps"):
        model.fit(replace(small, train_timestamps=None), epochs=1)
