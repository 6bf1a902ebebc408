"""Rows of detectors, of principal components and of certified ensembles, by hand."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from advrec_tf import data, evaluation
from advrec_tf.defenses import Svm, detection, measuring, unsupervised_scores
from advrec_tf.defenses.detection import FLAGGED
from advrec_tf.poisoning import Profiles, heuristic, likeness
from advrec_tf.recommenders import EnsembleConfig

SHOP = data.synthetic(n_users=60, n_items=40, per_user=9, seed=3, split="80:20")
RARE = np.argsort(SHOP.item_counts)[:14]


def fakes_of(count, seed):
    """Return profiles that click most of the rarest items and the target 1."""
    X = np.zeros((count, 40))
    X[:, RARE] = np.random.default_rng(seed).random((count, 14)) < 0.9
    X[:, 1] = 1
    return Profiles.from_matrix("rare", X, SHOP, (1,))


FAKES = {"known": fakes_of(6, 0), "others": fakes_of(9, 1)}
CLONES = heuristic("popular", SHOP, 9, (1, 2))


def rows_of(detector, tmp_path, **more):
    points = [{"tested_on": name, **more} for name in FAKES]
    rows, _ = detection.evaluate_detector(points, SHOP, FAKES, detector, tmp_path)
    assert [row["tested_on"] for row in rows] == list(FAKES)
    return zip(rows, FAKES.values())


def test_without_labels_as_many_are_flagged_as_there_are_fakes(tmp_path):
    for row, fakes in rows_of(None, tmp_path, components=3):
        scores = unsupervised_scores(fakes.stacked_on(SHOP), 3)
        flagged = np.argsort(scores)[-fakes.n_users :]
        found = np.sum(flagged >= 60)
        assert row[FLAGGED] == fakes.n_users - found and 0 < found < fakes.n_users
        assert row["recall"] == row["precision"] == found / fakes.n_users
        labels = np.arange(len(scores)) >= 60
        assert row["AUROC"] == pytest.approx(roc_auc_score(labels, scores))


def test_a_detectors_row_is_of_its_flags_and_scores(tmp_path):
    detector = Svm(FAKES["known"], "linear", 3, folds=3)
    for row, fakes in rows_of(detector, tmp_path):
        flagged, scores = detector.flag_users(fakes.stacked_on(SHOP), 60, tmp_path)
        labels = np.arange(len(scores)) >= 60
        expected = detection.detection_scores(labels, flagged, scores)
        assert {name: row[name] for name in expected} == expected
        assert row[FLAGGED] == np.sum(flagged[:60]) < np.sum(flagged)


def test_scores_of_other_real_users_are_others_in_one_cache(tmp_path):
    detector, fakes = Svm(FAKES["known"], "linear", 3, folds=3), FAKES["known"]
    users = SHOP.train_users.copy()
    users[SHOP.indptr[6]] = 5  # the first item of user 6 becomes the last of user 5
    for shop in (
        SHOP,
        replace(SHOP, train_items=(SHOP.train_items + 1) % 40),
        replace(SHOP, train_users=users),
    ):
        poisoned = fakes.stacked_on(shop)
        _, shared = detector.flag_users(poisoned, 60, tmp_path / "shared")
        _, own = detector.flag_users(poisoned, 60, tmp_path / shop.fingerprint)
        np.testing.assert_array_equal(shared, own)


def test_a_component_separates_whichever_side_fakes_are_on():
    fakes = CLONES
    points = [{"component": number} for number in (1, 2, 3, 4)]
    rows, users = detection.component_separation(points, SHOP, fakes)
    X = fakes.stacked_on(SHOP).matrix().toarray()
    values = np.linalg.svd(X - X.mean(axis=0), compute_uv=False) ** 2
    labels, areas = np.arange(len(X)) >= 60, []
    for row, coordinates, share in zip(rows, users["place"], values / values.sum()):
        areas.append(roc_auc_score(labels, coordinates))
        assert row["AUROC"] == pytest.approx(max(areas[-1], 1 - areas[-1]))
        assert row["variance"] == pytest.approx(share, rel=1e-5)
    assert min(areas) < 0.5 < max(areas)
    np.testing.assert_array_equal(users["fake"], [labels] * 4)


def test_a_certified_row_counts_all_bases_and_the_fakes_of_its_point(monkeypatch, tmp_path):
    config, targets = EnsembleConfig(users=5), (1, 2)
    votes = np.random.default_rng(0).binomial(30, 0.2, (60, 40)).astype(np.float64)
    votes[:, 1] = 0
    asked = []

    def train_or_load(*arguments):
        asked.append(arguments[:4])
        return {"P": votes}

    monkeypatch.setattr(measuring, "train_or_load", train_or_load)
    points = [{"epoch": 3, "seed": 7, "k": 12, "certified_fakes": fakes} for fakes in (0, 1, 3)]
    rows, _ = measuring.certify(points, SHOP, config, targets, tmp_path)
    assert asked == [(SHOP, config, 3, 7)]
    for row in rows:
        untouched = evaluation.untouched_share(60, 5, row["certified_fakes"])
        shares = evaluation.share_bounds(30, 40)  # ten bases an epoch
        bounds = evaluation.certified_votes(votes, shares, untouched, SHOP, targets, 12)
        assert {name: row[name] for name in bounds} == bounds
    assert rows[0]["certified_HR"] >= rows[2]["certified_HR"]


def test_likeness_and_changed_entries_stand_in_one_row():
    rows, _ = measuring.profile_similarity([{"attack": "random"}], SHOP, FAKES["known"], 5)
    expected = likeness(FAKES["known"], SHOP)
    assert rows == [{"attack": "random", **expected, "changed_entries": 5}]
    rows, _ = measuring.profile_similarity([{}], SHOP, FAKES["known"])
    assert rows == [pytest.approx(expected, nan_ok=True)]
