"""The ensemble and what is measured with it: between the certificate and the factors as they are, whatever their scale."""

import numpy as np
import pandas as pd
import pytest
from scipy.sparse.linalg import svds

from advrec_tf import data, evaluation, jobs, perturbations, robustness

SHOP = data.synthetic(n_users=120, n_items=80, per_user=10, rank=4)
U, s, Vt = svds(SHOP.matrix(), k=6, random_state=0)
P, Q = (U * s).astype(np.float32), Vt.T.astype(np.float32)
NUMBERS = ["nDCG", "HR", "certified_nDCG", "certified_HR", "ICov", "EFD", "SE"]


def leaderboard(P, Q, monkeypatch) -> pd.DataFrame:
    monkeypatch.setattr(robustness, "SIZES", {"l2": (0.02, 0.1), "linf": (0.05,)})
    rows = []
    for job in robustness.jobs("svd", P, Q, SHOP, 0, 10):
        own, users = jobs.named(job.function)(points=job.points, **job.arguments)
        assert users["nDCG"].shape == (len(own), SHOP.n_users)
        np.testing.assert_allclose(users["nDCG"].mean(axis=1), [row["nDCG"] for row in own], rtol=1e-5)
        rows += own
    return pd.DataFrame(rows)


def test_the_truth_lies_between_certificate_and_ensemble(monkeypatch):
    found = leaderboard(P, Q, monkeypatch)
    still = found[found["rho"] == 0]
    assert len(found) == 1 + 3 * 3 and still["nDCG"].item() == pytest.approx(evaluation.metrics(evaluation.top_k(P, Q, SHOP), SHOP)["nDCG"])
    attacked = found[found["rho"] > 0]
    assert (attacked["certified_nDCG"] <= attacked["nDCG"] + 1e-9).all() and (attacked["certified_HR"] <= attacked["HR"] + 1e-9).all()
    at = attacked.set_index(["threat", "ball", "rho"])
    assert at.loc[("test", "l2", 0.1), "nDCG"] < at.loc[("train", "l2", 0.1), "nDCG"]
    assert at.loc[("test", "l2", 0.1), "nDCG"] < at.loc[("test", "l2", 0.02), "nDCG"] < still["nDCG"].item()
    assert not set(attacked["member"]) & {"noise", ""}


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
def test_a_twin_has_the_same_row(name, monkeypatch):
    own, other = (leaderboard(*factors, monkeypatch) for factors in ((P, Q), TWINS[name]))
    np.testing.assert_array_equal(own["member"], other["member"])
    np.testing.assert_allclose(own[NUMBERS].astype(float), other[NUMBERS].astype(float), rtol=1e-4)


def test_the_ensemble_is_never_weaker_than_bim_alone(monkeypatch):
    triples = data.sample_triples(SHOP, 0)
    for rho, ball in ((0.05, "l2"), (0.3, "l2"), (0.1, "linf")):
        point = {"threat": "train", "rho": rho, "ball": ball, "seed": 0, "k": 10}
        worst, _ = robustness._worst(point, *perturbations.canonical(P, Q), SHOP)
        delta = perturbations.bim(*perturbations.canonical(P, Q), triples, rho, ball=ball, budget="relative")
        p, q = perturbations.canonical(P, Q)
        assert worst["nDCG"] <= evaluation.metrics(evaluation.top_k(p + delta.user, q + delta.item, SHOP), SHOP)["nDCG"] + 1e-9


def test_items_that_are_to_sink():
    split = data.synthetic(n_users=20, n_items=30, per_user=10, split="80:20")
    found = robustness.test_items(split)
    for user in range(20):
        assert sorted(found[user][found[user] >= 0]) == sorted(split.test_items[split.test_users == user])


def test_where_noise_does_more_harm_than_every_attack_it_is_told(monkeypatch):
    """An attack that does nothing beside noise that turns the lists round."""
    zero, turned = perturbations.Perturbation(np.zeros_like(P), np.zeros_like(Q)), perturbations.Perturbation(-2 * P, np.zeros_like(Q))
    for noise, masked in ((turned, 1), (zero, 0)):
        monkeypatch.setattr(robustness, "ensemble", lambda *_, noise=noise: iter([("noise", noise), ("bim", zero)]))
        row, _ = robustness._worst({"threat": "train", "rho": 0.1, "ball": "l2", "seed": 0, "k": 10}, P, Q, SHOP)
        assert (row["masked"], row["member"]) == (masked, "bim")


def test_another_threat_is_none():
    with pytest.raises(ValueError, match="threat must be one of train, lists, test"):
        next(robustness.ensemble(P, Q, SHOP, "oracle", 0.1, "l2"))
