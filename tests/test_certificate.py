"""Certified radii against searches, long doubles and values by hand."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advrec_tf import data, evaluation, perturbations
from advrec_tf.evaluation import certificate

from handmade import interactions


def problem(seed, dim=4):
    rng = np.random.default_rng(seed)
    built = data.synthetic(n_users=15, n_items=20, per_user=6, seed=seed % 50)
    P, Q = (
        rng.normal(0, rng.choice([0.1, 1, 3]), (n, dim)) for n in (built.n_users, built.n_items)
    )
    return P.astype(np.float32), Q.astype(np.float32), built


def shift(rng, shape, epsilon, ball):
    """A perturbation on the edge of the ball."""
    if ball == "linf":
        return epsilon * rng.choice([-1.0, 1.0], shape)
    rows = rng.normal(size=shape)
    return epsilon * rows / np.linalg.norm(rows, axis=1, keepdims=True)


def reached(P, Q, built, k=5):
    return evaluation.rank_metrics(evaluation.ranks_of_test_items(P, Q, built), k)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), epsilon=st.floats(1e-3, 1), ball=st.sampled_from(["l2", "linf"]))
def test_no_random_or_gradient_perturbation_breaks_it(seed, epsilon, ball):
    P, Q, built = problem(seed)
    rng = np.random.default_rng(seed)
    bound = evaluation.certified_metrics(evaluation.certified_radii(P, Q, built, ball, 5), epsilon)
    attacks = [[shift(rng, x.shape, epsilon, ball) for x in (P, Q)] for _ in range(10)]
    attacks.append(perturbations.bim(P, Q, data.sample_triples(built, seed), epsilon, 8, ball=ball))
    for user, item in attacks:
        values = reached(P + user.astype(np.float64), Q + item.astype(np.float64), built)
        assert all(value >= bound[name] - 1e-12 for name, value in values.items())


@pytest.mark.parametrize("ball", ["l2", "linf"])
@pytest.mark.parametrize("seed", range(5))
def test_at_epsilon_0_it_is_the_metric_itself(seed, ball):
    P, Q, built = problem(seed)
    P, Q = P.astype(np.float64), Q.astype(np.float64)
    radii = evaluation.certified_radii(P, Q, built, ball, 5)
    assert evaluation.certified_metrics(radii, 0.0) == pytest.approx(reached(P, Q, built))
    assert evaluation.certified_metrics(radii, 1e6) == {"HR@5": 0, "nDCG@5": 0}


def one_rival(seed):
    """One user, a test item and one rival: the smallest radius is that rival's."""
    rng = np.random.default_rng(seed)
    built = interactions([(0, 0), (1, 2)], [(0, 1)])
    P, Q = rng.normal(size=(2, 3)), rng.normal(size=(3, 3))
    if P[0] @ (Q[1] - Q[2]) < 0:
        P[0] *= -1
    return P, Q, built


@pytest.mark.parametrize("seed", range(20))
def test_the_l2_radius_is_exact_for_one_rival(seed):
    """A search over directions turns the margin just above the radius, and not just below."""
    P, Q, built = one_rival(seed)
    radius = evaluation.certified_radii(P, Q, built, "l2", 1)[0, 0]
    p, d = P[0], Q[1] - Q[2]
    rng = np.random.default_rng(0)

    def lowest(epsilon):
        # For a given e the best a is -epsilon w / |w|; descend over e from many starts.
        best = np.inf
        for e in rng.normal(size=(30, 3)):
            e *= 2 * epsilon / np.linalg.norm(e)
            for _ in range(300):
                w = d + e
                e = e - 0.05 * epsilon * (p - epsilon * w / np.linalg.norm(w)) / np.linalg.norm(p)
                e *= min(1, 2 * epsilon / np.linalg.norm(e))
            w = d + e
            best = min(best, p @ w - epsilon * np.linalg.norm(w))
        return best

    assert lowest(0.98 * radius) > 0 > lowest(1.02 * radius)


@pytest.mark.parametrize("seed", range(20))
def test_the_linf_radius_is_exact_for_one_rival(seed):
    """The least margin over all corners of both boxes changes its sign at the radius."""
    P, Q, built = one_rival(seed)
    users, items = (np.random.default_rng(seed + n).uniform(0.5, 2, 2 + n) for n in (0, 1))
    radius = evaluation.certified_radii(P, Q, built, "linf", 1, (users, items))[0, 0]
    corners = np.array(list(product([-1.0, 1.0], repeat=3)))

    def lowest(epsilon):
        differences = Q[1] - Q[2] + epsilon * (items[1] + items[2]) * corners
        return ((P[0] + epsilon * users[0] * corners) @ differences.T).min()

    assert lowest(radius * (1 - 1e-6)) > 0 > lowest(radius * (1 + 1e-6))


@pytest.mark.parametrize("ball", ["l2", "linf"])
def test_rows_may_have_units_of_their_own(ball):
    """One unit for all rows divides the factors; the bound holds in the units of the rows."""
    P, Q, built = problem(3)
    P, Q = P.astype(np.float64), Q.astype(np.float64)
    plain = evaluation.certified_radii(P, Q, built, ball, 5)
    scaled = evaluation.certified_radii(2 * P, 5 * Q, built, ball, 5, (2, 5))
    np.testing.assert_allclose(scaled, plain, rtol=1e-9)
    rng = np.random.default_rng(0)
    units = rng.uniform(0.2, 3, (len(P), 1)), rng.uniform(0.2, 3, (len(Q), 1))
    radii = evaluation.certified_radii(P, Q, built, ball, 5, units)
    for epsilon in (0.02, 0.1, 0.3):
        bound = evaluation.certified_metrics(radii, epsilon)
        for _ in range(30):
            moved = (
                x + unit * shift(rng, x.shape, epsilon, ball) for x, unit in zip((P, Q), units)
            )
            values = reached(*moved, built)
            assert all(value >= bound[name] - 1e-12 for name, value in values.items())


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    ball=st.sampled_from(["l2", "linf"]),
    k=st.integers(1, 6),
    scale=st.sampled_from([1e-9, 1.0, 1e9]),
)
def test_single_precision_leaves_out_no_rival_that_is_near(seed, ball, k, scale):
    """Items of any size, nearly equal ones, a user of norm 0: radii as of every rival alone."""
    rng = np.random.default_rng(seed)
    built = data.synthetic(n_users=6, n_items=40, per_user=4, seed=seed % 20)
    P, Q = (
        rng.normal(size=(n, 3)) * rng.choice([1e-5, 1, 30], (n, 1)) * scale
        for n in (built.n_users, built.n_items)
    )
    Q[1::2] = Q[: len(Q) - 1 : 2][: len(Q[1::2])] * (1 + 1e-6 * rng.normal(size=(len(Q[1::2]), 3)))
    P[0] = 0
    units = rng.uniform(0.1, 2, (len(P), 1)) * scale, rng.uniform(0.1, 2, (len(Q), 1)) * scale
    nearest = evaluation.certified_radii(P, Q, built, ball, k, units)
    # With all rivals asked for, all are computed in double precision.
    every = evaluation.certified_radii(P, Q, built, ball, built.n_items, units)
    np.testing.assert_array_equal(nearest, every[:, :k])
    if ball == "l2":
        expected = np.sort(l2_radii_of_all_rivals(P / units[0], Q, units[1][:, 0], built), axis=1)
        np.testing.assert_allclose(every, expected, rtol=1e-9, atol=1e-15)


def l2_radii_of_all_rivals(P, Q, units, built):
    """The l2 radii [U, I] of every rival alone, infinite for known items and the test item."""
    radii = np.full((built.n_users, built.n_items), np.inf)
    for row, (user, item) in enumerate(zip(built.test_users, built.test_items)):
        known = built.train_items[built.train_users == user]
        for rival in set(range(built.n_items)) - {item, *known}:
            d, s, r = Q[item] - Q[rival], units[item] + units[rival], np.linalg.norm(P[user])
            m = P[user] @ d / r if r else 0
            h = np.sqrt(max(d @ d - m * m, 0))
            radii[row, rival] = r * m / np.hypot(m, h + s * r) if m > 0 else 0
    return radii


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("dim", [1, 3, 128, 600])
def test_what_single_precision_says_is_never_above_the_truth(dim, seed):
    """Nearly equal items, items along a user and rows of unit 0, against long doubles."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(8, dim)) * rng.choice([1e-3, 1, 30], (8, 1))
    p = np.concatenate(
        [centres[:4] * rng.uniform(0.1, 9, (4, 1)), rng.normal(size=(8, dim)), np.zeros((1, dim))]
    )
    Q = np.repeat(centres, 6, axis=0) + 10.0 ** rng.integers(-9, -2, (48, 1)) * rng.normal(
        size=(48, dim)
    )
    units = rng.choice([0.0, 1e-3, 1.0], 48)
    items = rng.integers(0, 48, len(p))
    ratios = certificate.least_ratios(p, items, certificate.Catalogue(Q, units))
    assert ratios.dtype == np.float32
    user, item = p.astype(np.longdouble)[:, None], Q.astype(np.longdouble)
    d = item[items][:, None] - item[None]
    r, s = np.sqrt(np.sum(user**2, axis=2)), (units[items][:, None] + units).astype(np.longdouble)
    zeros = np.zeros(ratios.shape, np.longdouble)
    m = np.divide(np.sum(user * d, axis=2), r, out=zeros, where=r > 0)
    h = np.sqrt(np.maximum(np.sum(d**2, axis=2) - m**2, 0))
    least = ratios.astype(np.longdouble) * (1 - 16 * certificate.ROUNDING)
    assert np.all(np.where(ratios > 0, least * (h + s * r), -np.inf) <= np.where(m > 0, m, 0))
    assert np.mean(ratios > 0) > 0.2  # most bounds are not vacuous


def test_rivals_beyond_the_first_candidates_are_looked_at():
    """The search goes on until no rival that was left out can be nearer."""
    P, Q, built = problem(5, dim=6)
    nearest = evaluation.certified_radii(P, Q, built, "linf", 1)
    every = evaluation.certified_radii(P, Q, built, "linf", built.n_items)
    np.testing.assert_array_equal(nearest[:, 0], every[:, 0])


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("ball", ["l2", "linf"])
def test_it_is_at_least_the_bound_of_three_terms(seed, ball):
    P, Q, built = one_rival(seed)
    radius = evaluation.certified_radii(P, Q, built, ball, 1)[0, 0]
    p, d = P[0], Q[1] - Q[2]
    order, quadratic = (2, 2) if ball == "l2" else (1, 2 * len(p))
    linear = np.linalg.norm(d, order) + 2 * np.linalg.norm(p, order)
    bound = (np.sqrt(linear**2 + 4 * quadratic * (p @ d)) - linear) / (2 * quadratic)
    assert radius >= bound - 1e-12 > 0


def test_bad_arguments_are_refused():
    P, Q, built = problem(0)
    with pytest.raises(ValueError, match="l2 or linf"):
        evaluation.certified_radii(P, Q, built, "l1")
    twice = replace(built, test_users=np.zeros_like(built.test_users))
    with pytest.raises(ValueError, match="one test item"):
        evaluation.certified_radii(P, Q, twice)


# By hand


def test_certified_metrics_count_a_radius_that_is_just_reached():
    radii = np.array([[0.1, 0.2], [0.3, np.inf]])
    second = 1 / np.log2(3)
    expected = {0.09: (2, 2), 0.1: (2, 1 + second), 0.2: (1, 1), 0.3: (1, second), 9.0: (1, second)}
    for epsilon, (hits, gain) in expected.items():
        bound = evaluation.certified_metrics(radii, epsilon)
        assert bound == pytest.approx({"HR@2": hits / 2, "nDCG@2": gain / 2})


def one_user(*rivals, p, test):
    """Return P, Q and data of one user with a test item (the first), rivals and a known item."""
    n = len(rivals)
    built = interactions([(0, n + 1), *((1, item) for item in range(1, n + 1))], [(0, 0)])
    known = 100 * np.array(p)  # it would be above all, and is no rival
    return np.array([p, np.zeros(len(p))]), np.array([test, *rivals, known]), built


def test_radii_by_hand():
    """p = (1, 0), d = (2, 0): the cone of 45 degrees has the distance sqrt 2 = 2 epsilon."""
    built = one_user([-1.0, 0.0], p=[1.0, 0.0], test=[1.0, 0.0])
    assert evaluation.certified_radii(*built, "l2", 1) == pytest.approx(np.sqrt([[1 / 2]]))
    assert evaluation.certified_radii(*built, "linf", 1) == pytest.approx(np.array([[1 / 2]]))


def test_an_linf_radius_by_hand():
    """p = (1, 0, 0, 0), d = (.1, -1, 0, 0): the least margin is .1 - 3.1 e - 4 e^2.

    The elements contribute (1 - e) (.1 - 2 e), e (-1 - 2 e), -2 e^2 and -2 e^2.
    """
    built = one_user([-0.1, 1.0, 0.0, 0.0], p=[1.0, 0.0, 0.0, 0.0], test=[0.0, 0.0, 0.0, 0.0])
    root = evaluation.certified_radii(*built, "linf", 1).item()
    assert 0.1 - 3.1 * root - 4 * root**2 == pytest.approx(0, abs=1e-11)
    radius = evaluation.certified_radii(*built, "l2", 1).item()
    assert radius == pytest.approx(0.1 / np.sqrt(0.01 + 9))


@pytest.mark.parametrize("ball", ["l2", "linf"])
def test_the_smallest_radii_come_first(ball):
    """Rivals on a line, the nearest above the test item; the two that are no rivals come last."""
    line = [2.0, 0.0, -1.0, -3.0]
    built = one_user(*([x, 0.0] for x in reversed(line)), p=[1.0, 0.0], test=[1.0, 0.0])
    alone = [
        evaluation.certified_radii(*one_user([x, 0.0], p=[1.0, 0.0], test=[1.0, 0.0]), ball, 1)
        for x in line
    ]
    expected = [*np.ravel(alone), np.inf, np.inf]
    assert expected == sorted(expected) and expected[0] == 0 < expected[1]
    for k in (1, 3, 6):
        radii = evaluation.certified_radii(*built, ball, k)[0]
        np.testing.assert_allclose(radii, expected[:k])
