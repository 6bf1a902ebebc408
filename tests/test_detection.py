"""PCA and SVM, the protocols, and what is left of the data."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from test_defenses import by_svd, random_matrix

from advrec_tf import data
from advrec_tf.defenses import Svm, detection, sanitize, unsupervised_scores
from advrec_tf.errors import UserError
from advrec_tf.poisoning import Profiles


def attacked(n_fakes=15, seed=0):
    """A shop, and fakes that all click the same half of the items and little else."""
    interactions = data.synthetic(n_users=150, n_items=60, per_user=12, seed=1, split="80:20")
    rng = np.random.default_rng(seed)
    X = np.zeros((n_fakes, 60))
    X[:, :10] = rng.random((n_fakes, 10)) < 0.9
    X[:, 10:] = rng.random((n_fakes, 50)) < 0.05
    return interactions, Profiles.from_matrix("fakes", X, interactions, (0,))


def test_principal_components_are_those_of_the_centred_matrix():
    matrix = random_matrix((50, 20))
    dense = matrix.toarray() - matrix.toarray().mean(axis=0)
    expected = by_svd(dense, 4)
    pca = detection.principal_components(matrix, 4)
    np.testing.assert_allclose(pca.transform(matrix) @ pca.components_, expected, atol=1e-8)
    wider = detection.principal_components(matrix, 9)
    np.testing.assert_allclose(np.abs(wider.components_[:4]), np.abs(pca.components_), atol=1e-6)
    with pytest.raises(UserError, match="fewer than 20 components"):
        detection.principal_components(matrix, 20)


def test_detection_scores_by_hand():
    labels, flagged, scores = (
        np.array([1, 1, 0, 0, 0], bool),
        np.array([1, 0, 1, 0, 0], bool),
        np.array([3, 0.5, 2, 0.1, 0.2]),
    )
    found = detection.detection_scores(labels, flagged, scores)
    assert found == pytest.approx(
        {"recall": 0.5, "precision": 0.5, "F1": 0.5, "AUROC": 5 / 6, "AUPRC": (1 + 2 / 3) / 2}
    )


def scores_of(matrix, labels, sampling, kernels, dimensions, fold, folds, seed=0, **options):
    """The rows of one fold for every kernel on every number of components."""
    base = {"sampling": sampling, "fold": fold, "seed": seed}
    points = [{**base, "components": d, "kernel": k} for d in dimensions for k in kernels]
    return detection.fold_scores(points, matrix, labels, folds, **options)[0]


@pytest.mark.parametrize("sampling", detection.SAMPLINGS)
def test_folds_hold_every_fake_once_and_fakes_are_found(sampling):
    interactions, fakes = attacked()
    poisoned = fakes.stacked_on(interactions)
    labels = detection.labels_of(poisoned, 150)
    assert labels.sum() == 15
    rows = [
        row
        for fold in range(5)
        for row in scores_of(
            poisoned.matrix(), labels, sampling, ("linear", "poly2"), (3, 6), fold, 5
        )
    ]
    assert len(rows) == 5 * 4 and {row["components"] for row in rows} == {3, 6}
    assert np.mean([row["recall"] for row in rows if row["kernel"] == "linear"]) > 0.9
    with pytest.raises(UserError, match="20-fold"):
        detection.fold_of(labels, sampling, 0, 20)


def test_down_sampling_keeps_all_fakes_and_as_many_real_users():
    labels = np.arange(50) >= 44
    chosen = detection.down_sampled(labels, 0)
    assert labels[chosen].sum() == 6 and len(chosen) == 12 and np.all(np.diff(chosen) > 0)


def test_sanitised_data_have_no_flagged_user(tmp_path):
    interactions, fakes = attacked()
    poisoned = fakes.stacked_on(interactions)
    detector = Svm(fakes, "linear", 5, folds=5)
    flagged, scores = detector.flag_users(poisoned, 150, tmp_path)
    assert flagged[150:].mean() > 0.9 and flagged[:150].mean() < 0.05 and len(scores) == 165
    cleaned, who = sanitize(poisoned, flagged)
    np.testing.assert_array_equal(who, poisoned.user_ids[flagged])
    assert (
        not np.isin(cleaned.train_users, np.flatnonzero(flagged)).any() and cleaned.n_users == 165
    )
    assert (
        len(cleaned.train_users)
        == len(cleaned.train_ratings)
        == np.sum(~flagged[poisoned.train_users])
    )
    np.testing.assert_array_equal(
        detector.cleaned(poisoned, 150, tmp_path).train_items, cleaned.train_items
    )


def test_a_detector_judges_nobody_it_has_learnt_from(tmp_path, monkeypatch):
    """On the fakes it learnt from, everybody is judged out of fold; on another run's, by the machine that saw all of its own."""
    interactions, fakes = attacked()
    detector, asked = Svm(fakes, "linear", 4, folds=3), []
    real = Svm._scores

    def scores(self, matrix, labels, train, test_rows):
        asked.append((len(train), test_rows.shape[0]))
        return real(self, matrix, labels, train, test_rows)

    monkeypatch.setattr(Svm, "_scores", scores)
    detector.flag_users(fakes.stacked_on(interactions), 150, tmp_path)
    assert sum(test for _, test in asked) == 165 and all(
        train + test == 165 for train, test in asked
    )
    asked.clear()
    _, others = attacked(8, seed=1)
    flagged, _ = detector.flag_users(others.stacked_on(interactions), 150, tmp_path)
    assert asked == [(165, 8)] and len(flagged) == 158 and flagged[150:].mean() > 0.8
    asked.clear()
    clean, _ = detector.flag_users(interactions, 150, tmp_path)
    assert not asked and len(clean) == 150  # clean data: nobody beside those judged already
    with pytest.raises(UserError, match="kernel must be"):
        replace(detector, kernel="cubic").flag_users(interactions, 150, tmp_path)


def test_mahalanobis_distances_by_hand():
    interactions, fakes = attacked()
    poisoned = fakes.stacked_on(interactions)
    X = poisoned.matrix().toarray()
    X = X - X.mean(axis=0)
    U, s, _ = np.linalg.svd(X, full_matrices=False)
    np.testing.assert_allclose(
        unsupervised_scores(poisoned, 6),
        np.sqrt(np.sum(U[:, :6] ** 2, axis=1) * (len(X) - 1)),
        rtol=1e-6,
    )


def test_down_sampling_draws_the_real_users_by_its_seed():
    labels = np.arange(60) % 10 == 3  # fakes stand between real users
    first, again, other = (detection.down_sampled(labels, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (
        set(first[labels[first]]) == set(np.flatnonzero(labels))
        and len(set(first)) == 12
        and not np.array_equal(first, other)
    )
    assert len(set(detection.down_sampled(np.arange(41) >= 21, 0))) == 40  # nobody is drawn twice
    np.testing.assert_array_equal(
        detection.down_sampled(np.arange(5) > 0, 0), [0, 1, 2, 3, 4]
    )  # more fakes than real users


def test_a_detector_trained_on_as_many_real_users_as_fakes_still_finds_the_fakes(tmp_path):
    interactions, fakes = attacked()
    flagged, scores = Svm(fakes, "linear", 5, sampling="down-sampled", folds=5).flag_users(
        fakes.stacked_on(interactions), 150, tmp_path
    )
    assert flagged[150:].mean() > 0.9 and flagged[:150].mean() < 0.1
    np.testing.assert_array_equal(flagged, scores > 0)


@pytest.mark.parametrize("sampling", detection.SAMPLINGS)
def test_no_machine_judges_a_user_it_was_trained_on(tmp_path, monkeypatch, sampling):
    """Every profile that is judged is not among those that its machine's components come from."""
    interactions = data.synthetic(n_users=40, n_items=30, per_user=8, seed=2, split="80:20")
    fakes = Profiles.from_matrix(
        "f", np.random.default_rng(0).random((10, 30)) < 0.3, interactions, (0,)
    )
    learnt, judged = [], []
    pca, scores = detection.principal_components, Svm._scores

    def rows(matrix):
        return {row.tobytes() for row in matrix.toarray() > 0}

    def components(matrix, *args):
        learnt.append(rows(matrix))
        return pca(matrix, *args)

    def asked(self, matrix, labels, train, test_rows):
        judged.append(rows(test_rows))
        return scores(self, matrix, labels, train, test_rows)

    monkeypatch.setattr(detection, "principal_components", components)
    monkeypatch.setattr(Svm, "_scores", asked)
    Svm(fakes, "linear", 3, sampling=sampling, folds=5).flag_users(
        fakes.stacked_on(interactions), 40, tmp_path
    )
    assert (
        len(judged) == 5
        and sum(map(len, judged)) == 50
        and not any(one & other for one, other in zip(learnt, judged))
    )


def test_a_fold_trains_on_the_down_sampled_users_of_all():
    """Of 15 fakes and 15 real users 24 are trained on and 6 tested, and they are told by their places among all."""
    labels = np.arange(165) >= 150
    train, test = detection.fold_of(labels, "down-sampled", 0, 5)
    assert (
        len(train) == 24
        and len(test) == 6
        and labels[train].sum() == 12
        and labels[test].sum() == 3
    )
    assert not set(train) & set(test) and {*train, *test} == set(detection.down_sampled(labels, 0))
    whole = [detection.fold_of(labels, "imbalanced", fold, 5, 1)[1] for fold in range(5)]
    assert sorted(np.concatenate(whole)) == list(range(165))


def test_every_setting_of_a_detector_counts(tmp_path):
    """All in one cache, so that none may be taken for another."""
    interactions, fakes = attacked()
    plain, poisoned = Svm(fakes, "linear", 5, folds=5), fakes.stacked_on(interactions)
    changes = [
        {},
        {"kernel": "rbf"},
        {"components": 6},
        {"sampling": "down-sampled"},
        {"folds": 4},
        {"c": 1e-3},
        {"seed": 1},
    ]
    changes.append({"known": attacked(15, seed=7)[1]})
    scores = [replace(plain, **change).flag_users(poisoned, 150, tmp_path)[1] for change in changes]
    assert len({each.round(9).tobytes() for each in scores}) == len(changes)
    np.testing.assert_array_equal(plain.flag_users(poisoned, 150, tmp_path)[1], scores[0])


@pytest.mark.parametrize(
    "kernel, degree", [("linear", 3), ("rbf", 3), ("poly2", 2), ("poly3", 3), ("sigmoid", 3)]
)
def test_kernels_are_what_they_are_called(kernel, degree):
    machine = detection.support_vector_machine(kernel, 2.0, 3)
    assert machine.kernel == kernel.rstrip("23") and (
        machine.degree,
        machine.C,
        machine.gamma,
        machine.random_state,
    ) == (degree, 2, "scale", 3)


def test_sanitising_by_hand():
    """User 1 is flagged and loses two interactions with their ratings; numbers, ids and test items stay."""
    train = pd.DataFrame(
        {
            "user": list("aabbc"),
            "item": list("xyxzz"),
            "rating": [1.0, 2, 3, 4, 5],
            "timestamp": [1.0, 2, 3, 4, 5],
        }
    )
    shop = data.Interactions.from_frames(
        train, pd.DataFrame({"user": ["b"], "item": ["y"], "rating": [2.0], "timestamp": [9.0]})
    )
    cleaned, who = sanitize(shop, np.array([False, True, False]))
    assert list(
        zip(
            cleaned.train_users,
            cleaned.train_items,
            cleaned.train_ratings,
            cleaned.train_timestamps,
        )
    ) == [(0, 0, 1, 1), (0, 1, 2, 2), (2, 2, 5, 5)]
    assert who.tolist() == ["b"] and (
        cleaned.n_users,
        cleaned.n_items,
        cleaned.test_users.tolist(),
    ) == (3, 3, [1])
    bare = sanitize(
        replace(shop, train_ratings=None, train_timestamps=None), np.array([True, False, False])
    )[0]
    assert (bare.train_users.tolist(), bare.train_ratings, bare.train_timestamps) == (
        [1, 1, 2],
        None,
        None,
    )


def test_the_fold_the_kernel_the_components_and_the_penalty_are_those_asked_for():
    """Fakes that click at random are hard to find, so that every machine does differently on every fold."""
    interactions = data.synthetic(n_users=150, n_items=60, per_user=12, seed=1, split="80:20")
    fakes = Profiles.from_matrix(
        "f", np.random.default_rng(0).random((30, 60)) < 0.2, interactions, (0,)
    )
    matrix, labels = fakes.stacked_on(interactions).matrix(), np.arange(180) >= 150

    def auroc(kernels=("linear",), dimensions=(8,), fold=0, **options):
        return scores_of(matrix, labels, "imbalanced", kernels, dimensions, fold, 5, **options)[0][
            "AUROC"
        ]

    found = [
        auroc(),
        auroc(fold=1),
        auroc(("poly3",)),
        auroc(dimensions=(4,)),
        auroc(c=1e-3),
        auroc(seed=1),
    ]
    assert len(set(found)) == len(found)
    two = scores_of(matrix, labels, "imbalanced", ("linear", "rbf"), (4, 8), 2, 5)
    assert [(row["components"], row["kernel"], row["fold"]) for row in two] == [
        (d, k, 2) for d in (4, 8) for k in ("linear", "rbf")
    ]
    assert two[2]["AUROC"] == auroc(
        fold=2, dimensions=(8, 20)
    )  # fewer components are the first of more
