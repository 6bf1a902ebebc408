"""LightGCN: its propagation, its step and its attacks against dense NumPy; resumed training."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from advrec_tf import data, perturbations
from advrec_tf.execution.threads import threads
from advrec_tf.recommenders import LightGCN, LightGCNConfig, epoch_file, train

import oracles

DIM = 4


@pytest.fixture(scope="module")
def shop():
    """Return data with a user and an item that have no train interaction."""
    full = data.synthetic(n_users=12, n_items=9, per_user=4, seed=1)
    return full.without((full.train_users == 3) | (full.train_items == 2), "holes")


def adjacency(shop):
    """The matrix A of the graph, dense, element by element."""
    known = np.zeros((shop.n_users, shop.n_items))
    known[shop.train_users, shop.train_items] = 1
    A = np.zeros((shop.n_users + shop.n_items,) * 2)
    for u, i in zip(*np.nonzero(known)):
        element = 1 / np.sqrt(known[u].sum() * known[:, i].sum())
        A[u, shop.n_users + i] = A[shop.n_users + i, u] = element
    return A


def mean_of_layers(shop, layers):
    """The matrix M whose product with the stacked tables is the stacked factors."""
    A = adjacency(shop)
    return np.mean([np.linalg.matrix_power(A, n) for n in range(layers + 1)], axis=0)


def model_of(shop, **options):
    config = LightGCNConfig(embedding_dim=DIM, **options)
    model = config.model(shop, seed=0)
    model.compile(keras.optimizers.SGD(1.0))
    return model


@pytest.mark.parametrize("layers", [0, 1, 3])
def test_factors_are_the_mean_over_the_layers(shop, layers):
    model = model_of(shop, propagation_layers=layers)
    tables = np.vstack([table.numpy() for table in model.tables])
    P, Q = model.factors
    expected = mean_of_layers(shop, layers) @ tables
    np.testing.assert_allclose(np.vstack([P, Q]), expected, rtol=1e-5, atol=1e-6)


def loss_and_gradient(M, tables, n_users, triples, regularization):
    """The mean loss of a mini-batch and its gradient in the stacked tables, triple by triple."""
    factors, slopes, gradient = M @ tables, np.zeros_like(tables), np.zeros_like(tables)
    loss, size = 0.0, len(triples[0])
    for u, i, j in zip(triples[0], n_users + triples[1], n_users + triples[2]):
        margin = factors[u] @ (factors[i] - factors[j])
        loss += np.log1p(np.exp(-margin))
        slope = -1 / (1 + np.exp(margin))
        slopes[u] += slope * (factors[i] - factors[j])
        slopes[i] += slope * factors[u]
        slopes[j] -= slope * factors[u]
        for row in (u, i, j):
            loss += regularization / 2 * np.sum(tables[row] ** 2)
            gradient[row] += regularization * tables[row]
    return loss / size, (M.T @ slopes + gradient) / size


@pytest.mark.parametrize("epsilon", [0.0, 0.3])
def test_a_step_is_that_of_the_formula(shop, epsilon):
    model = model_of(shop, regularization=0.1, epsilon=epsilon, adversarial_weight=0.7)
    tables = np.vstack([table.numpy() for table in model.tables]).astype(float)
    triples = tuple(part[:7] for part in data.sample_triples(shop, seed=0))
    arguments = shop.n_users, triples, 0.1
    M = mean_of_layers(shop, 3)
    loss, gradient = loss_and_gradient(M, tables, *arguments)
    if epsilon:
        parts = np.split(tables, [shop.n_users])
        sizes = [epsilon * np.sqrt(np.mean(np.sum(part**2, axis=1))) for part in parts]
        steps = map(oracles.unit_rows, np.split(gradient, [shop.n_users]))
        delta = np.vstack([size * step for size, step in zip(sizes, steps)])
        harmed, slope = loss_and_gradient(M, tables + delta, *arguments)
        loss, gradient = loss + 0.7 * harmed, gradient + 0.7 * slope
    reported = model.train_on_batch(tuple(part[None] for part in triples))
    np.testing.assert_allclose(reported, loss, rtol=1e-5)
    after = np.vstack([table.numpy() for table in model.tables])
    np.testing.assert_allclose(after, tables - gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("count", [1, 2])
def test_an_attack_follows_the_gradient_through_the_propagation(shop, count):
    """Against central differences of the loss in every element of the tables."""
    model = model_of(shop)
    user, item = (table.numpy() for table in model.tables)
    triples, M = data.sample_triples(shop, seed=0), mean_of_layers(shop, 3)
    tables = np.vstack([user, item]).astype(float)

    def loss(stacked):
        factors = np.split(M @ stacked, [shop.n_users])
        return oracles.dense_gradient(*factors, *triples)[0]

    slopes = np.zeros_like(tables)
    for index in np.ndindex(tables.shape):
        moved = np.zeros_like(tables)
        moved[index] = 1e-5
        slopes[index] = (loss(tables + moved) - loss(tables - moved)) / 2e-5
    with threads(count):
        delta = perturbations.fgsm(user, item, triples, 0.1, served=model.served, unit="relative")
    for table, part, slope in zip((user, item), delta, np.split(slopes, [shop.n_users])):
        size = 0.1 * np.sqrt(np.mean(np.sum(table.astype(float) ** 2, axis=1)))
        np.testing.assert_allclose(part, size * oracles.unit_rows(slope), rtol=1e-4, atol=1e-6)


def test_it_learns_and_a_resumed_training_has_the_same_bytes(small, tmp_path):
    config = LightGCNConfig(8, 0.05, 64, epsilon=0.1)
    whole = train(small, config, 3, tmp_path / "whole", epochs=6, progress=False)
    train(small, config, 3, tmp_path / "parts", epochs=2, progress=False)
    parts = train(small, config, 3, tmp_path / "parts", epochs=6, progress=False)
    first, second = (np.load(epoch_file(folder, 6)) for folder in (whole, parts))
    assert set(first.files) == set(second.files)
    for name in first.files:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
    losses = np.genfromtxt(whole / "history.csv", delimiter=",", skip_header=1)[:, 1]
    assert losses[-1] < 0.9 * losses[0]


def test_attacks_have_the_same_bytes_with_any_number_of_threads(shop):
    model = model_of(shop)
    tables, triples = [table.numpy() for table in model.tables], data.sample_triples(shop, seed=0)
    deltas = []
    for count in (1, 2):
        with threads(count):
            deltas.append(perturbations.bim(*tables, triples, 0.1, 4, served=model.served))
    for first, second in zip(*deltas):
        np.testing.assert_array_equal(first, second)


def test_fit_takes_the_graph_of_its_data(small):
    """As for any model: made of sizes, compiled, fitted."""
    model = LightGCN(small.n_users, small.n_items, embedding_dim=8, seed=0)
    with pytest.raises(AttributeError, match="propagation"):
        _ = model.factors
    model.compile()
    model.fit(small, epochs=1, batch_size=64, verbose=0)
    P, Q = model.factors
    assert P.shape == (small.n_users, 8) and Q.shape == (small.n_items, 8)
    assert replace(LightGCNConfig(), epsilon=0.1).identity != LightGCNConfig().identity
