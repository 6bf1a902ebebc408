"""The attacks of the ensemble, against attacks written out anew and brute force."""

import numpy as np
import pandas as pd
import pytest
from demotion import SHOP, TEST, K, P, Q, margins_of, slopes_of, spread_of, strongest
from scipy.sparse.linalg import svds
from scipy.special import log_softmax

from advrec_tf import data, evaluation, perturbations
from advrec_tf.perturbations import Perturbation, ensemble, losses
from advrec_tf.perturbations.ensemble import THREAT_MODELS, Problem
from advrec_tf.perturbations.losses import Schedule

import oracles

SMOOTH_DCG = THREAT_MODELS["test"]["smooth DCG"]
ATTACKS = [(model, name) for model, attacks in THREAT_MODELS.items() for name in attacks]


def dcg_of(p, q, items, weights, rivals):
    """Return the DCG of items to demote, with ranks among rivals."""
    total = 0.0
    for margins in margins_of(p, q, items, rivals):
        ranks = 1 + np.sum(margins <= 0, axis=1)
        total += np.sum(np.where(ranks <= K, weights / np.log2(1 + ranks), 0))
    return total


def annealed(threat_model, factors, epsilon, schedule):
    """Return Delta_P, Delta_Q of least DCG of an annealed attack, in double precision."""
    items, weights = TEST, np.ones(1)
    if threat_model == "lists":
        items = evaluation.top_k(factors.user, factors.item, SHOP, K)
        weights = 1 / np.arange(1, K + 1)
    spread, sizes = spread_of(factors, items), factors.sizes(epsilon)
    delta, least, best = [np.zeros_like(factors.user), np.zeros_like(factors.item)], np.inf, None
    for step in range(schedule.steps + 1):
        p, q = factors.user + delta[0], factors.item + delta[1]
        rivals = strongest(p, q, items)
        dcg = dcg_of(p, q, items, weights, rivals)
        if dcg < least:
            least, best = dcg, [x.copy() for x in delta]
        if step == schedule.steps or dcg == 0:
            return best
        share = step / schedule.steps
        momentum = 0.5 + 0.35 * share
        temperature = spread * epsilon * schedule.first ** (1 - share) * schedule.last**share
        for side in (0, 1):
            p, q = factors.user + delta[0], factors.item + delta[1]
            slopes = slopes_of(p, q, items, weights, temperature, rivals)
            gradient = slopes @ q if side == 0 else slopes.T @ p
            norms = np.linalg.norm(gradient, axis=1, keepdims=True)
            direction = np.divide(gradient, norms, out=np.zeros_like(gradient), where=norms > 0)
            step_to = momentum * delta[side] + (1 - momentum) * sizes[side] * direction
            delta[side] = np.where(norms > 0, step_to, delta[side])
    return best


@pytest.mark.parametrize("threat_model", ["lists", "test"])
def test_an_annealed_attack_agrees_with_the_oracle(threat_model):
    """One start and four steps, in the l2 ball, where rounding changes no sign."""
    problem, schedule = Problem(P, Q, SHOP, k=K), Schedule(4, 4.0, 0.2)
    delta = ensemble.restarted(problem, threat_model, 0.05, "l2", schedule, 1)
    for part, expected in zip(delta, annealed(threat_model, problem.factors, 0.05, schedule)):
        norms = np.linalg.norm(part), np.linalg.norm(expected)
        assert np.sum(part * expected) / np.prod(norms) > 0.999
        assert norms[0] == pytest.approx(norms[1], rel=1e-2)


def test_the_softmax_attack_agrees_with_the_oracle():
    problem = Problem(P, Q, SHOP, k=K)
    tables, clicks = (problem.factors.user, problem.factors.item), SHOP.matrix().toarray()
    sizes, delta = problem.factors.sizes(0.1), [np.zeros(table.shape) for table in tables]
    for _ in range(ensemble.SOFTMAX_STEPS):
        p, q = (table + part for table, part in zip(tables, delta))
        slopes = clicks.sum(axis=1, keepdims=True) * np.exp(log_softmax(p @ q.T, axis=1)) - clicks
        gradients = slopes @ q, slopes.T @ p
        delta = [
            (part + size * oracles.unit_rows(gradient)) / 2
            for part, size, gradient in zip(delta, sizes, gradients)
        ]
    attack = THREAT_MODELS["train"]["softmax"](problem, 0.1, "l2")
    for part, expected in zip(attack, delta):
        np.testing.assert_allclose(part, expected, atol=1e-4)


def decomposed():
    """Factors that fit the data, and so have something to lose."""
    U, values, Vt = svds(SHOP.matrix(), k=5, random_state=0)
    return Problem(U * values, Vt.T, SHOP, k=K)


def remaining(problem, delta):
    """Return the nDCG that a perturbation leaves."""
    user, item = problem.factors.user + delta.user, problem.factors.item + delta.item
    lists = evaluation.top_k(user, item, problem.data, problem.k)
    return evaluation.metrics(lists, problem.data)["nDCG"]


def test_the_best_iterate_is_kept():
    problem = decomposed()
    factors, loss, schedule = problem.factors, problem.loss("test"), Schedule(24, 4.0, 0.2)
    zeros = Perturbation(np.zeros_like(factors.user), np.zeros_like(factors.item))
    dcg, best = losses.anneal(factors, loss, factors.sizes(0.02), "l2", schedule, zeros)
    looked = loss.look(factors.user + best.user, factors.item + best.item)
    assert looked == pytest.approx(dcg) and 0 < dcg < loss.look(factors.user, factors.item)
    single = ensemble.restarted(problem, "test", 0.02, "l2", schedule, 1)
    assert remaining(problem, single) == pytest.approx(dcg / SHOP.n_users)
    several = ensemble.restarted(problem, "test", 0.02, "l2", schedule, 8)
    assert remaining(problem, several) <= remaining(problem, single)


def test_small_data_have_restarts_and_large_ones_one_start(monkeypatch):
    counts = []
    monkeypatch.setattr(ensemble, "restarted", lambda *arguments: counts.append(arguments[-1]))
    for scores in (1, 40 * 60 * 4, 40 * 60, 1 << 40):
        monkeypatch.setattr(ensemble, "FREE_SCORES", scores)
        SMOOTH_DCG(Problem(P, Q, SHOP, k=K), 0.1, "l2")
    assert counts == [1, 4, 1, ensemble.RESTARTS]


def tiny(seed):
    """8 users, 6 items, rank 2. Every user knows one item and has another as test item."""
    rng = np.random.default_rng(seed)
    p, q = rng.standard_normal((8, 2)), rng.standard_normal((6, 2))
    train = pd.DataFrame({"user": np.arange(8), "item": np.arange(8) % 6})
    test = train.assign(item=(np.arange(8) % 6 + rng.integers(1, 6, 8)) % 6)
    factors = perturbations.quantized_canonical(p, q)
    return Problem(*factors, data.Interactions.from_frames(train, test), k=K)


def brute_force(problem, epsilon):
    """Return the least nDCG of 60,000 random perturbations, and of 60 rounds of mutations of the
    400 best.
    """
    factors, shop, rng = problem.factors, problem.data, np.random.default_rng(0)
    reach = np.repeat([float(size[0, 0]) for size in factors.sizes(epsilon)], (8, 6))[:, None]
    tables = np.concatenate([factors.user, factors.item])

    def measured(directions):
        moved = tables + reach * directions
        scores = np.einsum("bud,bid->bui", moved[:, :8], moved[:, 8:])
        scores[:, shop.train_users, shop.train_items] = -np.inf
        tested = scores[:, shop.test_users, shop.test_items][:, :, None]
        ranks = np.sum(scores[:, shop.test_users] >= tested, axis=2)
        return np.where(ranks <= K, 1 / np.log2(1 + ranks), 0).mean(axis=1)

    def best(directions):
        directions /= np.linalg.norm(directions, axis=2, keepdims=True)
        values = measured(directions)
        order = np.argsort(values, kind="stable")[:400]
        return directions[order], values[order[0]]

    kept, least = best(rng.standard_normal((60_000, 14, 2)))
    for turn in range(60):
        parents = np.repeat(kept, 10, axis=0)
        mutated = (rng.random((len(parents), 14, 1)) < 0.25) * (1, 0.5, 0.2, 0.05)[turn % 4]
        children = parents + mutated * rng.standard_normal(parents.shape)
        kept, least = best(np.concatenate([kept, children]))
    return least


def test_the_optimum_of_tiny_cases_is_approached():
    """Brute force leaves an nDCG of .2121 on average over three cases and three epsilons.

    The nDCG of one case moves in steps of 1/16.
    """
    attacked, least = [], []
    for seed in range(3):
        problem = tiny(seed)
        for epsilon in (0.1, 0.2, 0.4):
            attacked.append(remaining(problem, SMOOTH_DCG(problem, epsilon, "l2")))
            least.append(brute_force(problem, epsilon))
    assert np.mean(attacked) <= 1.01 * np.mean(least)


def test_bim_is_that_of_the_paper():
    problem, triples = Problem(P, Q, SHOP, seed=3), data.sample_triples(SHOP, 3)
    attacks = dict(ensemble.ensemble(problem, "train", 0.1))
    expected = perturbations.bim(P, Q, triples, 0.1, ball="l2", unit="relative")
    np.testing.assert_allclose(attacks["bim"].user, expected.user, atol=1e-6)
    np.testing.assert_allclose(attacks["bim"].item, expected.item, atol=1e-6)


@pytest.mark.parametrize("ball", ["l2", "linf"])
@pytest.mark.parametrize(("threat_model", "name"), ATTACKS)
def test_every_attack_stays_in_its_ball(threat_model, name, ball):
    problem = Problem(P, Q, SHOP, k=K)
    delta, longest = THREAT_MODELS[threat_model][name](problem, 0.2, ball), 0
    for part, size in zip(delta, problem.factors.sizes(0.2)):
        norms = np.abs(part).max(axis=1) if ball == "linf" else np.linalg.norm(part, axis=1)
        longest = max(longest, (norms / size[0]).max())
    assert 0.4 < longest <= 1 + 1e-5
