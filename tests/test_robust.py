"""Adversarially trained WRMF, the ensemble, and the certificates of its votes."""

from itertools import combinations
from math import comb

import keras
import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from advrec_tf import data, evaluation
from advrec_tf.recommenders import Ensemble, EnsembleConfig, WRMFConfig, recommender_config
from advrec_tf.recommenders.adversarial_wrmf import FitWRMF, NormWRMF, explained
from advrec_tf.recommenders.adversarial_wrmf_config import FitWRMFConfig
from advrec_tf.recommenders.wrmf import weighted_gradient


@pytest.fixture(scope="module")
def shop():
    return data.synthetic(n_users=40, n_items=25, per_user=7, seed=1, split="80:20")


def pairs_problem(users=6, items=9, dim=3):
    """Factors, the pairs of some clicks, and x and w of all users x items."""
    rng = np.random.default_rng(0)
    p, q = (rng.normal(0, 0.7, (n, dim)).astype(np.float32) for n in (users, items))
    rows, ids = np.nonzero(rng.random((users - 1, items)) < 0.4)  # the last user has no click
    x, w = np.ones(len(rows), np.float32), np.full(len(rows), 5, np.float32)
    X, W = np.zeros((users, items)), np.ones((users, items))
    X[rows, ids], W[rows, ids] = x, w
    return p, q, (rows.astype(np.int32), ids.astype(np.int32), x, w), X, W


def dense_gradient(P, Q, X, W):
    error = W * (P.astype(np.float64) @ Q.T - X)
    return 2 * error @ Q, 2 * error.T @ P


def explained_by_hand(P, Q, X, W):
    losses, at_zero = (np.sum(W * (X - scores) ** 2, axis=1) for scores in (P @ Q.T, 0))
    return np.where(at_zero > 0, np.clip(1 - losses / np.maximum(at_zero, 1e-9), 0, 1), 0)


@pytest.mark.parametrize("block", [1, 2, 5, 512, None])
def test_blocks_of_pairs_give_the_dense_gradient(block):
    p, q, pairs, X, W = pairs_problem()
    loss, *gradient = weighted_gradient(p, q, pairs, block)
    assert float(loss) == pytest.approx(np.sum(W * (p @ q.T - X) ** 2), rel=1e-5)
    for values, expected in zip(gradient, dense_gradient(p, q, X, W)):
        np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-4)


def test_what_is_explained_of_a_users_clicks_by_hand():
    p, q, pairs, X, W = pairs_problem()
    expected = explained_by_hand(p, q, X, W)
    np.testing.assert_allclose(explained(p, q, pairs), expected, atol=1e-5)
    assert expected[-1] == 0 and expected.max() > 0


@pytest.mark.parametrize("model_class", [FitWRMF, NormWRMF])
def test_a_step_adds_the_gradient_under_the_adversary(shop, model_class):
    """Users move by epsilon of the mean norm, in the ratio of their strengths; items equally."""
    model = model_class(40, 25, 4, 0, epsilon=0.2, adversarial_weight=0.5)
    model.compile(keras.optimizers.SGD(1e-3), jit_compile=False, run_eagerly=True)
    rng = np.random.default_rng(0)
    P, Q = (rng.normal(0, 0.3, (n, 4)).astype(np.float32) for n in (40, 25))
    model.user_embedding.assign(P)
    model.item_embedding.assign(Q)
    clicked = shop.matrix().toarray() > 0
    X, W = clicked.astype(float), np.where(clicked, 20.0, 1.0)
    norms = np.linalg.norm(P, axis=1)
    strengths = norms if model_class is NormWRMF else explained_by_hand(P, Q, X, W)
    assert strengths.std() > 0.01
    lengths = 0.2 * norms.mean() * strengths / strengths.mean()
    dP, dQ = dense_gradient(P, Q, X, W)
    moved_P = P + lengths[:, None] * dP / np.linalg.norm(dP, axis=1, keepdims=True)
    item_length = 0.2 * np.linalg.norm(Q, axis=1).mean()
    moved_Q = Q + item_length * dQ / np.linalg.norm(dQ, axis=1, keepdims=True)
    adversarial_dP, adversarial_dQ = dense_gradient(moved_P, moved_Q, X, W)
    model.fit(shop, epochs=1, batch_size=64, verbose=0)  # one mini-batch
    after = model.factors
    np.testing.assert_allclose((P - after[0]) / 1e-3, dP + 0.5 * adversarial_dP, atol=5e-3)
    np.testing.assert_allclose((Q - after[1]) / 1e-3, dQ + 0.5 * adversarial_dQ, atol=5e-3)


@pytest.mark.parametrize("model_class", [FitWRMF, NormWRMF])
def test_padding_of_a_batch_counts_in_no_mean(shop, model_class):
    factors = []
    for missing in (0, 20):
        model = model_class(40, 25, 4, 0, epsilon=0.2)
        model.compile(keras.optimizers.SGD(0.01), jit_compile=False, run_eagerly=True)
        users, *pairs = model.batches(shop, 40, 0)
        padded = np.pad(users, ((0, 0), (0, missing)), constant_values=-1)
        model.train_step((padded, *pairs))
        factors.append(np.concatenate(model.factors))
    np.testing.assert_allclose(*factors, rtol=1e-4, atol=1e-6)


def test_without_epsilon_the_adversarial_model_is_wrmf_at_twice_the_loss(shop):
    """Adam does not see a factor, except through its decay and its epsilon."""
    plain = WRMFConfig(embedding_dim=4, decay=0.0).build(shop, 0)
    weak = FitWRMFConfig(embedding_dim=4, decay=0.0, epsilon=0.0).build(shop, 0)
    for model in (plain, weak):
        model.fit(shop, epochs=3, verbose=0)
    for factors, expected in zip(weak.factors, plain.factors):
        np.testing.assert_allclose(factors, expected, atol=1e-4)


def test_bad_options_are_refused():
    with pytest.raises(ValueError, match="trained by sgd alone, not by als"):
        FitWRMF(4, 5, 2, solver="als")
    with pytest.raises(ValueError, match="Ensemble: votes must be a whole number from 1 up, not 0"):
        Ensemble(4, 5, 2, votes=0)


@pytest.mark.parametrize("name", ["wrmf_fit", "wrmf_norm", "ensemble"])
def test_robust_recommenders_learn_and_resume_where_they_stopped(shop, name, tmp_path):
    config = recommender_config(name)(embedding_dim=6)
    whole, first = config.build(shop, 1), config.build(shop, 1)
    whole.fit(shop, epochs=6, verbose=0)
    first.fit(shop, epochs=3, verbose=0)
    first.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    loaded.fit(shop, initial_epoch=3, epochs=6, verbose=0)
    for factors, expected in zip(loaded.factors, whole.factors):
        np.testing.assert_allclose(factors, expected, atol=1e-5)
    losses = whole.fit(shop, initial_epoch=6, epochs=40, verbose=0).history["loss"]
    if name != "ensemble":
        assert losses[-1] < 0.9 * losses[0]
        return
    random = [np.random.default_rng(n).normal(size=(rows, 2)) for n, rows in enumerate((40, 25))]
    trained, chance = (
        evaluation.poisoning_metrics(*factors, shop, (1,), 5)["Recall"]
        for factors in (whole.factors, random)
    )
    assert trained > chance


def test_every_base_votes_for_as_many_unknown_items_of_every_user(shop):
    first, second = (EnsembleConfig(votes=4, users=9).build(shop, seed) for seed in (0, 1))
    for model in (first, second):
        model.fit(shop, epochs=2, verbose=0)
    votes, identity = first.factors
    assert np.all(votes.sum(axis=1) == 2 * 10 * 4) and votes.max() <= 20
    assert not votes[shop.train_users, shop.train_items].any()
    np.testing.assert_array_equal(identity, np.eye(25))
    assert not np.array_equal(second.factors[0], votes)


def test_a_base_is_solved_in_closed_form(shop):
    model, rng = Ensemble(40, 25, 3, weight=4.0, regularization=0.5), np.random.default_rng(0)
    Y, X = rng.normal(size=(25, 3)), shop.matrix()
    solved, x = model.solved(Y, X), X.toarray()
    W = 1 + 3 * (x > 0)
    for user in range(5):
        A = Y.T @ (W[user][:, None] * Y) + 0.5 * np.eye(3)
        expected = np.linalg.solve(A, Y.T @ (W[user] * x[user]))
        np.testing.assert_allclose(solved[user], expected, rtol=1e-8)


# Certificates


def test_bounds_of_a_share_are_those_of_the_binomial():
    """At the lower bound, that many votes or more have the probability left for an error.

    At the upper bound it is that many votes or fewer.
    """
    low, high = evaluation.share_bounds(20, 5, 0.99)
    assert low[0] == 0 and high[20] == 1 and np.all(np.diff(low) > 0) and np.all(np.diff(high) > 0)
    for votes in (1, 7, 20):
        assert binom.sf(votes - 1, 20, low[votes]) == pytest.approx(0.01 / 10)
    for votes in (0, 7, 19):
        assert binom.cdf(votes, 20, high[votes]) == pytest.approx(0.01 / 10)


def test_the_share_without_a_fake_is_counted():
    assert evaluation.untouched_share(6, 3, 2) == pytest.approx(comb(6, 3) / comb(8, 3))
    assert evaluation.untouched_share(6, 3, 0) == 1 and evaluation.untouched_share(2, 3, 1) == 0


def six_users():
    """Five users who know items 0 and 1 of six, with the test item 3; one who knows the others."""
    users = np.arange(5)
    train = pd.DataFrame({"user": np.repeat(users, 2), "item": np.tile([0, 1], 5)})
    last = pd.DataFrame({"user": [5, 5, 5], "item": [2, 4, 5]})
    held_out = pd.DataFrame({"user": users, "item": np.full(5, 3)})
    return data.Interactions.from_frames(pd.concat([train, last]), held_out)


def test_certificates_bound_any_votes_of_the_touched_bases():
    """All choices of two of six users and a fake.

    Bases without the fake keep their votes; the others vote for a target or against a test item.
    """
    rng = np.random.default_rng(3)
    built, bases, certain = six_users(), 20_000, []
    for _ in range(60):
        clean = np.zeros(6)
        for _ in combinations(range(6), 2):
            clean[2 + rng.permutation([0, 1, 2, 3])[:2]] += 1
        # Over so many bases the bounds of the shares are the shares themselves.
        votes = np.tile(np.rint(clean / 15 * bases), (6, 1))
        shares = evaluation.share_bounds(bases, 6, 0.9)
        untouched = evaluation.untouched_share(6, 2, 1)
        bounds = evaluation.certified_votes(votes, shares, untouched, built, (5,), 2)
        certain.append(tuple(bounds.values()))
        for choice in combinations(range(2, 6), 2):  # the votes of the six touched bases
            after = clean + 6 * np.isin(np.arange(6), choice)
            best = np.argsort(-after[2:], kind="stable")[:2] + 2
            assert bounds["certified_HR"] != 1 or 3 in best
            assert bounds["certified_target_HR"] != 0 or 5 not in best
    assert {1, 0} <= {hit for hit, _ in certain} and {1, 0} <= {target for _, target in certain}


def test_more_fakes_are_never_better_and_enough_leave_no_certificate(shop):
    model = EnsembleConfig(votes=5, users=9).build(shop, 0)
    model.fit(shop, epochs=30, verbose=0)
    votes, shares = model.factors[0], evaluation.share_bounds(300, shop.n_items)
    untouched = [evaluation.untouched_share(shop.n_users, 9, fakes) for fakes in (0, 1, 2, 5, 50)]
    bounds = [
        evaluation.certified_votes(votes, shares, share, shop, (1, 5), 5) for share in untouched
    ]
    measured = evaluation.poisoning_metrics(*model.factors, shop, (1, 5), 5)
    hits = [row["certified_HR"] for row in bounds]
    targets = [row["certified_target_HR"] for row in bounds]
    assert sorted(hits, reverse=True) == hits and sorted(targets) == targets
    assert hits[0] > hits[-1] == 0
    assert hits[0] <= measured["HR"] and targets[0] >= measured["target_HR"]
