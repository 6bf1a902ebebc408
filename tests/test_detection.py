"""Detectors of fake users: PCA and SVM, their folds, and the data without flagged users."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from advrec_tf import data
from advrec_tf.defenses import Svm, detection, sanitize, unsupervised_scores
from advrec_tf.errors import UserError
from advrec_tf.poisoning import Profiles

from oracles import by_svd, random_matrix


def attacked(n_fakes=15, seed=0):
    """Return data and fakes that click most of the first ten items and little else."""
    interactions = data.synthetic(n_users=150, n_items=60, per_user=12, seed=1, split="80:20")
    rng = np.random.default_rng(seed)
    X = np.zeros((n_fakes, 60))
    X[:, :10] = rng.random((n_fakes, 10)) < 0.9
    X[:, 10:] = rng.random((n_fakes, 50)) < 0.05
    return interactions, Profiles.from_matrix("fakes", X, interactions, (0,))


# PCA, scores and folds


def test_principal_components_are_those_of_the_centred_matrix():
    matrix = random_matrix((50, 20))
    dense = matrix.toarray() - matrix.toarray().mean(axis=0)
    pca = detection.principal_components(matrix, 4)
    approximation = pca.transform(matrix) @ pca.components_
    np.testing.assert_allclose(approximation, by_svd(dense, 4), atol=1e-8)
    wider = detection.principal_components(matrix, 9)
    np.testing.assert_allclose(np.abs(wider.components_[:4]), np.abs(pca.components_), atol=1e-6)
    with pytest.raises(UserError, match="fewer than 20 components"):
        detection.principal_components(matrix, 20)


@pytest.mark.parametrize(
    "kernel, scikit_kernel, degree",
    [
        ("linear", "linear", 3),
        ("rbf", "rbf", 3),
        ("poly2", "poly", 2),
        ("poly3", "poly", 3),
        ("sigmoid", "sigmoid", 3),
    ],
)
def test_kernels_are_what_they_are_called(kernel, scikit_kernel, degree):
    machine = detection.support_vector_machine(kernel, 2.0, 3)
    assert (machine.kernel, machine.degree) == (scikit_kernel, degree)
    assert (machine.C, machine.gamma, machine.random_state) == (2, "scale", 3)


def test_an_unknown_kernel_is_refused():
    with pytest.raises(UserError, match="kernel must be one of linear, .* not 'cubic'"):
        detection.support_vector_machine("cubic")


def test_detection_scores_by_hand():
    labels, flagged = np.array([1, 1, 0, 0, 0], bool), np.array([1, 0, 1, 0, 0], bool)
    measured = detection.detection_scores(labels, flagged, np.array([3, 0.5, 2, 0.1, 0.2]))
    assert measured == pytest.approx(
        {"recall": 0.5, "precision": 0.5, "F1": 0.5, "AUROC": 5 / 6, "AUPRC": (1 + 2 / 3) / 2}
    )


def scores_of(poisoned, points, **options):
    """Return the rows of one of five folds."""
    labels = detection.labels_of(poisoned, 150)
    defaults = {"sampling": "imbalanced", "fold": 0, "seed": 0, "components": 8, "kernel": "linear"}
    points = [defaults | point for point in points]
    return detection.fold_scores(points, poisoned.matrix(), labels, 5, **options)[0]


@pytest.mark.parametrize("sampling", detection.SAMPLINGS)
def test_fakes_are_found_on_every_fold(sampling):
    interactions, fakes = attacked()
    poisoned = fakes.stacked_on(interactions)
    assert detection.labels_of(poisoned, 150).sum() == 15
    common = {"sampling": sampling, "components": 6}
    recalls = []
    for fold in range(5):
        points = [{**common, "fold": fold, "kernel": kernel} for kernel in ("linear", "poly2")]
        recalls.append(scores_of(poisoned, points)[0]["recall"])
    assert np.mean(recalls) > 0.9


def test_the_fold_the_kernel_the_components_and_the_penalty_are_those_asked_for():
    """Fakes that click at random are hard to find, so every machine scores differently."""
    interactions, _ = attacked()
    X = np.random.default_rng(0).random((30, 60)) < 0.2
    poisoned = Profiles.from_matrix("f", X, interactions, (0,)).stacked_on(interactions)
    changes = ({}, {"fold": 1}, {"kernel": "poly3"}, {"components": 4}, {"seed": 1})
    scores = [scores_of(poisoned, [change])[0]["AUROC"] for change in changes]
    scores.append(scores_of(poisoned, [{}], c=1e-3)[0]["AUROC"])
    assert len(set(scores)) == len(scores)
    points = [{"components": n, "kernel": k} for n in (4, 8) for k in ("linear", "rbf")]
    rows = scores_of(poisoned, points)
    assert [{name: row[name] for name in ("components", "kernel")} for row in rows] == points
    # Fewer components are the first of more.
    assert rows[2]["AUROC"] == scores_of(poisoned, [{}, {"components": 20}])[0]["AUROC"]


def test_a_fold_trains_on_the_down_sampled_users_of_all():
    """Of 15 fakes and 15 real users, 24 are for training and 6 for testing."""
    labels = np.arange(165) >= 150
    train, test = detection.fold_of(labels, "down-sampled", 0, 5)
    assert (len(train), len(test), labels[train].sum(), labels[test].sum()) == (24, 6, 12, 3)
    assert not set(train) & set(test) and {*train, *test} == set(detection.down_sampled(labels, 0))
    tests = [detection.fold_of(labels, "imbalanced", fold, 5, 1)[1] for fold in range(5)]
    assert sorted(np.concatenate(tests)) == list(range(165))
    with pytest.raises(UserError, match="20-fold"):
        detection.fold_of(labels, "imbalanced", 0, 20)


def test_down_sampling_draws_the_real_users_by_its_seed():
    """The fakes stand between real users."""
    labels = np.arange(60) % 10 == 3
    first, again, other = (detection.down_sampled(labels, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert set(first[labels[first]]) == set(np.flatnonzero(labels)) and len(set(first)) == 12
    assert np.all(np.diff(first) > 0)


def test_down_sampling_draws_nobody_twice():
    assert len(set(detection.down_sampled(np.arange(41) >= 21, 0))) == 40
    more_fakes = detection.down_sampled(np.arange(5) > 0, 0)
    np.testing.assert_array_equal(more_fakes, [0, 1, 2, 3, 4])


# The detector


@pytest.mark.parametrize("sampling, false_alarms", [("imbalanced", 0.05), ("down-sampled", 0.1)])
def test_a_detector_flags_the_fakes_and_its_data_are_without_them(tmp_path, sampling, false_alarms):
    interactions, fakes = attacked()
    poisoned = fakes.stacked_on(interactions)
    detector = Svm(fakes, "linear", 5, sampling=sampling, folds=5)
    flagged, scores = detector.flag_users(poisoned, 150, tmp_path)
    assert flagged[150:].mean() > 0.9 and flagged[:150].mean() < false_alarms
    np.testing.assert_array_equal(flagged, scores > 0)
    cleaned = detector.cleaned(poisoned, 150, tmp_path)
    kept = ~flagged[poisoned.train_users]
    np.testing.assert_array_equal(cleaned.train_items, poisoned.train_items[kept])
    assert cleaned.n_users == 165


@pytest.fixture
def profiles_seen(monkeypatch):
    """For every trained machine: the sets of profiles that its PCA fits and that it classifies."""
    seen = []
    principal_components = detection.principal_components

    def rows(matrix):
        return [row.tobytes() for row in matrix.toarray() > 0]

    class Recorder:
        """A PCA; its first transformation is that of the training profiles, the next a test."""

        def __init__(self, matrix, *options):
            self.pca, self.transformed = principal_components(matrix, *options), []
            seen.append((rows(matrix), self.transformed))

        def transform(self, matrix):
            self.transformed.append(rows(matrix))
            return self.pca.transform(matrix)

    monkeypatch.setattr(detection, "principal_components", Recorder)
    return seen


@pytest.mark.parametrize("sampling", detection.SAMPLINGS)
def test_no_machine_classifies_a_user_it_was_trained_on(tmp_path, profiles_seen, sampling):
    interactions = data.synthetic(n_users=40, n_items=30, per_user=8, seed=2, split="80:20")
    X = np.random.default_rng(0).random((10, 30)) < 0.3
    fakes = Profiles.from_matrix("f", X, interactions, (0,))
    detector = Svm(fakes, "linear", 3, sampling=sampling, folds=5)
    detector.flag_users(fakes.stacked_on(interactions), 40, tmp_path)
    assert len(profiles_seen) == 5
    classified = 0
    for fitted, (trained, tested) in profiles_seen:
        assert fitted == trained and not set(fitted) & set(tested)
        classified += len(tested)
    assert classified == 50


def test_fakes_of_another_run_are_classified_by_a_machine_that_is_trained_on_all(
    tmp_path, profiles_seen
):
    interactions, fakes = attacked()
    detector = Svm(fakes, "linear", 4, folds=3)
    detector.flag_users(fakes.stacked_on(interactions), 150, tmp_path)
    profiles_seen.clear()
    _, others = attacked(8, seed=1)
    flagged, _ = detector.flag_users(others.stacked_on(interactions), 150, tmp_path)
    ((fitted, (_, tested)),) = profiles_seen
    assert (len(fitted), len(tested)) == (165, 8)
    assert len(flagged) == 158 and flagged[150:].mean() > 0.8
    profiles_seen.clear()
    clean, _ = detector.flag_users(interactions, 150, tmp_path)
    assert not profiles_seen and len(clean) == 150  # the scores of real users are cached


def test_every_field_of_a_detector_counts(tmp_path):
    """All are in one cache, so that none may be taken for another."""
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
        {"known": attacked(15, seed=7)[1]},
    ]
    scores = [replace(plain, **change).flag_users(poisoned, 150, tmp_path)[1] for change in changes]
    assert len({values.round(9).tobytes() for values in scores}) == len(changes)
    np.testing.assert_array_equal(plain.flag_users(poisoned, 150, tmp_path)[1], scores[0])


# Without labels, and the data without flagged users


def test_mahalanobis_distances_by_hand():
    interactions, fakes = attacked()
    poisoned = fakes.stacked_on(interactions)
    X = poisoned.matrix().toarray()
    U, _, _ = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)
    expected = np.sqrt(np.sum(U[:, :6] ** 2, axis=1) * (len(X) - 1))
    np.testing.assert_allclose(unsupervised_scores(poisoned, 6), expected, rtol=1e-6)


def test_sanitising_by_hand():
    """User b is flagged and loses two interactions; numbers, ids and test items stay."""
    train = pd.DataFrame(
        {"user": list("aabbc"), "item": list("xyxzz"), "rating": [1.0, 2, 3, 4, 5]}
    )
    train["timestamp"] = train["rating"]
    test = pd.DataFrame({"user": ["b"], "item": ["y"], "rating": [2.0], "timestamp": [9.0]})
    shop = data.Interactions.from_frames(train, test)
    cleaned, flagged_ids = sanitize(shop, np.array([False, True, False]))
    pairs = list(zip(cleaned.train_users, cleaned.train_items))
    assert pairs == [(0, 0), (0, 1), (2, 2)]
    assert cleaned.train_ratings.tolist() == cleaned.train_timestamps.tolist() == [1, 2, 5]
    assert flagged_ids.tolist() == ["b"]
    assert (cleaned.n_users, cleaned.n_items, cleaned.test_users.tolist()) == (3, 3, [1])
    clicks = replace(shop, train_ratings=None, train_timestamps=None)
    cleaned, _ = sanitize(clicks, np.array([True, False, False]))
    assert cleaned.train_users.tolist() == [1, 1, 2]
    assert cleaned.train_ratings is None and cleaned.train_timestamps is None
