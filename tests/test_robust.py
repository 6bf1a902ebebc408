"""Recommenders that are trained to withstand fakes, and what is certain of an ensemble's votes."""

from itertools import combinations
from math import comb

import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import binom

from advrec_tf import data, evaluation
from advrec_tf.errors import UserError
from advrec_tf.recommenders import AdversarialWRMF, Ensemble, WRMFSettings
from advrec_tf.recommenders.adversarial_wrmf import SIZES, explained
from advrec_tf.recommenders.settings import (
    RECOMMENDERS,
    EnsembleSettings,
    FitWRMFSettings,
    check_size,
)
from advrec_tf.recommenders.wrmf import weighted_gradient


@pytest.fixture(scope="module")
def shop():
    return data.synthetic(n_users=40, n_items=25, per_user=7, seed=1, split="80:20")


def problem(seed=0, users=6, items=9, dim=3):
    rng = np.random.default_rng(seed)
    p, q = (rng.normal(0, 0.7, (n, dim)).astype(np.float32) for n in (users, items))
    rows, ids = np.nonzero(rng.random((users - 1, items)) < 0.4)  # the last user clicks nothing
    return (
        p,
        q,
        rows.astype(np.int32),
        ids.astype(np.int32),
        np.ones(len(rows), np.float32),
        np.full(len(rows), 5, np.float32),
    )


@pytest.mark.parametrize("block", [1, 2, 5, 512, None])
def test_blocks_of_pairs_give_the_dense_gradient(block):
    p, q, rows, ids, x, w = problem()
    X, W = np.zeros((6, 9)), np.ones((6, 9))
    X[rows, ids], W[rows, ids] = x, w
    error = p.astype(np.float64) @ q.T - X
    loss, dp, dq = weighted_gradient(p, q, rows, ids, x, w, block)
    assert float(loss) == pytest.approx(np.sum(W * error**2), rel=1e-5)
    np.testing.assert_allclose(dp, 2 * (W * error) @ q, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(dq, 2 * (W * error).T @ p, rtol=1e-4, atol=1e-4)


def test_what_is_explained_of_a_users_clicks_by_hand():
    p, q, rows, ids, x, w = problem()
    X, W = np.zeros((6, 9)), np.ones((6, 9))
    X[rows, ids], W[rows, ids] = x, w
    losses, at_zero = (np.sum(W * (X - s) ** 2, axis=1) for s in (p @ q.T, 0))
    expected = np.where(at_zero > 0, np.clip(1 - losses / np.maximum(at_zero, 1e-9), 0, 1), 0)
    np.testing.assert_allclose(explained(p, q, rows, ids, x, w), expected, atol=1e-5)
    assert expected[-1] == 0 and expected.max() > 0


@pytest.mark.parametrize("sizes", SIZES)
def test_the_adversary_is_the_gradient_at_a_length_of_each_users_own(shop, sizes, monkeypatch):
    """The second gradient is asked for at rows moved along the first, by lengths in the ratio of fit or of norms, epsilon of the mean on average."""
    model, asked = AdversarialWRMF(40, 25, 4, 0, sizes=sizes, epsilon=0.2), []

    def noted(p, q, *pairs):
        asked.append(
            (
                np.array(p),
                np.array(q),
                *(np.array(part) for part in weighted_gradient(p, q, *pairs)[1:]),
            )
        )
        return weighted_gradient(p, q, *pairs)

    monkeypatch.setattr("advrec_tf.recommenders.adversarial_wrmf.weighted_gradient", noted)
    model.compile()
    batch = [tf.constant(part[0]) for part in model.batches(shop, 64, 0)]
    model._update(*batch)
    (p, q, dp, dq), (moved_p, moved_q, _, _) = asked
    steps, directions = (
        np.linalg.norm(moved_p - p, axis=1),
        dp / np.linalg.norm(dp, axis=1, keepdims=True),
    )
    np.testing.assert_allclose(moved_p - p, steps[:, None] * directions, atol=1e-6)
    assert steps.mean() == pytest.approx(0.2 * np.linalg.norm(p, axis=1).mean(), rel=1e-4)
    np.testing.assert_allclose(
        np.linalg.norm(moved_q - q, axis=1), 0.2 * np.linalg.norm(q, axis=1).mean(), rtol=1e-3
    )
    size = np.linalg.norm(p, axis=1) if sizes == "norm" else np.array(explained(p, q, *batch[1:]))
    np.testing.assert_allclose(steps / steps.sum(), size / size.sum(), atol=1e-5)


def test_without_strength_the_adversarial_model_is_wrmf_at_twice_the_loss(shop):
    """Adam does not see a factor, but for its decay and its epsilon."""
    plain = WRMFSettings(embedding_dim=4, decay=0.0).build(shop, 0)
    weak = FitWRMFSettings(embedding_dim=4, decay=0.0, epsilon=0.0).build(shop, 0)
    for model in (plain, weak):
        model.fit(shop, epochs=3, verbose=0)
    for ours, theirs in zip(weak.factors, plain.factors):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_wrong_options_are_told(shop):
    with pytest.raises(ValueError, match="sizes must be one of"):
        AdversarialWRMF(4, 5, 2, sizes="shoe")
    with pytest.raises(UserError, match="by sgd alone"):
        FitWRMFSettings(solver="als")
    for users, items in ((100_000, 10_000), (10, 10_000)):
        with pytest.raises(UserError, match="at most 50000000"):
            check_size(users, items)
    check_size(943, 1682)


@pytest.mark.parametrize("name", ["wrmf_fit", "wrmf_norm", "ensemble"])
def test_robust_recommenders_learn_and_go_on_where_they_stood(shop, name, tmp_path):
    settings = RECOMMENDERS[name](embedding_dim=6)
    whole, first = settings.build(shop, 1), settings.build(shop, 1)
    whole.fit(shop, epochs=6, verbose=0)
    first.fit(shop, epochs=3, verbose=0)
    first.save(tmp_path / "model.keras")
    again = tf.keras.models.load_model(tmp_path / "model.keras")
    again.fit(shop, initial_epoch=3, epochs=6, verbose=0)
    for ours, theirs in zip(again.factors, whole.factors):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    losses = whole.fit(shop, initial_epoch=6, epochs=40, verbose=0).history["loss"]
    if name == "ensemble":
        random = (
            np.random.default_rng(0).normal(size=(40, 2)),
            np.random.default_rng(1).normal(size=(25, 2)),
        )
        found, chance = (
            evaluation.poisoning_metrics(*factors, shop, (1,), 5)["Recall"]
            for factors in (whole.factors, random)
        )
        assert found > chance
    else:
        assert losses[-1] < 0.9 * losses[0]


def test_every_base_votes_for_as_many_unknown_items_of_every_user(shop):
    model = EnsembleSettings(votes=4, users=9).build(shop, 0)
    model.fit(shop, epochs=2, verbose=0)
    votes, identity = model.factors
    assert (
        np.all(votes.sum(axis=1) == 2 * 10 * 4)
        and votes.max() <= 20
        and not votes[shop.train_users, shop.train_items].any()
    )
    np.testing.assert_array_equal(identity, np.eye(25))
    other = EnsembleSettings(votes=4, users=9).build(shop, 1)
    other.fit(shop, epochs=2, verbose=0)
    assert not np.array_equal(other.factors[0], votes)


def test_a_base_is_solved_in_closed_form(shop):
    model, rng = Ensemble(40, 25, dim=3, weight=4.0, regularization=0.5), np.random.default_rng(0)
    Y, X = rng.normal(size=(25, 3)), shop.matrix()
    solved, W = model._solved(Y, X), 1 + 3 * (X.toarray() > 0)
    for user in range(5):
        expected = np.linalg.solve(
            Y.T @ (W[user][:, None] * Y) + 0.5 * np.eye(3), Y.T @ (W[user] * X.toarray()[user])
        )
        np.testing.assert_allclose(solved[user], expected, rtol=1e-8)


# What is certain


def test_bounds_of_a_share_are_those_of_the_binomial():
    """At the lower bound so many votes or more have the probability that is left for an error, and at the upper one so many or fewer."""
    low, high = evaluation.share_bounds(20, 5, 0.99)
    assert low[0] == 0 and high[20] == 1 and np.all(np.diff(low) > 0) and np.all(np.diff(high) > 0)
    for votes in (1, 7, 20):
        assert binom.sf(votes - 1, 20, low[votes]) == pytest.approx(0.01 / 10)
    for votes in (0, 7, 19):
        assert binom.cdf(votes, 20, high[votes]) == pytest.approx(0.01 / 10)


def test_the_share_without_a_fake_is_counted():
    assert evaluation.untouched_share(6, 3, 2) == pytest.approx(comb(6, 3) / comb(8, 3))
    assert evaluation.untouched_share(6, 3, 0) == 1 and evaluation.untouched_share(2, 3, 1) == 0


def test_certificates_bound_what_any_votes_of_the_touched_bases_do():
    """All choices of two of six users and a fake: bases without the fake vote as they did, the others vote for a target, or against a test item."""
    rng = np.random.default_rng(3)
    built = data.Interactions.from_frames(*frames())
    certain = []
    for _ in range(60):
        # Certain votes: so sharp a distribution, over so many bases, that its bounds are the shares themselves.
        ordered = {pair: rng.permutation([0, 1, 2, 3]) for pair in combinations(range(6), 2)}
        shares = np.zeros(6)
        for liked in ordered.values():
            shares[2 + liked[:2]] += 1 / len(ordered)
        bases = 20_000
        votes = np.tile(np.rint(shares * bases), (6, 1))
        bounds, share = evaluation.share_bounds(bases, 6, 0.9), evaluation.untouched_share(6, 2, 1)
        found = evaluation.certified_votes(votes, bounds, share, built, (5,), 2)
        certain.append(tuple(found.values()))
        clean = sum(np.bincount(2 + liked[:2], minlength=6) for liked in ordered.values())
        for choice in combinations(range(2, 6), 2):  # what the six touched bases vote for
            after = clean + 6 * np.isin(np.arange(6), choice)
            best = np.argsort(-after[2:], kind="stable")[:2] + 2
            if found["certified_HR"] == 1:
                assert 3 in best
            if found["certified_target_HR"] == 0:
                assert 5 not in best
    assert {1, 0} <= {sure for sure, _ in certain} and {1, 0} <= {entered for _, entered in certain}


def frames():
    """Five users who know items 0 and 1 of six, each with the test item 3; and one who knows the others."""
    import pandas as pd

    users = np.arange(5)
    train = pd.DataFrame({"user": np.repeat(users, 2), "item": np.tile([0, 1], 5)})
    extra = pd.DataFrame({"user": [5, 5, 5], "item": [2, 4, 5]})
    return pd.concat([train, extra]), pd.DataFrame({"user": users, "item": np.full(5, 3)})


def test_more_fakes_are_never_better_and_none_leave_what_is_sure(shop):
    model = EnsembleSettings(votes=5, users=9).build(shop, 0)
    model.fit(shop, epochs=30, verbose=0)
    votes, shares = model.factors[0], evaluation.share_bounds(300, shop.n_items)
    untouched = [evaluation.untouched_share(shop.n_users, 9, fakes) for fakes in (0, 1, 2, 5, 50)]
    found = [
        evaluation.certified_votes(votes, shares, share, shop, (1, 5), 5) for share in untouched
    ]
    measured = evaluation.poisoning_metrics(*model.factors, shop, (1, 5), 5)
    sure, entered = (
        [each[name] for each in found] for name in ("certified_HR", "certified_target_HR")
    )
    assert (
        sorted(sure, reverse=True) == sure
        and sorted(entered) == entered
        and sure[0] > sure[-1] == 0
    )
    assert sure[0] <= measured["HR"] and entered[0] >= measured["target_HR"]
