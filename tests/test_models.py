"""BPR-MF and AMF: their mini-batches against the NumPy oracle, and what Keras offers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from advrec_tf import AMF, BPRMF, data, evaluation
from advrec_tf.recommenders import MostPopular, Random, RowAdagrad

import oracles


def with_factors(model, factors, optimizer=None):
    model.compile(optimizer)
    for variable, value in zip((model.user_embedding, model.item_embedding), factors):
        variable.assign(value)
    return model


def batches(n_users, n_items, steps=20, size=64, seed=0):
    """Mini-batches full of duplicates, with items that are both positive and negative."""
    rng = np.random.default_rng(seed)
    highs = [[n_users - 2], [n_items - 2], [n_items - 2]]
    return [tuple(rng.integers(0, highs, (3, size), dtype=np.int32)) for _ in range(steps)]


def compiled(model_class, interactions, dim=8, **options):
    model = model_class(interactions.n_users, interactions.n_items, dim, **options)
    model.compile()
    return model


ADVERSARIES = {
    "none": (None, {}),
    "default": ({}, {"epsilon": 0.5, "weight": 1.0}),
    "weak": ({"adversarial_weight": 0.3, "epsilon": 0.2}, {"epsilon": 0.2, "weight": 0.3}),
    "bim": (
        {"adversary": "bim", "iterations": 4, "step_size": 0.2},
        {"adversary": "bim", "iterations": 4, "step_size": 0.2, "epsilon": 0.5, "weight": 1.0},
    ),
}


@pytest.mark.parametrize("name", ADVERSARIES)
def test_twenty_batches_agree_with_the_oracle(problem, name):
    P, Q, _ = problem(scale=0.3)
    options, of_oracle = ADVERSARIES[name]
    model = BPRMF(23, 31, 7) if options is None else AMF(23, 31, 7, **options)
    with_factors(model, (P, Q))
    oracle = oracles.Trainer(P, Q, **of_oracle)
    for batch in batches(23, 31):
        assert float(model.train_on_batch(batch)) == pytest.approx(oracle.batch(*batch), rel=1e-5)
    np.testing.assert_allclose(model.user_embedding.numpy(), oracle.P, atol=1e-5)
    np.testing.assert_allclose(model.item_embedding.numpy(), oracle.Q, atol=1e-5)


def test_row_adagrad_is_keras_adagrad_on_the_dense_gradient(problem):
    P, Q, _ = problem()
    by_rows = with_factors(BPRMF(23, 31, 7), (P, Q), RowAdagrad(0.1))
    dense = with_factors(BPRMF(23, 31, 7), (P, Q), keras.optimizers.Adagrad(0.1, 0.1, 1e-7))
    for batch in batches(23, 31):
        expected = float(dense.train_on_batch(batch))
        assert float(by_rows.train_on_batch(batch)) == pytest.approx(expected, rel=1e-6)
    for rows, expected in zip(by_rows.factors, dense.factors):
        np.testing.assert_allclose(rows, expected, atol=1e-6)
    for rows, expected in zip(by_rows.optimizer.variables, dense.optimizer.variables):
        np.testing.assert_allclose(rows.numpy(), expected.numpy(), atol=1e-5)


def test_an_epoch_of_fit_is_its_mini_batches_one_by_one(small):
    fitted, stepped = (compiled(BPRMF, small, seed=5) for _ in range(2))
    fitted.fit(small, epochs=2, batch_size=64, verbose=0)
    for epoch in range(2):
        for batch in zip(*data.shuffled_batches(small, 64, 5, epoch)):
            stepped.train_on_batch(batch)
    np.testing.assert_allclose(fitted.factors[0], stepped.factors[0], atol=1e-6)
    assert int(fitted.optimizer.iterations) == int(stepped.optimizer.iterations) > 2


def test_the_loss_of_an_epoch_is_the_mean_over_its_mini_batches(small):
    fitted, stepped = (BPRMF(small.n_users, small.n_items, 8, seed=5) for _ in range(2))
    for model in (fitted, stepped):
        model.compile(jit_compile=False, run_eagerly=True)
    triples = zip(*data.shuffled_batches(small, 64, 5, 0))
    mean = np.mean([float(stepped.train_on_batch(batch)) for batch in triples])
    history = fitted.fit(small, batch_size=64, verbose=0).history
    assert history["loss"] == [pytest.approx(mean, rel=1e-5)]


def test_fit_resumes_where_it_stopped(small):
    once, twice = (compiled(BPRMF, small) for _ in range(2))
    for model, parts in ((once, [4]), (twice, [1, 3])):
        for epochs in parts:
            model.fit(small, epochs=epochs, batch_size=64, verbose=0)
    np.testing.assert_array_equal(once.factors[1], twice.factors[1])


def test_standard_callbacks_and_saving(small, tmp_path):
    model, losses = compiled(BPRMF, small, seed=1), []
    recorder = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: losses.append(logs["loss"])
    )
    callbacks = [
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
        keras.callbacks.ModelCheckpoint(str(tmp_path / "model.keras")),
        keras.callbacks.TensorBoard(str(tmp_path / "board")),
        keras.callbacks.EarlyStopping("loss", patience=0, min_delta=4),
        recorder,
    ]
    history = model.fit(small, epochs=30, batch_size=64, verbose=0, callbacks=callbacks)
    assert history.history["loss"] == losses and len(losses) < 30 and losses[-1] < losses[0]
    assert len((tmp_path / "log.csv").read_text().splitlines()) == len(losses) + 1
    assert any((tmp_path / "board").rglob("events*"))
    loaded = keras.models.load_model(tmp_path / "model.keras")
    pairs = np.arange(40), np.arange(40)
    np.testing.assert_array_equal(loaded(pairs), model(pairs))
    for trained in (model, loaded):
        trained.fit(small, epochs=1, batch_size=64, verbose=0)
    np.testing.assert_array_equal(loaded(pairs), model(pairs))


def test_training_compiled_and_eager_draw_the_same_pgd_start(small):
    losses = []
    for jit in (True, False):
        model = AMF(small.n_users, small.n_items, 4, adversary="pgd", iterations=2)
        model.compile(jit_compile=jit)
        losses.append(float(model.train_on_batch(batches(small.n_users, small.n_items, 1)[0])))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_any_keras_optimiser_trains(small):
    model = BPRMF(small.n_users, small.n_items, 8)
    model.compile(keras.optimizers.Adam(0.01))
    losses = model.fit(small, epochs=8, batch_size=64, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_a_trained_model_beats_popularity_and_random_by_far():
    interactions = data.synthetic(seed=1)
    model = compiled(BPRMF, interactions, 16)
    model.fit(interactions, epochs=25, verbose=0)
    lists = [
        evaluation.top_k(*model.factors, interactions),
        MostPopular(interactions).top_k(interactions),
        Random(0).top_k(interactions),
    ]
    trained, popular, chance = (evaluation.metrics(rows, interactions)["nDCG"] for rows in lists)
    assert trained > 3 * popular > 3 * chance


def test_data_of_another_size_are_refused(small):
    model = BPRMF(small.n_users + 1, small.n_items)
    model.compile()
    with pytest.raises(ValueError, match="the model is for 81 users x 50 items, the data have 80"):
        model.fit(small)


def test_scores_are_inner_products(problem):
    P, Q, _ = problem()
    model = with_factors(BPRMF(23, 31, 7), (P, Q))
    scores = model((tf.constant([1, 2]), tf.constant([3, 4])))
    np.testing.assert_allclose(scores, [P[1] @ Q[3], P[2] @ Q[4]], rtol=1e-5)


@pytest.mark.parametrize("model_class", [BPRMF, AMF])
def test_one_model_takes_batches_of_all_sizes(small, model_class):
    """Keras relaxes shapes when they change; the numbers must not."""
    used, fresh = (compiled(model_class, small, 4) for _ in range(2))
    for size in (64, 30, 64, 7):
        batch = batches(small.n_users, small.n_items, 1, size)[0]
        assert float(used.train_on_batch(batch)) > 0
    used.fit(small, epochs=1, batch_size=32, verbose=0)
    used.fit(small, epochs=1, batch_size=50, verbose=0)
    batch = batches(small.n_users, small.n_items, 1, 16)[0]
    fresh.set_weights(used.get_weights())
    for target, source in zip(fresh.optimizer.variables, used.optimizer.variables):
        target.assign(source)
    expected = float(fresh.train_on_batch(batch))
    assert float(used.train_on_batch(batch)) == pytest.approx(expected, rel=1e-6)
    np.testing.assert_allclose(used.factors[0], fresh.factors[0], atol=1e-7)


@pytest.mark.parametrize("model_class", [BPRMF, AMF])
def test_users_and_items_start_apart_and_both_follow_the_seed(model_class):
    first, again, second = (model_class(40, 40, 8, seed=seed) for seed in (0, 0, 1))
    drawn = [*first.factors, *second.factors]
    assert len({rows.tobytes() for rows in drawn}) == 4
    assert all(0.008 < rows.std() < 0.0095 and np.abs(rows).max() <= 0.02 for rows in drawn)
    np.testing.assert_array_equal(first.factors, again.factors)


def test_embeddings_start_normal_cut_at_two_deviations():
    """A standard normal cut at 2 has the deviation 0.8796."""
    P, _ = BPRMF(500, 400).factors
    assert np.abs(P).max() <= 0.02 and P.std() == pytest.approx(0.0088, abs=2e-4)


def test_defaults_of_bprmf():
    model = BPRMF(3, 3)
    model.compile()
    assert model.embedding_dim == 64 and isinstance(model.optimizer, RowAdagrad)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.05)
