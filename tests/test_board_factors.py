"""The factors of a leaderboard's entries against direct computations."""

import numpy as np
import pytest

from advrec_tf import data, perturbations
from advrec_tf.execution.runner import Running
from advrec_tf.recommenders import WRMFConfig
from experiments import convergence, leaderboard
from experiments.board_factors import entries, prepare
from experiments.multistep import perturbed, trainings

from specs import values

SHOP = data.synthetic(n_users=40, n_items=30, per_user=8, seed=3)
# Regularisation, and the weight of a click: 1 + alpha.
LEAST_SQUARES = {"iALS-4": (10, 2), "iALS-reg50-4": (50, 3), "iALS-reg100-4": (100, 11)}


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Return the flag of a user's factors of rank 5, and the factors."""
    folder, rng = tmp_path_factory.mktemp("own"), np.random.default_rng(0)
    tables = [rng.normal(size=(n, 5)).astype(np.float32) for n in (40, 30)]
    for name, table in zip("PQ", tables):
        np.save(folder / f"{name}.npy", table)
    return f"mine:{folder / 'P.npy'}:{folder / 'Q.npy'}", tables


def factors(folder, *names, seeds=("0",), own=()):
    """Return P and Q in double precision of each entry and seed, by label and seed."""
    more = {"factors": list(own)} if own else {}
    given = values("robustness", entries=list(names), seed=list(seeds), **more)
    (spec,) = leaderboard.specs(given, [SHOP], folder)
    made = {}
    for entry, P, Q in entries(spec):
        made[entry.label, entry.seed] = np.float64(P), np.float64(Q)
    return made


def test_models_are_trained_once_for_each_seed_with_their_settings(tmp_path):
    names = ["rescaled BPR-MF", "MarginMF", *LEAST_SQUARES, "iALS-4:2", "iALS-reg50-5", "SVD-3"]
    given = values("robustness", entries=names, seed=["0", "1"], embedding_dim="40")
    (spec,) = leaderboard.specs(given, [SHOP], tmp_path)
    first, then = prepare(spec, Running(False, 7))
    bprmf = [task.arguments for task in first if "config" in task.arguments]
    assert [(a["config"].name, a["epochs"], a["seed"]) for a in bprmf] == [
        ("BPR-MF", 60, 0),
        ("BPR-MF", 60, 1),
    ]
    rest = [task.arguments for task in then]  # nobody asks for AMF
    assert {(a["config"].name, a["epochs"], a["save_every"]) for a in rest} == {("BPR-MF", 120, 7)}
    trained = []
    for task in first:
        if settings := task.arguments.get("settings"):
            weights = settings.regularization, settings.weight
            trained.append((settings.embedding_dim, task.arguments["epochs"], *weights))
    squares = [(4, 15, *weights) for weights in LEAST_SQUARES.values()]
    assert sorted(trained) == sorted(2 * [(32, 30, 30, 2), (5, 15, 50, 3), *squares])


def test_epochs_that_are_measured_are_kept(tmp_path):
    names = {"model_selection": ["epoch:77", "last", "epoch:9"], "keep_epochs": ["5"]}
    (spec,) = perturbed.specs(values("table1", **names), [SHOP], tmp_path)
    first, then = trainings.train(spec, Running(False, 7))
    kept = {}
    for task in (*first, *then):
        arguments = task.arguments
        kept[arguments["config"].name, arguments["epochs"]] = set(arguments["keep_epochs"])
    assert kept == {
        ("BPR-MF", 60): {5, 9, 60, 77},
        ("BPR-MF", 120): {5, 9, 60, 77},
        ("AMF", 120): {5, 60, 77},
    }


def test_every_point_has_the_length_of_the_lists_that_was_asked_for(tmp_path):
    for name, module in (("robustness", leaderboard), ("convergence", convergence)):
        given = values(name, entries=["SVD-3"], k="7", seed=["0"])
        (spec,) = leaderboard.specs(given, [SHOP], tmp_path)
        points = [point for job in module.EXPERIMENT.jobs(spec) for point in job.points]
        assert points and {point["k"] for point in points} == {7}
        assert {point["entry"] for point in points} == {"SVD-3"}


def centred(scores):
    """Return scores less each user's mean."""
    return scores - scores.mean(axis=1, keepdims=True)


def normalized(scores):
    """Return centred scores of norm 1."""
    return centred(scores) / np.linalg.norm(centred(scores), axis=1, keepdims=True)


def of_rank(scores, rank):
    """Return the best approximation of this rank."""
    U, s, Vt = np.linalg.svd(scores)
    return (U[:, :rank] * s[:rank]) @ Vt[:rank]


def test_users_are_normalised_before_the_truncation_and_after_it(own, tmp_path):
    flag, (P, Q) = own
    names = ("mine:2", "mine:normalised", "mine:2:normalised")
    scores = np.float64(P) @ np.float64(Q).T
    expected = {
        "mine": scores,
        "mine→2": of_rank(centred(scores), 2),
        "mine, user-normalised": normalized(scores),
        "mine→2, user-normalised": normalized(of_rank(normalized(scores), 2)),
    }
    made = factors(tmp_path, *names, own=[flag])
    assert set(made) == {(label, 0) for label in expected}
    for label, wanted in expected.items():
        user, item = made[label, 0]
        np.testing.assert_allclose(centred(user @ item.T), centred(wanted), atol=1e-4)


def test_svd_is_the_best_approximation_of_the_clicks(tmp_path):
    ((P, Q),) = factors(tmp_path, "SVD-3").values()
    np.testing.assert_allclose(P @ Q.T, of_rank(SHOP.matrix().toarray(), 3), atol=1e-5)
    np.testing.assert_allclose(Q.T @ Q, np.eye(3), atol=1e-5)


def test_least_squares_have_the_settings_of_their_names(tmp_path):
    ((name, (regularization, weight)),) = list(LEAST_SQUARES.items())[1:2]
    made = factors(tmp_path, name, seeds=("1",))
    options = {"regularization": regularization, "weight": weight}
    model = WRMFConfig(4, solver="als", **options).build(SHOP, 1)
    model.fit(SHOP, epochs=15, verbose=0)
    for table, expected in zip(made[name, 1], model.factors):
        np.testing.assert_allclose(table, expected, rtol=1e-5, atol=1e-6)


def test_popularity_and_a_users_factors_have_one_seed(own, tmp_path):
    made = factors(tmp_path, "MostPopular", seeds=("0", "1"), own=[own[0]])
    assert set(made) == {("MostPopular", 0), ("mine", 0)}
    P, Q = made["MostPopular", 0]
    np.testing.assert_array_equal(P @ Q.T, np.tile(SHOP.item_counts, (40, 1)))
    np.testing.assert_allclose(made["mine", 0][0], own[1][0], rtol=1e-6)
    assert perturbations.normalize_users(P, Q)[0].shape == P.shape
