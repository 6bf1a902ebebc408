"""Canonical form and relative epsilons: no scale, basis or shift of factors changes an attack."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advrec_tf import data, evaluation, perturbations

INTERACTIONS = data.synthetic(n_users=60, n_items=50, per_user=8, rank=4)
TRIPLES = data.sample_triples(INTERACTIONS, 0)
RNG = np.random.default_rng(0)
P, Q = (
    RNG.standard_normal((n, 6)).astype(np.float32)
    for n in (INTERACTIONS.n_users, INTERACTIONS.n_items)
)
A = RNG.standard_normal((6, 6)) + 3 * np.eye(6)
TWINS = {
    "times 1e-6": (1e-6 * P, Q),
    "times 1e6": (1e6 * P, Q),
    "both times 1e3": (1e3 * P, 1e3 * Q),
    "another basis": (P @ A, Q @ np.linalg.inv(A).T),
    "shifted": (P, Q + RNG.standard_normal(6)),
    "a column of zeros": (np.pad(P, ((0, 0), (0, 1))), np.pad(Q, ((0, 0), (0, 1)))),
}
ATTACKS = {
    "noise": lambda p, q, unit: perturbations.noise(p, q, 0.2, seed=1, unit=unit),
    "fgsm": lambda p, q, unit: perturbations.fgsm(p, q, TRIPLES, 0.2, unit=unit),
    "bim": lambda p, q, unit: perturbations.bim(p, q, TRIPLES, 0.2, 4, unit=unit),
    "bim in the l2 ball": lambda p, q, unit: perturbations.bim(
        p, q, TRIPLES, 0.2, 4, ball="l2", unit=unit
    ),
    "pgd": lambda p, q, unit: perturbations.pgd(p, q, TRIPLES, 0.2, 4, seed=1, unit=unit),
}


def scores(p, q, delta=None) -> np.ndarray:
    """Return each user's scores less their mean, of standard deviation one in all."""
    p, q = np.float64(p), np.float64(q)
    if delta is not None:
        p, q = p + delta.user, q + delta.item
    products = p @ q.T
    products -= products.mean(axis=1, keepdims=True)
    return products / products.std()


def test_the_canonical_form_has_the_same_lists_and_balanced_tables():
    """Columns are orthogonal, and their squared norms are the singular values."""
    user, item = perturbations.canonical(P, Q)
    np.testing.assert_allclose(scores(user, item), scores(P, Q), atol=1e-5)
    np.testing.assert_allclose(item.mean(axis=0), 0, atol=1e-6)
    values = np.linalg.svd(np.float64(P) @ (Q - Q.mean(axis=0)).T, compute_uv=False)[:6]
    for table in (user, item):
        np.testing.assert_allclose(table.T @ table, np.diag(values), atol=1e-4 * values[0])


@pytest.mark.parametrize("twin", [name for name in TWINS if "zeros" not in name])
def test_twins_have_one_canonical_form_up_to_scale(twin):
    for table, other in zip(perturbations.canonical(P, Q), perturbations.canonical(*TWINS[twin])):
        expected = table / np.linalg.norm(table)
        np.testing.assert_allclose(other / np.linalg.norm(other), expected, atol=2e-6)


@pytest.mark.parametrize("scale", [1e-6, 0.1, 3, 1e6])
def test_the_quantized_form_of_twins_has_the_same_bytes(scale):
    user, item = np.float64(P), np.float64(Q)
    twins = (
        (scale * user, item),
        (scale * user, item / 10),
        (user @ A * scale, item @ np.linalg.inv(A).T),
        (user, scale * (item + RNG.random(6))),
    )
    for twin in twins:
        pairs = zip(
            perturbations.quantized_canonical(P, Q), perturbations.quantized_canonical(*twin)
        )
        for table, other in pairs:
            assert table.dtype == np.float32 and table.tobytes() == other.tobytes()


def test_the_quantized_form_has_the_same_lists_in_whole_steps():
    """A step is a power of two; a column's largest number has 2 ** 22 to 2 ** 23 of them."""
    tables = perturbations.quantized_canonical(P, Q)
    np.testing.assert_allclose(scores(*tables), scores(P, Q), atol=1e-4)
    for table in tables:
        steps = table / np.exp2(np.floor(np.log2(np.abs(table).max(axis=0))) - 22)
        np.testing.assert_array_equal(steps, np.round(steps))
        assert (np.abs(steps).max(axis=0) >= 2**22).all() and steps.max() > 2**22
        assert np.linalg.norm(table, 2) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("rank", [1, 3, 6, 9])
def test_factors_of_a_lower_rank_are_the_closest(rank):
    centred = np.float64(P) @ (Q - Q.mean(axis=0)).T
    U, values, Vt = np.linalg.svd(centred, full_matrices=False)
    user, item = perturbations.truncate(P, Q, rank)
    assert user.shape[1] == item.shape[1] == min(rank, 6)
    expected = (U[:, :rank] * values[:rank]) @ Vt[:rank]
    np.testing.assert_allclose(np.float64(user) @ item.T, expected, atol=1e-5 * values[0])


@pytest.mark.parametrize("unit", ["relative", "row"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_twins_suffer_alike(attack, unit):
    expected = scores(P, Q, ATTACKS[attack](P, Q, unit))
    assert np.abs(expected - scores(P, Q)).max() > 0.05
    for name, (p, q) in TWINS.items():
        delta = ATTACKS[attack](np.float32(p), np.float32(q), unit)
        np.testing.assert_allclose(scores(p, q, delta), expected, atol=2e-3, err_msg=name)


@pytest.mark.parametrize("unit", perturbations.UNITS)
def test_a_factor_on_one_user_matters_in_all_units_but_row(unit):
    p = P.copy()
    p[3] *= 50
    lists = []
    for user in (P, p):
        delta = ATTACKS["bim"](user, Q, unit)
        lists.append(evaluation.top_k(user + delta.user, Q + delta.item, INTERACTIONS, 10))
    assert np.any(lists[0] != lists[1]) == (unit != "row")


@pytest.mark.parametrize("unit", ["relative", "row"])
@pytest.mark.parametrize("ball", ["linf", "l2"])
def test_a_perturbation_has_its_epsilon_in_canonical_form(unit, ball):
    factors = perturbations.normalized_factors(P, Q, unit, TRIPLES)
    delta = perturbations.bim(P, Q, TRIPLES, 0.2, 15, ball=ball, unit=unit)
    for table, part in zip((factors.user, factors.item), factors.from_original(delta)):
        norms = np.linalg.norm(table, axis=1)
        one = norms if unit == "row" else np.sqrt(np.mean(norms**2))
        size = np.abs(part).max(axis=1) if ball == "linf" else np.linalg.norm(part, axis=1)
        assert np.all(size <= 0.2 * one * (1 + 1e-4)) and np.mean(size > 0.19 * one) > 0.5


def test_the_margins_of_the_canonical_form_have_standard_deviation_1():
    factors = perturbations.normalized_factors(P, Q, "relative", TRIPLES)
    rivals = factors.item[TRIPLES.positives] - factors.item[TRIPLES.negatives]
    margins = np.sum(factors.user[TRIPLES.users] * rivals, axis=1)
    assert margins.std() == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_relative_trajectory_reads_prefixes_of_one_run(chunked):
    triples = perturbations.chunk_triples(TRIPLES, len(P), len(Q)) if chunked else TRIPLES
    deltas = perturbations.trajectory(P, Q, triples, 0.1, read_at=(1, 3), unit="relative")
    for stop, delta in zip((1, 3), deltas):
        expected = perturbations.bim(P, Q, TRIPLES, 0.1, stop, unit="relative")
        assert np.isfinite(delta.user).all()
        np.testing.assert_allclose(delta.user, expected.user, atol=1e-6)


def test_a_relative_step_from_a_start_has_its_epsilon():
    factors = perturbations.normalized_factors(P, Q, "relative", TRIPLES)
    start = perturbations.bim(P, Q, TRIPLES, 0.1, 3, unit="relative")
    after = perturbations.fgsm(P, Q, TRIPLES, 0.1, init=start, unit="relative")
    norms = np.linalg.norm(factors.from_original(after).user, axis=1)
    np.testing.assert_allclose(norms, 0.1 * factors.units[0].item(), rtol=1e-4)


def test_from_original_is_the_inverse_of_to_original():
    factors = perturbations.normalized_factors(P, Q, "row", TRIPLES)
    tables = factors.user, factors.item
    delta = perturbations.Perturbation(
        *(RNG.standard_normal(table.shape).astype(np.float32) for table in tables)
    )
    for part, back in zip(delta, factors.from_original(factors.to_original(delta))):
        np.testing.assert_allclose(back, part, atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(st.floats(-6, 6), st.integers(0, 2**31))
def test_any_scale_has_the_same_form(power, seed):
    rng = np.random.default_rng(seed)
    p, q = (rng.standard_normal((n, 3)).astype(np.float32) for n in (9, 8))
    triples = rng.integers(0, 8, (3, 40))
    plain = perturbations.normalized_factors(p, q, "relative", triples)
    scaled = perturbations.normalized_factors(np.float32(10.0**power) * p, q, "relative", triples)
    for table, other in zip((plain.user, plain.item), (scaled.user, scaled.item)):
        np.testing.assert_allclose(other, table, atol=1e-4 * np.abs(table).max())


def identity(user, item):
    return user, item


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: perturbations.bim(P, Q, TRIPLES, 0.1, 1, unit="fair"),
            "unit must be one of absolute, relative, row",
        ),
        (
            lambda: perturbations.canonical(P, np.ones_like(Q)),
            "the factors give every item the same score",
        ),
        (lambda: perturbations.canonical(P, Q[:, :2]), "factors must be"),
        (lambda: perturbations.truncate(P, Q, 0), "the rank must be at least 1, not 0"),
        (
            lambda: perturbations.trajectory(P, Q, TRIPLES, served=identity, unit="row"),
            "with served the unit must be absolute or relative, not 'row'",
        ),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_factors_scaled_in_single_precision_have_nearly_the_same_quantized_form():
    scaled = perturbations.quantized_canonical(np.float32(10) * P, np.float32(0.3) * Q)
    for table, other in zip(perturbations.quantized_canonical(P, Q), scaled):
        np.testing.assert_allclose(table, other, atol=1e-6 * np.abs(table).max())
