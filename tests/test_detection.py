"""PCA and SVM, the protocols, and what is left of the data."""

from dataclasses import replace

import numpy as np
import pytest
from test_defenses import by_svd, random_matrix

from advrec_tf import data
from advrec_tf.defenses import Svm, detection, sanitize, unsupervised_scores
from advrec_tf.defenses.low_rank import matrix_of
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
    labels, flagged, scores = np.array([1, 1, 0, 0, 0], bool), np.array([1, 0, 1, 0, 0], bool), np.array([3, 0.5, 2, 0.1, 0.2])
    found = detection.detection_scores(labels, flagged, scores)
    assert found == pytest.approx({"recall": 0.5, "precision": 0.5, "F1": 0.5, "AUROC": 5 / 6, "AUPRC": (1 + 2 / 3) / 2})


@pytest.mark.parametrize("sampling", detection.SAMPLINGS)
def test_folds_hold_every_fake_once_and_fakes_are_found(sampling):
    interactions, fakes = attacked()
    poisoned = fakes.stacked_on(interactions)
    labels = detection.labels_of(poisoned, 150)
    assert labels.sum() == 15
    rows = [row for fold in range(5) for row in detection.fold_scores(matrix_of(poisoned), labels, sampling, ("linear", "poly2"), (3, 6), fold, 5)]
    assert len(rows) == 5 * 4 and {row["components"] for row in rows} == {3, 6}
    assert np.mean([row["recall"] for row in rows if row["kernel"] == "linear"]) > 0.9
    with pytest.raises(UserError, match="20-fold"):
        detection.fold_scores(matrix_of(poisoned), labels, sampling, ("linear",), (3,), 0, 20)


def test_down_sampling_keeps_all_fakes_and_as_many_real_users():
    labels = np.arange(50) >= 44
    chosen = detection.down_sampled(labels, 0)
    assert labels[chosen].sum() == 6 and len(chosen) == 12 and np.all(np.diff(chosen) > 0)


def test_sanitised_data_have_no_flagged_user(tmp_path):
    interactions, fakes = attacked()
    poisoned = fakes.stacked_on(interactions)
    detector = Svm(fakes, "linear", 5, folds=5)
    flagged, scores = detector.judged(poisoned, 150, tmp_path)
    assert flagged[150:].mean() > 0.9 and flagged[:150].mean() < 0.05 and len(scores) == 165
    cleaned, who = sanitize(poisoned, flagged)
    np.testing.assert_array_equal(who, poisoned.user_ids[flagged])
    assert not np.isin(cleaned.train_users, np.flatnonzero(flagged)).any() and cleaned.n_users == 165
    assert len(cleaned.train_users) == len(cleaned.train_ratings) == np.sum(~flagged[poisoned.train_users])
    np.testing.assert_array_equal(detector.applied(poisoned, 150, tmp_path).train_items, cleaned.train_items)


def test_a_detector_judges_nobody_it_has_learnt_from(tmp_path, monkeypatch):
    """On the fakes it learnt from, everybody is judged out of fold; on another run's, by the machine that saw all of its own."""
    interactions, fakes = attacked()
    detector, asked = Svm(fakes, "linear", 4, folds=3), []
    real = Svm._scores

    def scores(self, matrix, labels, train, test_rows):
        asked.append((len(train), test_rows.shape[0]))
        return real(self, matrix, labels, train, test_rows)

    monkeypatch.setattr(Svm, "_scores", scores)
    detector.judged(fakes.stacked_on(interactions), 150, tmp_path)
    assert sum(test for _, test in asked) == 165 and all(train + test == 165 for train, test in asked)
    asked.clear()
    _, others = attacked(8, seed=1)
    flagged, _ = detector.judged(others.stacked_on(interactions), 150, tmp_path)
    assert asked == [(165, 8)] and len(flagged) == 158 and flagged[150:].mean() > 0.8
    asked.clear()
    clean, _ = detector.judged(interactions, 150, tmp_path)
    assert not asked and len(clean) == 150  # clean data: nobody beside those judged already
    with pytest.raises(UserError, match="kernel must be"):
        replace(detector, kernel="cubic").judged(interactions, 150, tmp_path)


def test_mahalanobis_distances_by_hand():
    interactions, fakes = attacked()
    poisoned = fakes.stacked_on(interactions)
    X = matrix_of(poisoned).toarray()
    X = X - X.mean(axis=0)
    U, s, _ = np.linalg.svd(X, full_matrices=False)
    np.testing.assert_allclose(unsupervised_scores(poisoned, 6), np.sqrt(np.sum(U[:, :6] ** 2, axis=1) * (len(X) - 1)), rtol=1e-6)
