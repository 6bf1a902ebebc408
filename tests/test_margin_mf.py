"""MarginMF: its closed form bounds every perturbation, its loss is that of loops, and its training goes on where it stood."""

from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advrec_tf import data, perturbations
from advrec_tf.recommenders import MarginMF, MarginMFSettings, epoch_file, train
from advrec_tf.recommenders.margin_mf import worst_margins


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


@given(st.integers(0, 2**31), st.floats(0.001, 1.5))
def test_no_perturbation_of_the_budget_goes_below_the_bound(seed, rho):
    """Neither a random one nor the worst for a pair: the user against q_i - q_j, the items then against what he has become."""
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
            reached = p @ w - 2 * rho * r * np.linalg.norm(p)
            shaken = P[u] + rho * unit(rng.normal(size=3))
            drawn = shaken @ (w + rho * r * (unit(rng.normal(size=3)) - unit(rng.normal(size=3))))
            assert bound[u, j] <= min(reached, drawn) + 1e-4
            # What is lost is no more than the user's step is long: |p| is 1 + rho at most.
            assert bound[u, j] >= reached - 4 * rho * rho * r - 1e-4


def by_loops(model, W, Q, data, held, users):
    losses, q = [], Q - Q.mean(axis=0)
    r = np.sqrt(np.mean(np.sum(q**2, axis=1)))
    for u in users:
        known = data.train_items[data.indptr[u] : data.indptr[u + 1]]
        if held[u] < 0:
            continue
        p = unit(W[[n for n in known if n != held[u]]].sum(axis=0))
        total = 1.0
        for j in set(range(data.n_items)) - set(known):
            w = q[held[u]] - q[j]
            total += np.exp(
                -(p @ w - model.rho * np.linalg.norm(w) - 2 * (1 + model.rho) * model.rho * r)
            )
        losses.append(
            np.log(total) if model.exponent == 0 else (1 - total**-model.exponent) / model.exponent
        )
    return np.mean(losses)


@pytest.mark.parametrize("exponent", [0.0, 0.1, 1.0])
def test_the_loss_is_that_of_loops(small, exponent):
    model = MarginMF(small.n_users, small.n_items, 5, exponent=exponent, rho=0.2)
    rng = np.random.default_rng(0)
    W, Q = (rng.normal(size=(small.n_items, 5)).astype(np.float32) for _ in range(2))
    rows, items, present, held = (
        part[1] for part in model.batches(small, 50, epoch=3)
    )  # the second batch is not full
    found = model.batch_loss(W, Q, rows, items, present, held).numpy()
    users = [
        next(
            u
            for u in range(small.n_users)
            if set(small.train_items[small.indptr[u] : small.indptr[u + 1]]) == known
        )
        for known in (
            set(items[(rows == row) & (present > 0)]) for row in range(50) if held[row] >= 0
        )
    ]
    of_user = np.full(small.n_users, -1)
    of_user[users] = held[held >= 0]
    assert 0 < len(users) < 50 and found == pytest.approx(
        by_loops(model, W, Q, small, of_user, users), rel=1e-4
    )


def test_each_epoch_holds_out_items_that_were_clicked_and_others_than_before(small):
    model = MarginMF(small.n_users, small.n_items, 4)
    drawn = [model.batches(small, 1000, epoch) for epoch in (0, 0, 1)]
    assert all(np.array_equal(a, b) for a, b in zip(drawn[0], drawn[1]))
    held_of = []
    for rows, items, present, held in (
        (part[0] for part in parts) for parts in (drawn[0], drawn[2])
    ):
        known = [frozenset(items[(rows == row) & (present > 0)]) for row in range(small.n_users)]
        assert all(item in own for item, own in zip(held, known, strict=True))
        held_of.append(dict(zip(known, held, strict=True)))
    assert (
        len(held_of[0]) == small.n_users
        and 0.5 < np.mean([held_of[1][own] != item for own, item in held_of[0].items()]) < 1
    )


def test_users_of_fewer_than_two_items_teach_nothing():
    clicks = pd.DataFrame({"user": [0, 1, 1, 1, 2, 2, 2], "item": [0, 0, 1, 2, 1, 2, 3]})
    shop = data.Interactions.from_frames(clicks, pd.DataFrame({"user": [2], "item": [0]}))
    model = MarginMF(3, 4, 2)
    _, _, _, held = model.batches(shop, 1, 0)
    assert sorted(held[:, 0] < 0) == [False, False, True]
    model.compile()
    model.fit(shop, batch_size=1, epochs=3, verbose=0)  # a mini-batch of that user alone
    assert all(np.isfinite(x).all() for x in model.factors) and np.linalg.norm(
        model.factors[0], axis=1
    ) == pytest.approx(np.ones(3), rel=1e-4)


def test_training_learns_and_goes_on_where_it_stood(small, tmp_path):
    settings = MarginMFSettings(8, epochs=12, batch_size=32)
    for folder, stops in (("whole", (12,)), ("halves", (5, 12))):
        for stop in stops:
            made = train(small, settings, 0, tmp_path / folder, stop, (5,), progress=False)
    files = [
        next((tmp_path / folder).rglob("epoch-0012.npz")).read_bytes()
        for folder in ("whole", "halves")
    ]
    assert files[0] == files[1]
    with np.load(epoch_file(made, 12)) as arrays:
        P, Q = arrays["user_embedding"], arrays["item_embedding"]
    losses = pd.read_csv(made / "history.csv")["loss"]
    assert losses.iloc[-3:].mean() < losses.iloc[:3].mean()
    assert np.linalg.norm(P, axis=1) == pytest.approx(np.ones(len(P)), rel=1e-5)
    assert (
        np.linalg.svd(Q, compute_uv=False)[-1] > 0.01
    )  # although ALS leaves all directions but one empty here
    assert replace(settings, rho=0.1).identity != settings.identity


def test_it_saves_and_loads(small, tmp_path):
    model = MarginMF(small.n_users, small.n_items, 4, rho=0.3, exponent=0.5)
    model.compile()
    model.fit(small, epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.rho == 0.3 and all(
        np.array_equal(a, b) for a, b in zip(model.factors, again.factors)
    )
    for each in (model, again):
        each.fit(small, epochs=1, verbose=0)  # on from there, not from ALS
    whole = MarginMF(small.n_users, small.n_items, 4, rho=0.3, exponent=0.5)
    whole.compile()
    whole.fit(small, epochs=3, verbose=0)
    assert all(
        np.array_equal(a, b) and np.array_equal(a, c)
        for a, b, c in zip(model.factors, again.factors, whole.factors)
    )
    with pytest.raises(ValueError, match="rho must be a number"):
        MarginMF(3, 3, rho=-1)


def test_equal_users_have_the_same_lists_and_scores_of_one_norm_whatever_factor_each_had(problem):
    P, Q, _ = problem()
    factors = np.random.default_rng(1).uniform(0.01, 100, (len(P), 1)).astype(np.float32)
    one, other = perturbations.normalize_users(P, Q), perturbations.normalize_users(factors * P, Q)
    np.testing.assert_allclose(one[0], other[0], rtol=1e-4)
    scores = one[0] @ (one[1] - one[1].mean(axis=0)).T
    np.testing.assert_allclose(np.linalg.norm(scores, axis=1), 1, rtol=1e-4)
    assert np.array_equal(
        np.argsort(-(P @ Q.T), axis=1)[:, :5], np.argsort(-(one[0] @ one[1].T), axis=1)[:, :5]
    )
    assert np.array_equal(perturbations.normalize_users(0 * P, Q)[0], 0 * P)
