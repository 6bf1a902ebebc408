"""The jobs on perturbed factors, beside the same by hand."""

import numpy as np
import pytest

from advrec_tf import data, evaluation, perturbations
from advrec_tf.defenses import Projection, Transformation, perturbed, project, projection
from advrec_tf.recommenders import MostPopular, Random

SEED, K = 3, 5


@pytest.fixture
def shop(monkeypatch):
    """Interactions, and factors that stand for trained ones."""
    interactions = data.synthetic(n_users=50, n_items=40, per_user=8, seed=2)
    rng = np.random.default_rng(0)
    P, Q = (rng.normal(0, 0.7, (n, 6)).astype(np.float32) for n in (50, 40))
    monkeypatch.setattr(perturbed, "selected_factors", lambda **_: (1, P, Q))
    return interactions, P, Q


def metrics(P, Q, interactions):
    return evaluation.metrics(evaluation.top_k(P, Q, interactions, K), interactions)


def keys(points, selections=("best", "last")):
    return [
        {"model": "BPR-MF", "seed": SEED, "k": K, **point, "selection": name}
        for point in points
        for name in selections
    ]


def test_a_row_is_the_attack_of_its_key(shop):
    """Of seed 3's negatives and starts; both tables are moved; two selections of one epoch have the same figures."""
    interactions, P, Q = shop
    points = perturbations.points("noise", [0.4]) + perturbations.points("bim", [0.4], (1, 4), "l2")
    points += perturbations.points("pgd", [0.2], (3,)) + perturbations.points(
        "fgsm", [0.2], start="after_pgd"
    )
    rows, users = perturbed.attack(keys([{}, *points]), interactions, {}, SEED, 0.1, None)
    triples = data.sample_triples(interactions, SEED)
    pgd = perturbations.pgd(P, Q, triples, 0.2, 3, seed=SEED, init_range=0.1)
    deltas = [perturbations.Perturbation(0 * P, 0 * Q), perturbations.noise(P, Q, 0.4, SEED)]
    deltas += [perturbations.bim(P, Q, triples, 0.4, n, ball="l2") for n in (1, 4)] + [
        pgd,
        perturbations.fgsm(P, Q, triples, 0.2, init=pgd),
    ]
    assert len(rows) == 12 and [row["selection"] for row in rows[:2]] == ["best", "last"]
    for place, delta in enumerate(deltas):
        expected = metrics(P + delta.user, Q + delta.item, interactions)
        shift = [np.linalg.norm(x, axis=1).mean() for x in delta]
        for row in rows[2 * place : 2 * place + 2]:
            assert {name: row[name] for name in expected} == expected
            assert [row["user_shift"], row["item_shift"]] == pytest.approx(shift)
    assert rows[0]["user_norm"] == pytest.approx(np.linalg.norm(P, axis=1).mean()) and users[
        "nDCG"
    ].shape == (12, 50)
    np.testing.assert_allclose(users["nDCG"].mean(axis=1), [row["nDCG"] for row in rows], rtol=1e-5)


def test_a_projection_is_served_and_an_aware_attacker_knows(shop, tmp_path):
    interactions, P, Q = shop
    base = perturbations.points("bim", [0.3], (2,))[0]
    points = [
        {**base, "defense": "none"},
        *(
            {**base, "defense": name, "rank": r}
            for name in ("projected, unaware", perturbed.AWARE)
            for r in (2, 5)
        ),
    ]
    widest = Transformation(5, clicks=True, widest=5)
    rows, _ = perturbed.defend(
        keys(points, ("best",)), interactions, {}, SEED, 0.05, widest, tmp_path
    )
    triples = data.sample_triples(interactions, SEED)
    unaware = perturbations.bim(P, Q, triples, 0.3, 2)
    expected = [metrics(P + unaware.user, Q + unaware.item, interactions)]
    U, V = projection(interactions.matrix(), 5)
    for aware in (False, True):
        for rank in (2, 5):
            bases = U[:, :rank], V[:, :rank]
            delta = (
                next(
                    perturbations.trajectory(
                        P, Q, triples, 0.3, read_at=(2,), served=Projection(*bases)
                    )
                )
                if aware
                else unaware
            )
            expected.append(metrics(*project(P + delta.user, Q + delta.item, *bases), interactions))
    for row, figures in zip(rows, expected):
        assert {name: row[name] for name in figures} == pytest.approx(figures, rel=1e-6)
    assert len({row["SE"] for row in rows}) == 5


def test_baselines_and_certificates_are_those_of_the_library(shop):
    interactions, P, Q = shop
    points = [{"model": name, "seed": SEED, "k": K} for name in ("Random", "MostPopular")]
    rows, _ = perturbed.baseline(points, interactions, None)
    for row, lists in zip(
        rows,
        (Random(SEED).top_k(interactions, K), MostPopular(interactions).top_k(interactions, K)),
    ):
        expected = evaluation.metrics(lists, interactions)
        assert {name: row[name] for name in expected} == expected
    points = [{"k": K, "ball": "linf", "epsilon": epsilon} for epsilon in (0.0, 0.02)]
    rows, _ = perturbed.certify(points, interactions, {})
    radii = evaluation.certified_radii(P, Q, interactions, "linf", K)
    assert [row["nDCG"] for row in rows] == [
        evaluation.certified_metrics(radii, e)[f"nDCG@{K}"] for e in (0.0, 0.02)
    ]
