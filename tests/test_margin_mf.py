"""MarginMF: its bound against perturbations, its loss against loops, and resumed training."""

from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advrec_tf import data, perturbations
from advrec_tf.recommenders import MarginMF, MarginMFConfig, epoch_file, train
from advrec_tf.recommenders.margin_mf import worst_margins


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def items_of(interactions, user):
    return interactions.train_items[interactions.indptr[user] : interactions.indptr[user + 1]]


@given(st.integers(0, 2**31), st.floats(0.001, 1.5))
@settings(deadline=None)
def test_no_perturbation_within_rho_goes_below_the_bound(seed, rho):
    """Neither a random one nor the worst for a pair: the user against q_i - q_j, then the items."""
    rng = np.random.default_rng(seed)
    P, Q = unit(rng.normal(size=(4, 3))), rng.normal(size=(6, 3)) + 2
    items = rng.integers(0, 6, 4)
    bound = worst_margins(
        P.astype(np.float32), Q.astype(np.float32), items.astype(np.int32), np.float32(rho)
    ).numpy()
    r = np.sqrt(np.mean(np.sum((Q - Q.mean(axis=0)) ** 2, axis=1)))
    for u, i in enumerate(items):
        for j in set(range(6)) - {i}:
            w = Q[i] - Q[j]
            p = P[u] - rho * unit(w)
            worst = p @ w - 2 * rho * r * np.linalg.norm(p)
            moved = P[u] + rho * unit(rng.normal(size=3))
            drawn = moved @ (w + rho * r * (unit(rng.normal(size=3)) - unit(rng.normal(size=3))))
            assert bound[u, j] <= min(worst, drawn) + 1e-4
            # The bound loses at most the length of the user's step, as |p| is at most 1 + rho.
            assert bound[u, j] >= worst - 4 * rho * rho * r - 1e-4


def loss_by_loops(model, W, Q, interactions, held):
    """The mean loss over the users with a held-out item.  held: user -> item"""
    losses, q = [], Q - Q.mean(axis=0)
    r = np.sqrt(np.mean(np.sum(q**2, axis=1)))
    for user, item in held.items():
        known = set(items_of(interactions, user))
        p = unit(W[list(known - {item})].sum(axis=0))
        total = 1.0
        for j in set(range(interactions.n_items)) - known:
            w = q[item] - q[j]
            lost = model.rho * np.linalg.norm(w) + 2 * (1 + model.rho) * model.rho * r
            total += np.exp(lost - p @ w)
        power = (1 - total**-model.exponent) / model.exponent if model.exponent else np.log(total)
        losses.append(power)
    return np.mean(losses)


def held_items(interactions, rows, items, present, held):
    """User -> held-out item of one mini-batch, users known by their set of items."""
    users = {frozenset(items_of(interactions, user)): user for user in range(interactions.n_users)}
    pairs = {}
    for row in np.flatnonzero(held >= 0):
        known = frozenset(items[(rows == row) & (present > 0)])
        pairs[users[known]] = held[row]
    return pairs


@pytest.mark.parametrize("exponent", [0.0, 0.1, 1.0])
def test_the_loss_is_that_of_loops(small, exponent):
    model = MarginMF(small.n_users, small.n_items, 5, exponent=exponent, rho=0.2)
    rng = np.random.default_rng(0)
    W, Q = (rng.normal(size=(small.n_items, 5)).astype(np.float32) for _ in range(2))
    batch = [part[1] for part in model.batches(small, 50, epoch=3)]  # it is not full
    held = held_items(small, *batch)
    assert 0 < len(held) < 50
    expected = loss_by_loops(model, W, Q, small, held)
    assert model.batch_loss(W, Q, *batch).numpy() == pytest.approx(expected, rel=1e-4)


def test_each_epoch_holds_out_other_clicked_items(small):
    model = MarginMF(small.n_users, small.n_items, 4)
    first, again, second = (model.batches(small, 1000, epoch) for epoch in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(first, again))
    held = [held_items(small, *(part[0] for part in parts)) for parts in (first, second)]
    for pairs in held:
        assert len(pairs) == small.n_users
        assert all(item in items_of(small, user) for user, item in pairs.items())
    assert 0.5 < np.mean([held[1][user] != item for user, item in held[0].items()]) < 1


def test_users_of_fewer_than_two_items_have_no_loss():
    clicks = pd.DataFrame({"user": [0, 1, 1, 1, 2, 2, 2], "item": [0, 0, 1, 2, 1, 2, 3]})
    shop = data.Interactions.from_frames(clicks, pd.DataFrame({"user": [2], "item": [0]}))
    model = MarginMF(3, 4, 2)
    _, _, _, held = model.batches(shop, 1, 0)
    assert sorted(held[:, 0] < 0) == [False, False, True]
    model.compile()
    model.fit(shop, batch_size=1, epochs=3, verbose=0)  # one mini-batch holds only that user
    P, Q = model.factors
    assert np.isfinite(P).all() and np.isfinite(Q).all()
    assert np.linalg.norm(P, axis=1) == pytest.approx(np.ones(3), rel=1e-4)


def test_training_learns_and_resumes_where_it_stopped(small, tmp_path):
    config = MarginMFConfig(8, epochs=12, batch_size=32)
    whole = train(small, config, 0, tmp_path / "whole", 12, (5,), progress=False)
    for stop in (5, 12):
        halves = train(small, config, 0, tmp_path / "halves", stop, (5,), progress=False)
    assert epoch_file(whole, 12).read_bytes() == epoch_file(halves, 12).read_bytes()
    with np.load(epoch_file(whole, 12)) as arrays:
        P, Q = arrays["user_embedding"], arrays["item_embedding"]
    losses = pd.read_csv(whole / "history.csv")["loss"]
    assert losses.iloc[-3:].mean() < losses.iloc[:3].mean()
    assert np.linalg.norm(P, axis=1) == pytest.approx(np.ones(len(P)), rel=1e-5)
    # On these data ALS leaves all directions but one empty.
    assert np.linalg.svd(Q, compute_uv=False)[-1] > 0.01
    assert replace(config, rho=0.1).identity != config.identity


def test_it_saves_and_loads(small, tmp_path):
    def compiled():
        model = MarginMF(small.n_users, small.n_items, 4, rho=0.3, exponent=0.5)
        model.compile()
        return model

    model, whole = compiled(), compiled()
    model.fit(small, epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.rho == 0.3
    np.testing.assert_array_equal(loaded.factors[1], model.factors[1])
    for resumed in (model, loaded):
        resumed.fit(small, epochs=1, verbose=0)  # from there, not from ALS
    whole.fit(small, epochs=3, verbose=0)
    for n in range(2):
        np.testing.assert_array_equal(loaded.factors[n], model.factors[n])
        np.testing.assert_array_equal(whole.factors[n], model.factors[n])


def test_bad_options_are_refused():
    with pytest.raises(ValueError, match="rho must be a number"):
        MarginMF(3, 3, rho=-1)


def test_user_normalised_factors_have_the_same_lists_and_scores_of_one_norm(problem):
    """The factor that each user had before changes nothing."""
    P, Q, _ = problem()
    factors = np.random.default_rng(1).uniform(0.01, 100, (len(P), 1)).astype(np.float32)
    first, second = (
        perturbations.normalize_users(P, Q),
        perturbations.normalize_users(factors * P, Q),
    )
    np.testing.assert_allclose(first[0], second[0], rtol=1e-4)
    scores = first[0] @ (first[1] - first[1].mean(axis=0)).T
    np.testing.assert_allclose(np.linalg.norm(scores, axis=1), 1, rtol=1e-4)
    lists, normalised = (np.argsort(-(p @ q.T), axis=1)[:, :5] for p, q in ((P, Q), first))
    np.testing.assert_array_equal(lists, normalised)
    assert not perturbations.normalize_users(0 * P, Q)[0].any()
