"""Canonical form and relative budgets: no scale, basis or shift of the factors changes what an attack does."""

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
    """Each user's scores without their mean, of standard deviation one in all."""
    p, q = np.float64(p), np.float64(q)
    if delta is not None:
        p, q = p + delta.user, q + delta.item
    found = p @ q.T
    found -= found.mean(axis=1, keepdims=True)
    return found / found.std()


def test_the_canonical_form_has_the_same_lists_and_balanced_tables():
    user, item = perturbations.canonical(P, Q)
    np.testing.assert_allclose(scores(user, item), scores(P, Q), atol=1e-5)
    np.testing.assert_allclose(item.mean(axis=0), 0, atol=1e-6)
    values = np.linalg.svd(np.float64(P) @ (Q - Q.mean(axis=0)).T, compute_uv=False)[:6]
    for table in (user, item):  # orthogonal columns whose squared norms are the singular values
        np.testing.assert_allclose(table.T @ table, np.diag(values), atol=1e-4 * values[0])


@pytest.mark.parametrize("twin", [name for name in TWINS if "zeros" not in name])
def test_twins_have_one_canonical_form_up_to_scale(twin):
    for own, other in zip(perturbations.canonical(P, Q), perturbations.canonical(*TWINS[twin])):
        np.testing.assert_allclose(
            other / np.linalg.norm(other), own / np.linalg.norm(own), atol=2e-6
        )


@pytest.mark.parametrize("scale", [1e-6, 0.1, 3, 1e6])
def test_the_common_form_of_twins_has_the_same_bytes(scale):
    own = perturbations.quantized_canonical(P, Q)
    wide, tall = np.float64(P), np.float64(Q)
    for p, q in (
        (scale * wide, tall),
        (scale * wide, tall / 10),
        (wide @ A * scale, tall @ np.linalg.inv(A).T),
        (wide, scale * (tall + RNG.random(6))),
    ):
        for one, other in zip(own, perturbations.quantized_canonical(p, q)):
            assert one.dtype == np.float32 and one.tobytes() == other.tobytes()
    np.testing.assert_allclose(scores(*own), scores(P, Q), atol=1e-4)
    for table in (
        own
    ):  # whole steps of a power of two, of which a column's largest number has 2 ** 22 to 2 ** 23
        steps = table / np.exp2(np.floor(np.log2(np.abs(table).max(axis=0))) - 22)
        assert (
            np.array_equal(steps, np.round(steps))
            and (np.abs(steps).max(axis=0) >= 2**22).all()
            and steps.max() > 2**22
        )
    assert np.linalg.norm(own[0], 2) == pytest.approx(1, abs=1e-4) == np.linalg.norm(own[1], 2)


@pytest.mark.parametrize("rank", [1, 3, 6, 9])
def test_factors_of_a_lower_rank_are_the_closest(rank):
    centred = np.float64(P) @ (Q - Q.mean(axis=0)).T
    U, values, Vt = np.linalg.svd(centred, full_matrices=False)
    user, item = perturbations.truncate(P, Q, rank)
    assert user.shape[1] == item.shape[1] == min(rank, 6)
    np.testing.assert_allclose(
        np.float64(user) @ item.T, (U[:, :rank] * values[:rank]) @ Vt[:rank], atol=1e-5 * values[0]
    )


@pytest.mark.parametrize("unit", ["relative", "row"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_twins_suffer_alike(attack, unit):
    expected = scores(P, Q, ATTACKS[attack](P, Q, unit))
    assert np.abs(expected - scores(P, Q)).max() > 0.05
    for name, (p, q) in TWINS.items():
        np.testing.assert_allclose(
            scores(p, q, ATTACKS[attack](np.float32(p), np.float32(q), unit)),
            expected,
            atol=2e-3,
            err_msg=name,
        )


def test_a_factor_on_one_user_matters_to_all_but_the_row_budget():
    p = P.copy()
    p[3] *= 50
    changed = {}
    for unit in perturbations.UNITS:
        before, after = (ATTACKS["bim"](each, Q, unit) for each in (P, p))
        lists = [
            evaluation.top_k(each + delta.user, Q + delta.item, INTERACTIONS, 10)
            for each, delta in ((P, before), (p, after))
        ]
        changed[unit] = np.mean(lists[0] != lists[1])
    assert changed["row"] == 0 and min(changed["absolute"], changed["relative"]) > 0


@pytest.mark.parametrize("unit", ["relative", "row"])
@pytest.mark.parametrize("ball", ["linf", "l2"])
def test_a_perturbation_has_its_size_in_the_form(unit, ball):
    form = perturbations.normalized_factors(P, Q, unit, TRIPLES)
    delta = form.from_original(perturbations.bim(P, Q, TRIPLES, 0.2, 15, ball=ball, unit=unit))
    for table, own in zip((form.user, form.item), delta):
        norms = np.linalg.norm(table, axis=1, keepdims=True)
        unit = norms if unit == "row" else np.sqrt(np.mean(norms**2))
        size = (
            np.abs(own).max(axis=1, keepdims=True)
            if ball == "linf"
            else np.linalg.norm(own, axis=1, keepdims=True)
        )
        assert np.all(size <= 0.2 * unit * (1 + 1e-4)) and np.mean(size > 0.19 * unit) > 0.5


def test_a_trajectory_in_shares_is_one_of_the_form_in_numbers():
    form = perturbations.normalized_factors(P, Q, "relative", TRIPLES)
    margins = np.sum(
        form.user[TRIPLES.users] * (form.item[TRIPLES.positives] - form.item[TRIPLES.negatives]),
        axis=1,
    )
    assert margins.std() == pytest.approx(1, rel=1e-5)
    chunks = perturbations.chunk_triples(TRIPLES, len(P), len(Q))
    for given_triples in (TRIPLES, chunks):
        for own, other in zip(
            perturbations.trajectory(P, Q, given_triples, 0.1, read_at=(1, 3), unit="relative"),
            (1, 3),
        ):
            assert np.isfinite(own.user).all()
            alone = perturbations.bim(P, Q, TRIPLES, 0.1, other, unit="relative")
            np.testing.assert_allclose(own.user, alone.user, atol=1e-6)
    after = perturbations.fgsm(P, Q, TRIPLES, 0.1, init=alone, unit="relative")
    step = form.from_original(after)
    np.testing.assert_allclose(
        np.linalg.norm(step.user, axis=1), 0.1 * form.units[0].item(), rtol=1e-4
    )


def test_forward_is_the_way_back_of_back():
    form = perturbations.normalized_factors(P, Q, "row", TRIPLES)
    delta = perturbations.Perturbation(
        RNG.standard_normal(form.user.shape).astype(np.float32),
        RNG.standard_normal(form.item.shape).astype(np.float32),
    )
    for own, there in zip(delta, form.from_original(form.to_original(delta))):
        np.testing.assert_allclose(there, own, atol=1e-4)


def test_points_of_a_budget_are_measured_in_it():
    points = perturbations.points("pgd", [0.1], [2, 4], unit="relative") + perturbations.points(
        "noise", [0.1], unit="relative"
    )
    points += perturbations.points("fgsm", [0.1], start="after_pgd", unit="relative")
    found = [
        delta
        for _, delta in perturbations.perturbed(
            P, Q, TRIPLES, points[:2] + points[3:] + points[2:3], seed=3
        )
    ]
    assert {point["unit"] for point in points} == {
        "relative"
    } and "unit" not in perturbations.points("bim", [0.1])[0]
    own = perturbations.pgd(P, Q, TRIPLES, 0.1, 4, seed=3, unit="relative")
    np.testing.assert_allclose(found[1].user, own.user, atol=1e-6)
    np.testing.assert_allclose(
        found[2].item,
        perturbations.fgsm(P, Q, TRIPLES, 0.1, init=own, unit="relative").item,
        atol=1e-5,
    )
    np.testing.assert_allclose(found[3].item, perturbations.noise(P, Q, 0.1, 3, "relative").item)


@settings(max_examples=25, deadline=None)
@given(st.floats(-6, 6), st.integers(0, 2**31))
def test_any_scale_has_the_same_form(power, seed):
    rng = np.random.default_rng(seed)
    p, q = (
        rng.standard_normal((9, 3)).astype(np.float32),
        rng.standard_normal((8, 3)).astype(np.float32),
    )
    triples = rng.integers(0, 8, (3, 40))
    own, other = (
        perturbations.normalized_factors(np.float32(10.0**power) * x, q, "relative", triples)
        for x in (p, p)
    )
    twin = perturbations.normalized_factors(p, q, "relative", triples)
    for a, b, c in zip((own.user, own.item), (other.user, other.item), (twin.user, twin.item)):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_allclose(a, c, atol=1e-4 * np.abs(c).max())


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
            lambda: perturbations.trajectory(
                P, Q, TRIPLES, served=lambda user, item: (user, item), unit="row"
            ),
            "with served the unit must be absolute or relative, not 'row'",
        ),
    ],
)
def test_what_cannot_be_is_said(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_factors_scaled_in_single_precision_are_nearly_the_same():
    for one, other in zip(
        perturbations.quantized_canonical(P, Q),
        perturbations.quantized_canonical(np.float32(10) * P, np.float32(0.3) * Q),
    ):
        np.testing.assert_allclose(one, other, atol=1e-6 * np.abs(one).max())
