"""What the members of an ensemble climb, against losses and attacks written out anew."""

import numpy as np
import pytest
from scipy import sparse
from scipy.special import log_softmax

from advrec_tf import data, evaluation, perturbations
from advrec_tf.robustness import Problem, alone, losses, members

SHOP = data.synthetic(n_users=40, n_items=60, per_user=8, rank=4)
RNG = np.random.default_rng(0)
P, Q = (RNG.standard_normal((n, 5)).astype(np.float32) for n in (SHOP.n_users, SHOP.n_items))
TEST = members.items_of_test(SHOP)
LISTS = evaluation.top_k(P, Q, SHOP, 3)
FORM = perturbations.form_of(P, Q, "relative")
K = 3


def known(user):
    return SHOP.train_items[SHOP.indptr[user] : SHOP.indptr[user + 1]]


def free(user, *more):
    return [item for item in range(SHOP.n_items) if item not in known(user) and item not in more]


def strongest(p, q, sunk):
    """The rivals of every user at p, q, best first."""
    return [sorted(free(user, *sunk[user]), key=lambda item: -float(np.float64(q[item]) @ p[user]))[: losses.RIVALS] for user in range(len(p))]


def pairs(p, q, sunk, rivals):
    """The margins of every user, [n, R] each."""
    scores = np.float64(p) @ np.float64(q).T
    return [scores[u][sunk[u][sunk[u] >= 0]][:, None] - scores[u][rivals[u]][None, :] for u in range(len(p))]


def sinking(p, q, sunk, spread, rivals):
    return sum(np.sum(np.log1p(np.exp(-margins / spread))) for margins in pairs(p, q, sunk, rivals))


def hinge(p, q, sunk, spread, rivals):
    return -sum(np.sum(np.maximum(0, margins[:, K - 1] + losses.SLACK * spread)) for margins in pairs(p, q, sunk, rivals))


def all_rivals(p, q, sunk, spread, masked):
    total = 0.0
    for user in range(len(p)):
        among = free(user) if masked else list(range(SHOP.n_items))
        logs = log_softmax(np.float64(q)[among] @ p[user] / spread)
        total -= sum(logs[among.index(item)] for item in sunk[user] if item >= 0)
    return total


def differences(loss, p, q, places, step=1e-5):
    """The derivative of a loss at places (side, row, column)."""
    found = []
    for side, row, column in places:
        values = []
        for sign in (1, -1):
            tables = [np.float64(p).copy(), np.float64(q).copy()]
            tables[side][row, column] += sign * step
            values.append(loss(*tables))
        found.append((values[0] - values[1]) / (2 * step))
    return found


@pytest.mark.parametrize(("kind", "oracle"), [(losses.Sinking, sinking), (losses.Hinge, hinge)], ids=["sinking", "hinge"])
@pytest.mark.parametrize("sunk", [TEST, LISTS], ids=["test", "lists"])
def test_the_gradient_is_that_of_the_loss(sunk, kind, oracle):
    loss, rivals = kind(FORM, SHOP, sunk, K), strongest(FORM.user, FORM.item, sunk)
    assert loss.spread == pytest.approx(np.concatenate([m.ravel() for m in pairs(FORM.user, FORM.item, sunk, rivals)]).std(), rel=1e-4)
    gradients = [loss.gradient(side, FORM.user, FORM.item) for side in (0, 1)]
    places = [(0, 3, 1), (1, int(rivals[5][2]), 3), *((side, *np.unravel_index(np.abs(g).argmax(), g.shape)) for side, g in enumerate(gradients))]
    expected = differences(lambda p, q: oracle(p, q, sunk, loss.spread, rivals), FORM.user, FORM.item, places)
    np.testing.assert_allclose([gradients[side][row, column] for side, row, column in places], expected, rtol=1e-3, atol=1e-4)
    assert np.any(expected)


@pytest.mark.parametrize("kind", [losses.Sinking, losses.Hinge])
def test_what_is_no_rival_is_none_in_either_table(kind):
    """Users with fewer rivals than are looked for: both gradients come from the same slopes."""
    small = data.synthetic(n_users=15, n_items=12, per_user=7, rank=2)
    p, q = (RNG.standard_normal((n, 3)).astype(np.float32) for n in (15, 12))
    loss = kind(perturbations.form_of(p, q), small, members.items_of_test(small), 10)
    slopes = []
    for side in (0, 1):  # of unit tables in one place of the other: the slopes themselves
        seen = []
        loss._slopes = lambda margins, seen=seen: seen.append(kind._slopes(loss, margins)) or seen[-1]
        loss.gradient(side, p, q)
        slopes.append(seen[0].toarray())
    np.testing.assert_allclose(slopes[0], slopes[1], atol=1e-5)
    known_pairs = small.matrix().toarray() > 0
    assert not slopes[0][known_pairs].any() and np.any(slopes[0]) == (kind is losses.Sinking)  # there is no tenth rival


@pytest.mark.parametrize("masked", [True, False])
def test_the_gradient_of_a_softmax_over_all_rivals(masked):
    sunk = TEST if masked else np.array([np.resize([*known(user)[:3], -1, -1, -1], 3) for user in range(SHOP.n_users)])
    rows, columns = np.nonzero(sunk >= 0)[0], sunk[sunk >= 0]
    matrix = sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), (SHOP.n_users, SHOP.n_items))
    loss = losses.AllRivals(SHOP, matrix, masked, spread=0.5)
    gradients = [loss.gradient(side, FORM.user, FORM.item) / 0.5 for side in (0, 1)]
    places = [(0, 3, 1), (0, 17, 4), (1, int(sunk[3, 0]), 0), (1, 11, 3)]
    expected = differences(lambda p, q: all_rivals(p, q, sunk, 0.5, masked), FORM.user, FORM.item, places)
    np.testing.assert_allclose([gradients[side][row, column] for side, row, column in places], expected, rtol=1e-3, atol=1e-4)


def test_draws_of_negatives_come_in_turn():
    problem = Problem(P, Q, SHOP)
    loss = losses.Pairwise(problem.draws)
    for draw in (*problem.draws, problem.draws[0]):
        users, positives, negatives = (np.asarray(ids) for ids in perturbations.gradient.unchunked(draw))
        slopes = -1 / (1 + np.exp(np.sum(P[users] * (Q[positives] - Q[negatives]), axis=1)))
        expected = np.zeros_like(P)
        np.add.at(expected, users, slopes[:, None] * (Q[positives] - Q[negatives]))
        np.testing.assert_allclose(loss.gradient(0, P, Q), expected, rtol=1e-3, atol=1e-4)
        loss.gradient(1, P, Q)


@pytest.mark.parametrize("ball", ["l2", "linf"])
def test_a_response_is_the_best_in_the_ball(ball):
    scales = np.float32([[1], [1e-28], [1], [1e28]])  # whose squares single precision does not hold
    gradient, size = scales * RNG.standard_normal((4, 5)).astype(np.float32), np.array([[0.3], [1.0], [0.0], [2.0]])
    best = losses.response(gradient, size, ball)
    np.testing.assert_allclose(np.abs(best).max(axis=1) if ball == "linf" else np.linalg.norm(best, axis=1), size[:, 0], rtol=1e-5)
    for _ in range(200):
        other = RNG.uniform(-1, 1, gradient.shape)
        other *= size if ball == "linf" else size / np.maximum(np.linalg.norm(other, axis=1, keepdims=True), 1e-9)
        assert np.all(np.sum(best * gradient, axis=1) >= np.sum(other * gradient, axis=1) * (1 - 1e-5))
    assert not np.any(losses.response(np.zeros((2, 5)), np.ones((1, 1)), ball))


class Linear:
    """The loss <a, P> + <b, Q>."""

    slopes = np.array([[3.0, 4.0], [0.0, 1.0]]), np.array([[-2.0, 0.0]])

    def gradient(self, side, P, Q):
        return self.slopes[side]


def test_responses_by_hand():
    """After one iteration half a response, after two three quarters."""
    form = perturbations.form_of(np.ones((2, 2)), np.ones((1, 2)), "absolute")
    found = list(losses.responses(form, Linear(), form.sizes(1.0), "l2", (0, 1, 2)))
    for delta, share in zip(found, (0, 0.5, 0.75)):
        np.testing.assert_allclose(delta.user, share * np.array([[0.6, 0.8], [0.0, 1.0]]))
        np.testing.assert_allclose(delta.item, [[-share, 0]])


def restated(name, threat, problem, rho, ball):
    """A member written out anew: its losses by finite differences of the oracles above, in double precision.  -> Delta_P, Delta_Q"""
    form, sizes = problem.form, [np.float64(size) for size in problem.form.sizes(rho)]
    sunk = evaluation.top_k(form.user, form.item, SHOP, K) if threat == "lists" else TEST
    clicks = [known(user) for user in range(SHOP.n_users)]
    spread = np.concatenate([m.ravel() for m in pairs(form.user, form.item, sunk, strongest(form.user, form.item, sunk))]).std()
    delta, draws = [np.zeros(x.shape) for x in (form.user, form.item)], list(map(perturbations.gradient.unchunked, problem.draws))
    for turn in range(members.RESPONSES):
        for side in (0, 1):
            p, q = form.user + delta[0], form.item + delta[1]
            if side == 0:
                rivals, at = strongest(p, q, sunk), (p, q)
            if name in ("sinking", "hinge"):
                slopes = slopes_of_pairs(name, pairs(p, q, sunk, rivals), spread, sunk, rivals)
            elif name == "climbing":
                slopes = slopes_of_triples(p, q, draws[turn % len(draws)])
            else:
                p, q = at
                own = clicks if name == "every negative" else [items[items >= 0] for items in sunk]
                slopes = slopes_of_softmax(p, q, own, 1.0 if name == "every negative" else spread, name == "all rivals")
            gradient = slopes @ q if side == 0 else slopes.T @ p
            norms = np.linalg.norm(gradient, axis=1, keepdims=True)
            step = sizes[side] * (np.sign(gradient) if ball == "linf" else np.divide(gradient, norms, out=np.zeros_like(gradient), where=norms > 0))
            delta[side] = np.where(norms > 0, (delta[side] + step) / 2, delta[side])
    return delta


def slopes_of_pairs(name, margins, spread, sunk, rivals):
    slopes = np.zeros((SHOP.n_users, SHOP.n_items))
    for user, own in enumerate(margins):
        for a, item in enumerate(sunk[user][sunk[user] >= 0]):
            for b, rival in enumerate(rivals[user]):
                weight = 1 / (1 + np.exp(own[a, b] / spread)) if name == "sinking" else float(b == K - 1 and own[a, b] > -losses.SLACK * spread)
                slopes[user, item] -= weight
                slopes[user, rival] += weight
    return slopes


def slopes_of_triples(p, q, triples):
    slopes = np.zeros((SHOP.n_users, SHOP.n_items))
    for user, item, negative in zip(*triples):
        weight = 1 / (1 + np.exp(p[user] @ (q[item] - q[negative])))
        slopes[user, item] -= weight
        slopes[user, negative] += weight
    return slopes


def slopes_of_softmax(p, q, own, spread, masked):
    slopes = np.zeros((SHOP.n_users, SHOP.n_items))
    for user in range(SHOP.n_users):
        among = free(user) if masked else list(range(SHOP.n_items))
        slopes[user, among] = len(own[user]) * np.exp(log_softmax(q[among] @ p[user] / spread))
        slopes[user, own[user]] -= 1
    return slopes


RESTATED = [(threat, name) for threat, own in members.MEMBERS.items() for name in own if name not in ("noise", "bim", "pgd")]


@pytest.mark.parametrize(("threat", "name"), RESTATED)
def test_a_member_is_what_it_is_said_to_be(threat, name):
    """In the l2 ball, where no rounding turns a sign; harm and direction, as rivals that all but tie may change places."""
    problem = Problem(P, Q, SHOP, k=K)
    delta = members.MEMBERS[threat][name](problem, 0.1, "l2")
    for own, expected in zip(delta, restated(name, threat, problem, 0.1, "l2")):
        assert np.sum(own * expected) / (np.linalg.norm(own) * np.linalg.norm(expected)) > 0.999
        assert np.linalg.norm(own) == pytest.approx(np.linalg.norm(expected), rel=1e-2)


@pytest.mark.parametrize("name", ["bim", "pgd"])
def test_bim_and_pgd_are_those_of_the_paper(name):
    problem = Problem(P, Q, SHOP, seed=3)
    own = problem.form.back(members.MEMBERS["train"][name](problem, 0.1, "l2"))
    more = {"seed": 3, "init_range": 0.1} if name == "pgd" else {}
    expected = getattr(perturbations, name)(P, Q, data.sample_triples(SHOP, 3), 0.1, ball="l2", budget="relative", **more)
    for one, other in zip(own, expected):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("ball", ["l2", "linf"])
@pytest.mark.parametrize(("threat", "name"), [(threat, name) for threat, own in members.MEMBERS.items() for name in own])
def test_every_member_stays_in_its_ball(threat, name, ball):
    problem = Problem(P, Q, SHOP, k=K)
    delta = members.MEMBERS[threat][name](problem, 0.2, ball)
    lengths = [
        (np.abs(part).max(axis=1) if ball == "linf" else np.linalg.norm(part, axis=1)) / size[0] for part, size in zip(delta, problem.form.sizes(0.2))
    ]
    assert max(part.max() for part in lengths) <= 1 + 1e-5 and max(part.max() for part in lengths) > 0.4


@pytest.mark.parametrize("ball", ["l2", "linf"])
def test_a_user_alone_loses_more_than_among_others_and_no_more_than_any_attack_could(ball):
    problem, rho = Problem(P, Q, SHOP), 0.1 if ball == "l2" else 0.04
    sizes = problem.form.sizes(rho)
    ranks = alone(problem.form, SHOP, sizes, ball, 10)
    delta = members.MEMBERS["test"]["sinking"](problem, rho, ball)
    shared = evaluation.ranks_of_test_items(problem.form.user + delta.user, problem.form.item + delta.item, SHOP)
    assert ranks.mean() > shared.mean() and np.all(ranks >= evaluation.ranks_of_test_items(problem.form.user, problem.form.item, SHOP))
    radii = evaluation.certified_radii(problem.form.user, problem.form.item, SHOP, ball, 60, problem.form.units)
    assert np.all(ranks <= 1 + np.sum(radii <= rho * (1 + 1e-5), axis=1))


def test_a_user_alone_by_brute_force():
    """Every direction and length of a user's row: the search finds no more than there is, and nearly always that."""
    small, agree = data.Interactions.from_frames(*frames()), []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        form = perturbations.form_of(rng.standard_normal((2, 2)), rng.standard_normal((small.n_items, 2)), "absolute")
        found = alone(form, small, (np.float32([[0.3]]), np.float32([[0.2]])), "l2", 10)
        for row, (user, item) in enumerate(zip(small.test_users, small.test_items)):
            worst = 0
            for angle in np.linspace(0, 2 * np.pi, 400):
                for length in np.linspace(0, 0.3, 7):
                    moved = form.user[user] + length * np.array([np.cos(angle), np.sin(angle)])
                    away = 0.2 * moved / np.linalg.norm(moved)
                    train = small.train_items[small.indptr[user] : small.indptr[user + 1]]
                    rivals = [j for j in range(small.n_items) if j != item and j not in train]
                    worst = max(worst, 1 + sum((form.item[j] + away) @ moved >= (form.item[item] - away) @ moved for j in rivals))
            assert found[row] <= worst
            agree.append(found[row] == worst)
    assert np.mean(agree) >= 0.8


def frames():
    import pandas as pd

    train = pd.DataFrame([(user, item) for user in (0, 1) for item in range(2)] + [(0, 2 + n) for n in range(7)], columns=["user", "item"])
    return train, pd.DataFrame([(0, 9), (1, 5)], columns=["user", "item"])
