import keras
import numpy as np
import pytest
import tensorflow as tf

from advrec_tf import AMF, BPRMF, data, evaluation, perturbations
from advrec_tf.recommenders import MostPopular, Random, RowAdagrad

import oracles


def with_factors(model, problem_factors, optimizer=None):
    model.compile(optimizer)
    for variable, value in zip((model.user_embedding, model.item_embedding), problem_factors):
        variable.assign(value)
    return model


def batches(n_users, n_items, steps=20, size=64, seed=0):
    """Mini-batches that are full of duplicates, and of items that are positive here and negative there."""
    rng = np.random.default_rng(seed)
    return [
        tuple(
            rng.integers(0, n, size).astype(np.int32)
            for n in (n_users - 2, n_items - 2, n_items - 2)
        )
        for _ in range(steps)
    ]


@pytest.mark.parametrize(
    "adversary",
    [
        None,
        {},
        {"adversarial_weight": 0.3, "epsilon": 0.2},
        {"adversary": "bim", "iterations": 4, "step_size": 0.2},
    ],
    ids=str,
)
def test_twenty_batches_agree_with_the_oracle(problem, adversary):
    P, Q, _ = problem(scale=0.3)
    model = with_factors(
        BPRMF(23, 31, 7) if adversary is None else AMF(23, 31, 7, **adversary), (P, Q)
    )
    options = (
        {}
        if adversary is None
        else {
            "epsilon": adversary.get("epsilon", 0.5),
            "weight": adversary.get("adversarial_weight", 1.0),
        }
    )
    options |= {
        name: (adversary or {})[name]
        for name in ("adversary", "iterations", "step_size")
        if name in (adversary or {})
    }
    oracle = oracles.Trainer(P, Q, **options)
    for batch in batches(23, 31):
        assert float(model.train_on_batch(batch)) == pytest.approx(oracle.batch(*batch), rel=1e-5)
    np.testing.assert_allclose(model.user_embedding.numpy(), oracle.P, atol=1e-5)
    np.testing.assert_allclose(model.item_embedding.numpy(), oracle.Q, atol=1e-5)


def test_row_adagrad_is_keras_adagrad_on_the_dense_gradient(problem):
    P, Q, _ = problem()
    ours, keras_own = (
        with_factors(BPRMF(23, 31, 7), (P, Q), optimizer)
        for optimizer in (RowAdagrad(0.1), keras.optimizers.Adagrad(0.1, 0.1, 1e-7))
    )
    for batch in batches(23, 31):
        assert float(ours.train_on_batch(batch)) == pytest.approx(
            float(keras_own.train_on_batch(batch)), rel=1e-6
        )
    np.testing.assert_allclose(
        ours.user_embedding.numpy(), keras_own.user_embedding.numpy(), atol=1e-6
    )
    np.testing.assert_allclose(
        ours.item_embedding.numpy(), keras_own.item_embedding.numpy(), atol=1e-6
    )
    for mine, theirs in zip(ours.optimizer.variables, keras_own.optimizer.variables):
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), atol=1e-5)


def test_an_epoch_of_fit_is_its_mini_batches_one_by_one(small):
    fitted, stepped = (
        BPRMF(small.n_users, small.n_items, 8, seed=5),
        BPRMF(small.n_users, small.n_items, 8, seed=5),
    )
    fitted.compile()
    stepped.compile()
    fitted.fit(small, epochs=2, batch_size=64, verbose=0)
    for epoch in range(2):
        for batch in zip(*data.shuffled_batches(small, 64, 5, epoch)):
            stepped.train_on_batch(batch)
    np.testing.assert_allclose(
        fitted.user_embedding.numpy(), stepped.user_embedding.numpy(), atol=1e-6
    )
    assert int(fitted.optimizer.iterations) == int(stepped.optimizer.iterations) > 2


def test_the_loss_of_an_epoch_is_the_mean_over_its_mini_batches(small):
    fitted, stepped = (BPRMF(small.n_users, small.n_items, 8, seed=5) for _ in range(2))
    for model in (fitted, stepped):
        model.compile(jit_compile=False, run_eagerly=True)
    losses = [
        float(stepped.train_on_batch(batch))
        for batch in zip(*data.shuffled_batches(small, 64, 5, 0))
    ]
    assert fitted.fit(small, batch_size=64, verbose=0).history["loss"] == [
        pytest.approx(np.mean(losses), rel=1e-5)
    ]


def test_fit_goes_on_where_it_stopped(small):
    once, twice = (BPRMF(small.n_users, small.n_items, 8) for _ in range(2))
    for model, parts in ((once, [4]), (twice, [1, 3])):
        model.compile()
        for epochs in parts:
            model.fit(small, epochs=epochs, batch_size=64, verbose=0)
    np.testing.assert_array_equal(once.item_embedding.numpy(), twice.item_embedding.numpy())


def test_standard_callbacks_and_saving(small, tmp_path):
    model, seen = BPRMF(small.n_users, small.n_items, 8, seed=1), []
    model.compile()
    history = model.fit(
        small,
        epochs=30,
        batch_size=64,
        verbose=0,
        callbacks=[
            keras.callbacks.CSVLogger(tmp_path / "log.csv"),
            keras.callbacks.ModelCheckpoint(str(tmp_path / "model.keras")),
            keras.callbacks.TensorBoard(str(tmp_path / "board")),
            keras.callbacks.EarlyStopping("loss", patience=0, min_delta=4),
            keras.callbacks.LambdaCallback(
                on_epoch_end=lambda epoch, logs: seen.append(logs["loss"])
            ),
        ],
    )
    assert history.history["loss"] == seen and len(seen) < 30 and seen[-1] < seen[0]
    assert len((tmp_path / "log.csv").read_text().splitlines()) == len(seen) + 1
    assert any((tmp_path / "board").rglob("events*"))
    loaded, pairs = (
        keras.models.load_model(tmp_path / "model.keras"),
        (np.arange(40), np.arange(40)),
    )
    np.testing.assert_array_equal(loaded(pairs), model(pairs))
    for each in (model, loaded):
        each.fit(small, epochs=1, batch_size=64, verbose=0)
    np.testing.assert_array_equal(loaded(pairs), model(pairs))


@pytest.mark.parametrize("adversary", ["fgsm", "bim", "pgd"])
def test_amf_saves_its_adversary_and_repeats_itself(small, tmp_path, adversary):
    factors = []
    for _ in range(2):
        model = AMF(
            small.n_users,
            small.n_items,
            4,
            seed=2,
            adversary=adversary,
            iterations=3,
            epsilon=0.1,
            ball="l2",
        )
        model.compile()
        model.fit(small, epochs=2, batch_size=64, verbose=0)
        factors.append(model.user_embedding.numpy())
    np.testing.assert_array_equal(*factors)
    model.save(tmp_path / "amf.keras")
    loaded = keras.models.load_model(tmp_path / "amf.keras")
    assert (loaded.adversary, loaded.iterations, loaded.epsilon, loaded.ball) == (
        adversary,
        3,
        0.1,
        "l2",
    )


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
    model = BPRMF(interactions.n_users, interactions.n_items, 16)
    model.compile()
    model.fit(interactions, epochs=25, verbose=0)
    popular = MostPopular(interactions)
    lists = [
        evaluation.top_k(model.user_embedding, model.item_embedding, interactions),
        evaluation.top_k(popular.user_embedding, popular.item_embedding, interactions),
        Random(0).top_k(interactions),
    ]
    trained, popularity, chance = (evaluation.metrics(each, interactions)["nDCG"] for each in lists)
    assert trained > 3 * popularity > 3 * chance


def test_most_popular_and_random_lists(small):
    counts = np.bincount(small.train_items, minlength=small.n_items)
    popular = MostPopular(small)
    lists = evaluation.top_k(popular.user_embedding, popular.item_embedding, small, 5)
    assert np.all(np.diff(counts[lists], axis=1) <= 0)
    chance = Random(1).top_k(small, 5)
    np.testing.assert_array_equal(chance, Random(1).top_k(small, 5))
    assert not np.array_equal(chance, Random(2).top_k(small, 5))
    known = small.pairs(small.train_users, small.train_items)
    assert not np.isin(small.pairs(np.arange(small.n_users)[:, None], chance), known).any()
    assert all(len(set(row)) == 5 for row in chance.tolist())


def test_embeddings_start_small_and_differ_by_seed():
    first, second = BPRMF(500, 400, seed=0), BPRMF(500, 400, seed=1)
    P, Q = first.user_embedding.numpy(), first.item_embedding.numpy()
    assert np.abs(P).max() <= 0.02 and P.std() == pytest.approx(
        0.0088, abs=2e-4
    )  # a normal of 0.01 cut at two deviations
    assert not np.array_equal(P[:400], Q) and not np.array_equal(P, second.user_embedding.numpy())
    np.testing.assert_array_equal(P, BPRMF(500, 400, seed=0).user_embedding.numpy())


@pytest.mark.parametrize(
    "arguments",
    [
        {"adversary": "cw"},
        {"ball": "l1"},
        {"epsilon": -1},
        {"epsilon": float("nan")},
        {"step_size": -1},
        {"adversary": "bim", "iterations": 0},
    ],
)
def test_bad_adversaries_are_told(arguments):
    with pytest.raises(ValueError, match="must be"):
        AMF(3, 3, **arguments)


def test_data_of_another_size_are_told(small):
    model = BPRMF(small.n_users + 1, small.n_items)
    model.compile()
    with pytest.raises(ValueError, match="the model is for"):
        model.fit(small)


def test_scores_are_inner_products(problem):
    P, Q, _ = problem()
    model = with_factors(BPRMF(23, 31, 7), (P, Q))
    np.testing.assert_allclose(
        model((tf.constant([1, 2]), tf.constant([3, 4]))), [P[1] @ Q[3], P[2] @ Q[4]], rtol=1e-5
    )


@pytest.mark.parametrize("model_class", [BPRMF, AMF])
def test_batches_of_all_sizes_go_through_one_model(small, model_class):
    """Keras relaxes shapes when they change; the numbers must not."""
    one, other = (model_class(small.n_users, small.n_items, 4) for _ in range(2))
    for model in (one, other):
        model.compile()
    for size in (64, 30, 64, 7):
        batch = batches(small.n_users, small.n_items, 1, size)[0]
        assert float(one.train_on_batch(batch)) > 0
    one.fit(small, epochs=1, batch_size=32, verbose=0)
    one.fit(small, epochs=1, batch_size=50, verbose=0)
    batch = batches(small.n_users, small.n_items, 1, 16)[0]
    other.set_weights(one.get_weights())
    for mine, theirs in zip(other.optimizer.variables, one.optimizer.variables):
        mine.assign(theirs)
    assert float(one.train_on_batch(batch)) == pytest.approx(
        float(other.train_on_batch(batch)), rel=1e-6
    )
    np.testing.assert_allclose(one.user_embedding.numpy(), other.user_embedding.numpy(), atol=1e-7)


# By hand


def eager_amf(factors=None, **options):
    """A small AMF that is not compiled, so that one mini-batch is cheap, and that does not learn: each call is the loss at the same factors."""
    model = AMF(23, 31, 7, **options)
    model.compile(RowAdagrad(0.0), jit_compile=False, run_eagerly=True)
    for variable, value in zip((model.user_embedding, model.item_embedding), factors or ()):
        variable.assign(value)
    return model


ADVERSARIES = {
    "fgsm": lambda *a: perturbations.fgsm(*a, 0.4),
    "bim": lambda *a: perturbations.bim(*a, 0.4, 3),
    "bim, l2, own step": lambda *a: perturbations.bim(*a, 0.4, 2, step_size=0.3, ball="l2"),
    "bim, linf, own step": lambda *a: perturbations.bim(*a, 0.4, 2, step_size=0.5),
}


@pytest.mark.parametrize("name", ADVERSARIES)
def test_amf_adds_the_weighted_loss_under_the_attack_of_that_name(problem, name):
    P, Q, triples = problem(n=16)
    options = {
        "bim": {"iterations": 3},
        "bim, l2, own step": {"iterations": 2, "step_size": 0.3, "ball": "l2"},
        "bim, linf, own step": {"iterations": 2, "step_size": 0.5},
    }.get(name, {})
    model = eager_amf(
        (P, Q), adversary=name.split(",")[0], epsilon=0.4, adversarial_weight=0.25, **options
    )
    delta = ADVERSARIES[name](P, Q, triples)
    clean, attacked = (
        oracles.dense_gradient(p, q, *triples)[0]
        for p, q in ((P, Q), (P + delta.user, Q + delta.item))
    )
    assert float(model.train_on_batch(triples)) == pytest.approx(clean + 0.25 * attacked, rel=1e-5)


def test_the_start_of_pgd_follows_the_seed_and_is_drawn_anew_for_every_mini_batch(problem):
    P, Q, triples = problem(n=16)
    options = {"iterations": 1, "step_size": 0.0, "epsilon": 0.5}
    losses = {
        name: [float(model.train_on_batch(triples)) for _ in range(2)]
        for name, model in {
            "none": eager_amf((P, Q), adversary="bim", **options),
            "first": eager_amf((P, Q), adversary="pgd", seed=0, **options),
            "again": eager_amf((P, Q), adversary="pgd", seed=0, **options),
            "other": eager_amf((P, Q), adversary="pgd", seed=1, **options),
        }.items()
    }
    assert losses["none"][0] == losses["none"][1] and losses["first"] == losses["again"]
    assert len({losses["none"][0], *losses["first"], *losses["other"]}) == 5


def starts_of_pgd(P, Q, **options):
    """What margins move by in 40 mini-batches of one triple, per 100: read off the loss, ln 2 + ln(1 + exp(-margin)) where the clean one is 0."""
    model = eager_amf((P, Q), adversary="pgd", iterations=1, step_size=0.0, **options)
    losses = [
        float(model.train_on_batch((np.array([0]), np.array([0]), np.array([20]))))
        for _ in range(40)
    ]
    return -np.log(np.exp(np.array(losses) - np.log(2)) - 1) / 100


def starts_of_the_user(**options):
    """p = 0 and q_i - q_j = 100 along the first axis: there the margin is 100 times the user's start, but for what the items' starts add."""
    return starts_of_pgd(np.zeros((23, 7)), 100 * np.eye(31, 7), **options)


def starts_of_the_items(**options):
    """p = 100 along the first axis and q = 0: 100 times the difference of two items' starts."""
    return starts_of_pgd(100 * np.eye(23, 7), np.zeros((31, 7)), **options)


def test_pgd_starts_uniformly_on_both_sides_of_zero():
    starts = starts_of_the_user()
    assert (
        -0.051 < starts.min() < -0.04 and 0.04 < starts.max() < 0.051 and abs(starts.mean()) < 0.015
    )


def test_pgd_starts_users_and_items_apart_and_both_by_the_seed():
    users, items = starts_of_the_user(), starts_of_the_items()
    assert abs(np.corrcoef(users, items)[0, 1]) < 0.4  # if they were the same draws, .7
    assert not np.allclose(users, starts_of_the_user(seed=1), atol=0.01) and not np.allclose(
        items, starts_of_the_items(seed=1), atol=0.01
    )


def test_the_start_of_pgd_is_projected_on_the_ball():
    """Cut at .02, most elements are at it; in a row of seven elements that is cut to length .02, hardly one is."""
    flat, round_ = (starts_of_the_user(epsilon=0.02, ball=ball) for ball in ("linf", "l2"))
    assert np.mean(np.abs(flat) > 0.0195) > 0.4 and np.abs(flat).max() < 0.0205
    assert np.mean(np.abs(round_) > 0.0195) < 0.1 and np.abs(round_).max() < 0.0205


def test_pgd_goes_on_from_its_start_for_as_many_iterations_as_asked(problem):
    P, Q, triples = problem(n=16)
    models = [
        eager_amf((P, Q), adversary="pgd", iterations=n, step_size=0.1, epsilon=1.0, ball="l2")
        for n in (1, 2, 4)
    ]
    losses = [float(model.train_on_batch(triples)) for model in models]
    assert losses[0] + 0.1 < losses[1] < losses[2] - 0.1


def test_row_adagrad_by_hand():
    optimizer, variable = RowAdagrad(), keras.Variable(np.ones((3, 2), np.float32))
    optimizer.build([variable])
    for _ in range(2):
        row = tf.gather(variable.value, [1])
        optimizer.update_rows(variable, tf.constant([1]), row, tf.constant([[3.0, 0.0]]))
    moved = 1 - 0.05 * 3 / np.sqrt(0.1 + 9) - 0.05 * 3 / np.sqrt(0.1 + 18)
    np.testing.assert_allclose(variable.numpy(), [[1, 1], [moved, 1], [1, 1]], rtol=1e-6)


def test_the_epsilon_of_row_adagrad_is_under_the_root():
    optimizer, variable = (
        RowAdagrad(1.0, initial_accumulator_value=0.0),
        keras.Variable(np.zeros((1, 1), np.float32)),
    )
    optimizer.build([variable])
    optimizer.update_rows(variable, tf.constant([0]), variable.value, tf.constant([[1e-4]]))
    assert variable.numpy().item() == pytest.approx(-1e-4 / np.sqrt(1e-8 + 1e-7), rel=1e-5)


@pytest.mark.parametrize("model_class", [BPRMF, AMF])
def test_users_and_items_start_apart_and_both_follow_the_seed(model_class):
    first, second = model_class(40, 40, 8, seed=0), model_class(40, 40, 8, seed=1)
    drawn = [
        variable.numpy()
        for model in (first, second)
        for variable in (model.user_embedding, model.item_embedding)
    ]
    assert len({rows.tobytes() for rows in drawn}) == 4
    assert all(0.008 < rows.std() < 0.0095 and np.abs(rows).max() <= 0.02 for rows in drawn)


def test_what_is_trained_by_default():
    model = BPRMF(3, 3)
    model.compile()
    assert (
        model.embedding_dim,
        model.default_batch_size,
        float(model.optimizer.learning_rate),
    ) == (64, 512, pytest.approx(0.05))
    amf = AMF(3, 3)
    assert (
        amf.adversary,
        amf.epsilon,
        amf.adversarial_weight,
        amf.iterations,
        amf.step_size,
        amf.ball,
    ) == ("fgsm", 0.5, 1.0, 5, None, "linf")


def test_random_lists_reach_every_unknown_item_equally_often(small):
    drawn = np.bincount(
        np.concatenate([Random(seed).top_k(small, 5)[0] for seed in range(300)]),
        minlength=small.n_items,
    )
    unknown = np.setdiff1d(np.arange(small.n_items), small.train_items[small.train_users == 0])
    assert drawn.sum() == drawn[unknown].sum() and drawn[unknown].min() > 0.5 * 1500 / len(unknown)
    assert (
        len(np.unique(Random(0).top_k(small, 5)[:20], axis=0)) > 15
    )  # users have lists of their own


def test_most_popular_by_hand(small):
    popular = MostPopular(small)
    np.testing.assert_array_equal(
        (popular.user_embedding @ popular.item_embedding.T)[3], small.item_counts
    )
