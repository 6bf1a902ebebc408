"""Measurements of an entry: between certificate and clean value, whatever the scale."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.linalg import svds

from advrec_tf import data, evaluation, leaderboard, perturbations
from advrec_tf.execution import jobs
from advrec_tf.leaderboard import Entry, measuring, summary, worst_case
from advrec_tf.perturbations import ensemble, single_user

SHOP = data.synthetic(n_users=120, n_items=80, per_user=10, rank=4)
U, s, Vt = svds(SHOP.matrix(), k=6, random_state=0)
P, Q = (U * s).astype(np.float32), Vt.T.astype(np.float32)
NUMBERS = ["nDCG", "HR", "certified_nDCG", "certified_HR", "ICov", "EFD", "SE"]


def measured(P, Q, interactions=SHOP, unit="relative") -> tuple[pd.DataFrame, list]:
    kept = []
    for job in leaderboard.jobs(Entry("svd"), P, Q, interactions, 10, unit):
        rows, users = jobs.named(job.function)(points=job.points, **job.arguments)
        means = [row["nDCG"] for row in rows]
        np.testing.assert_allclose(users["nDCG"].mean(axis=1), means, rtol=1e-5)
        kept += worst_case.as_kept(rows, users)
    return pd.DataFrame([row for row, _ in kept], columns=leaderboard.LAYOUT.columns), kept


@pytest.fixture
def few_epsilons(monkeypatch):
    monkeypatch.setattr(measuring, "EPSILONS", {"l2": (0.02, 0.1), "linf": (0.05,)})


def test_the_truth_lies_between_certificate_and_ensemble(few_epsilons):
    found = worst_case.worst_cases(*measured(P, Q))
    still = found[found["epsilon"] == 0]
    assert len(found) == 1 + 4 * 3 and still["nDCG"].item() == pytest.approx(
        evaluation.metrics(evaluation.top_k(P, Q, SHOP), SHOP)["nDCG"]
    )
    attacked = found[found["epsilon"] > 0]
    assert (attacked["certified_nDCG"] <= attacked["nDCG"] + 1e-9).all() and (
        attacked["certified_HR"] <= attacked["HR"] + 1e-9
    ).all()
    at = attacked.set_index(["threat_model", "ball", "epsilon"])["nDCG"]
    assert at["user", "l2", 0.1] < at["test", "l2", 0.1] < at["train", "l2", 0.1]
    assert at["test", "l2", 0.1] < at["test", "l2", 0.02] < still["nDCG"].item()
    assert not set(attacked["attack"]) & {"noise"}


RNG = np.random.default_rng(0)
A = np.linalg.qr(RNG.standard_normal((6, 6)))[0] @ np.diag([1, 2, 0.5, 3, 1, 0.3])
TWINS = {
    "1e-3 in single precision": (np.float32(1e-3) * P, Q),
    "1e3 in single precision": (np.float32(1e3) * P, np.float32(1e3) * Q),
    "times 2": (2 * P, Q),
    "times 10": (P, 10 * Q),
    "another basis": (np.float64(P) @ A, Q @ np.linalg.inv(A).T),
    "shifted": (P, Q + RNG.standard_normal(6)),
}


@pytest.mark.parametrize("name", TWINS)
def test_a_twin_has_the_same_row(name, few_epsilons):
    own, other = (worst_case.worst_cases(*measured(*factors)) for factors in ((P, Q), TWINS[name]))
    np.testing.assert_array_equal(own["attack"], other["attack"])
    np.testing.assert_allclose(own[NUMBERS].astype(float), other[NUMBERS].astype(float), rtol=1e-4)


def test_a_factor_on_one_user_changes_no_row_of_the_row_unit(few_epsilons):
    lengths = np.exp(RNG.standard_normal((len(P), 1))).astype(np.float32)
    own, other = (
        worst_case.worst_cases(*measured(*factors, unit="row"))
        for factors in ((P, Q), (lengths * P, Q))
    )
    np.testing.assert_allclose(own[NUMBERS].astype(float), other[NUMBERS].astype(float), rtol=1e-4)


def test_an_absolute_epsilon_is_a_share_of_the_norm_for_the_factors_as_they_are(few_epsilons):
    rows, _ = measured(P, Q, unit="absolute")
    norm = np.sqrt(np.mean(np.concatenate([np.sum(P**2, axis=1), np.sum(Q**2, axis=1)])))
    np.testing.assert_allclose(
        sorted(rows.loc[rows["ball"] == "l2", "epsilon"].unique()), [0.02 * norm, 0.1 * norm]
    )
    row = rows[(rows["attack"] == "bim") & (rows["ball"] == "linf")].iloc[0]
    delta = perturbations.bim(P, Q, data.sample_triples(SHOP, 0), row["epsilon"])
    assert (
        row["nDCG"]
        == evaluation.metrics(evaluation.top_k(P + delta.user, Q + delta.item, SHOP), SHOP)["nDCG"]
    )


def test_the_ensemble_is_never_weaker_than_bim_alone():
    triples = data.sample_triples(SHOP, 0)
    for rho, ball in ((0.05, "l2"), (0.3, "l2"), (0.1, "linf")):
        harm = {}
        for name, delta in ensemble.ensemble(ensemble.Problem(P, Q, SHOP), "train", rho, ball):
            harm[name] = evaluation.metrics(
                evaluation.top_k(P + delta.user, Q + delta.item, SHOP), SHOP
            )["nDCG"]
        delta = perturbations.bim(P, Q, triples, rho, ball=ball, unit="relative")
        bim = evaluation.metrics(evaluation.top_k(P + delta.user, Q + delta.item, SHOP), SHOP)[
            "nDCG"
        ]
        assert min(value for name, value in harm.items() if name != "noise") <= bim + 1e-9 and harm[
            "bim"
        ] == pytest.approx(bim)


def test_items_that_are_to_sink():
    split = data.synthetic(n_users=20, n_items=30, per_user=10, split="80:20")
    found = ensemble.items_of_test(split)
    for user in range(20):
        assert sorted(found[user][found[user] >= 0]) == sorted(
            split.test_items[split.test_users == user]
        )


def test_several_test_items_a_user_have_no_certificate(few_epsilons):
    split = data.synthetic(n_users=20, n_items=30, per_user=10, split="80:20")
    rng = np.random.default_rng(0)
    found = worst_case.worst_cases(
        *measured(rng.standard_normal((20, 4)), rng.standard_normal((30, 4)), split)
    )
    assert (
        set(found["threat_model"]) == {"", "train", "lists", "test"}
        and found["certified_nDCG"].isna().all()
    )
    assert "certified" not in summary.report(found, "split").lower().split("##", 1)[1]


def at_the_boundary(direction, ball) -> np.ndarray:
    return np.sign(direction) if ball == "linf" else direction / np.linalg.norm(direction)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["l2", "linf"]), st.floats(0.01, 0.6))
def test_no_perturbation_at_random_breaks_a_certificate(seed, ball, rho):
    """Try corners of the box, ends of the ball, and the worst response of the items to each."""
    rng = np.random.default_rng(seed)
    p, q = rng.standard_normal((5, 2)), rng.standard_normal((7, 2))
    frame = pd.DataFrame(
        {"user": np.repeat(np.arange(5), 2), "item": [0, 1, 1, 2, 2, 3, 3, 4, 5, 6]}
    )
    small = data.Interactions.from_frames(
        frame, pd.DataFrame({"user": np.arange(5), "item": [4, 5, 6, 0, 1]})
    )
    form = perturbations.normalized_factors(p, q, "relative")
    reach_user, reach_item = (float(size[0, 0]) for size in form.sizes(rho))
    bounds = 1 + np.sum(
        evaluation.certified_radii(form.user, form.item, small, ball, 7, form.units)
        <= rho * (1 + 1e-6),
        axis=1,
    )
    found = single_user.worst_ranks(
        form, small, form.sizes(rho), ball, 7, ensemble.SCHEDULES["user"]
    )
    directions = rng.standard_normal((300, 2))
    for row, (user, item) in enumerate(zip(small.test_users, small.test_items)):
        known = small.train_items[small.indptr[user] : small.indptr[user + 1]]
        rivals = [j for j in range(7) if j != item and j not in known]
        worst = 0
        for direction in directions:
            length = reach_user * rng.choice([1, 0.5])
            moved = form.user[user] + length * at_the_boundary(direction, ball)
            away = reach_item * at_the_boundary(moved, ball)
            left = (form.item[item] - away) @ moved
            worst = max(worst, 1 + sum((form.item[j] + away) @ moved >= left for j in rivals))
        assert worst <= bounds[row] and found[row] <= bounds[row]


def test_an_absolute_epsilon_leaves_rows_of_large_factors_idle(monkeypatch):
    """Where sigmoids saturate, no row moves; a relative epsilon has no such gap."""
    monkeypatch.setattr(measuring, "EPSILONS", {"l2": (0.01,)})
    rows, _ = measured(1e4 * P, 1e4 * Q, unit="absolute")
    assert (
        rows.loc[rows["attack"] == "bim", "idle"].item() > 0.9
        and not rows.loc[rows["attack"] == "smooth DCG", "idle"].any()
    )
    relative, _ = measured(1e4 * P, 1e4 * Q)
    assert not relative.loc[relative["attack"] == "bim", "idle"].any()


def test_users_without_a_test_item_are_not_idle(monkeypatch):
    monkeypatch.setattr(measuring, "EPSILONS", {"l2": (0.1,)})
    few = dataclasses.replace(
        SHOP, test_users=SHOP.test_users[:30], test_items=SHOP.test_items[:30]
    )
    rows, _ = measured(P, Q, few)
    assert not rows.loc[rows["attack"] == "smooth DCG", "idle"].any()


def test_another_threat_is_none():
    with pytest.raises(ValueError, match="threat model must be one of train, lists, test"):
        ensemble.ensemble(ensemble.Problem(P, Q, SHOP), "oracle", 0.1)
