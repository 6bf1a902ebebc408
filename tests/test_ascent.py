"""Attacks on the lists themselves, against losses and gradients written out anew."""

import numpy as np
import pytest

from advrec_tf import data, evaluation, perturbations
from advrec_tf.perturbations import ascent

SHOP = data.synthetic(n_users=40, n_items=60, per_user=8, rank=4)
RNG = np.random.default_rng(0)
P, Q = (RNG.standard_normal((n, 5)).astype(np.float32) for n in (SHOP.n_users, SHOP.n_items))
TEST = np.full((SHOP.n_users, 1), -1)
TEST[SHOP.test_users, 0] = SHOP.test_items
LISTS = evaluation.top_k(P, Q, SHOP, 3)


def known(user):
    return SHOP.train_items[SHOP.indptr[user] : SHOP.indptr[user + 1]]


def oracle_loss(p, q, sunk, spread, rivals=None):
    """The loss, user by user; rivals: who they are, or None for the strongest at p, q.  -> loss, margins, rivals"""
    total, margins, found = 0.0, [], []
    for user in range(len(p)):
        scores = np.float64(q) @ p[user]
        own = sunk[user][sunk[user] >= 0]
        free = [item for item in range(len(q)) if item not in known(user) and item not in own]
        chosen = rivals[user] if rivals is not None else sorted(free, key=lambda item: -scores[item])[: ascent.RIVALS]
        found.append(chosen)
        pairs = scores[own][:, None] - scores[chosen][None, :]
        margins.append(pairs.ravel())
        total += np.sum(np.log1p(np.exp(-pairs / spread)))
    return total, np.concatenate(margins), found


@pytest.mark.parametrize("sunk", [TEST, LISTS], ids=["test", "lists"])
def test_the_gradient_is_that_of_the_loss(sunk):
    form = perturbations.form_of(P, Q, "relative")
    loss = ascent._Sinking(form, SHOP, sunk)
    _, margins, rivals = oracle_loss(form.user, form.item, sunk, 1.0)
    assert loss.spread == pytest.approx(margins.std(), rel=1e-4)
    gradients = [loss.gradient(side, form.user, form.item) for side in (0, 1)]
    step = 1e-5
    for side, row, column in ((0, 3, 1), (0, 17, 4), (1, int(sunk[3, 0]), 0), (1, int(rivals[5][2]), 3)):
        moved = []
        for sign in (1, -1):
            tables = [np.float64(form.user).copy(), np.float64(form.item).copy()]
            tables[side][row, column] += sign * step
            moved.append(oracle_loss(*tables, sunk, loss.spread, rivals)[0])
        assert gradients[side][row, column] == pytest.approx((moved[0] - moved[1]) / (2 * step), rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("ball", ["l2", "linf"])
def test_a_response_is_the_best_in_the_ball(ball):
    gradient, size = RNG.standard_normal((4, 5)), np.array([[0.3], [1.0], [0.0], [2.0]])
    best = perturbations.response(gradient, size, ball)
    for _ in range(200):
        other = RNG.uniform(-1, 1, gradient.shape)
        other *= size if ball == "linf" else size / np.maximum(np.linalg.norm(other, axis=1, keepdims=True), 1e-9)
        assert np.all(np.sum(best * gradient, axis=1) >= np.sum(other * gradient, axis=1) - 1e-9)
    assert not np.any(perturbations.response(np.zeros((2, 5)), np.ones((1, 1)), ball))


def test_responses_by_hand():
    """The loss <a, P> + <b, Q>: after one iteration half a response, after two three quarters."""
    form = perturbations.form_of(np.ones((2, 2)), np.ones((1, 2)), "absolute")
    slopes = np.array([[3.0, 4.0], [0.0, 1.0]]), np.array([[-2.0, 0.0]])
    found = list(ascent.responses(form, lambda side, p, q: slopes[side], form.sizes(1.0), "l2", (0, 1, 2)))
    for delta, share in zip(found, (0, 0.5, 0.75)):
        np.testing.assert_allclose(delta.user, share * np.array([[0.6, 0.8], [0.0, 1.0]]))
        np.testing.assert_allclose(delta.item, [[-share, 0]])


@pytest.mark.parametrize("ball", ["l2", "linf"])
def test_who_knows_the_test_item_does_more_harm_than_who_knows_train(ball):
    trained = data.synthetic(n_users=150, n_items=80, per_user=12, rank=4)
    from scipy.sparse.linalg import svds

    U, s, Vt = svds(trained.matrix(), k=6, random_state=0)
    p, q = (U * s).astype(np.float32), Vt.T.astype(np.float32)
    test = np.full((trained.n_users, 1), -1)
    test[trained.test_users, 0] = trained.test_items
    triples, size = data.sample_triples(trained, 0), 0.1 if ball == "l2" else 0.04

    def harm(delta):
        return evaluation.metrics(evaluation.top_k(p + delta.user, q + delta.item, trained), trained)["nDCG"]

    still = evaluation.metrics(evaluation.top_k(p, q, trained), trained)["nDCG"]
    bim = harm(perturbations.bim(p, q, triples, size, ball=ball, budget="relative"))
    climbed = harm(next(perturbations.climbing(p, q, triples, size, ball)))
    sunk = harm(next(perturbations.sinking(p, q, trained, test, size, ball)))
    assert sunk < min(bim, climbed) < still
    radii = evaluation.certified_radii(*(form := perturbations.form_of(p, q, "relative"))[:2], trained, ball, units=form.units)
    assert evaluation.certified_metrics(radii, size)["nDCG@10"] <= sunk


def test_climbing_raises_the_loss_of_training_more_than_bim():
    triples = data.sample_triples(SHOP, 0)
    form = perturbations.form_of(P, Q, "relative", triples)

    def loss(delta):
        own = form.forward(delta)
        p, q = form.user + own.user, form.item + own.item
        return np.sum(np.log1p(np.exp(-np.sum(p[triples.users] * (q[triples.positives] - q[triples.negatives]), axis=1))))

    deltas = list(perturbations.climbing(P, Q, triples, 0.2, read_at=(1, 25)))
    bim = perturbations.bim(P, Q, triples, 0.2, ball="l2", budget="relative")
    assert loss(deltas[1]) > loss(deltas[0]) > loss(perturbations.Perturbation(np.zeros_like(P), np.zeros_like(Q)))
    assert loss(deltas[1]) > 0.98 * loss(bim)
    for table, own in zip((form.user, form.item), form.forward(deltas[1])):
        assert np.linalg.norm(own, axis=1).max() <= 0.2 * np.sqrt(np.mean(np.sum(table**2, axis=1))) * (1 + 1e-4)


def test_twins_sink_alike():
    expected = evaluation.top_k(*(x + d for x, d in zip((P, Q), next(perturbations.sinking(P, Q, SHOP, TEST, 0.1)))), SHOP, 5)
    for twin in ((1e4 * P, Q), (P, 1e-4 * Q + 1e-3)):
        p, q = (np.float32(x) for x in twin)
        delta = next(perturbations.sinking(p, q, SHOP, TEST, 0.1))
        lists = evaluation.top_k(np.float64(p) + delta.user, np.float64(q) + delta.item, SHOP, 5)
        assert np.mean(lists != expected) < 0.01


@pytest.mark.parametrize(
    ("how", "message"),
    [({"sunk": TEST[:3]}, "sunk must be items"), ({"sunk": TEST + 100}, "sunk must be items"), ({"ball": "l1"}, "ball must be"),
     ({"epsilon": -1}, "epsilon must be"), ({"read_at": ()}, "iterations must be"), ({"budget": "fair"}, "budget must be")],
)  # fmt: skip
def test_what_cannot_be_is_said(how, message):
    with pytest.raises(ValueError, match=message):
        perturbations.sinking(P, Q, SHOP, **({"sunk": TEST, "epsilon": 0.1} | how))
