from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advrec_tf import data, evaluation, perturbations
from advrec_tf.evaluation import certificate


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
    attacks = [
        (shift(rng, P.shape, epsilon, ball), shift(rng, Q.shape, epsilon, ball)) for _ in range(10)
    ]
    attacks.append(perturbations.bim(P, Q, data.sample_triples(built, seed), epsilon, 8, ball=ball))
    for user, item in attacks:
        for name, value in reached(
            P + user.astype(np.float64), Q + item.astype(np.float64), built
        ).items():
            assert value >= bound[name] - 1e-12


@pytest.mark.parametrize("ball", ["l2", "linf"])
@pytest.mark.parametrize("seed", range(5))
def test_without_a_budget_it_is_the_metric_itself(seed, ball):
    P, Q, built = problem(seed)
    P, Q = P.astype(np.float64), Q.astype(np.float64)
    radii = evaluation.certified_radii(P, Q, built, ball, 5)
    assert evaluation.certified_metrics(radii, 0.0) == pytest.approx(reached(P, Q, built))
    assert evaluation.certified_metrics(radii, 1e6) == {"HR@5": 0, "nDCG@5": 0}


def one_rival(seed):
    """One user, a test item and one rival: the smallest radius is that rival's."""
    rng = np.random.default_rng(seed)
    import pandas as pd

    frames = [pd.DataFrame(rows, columns=["user", "item"]) for rows in ([(0, 0)], [(0, 1)])]
    frames[0].loc[1] = (1, 2)
    built = data.Interactions.from_frames(*frames)
    P, Q = rng.normal(size=(2, 3)), rng.normal(size=(3, 3))
    if P[0] @ (Q[1] - Q[2]) < 0:
        P[0] *= -1
    return P, Q, built


@pytest.mark.parametrize("seed", range(20))
def test_the_l2_radius_is_exact_for_one_rival(seed):
    """A search over directions finds a perturbation just above the radius that turns the margin, and none just below."""
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
    """The least margin over all corners of both boxes is positive just below the radius, and negative just above; every row has a unit of its own."""
    P, Q, built = one_rival(seed)
    units = (
        np.random.default_rng(seed).uniform(0.5, 2, 2),
        np.random.default_rng(seed + 1).uniform(0.5, 2, 3),
    )
    radius = evaluation.certified_radii(P, Q, built, "linf", 1, units)[0, 0]
    corners = np.array(list(product([-1.0, 1.0], repeat=3)))

    def lowest(epsilon):
        users, differences = (
            P[0] + epsilon * units[0][0] * corners,
            Q[1] - Q[2] + epsilon * (units[1][1] + units[1][2]) * corners,
        )
        return (users @ differences.T).min()

    assert lowest(radius * (1 - 1e-6)) > 0 > lowest(radius * (1 + 1e-6))


@pytest.mark.parametrize("ball", ["l2", "linf"])
def test_rows_may_have_units_of_their_own(ball):
    """A number for all rows is the same as factors over it; rows' own units are kept by the perturbations that the bound holds against."""
    P, Q, built = problem(3)
    plain = evaluation.certified_radii(P, Q, built, ball, 5)
    np.testing.assert_allclose(
        evaluation.certified_radii(2 * np.float64(P), 5 * np.float64(Q), built, ball, 5, (2, 5)),
        plain,
        rtol=1e-9,
    )
    rng = np.random.default_rng(0)
    units = rng.uniform(0.2, 3, (len(P), 1)), rng.uniform(0.2, 3, (len(Q), 1))
    radii = evaluation.certified_radii(P, Q, built, ball, 5, units)
    for epsilon in (0.02, 0.1, 0.3):
        bound = evaluation.certified_metrics(radii, epsilon)
        for _ in range(30):
            moved = (
                np.float64(x) + unit * shift(rng, x.shape, epsilon, ball)
                for x, unit in zip((P, Q), units)
            )
            assert all(
                value >= bound[name] - 1e-12 for name, value in reached(*moved, built).items()
            )


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    ball=st.sampled_from(["l2", "linf"]),
    k=st.integers(1, 6),
    scale=st.sampled_from([1e-9, 1.0, 1e9]),
)
def test_single_precision_leaves_out_no_rival_that_is_near(seed, ball, k, scale):
    """Items of any size, nearly equal ones, users without a direction: the k smallest of what every rival has alone."""
    rng = np.random.default_rng(seed)
    built = data.synthetic(n_users=6, n_items=40, per_user=4, seed=seed % 20)
    P, Q = (
        rng.normal(size=(n, 3)) * rng.choice([1e-5, 1, 30], (n, 1)) * scale
        for n in (built.n_users, built.n_items)
    )
    Q[1::2] = Q[: len(Q) - 1 : 2][: len(Q[1::2])] * (1 + 1e-6 * rng.normal(size=(len(Q[1::2]), 3)))
    P[0] = 0
    units = rng.uniform(0.1, 2, (len(P), 1)) * scale, rng.uniform(0.1, 2, (len(Q), 1)) * scale
    found = evaluation.certified_radii(P, Q, built, ball, k, units)
    every = evaluation.certified_radii(
        P, Q, built, ball, built.n_items, units
    )  # all are looked at in double precision
    np.testing.assert_array_equal(found, every[:, :k])
    if ball == "l2":
        wanted = np.full((len(P), built.n_items), np.inf)
        for row, (user, own) in enumerate(zip(built.test_users, built.test_items)):
            p, known = (
                P[user] / units[0][user],
                built.train_items[built.indptr[user] : built.indptr[user + 1]],
            )
            for rival in set(range(built.n_items)) - {own, *known}:
                d, s, r = (
                    Q[own] - Q[rival],
                    units[1][own, 0] + units[1][rival, 0],
                    np.linalg.norm(p),
                )
                m = p @ d / r if r else 0
                wanted[row, rival] = (
                    r * m / np.hypot(m, np.sqrt(max(d @ d - m * m, 0)) + s * r) if m > 0 else 0
                )
        np.testing.assert_allclose(every, np.sort(wanted, axis=1), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("dim", [1, 3, 128, 600])
def test_what_single_precision_says_is_never_above_the_truth(dim, seed):
    """Of clusters of items that are nearly equal, items along a user, rows that may not move: against long doubles."""
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
    found = certificate._least_ratios(p, items, certificate._Shelf.of(Q, units))
    assert found.dtype == np.float32
    user, item = p.astype(np.longdouble)[:, None], Q.astype(np.longdouble)
    d = item[items][:, None] - item[None]
    r, s = np.sqrt(np.sum(user**2, axis=2)), (units[items][:, None] + units).astype(np.longdouble)
    m = np.divide(
        np.sum(user * d, axis=2), r, out=np.zeros(found.shape, np.longdouble), where=r > 0
    )
    h = np.sqrt(np.maximum(np.sum(d**2, axis=2) - m**2, 0))
    least = found.astype(np.longdouble) * (1 - 16 * certificate._ROUNDING)
    assert np.all(np.where(found > 0, least * (h + s * r), -np.inf) <= np.where(m > 0, m, 0))
    assert np.mean(found > 0) > 0.2  # it does say something


def test_rivals_beyond_the_first_candidates_are_looked_at():
    """Bounds that put the nearest rivals last: the search goes on until no rival that was left out can be nearer."""
    P, Q, built = problem(5, dim=6)
    own = evaluation.certified_radii(P, Q, built, "linf", 1)
    every = evaluation.certified_radii(P, Q, built, "linf", built.n_items)
    np.testing.assert_array_equal(own[:, 0], every[:, 0])


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("ball", ["l2", "linf"])
def test_it_is_at_least_the_bound_of_three_terms(seed, ball):
    P, Q, built = one_rival(seed)
    radius = evaluation.certified_radii(P, Q, built, ball, 1)[0, 0]
    p, d = P[0], Q[1] - Q[2]
    order, quadratic = (2, 2) if ball == "l2" else (1, 2 * len(p))
    linear = np.linalg.norm(d, order) + 2 * np.linalg.norm(p, order)
    assert (
        radius
        >= (np.sqrt(linear**2 + 4 * quadratic * (p @ d)) - linear) / (2 * quadratic) - 1e-12
        > 0
    )


def test_bad_arguments_are_told():
    P, Q, built = problem(0)
    with pytest.raises(ValueError, match="l2 or linf"):
        evaluation.certified_radii(P, Q, built, "l1")
    from dataclasses import replace

    twice = replace(built, test_users=np.zeros_like(built.test_users))
    with pytest.raises(ValueError, match="one test item"):
        evaluation.certified_radii(P, Q, twice)


# By hand


def test_certified_metrics_count_a_radius_that_is_just_reached():
    radii = np.array([[0.1, 0.2], [0.3, np.inf]])
    second = 1 / np.log2(3)
    for epsilon, hits, gain in (
        (0.09, 2, 2),
        (0.1, 2, 1 + second),
        (0.2, 1, 1),
        (0.3, 1, second),
        (9.0, 1, second),
    ):
        assert evaluation.certified_metrics(radii, epsilon) == pytest.approx(
            {"HR@2": hits / 2, "nDCG@2": gain / 2}
        )


def shelf(*rivals, p, test):
    """One user with a test item (the first) and rivals, beside an item that the user knows; -> P, Q, data"""
    frames = (
        pd.DataFrame(
            {"user": [0, *[1] * len(rivals)], "item": [len(rivals) + 1, *range(1, len(rivals) + 1)]}
        ),
        pd.DataFrame({"user": [0], "item": [0]}),
    )
    known = 100 * np.array(p)  # it would be above all, and is no rival
    return (
        np.array([p, np.zeros(len(p))]),
        np.array([test, *rivals, known]),
        data.Interactions.from_frames(*frames),
    )


def test_radii_by_hand():
    """p = (1, 0) and d = (2, 0): the cone of 45 degrees around p is at distance sqrt 2 = 2 epsilon from d."""
    built = shelf([-1.0, 0.0], p=[1.0, 0.0], test=[1.0, 0.0])
    assert evaluation.certified_radii(*built, "l2", 1) == pytest.approx(np.sqrt([[1 / 2]]))
    assert evaluation.certified_radii(*built, "linf", 1) == pytest.approx(
        np.array([[1 / 2]])
    )  # over sqrt(2): more than the three terms


def test_a_radius_under_element_wise_budgets_by_hand():
    """p = (1, 0, 0, 0), d = (.1, -1, 0, 0): corners at (1 - e) (.1 - 2 e), e (-1 - 2 e), -2 e^2 and -2 e^2 add up to .1 - 3.1 e - 4 e^2."""
    built = shelf([-0.1, 1.0, 0.0, 0.0], p=[1.0, 0.0, 0.0, 0.0], test=[0.0, 0.0, 0.0, 0.0])
    root = evaluation.certified_radii(*built, "linf", 1).item()
    assert 0.1 - 3.1 * root - 4 * root**2 == pytest.approx(0, abs=1e-11)
    assert evaluation.certified_radii(*built, "l2", 1).item() == pytest.approx(
        0.1 / np.sqrt(0.01 + 9)
    )


@pytest.mark.parametrize("ball", ["l2", "linf"])
def test_the_smallest_radii_come_first(ball):
    """Rivals on a line, the nearest above the test item: radius 0, then growing, then none for what the user knows and the test item itself."""
    built = shelf([-3.0, 0.0], [2.0, 0.0], [0.0, 0.0], [-1.0, 0.0], p=[1.0, 0.0], test=[1.0, 0.0])
    radii = evaluation.certified_radii(*built, ball, 6)[0]
    alone = [
        evaluation.certified_radii(*shelf([at, 0.0], p=[1.0, 0.0], test=[1.0, 0.0]), ball, 1).item()
        for at in (2.0, 0.0, -1.0, -3.0)
    ]
    assert alone == sorted(alone) and alone[0] == 0 < alone[1]
    np.testing.assert_allclose(radii, [*alone, np.inf, np.inf])
    for k in (1, 3):
        np.testing.assert_allclose(evaluation.certified_radii(*built, ball, k)[0], radii[:k])
