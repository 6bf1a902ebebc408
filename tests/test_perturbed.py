"""The jobs on perturbed factors, against the same by hand."""

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
    base = {"model": "BPR-MF", "seed": SEED, "k": K}
    return [{**base, **point, "selection": name} for point in points for name in selections]


def test_a_row_is_the_attack_of_its_key(shop):
    """Negatives and starts are those of seed 3. Both selections of one epoch have the same row."""
    interactions, P, Q = shop
    points = perturbations.points("noise", [0.4])
    points += perturbations.points("bim", [0.4], (1, 4), "l2")
    points += perturbations.points("pgd", [0.2], (3,))
    points += perturbations.points("fgsm", [0.2], start="after_pgd")
    rows, users = perturbed.attack(keys([{}, *points]), interactions, {}, 0.1, None)
    triples = data.sample_triples(interactions, SEED)
    pgd = perturbations.pgd(P, Q, triples, 0.2, 3, seed=SEED, init_range=0.1)
    deltas = [
        perturbations.Perturbation(0 * P, 0 * Q),
        perturbations.noise(P, Q, 0.4, SEED),
        *(perturbations.bim(P, Q, triples, 0.4, n, ball="l2") for n in (1, 4)),
        pgd,
        perturbations.fgsm(P, Q, triples, 0.2, init=pgd),
    ]
    assert len(rows) == 12 and [row["selection"] for row in rows[:2]] == ["best", "last"]
    for row, delta in zip(rows, np.repeat(np.arange(6), 2)):
        user, item = deltas[delta]
        expected = metrics(P + user, Q + item, interactions)
        assert {name: row[name] for name in expected} == expected
        norms = {"user_norm": P, "item_norm": Q, "user_shift": user, "item_shift": item}
        for name, table in norms.items():
            assert row[name] == pytest.approx(np.linalg.norm(table, axis=1).mean())
    assert users["nDCG"].shape == (12, 50)
    np.testing.assert_allclose(users["nDCG"].mean(axis=1), [row["nDCG"] for row in rows], rtol=1e-5)


def test_a_further_draw_has_negatives_and_a_start_of_its_own_by_the_seed(shop):
    interactions, P, Q = shop
    point = perturbations.points("pgd", [0.3], (2,))[0]

    def row(seed, **draw):
        points = [{"model": "BPR-MF", "seed": seed, "k": K, **point, **draw}]
        return perturbed.attack(points, interactions, {}, 0.1, None)[0][0]

    first = row(SEED, draw=1)
    drawn = int(np.random.SeedSequence((SEED, 1)).generate_state(1)[0])
    triples = data.sample_triples(interactions, drawn)
    delta = perturbations.pgd(P, Q, triples, 0.3, 2, seed=drawn, init_range=0.1)
    expected = metrics(P + delta.user, Q + delta.item, interactions)
    assert {name: first[name] for name in expected} == expected
    others = row(SEED), row(SEED, draw=2), row(SEED + 1, draw=1)
    assert len({other["user_shift"] for other in (first, *others)}) == 4


def test_a_projection_is_served_and_an_aware_attacker_knows(shop, tmp_path):
    interactions, P, Q = shop
    base = perturbations.points("bim", [0.3], (2,))[0]
    points = [{**base, "defense": "none"}]
    for name in (perturbed.UNAWARE, perturbed.AWARE):
        points += [{**base, "defense": name, "rank": rank} for rank in (2, 5)]
    widest = Transformation(5, clicks=True, widest=5)
    points = keys(points, ("best",))
    rows, _ = perturbed.defend(points, interactions, {}, 0.05, widest, tmp_path)
    triples = data.sample_triples(interactions, SEED)
    unaware = perturbations.bim(P, Q, triples, 0.3, 2)
    expected = [metrics(P + unaware.user, Q + unaware.item, interactions)]
    U, V = projection(interactions.matrix(), 5)
    for aware in (False, True):
        for rank in (2, 5):
            bases, delta = (U[:, :rank], V[:, :rank]), unaware
            if aware:
                delta = perturbations.bim(P, Q, triples, 0.3, 2, served=Projection(*bases))
            expected.append(metrics(*project(P + delta.user, Q + delta.item, *bases), interactions))
    for row, values in zip(rows, expected):
        assert {name: row[name] for name in values} == pytest.approx(values, rel=1e-6)
    assert len({row["SE"] for row in rows}) == 5


def test_baselines_are_those_of_the_library(shop):
    interactions, *_ = shop
    points = [{"model": name, "seed": SEED, "k": K} for name in ("Random", "MostPopular")]
    rows, _ = perturbed.baseline(points, interactions, None)
    for row, model in zip(rows, (Random(SEED), MostPopular(interactions))):
        expected = evaluation.metrics(model.top_k(interactions, K), interactions)
        assert {name: row[name] for name in expected} == expected


def test_certificates_are_those_of_the_library(shop):
    interactions, P, Q = shop
    points = [{"k": K, "ball": "linf", "epsilon": epsilon} for epsilon in (0.0, 0.02)]
    rows, _ = perturbed.certify(points, interactions, {})
    radii = evaluation.certified_radii(P, Q, interactions, "linf", K)
    for row in rows:
        bounds = evaluation.certified_metrics(radii, row["epsilon"])
        assert (row["RE"], row["nDCG"]) == (bounds[f"HR@{K}"], bounds[f"nDCG@{K}"])
