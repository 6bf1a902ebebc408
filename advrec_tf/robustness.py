"""The measuring half of the leaderboard: what is left of factors under an ensemble of attacks, and what no attack can take, in budgets that no scale
can fake."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from advrec_tf import evaluation, perturbations
from advrec_tf.data import Interactions, sample_triples
from advrec_tf.perturbations import Perturbation
from advrec_tf.results import Job, Layout
from advrec_tf.storage import digest

VERSION = 1  # of the ensemble, one more whenever its bytes change
LAYOUT = Layout(
    ("dataset", "entry", "factors", "seed", "threat", "budget", "ball", "rho", "k"),
    ("member", "nDCG", "HR", "certified_nDCG", "certified_HR", "ICov", "EFD", "SE", "masked"),
)
BUDGET = "relative"
SIZES = {"l2": (0.01, 0.02, 0.05, 0.1, 0.2, 0.4), "linf": (0.11,)}
# What an attacker knows: the training pairs, as in the papers; the lists that are shown; the held-out item, whose place is what is measured.
THREATS = ("train", "lists", "test")
RESTARTS = 2  # of PGD, each with negatives of its own


def jobs(name: str, P: np.ndarray, Q: np.ndarray, data: Interactions, seed: int, k: int) -> list[Job]:
    """Unperturbed, and for each threat and ball every budget.  P, Q: in any scale, basis or shift"""
    named = {"entry": name, "factors": digest({"P": P, "Q": Q})[:12]}  # as a name may be given to others
    base = {"dataset": data.name, **named, "seed": seed, "budget": BUDGET, "k": k}
    arguments = {"P": P, "Q": Q, "data": data}
    found = [Job("advrec_tf.robustness:measure", [{**base, "threat": "", "ball": "", "rho": 0.0}], arguments)]
    for threat in THREATS:
        for ball, sizes in SIZES.items():
            points = [{**base, "threat": threat, "ball": ball, "rho": rho} for rho in sizes]
            found.append(Job("advrec_tf.robustness:measure", points, arguments))
    return found


def measure(points: list[dict], P: np.ndarray, Q: np.ndarray, data: Interactions, position: int = 0) -> tuple[list[dict], dict[str, np.ndarray]]:
    """The worst of the ensemble by nDCG at every point, beside the certificate; and each tested user's nDCG there."""
    P, Q = perturbations.canonical(P, Q)  # so that not even rounding depends on the scale
    first = points[0]
    radii = None
    if first["ball"] and data.has_one_test_item_each:
        units = perturbations.form_of(P, Q, BUDGET).units
        radii = evaluation.certified_radii(P, Q, data, first["ball"], first["k"], units)
    rows, users = [], []
    for point in points:
        row, own = _worst(point, P, Q, data)
        if radii is not None:
            bound = evaluation.certified_metrics(radii, point["rho"])
            row |= {"certified_nDCG": bound[f"nDCG@{point['k']}"], "certified_HR": bound[f"HR@{point['k']}"]}
        rows.append(row)
        users.append(own)
    return rows, {"nDCG": np.array(users, np.float32)}


def _worst(point: dict, P: np.ndarray, Q: np.ndarray, data: Interactions) -> tuple[dict[str, Any], np.ndarray]:
    found: dict[str, tuple[dict, np.ndarray]] = {}
    for name, delta in ensemble(P, Q, data, point["threat"], point["rho"], point["ball"], point["seed"], point["k"]):
        lists = evaluation.top_k(P + delta.user, Q + delta.item, data, point["k"])
        found[name] = evaluation.metrics(lists, data), evaluation.per_user_metrics(lists, data)["nDCG"]
    attacks = [name for name in found if name != "noise"] or list(found)
    worst = min(attacks, key=lambda name: found[name][0]["nDCG"])
    metrics, users = found[worst]
    masked = "noise" in found and found["noise"][0]["nDCG"] < metrics["nDCG"]
    return point | {"member": worst, "HR": metrics["RE"], "masked": int(masked)} | {n: metrics[n] for n in ("nDCG", "ICov", "EFD", "SE")}, users


def ensemble(
    P: np.ndarray, Q: np.ndarray, data: Interactions, threat: str, rho: float, ball: str, seed: int = 0, k: int = 10, budget: str = BUDGET
) -> Iterator[tuple[str, Perturbation]]:
    """Every member of a threat's ensemble with its perturbation, and noise of the same size, which none of them should fall behind.

    `train`: BIM, PGD from RESTARTS starts and `climbing` on the pairwise loss.  `lists`: `sinking` of each user's own list.  `test`: `sinking` of his
    test items.  No threat: nothing moves.  Raises ValueError for another threat.
    """
    if threat not in ("", *THREATS):
        raise ValueError(f"threat must be one of {', '.join(THREATS)}, not {threat!r}")
    if not threat:
        yield "", Perturbation(np.zeros_like(P), np.zeros_like(Q))
        return
    if ball == "l2":
        yield "noise", perturbations.noise(P, Q, rho, seed, budget)
    if threat == "train":
        triples = perturbations.chunk_triples(sample_triples(data, seed), data.n_users, data.n_items)
        yield "bim", perturbations.bim(P, Q, triples, rho, ball=ball, budget=budget)
        yield "climbing", next(perturbations.climbing(P, Q, triples, rho, ball, budget))
        for restart in range(RESTARTS):
            drawn = sample_triples(data, [seed, restart])
            yield f"pgd {restart}", perturbations.pgd(P, Q, drawn, rho, ball=ball, seed=restart, init_range=rho, budget=budget)
    else:
        sunk = evaluation.top_k(P, Q, data, k) if threat == "lists" else test_items(data)
        yield "sinking", next(perturbations.sinking(P, Q, data, sunk, rho, ball, budget))


def test_items(data: Interactions) -> np.ndarray:
    """Each user's test items, int [U, n], -1 where there are fewer."""
    counts = np.bincount(data.test_users, minlength=data.n_users)
    found = np.full((data.n_users, counts.max(initial=1)), -1)
    found[data.test_users, np.arange(len(data.test_users)) - np.searchsorted(data.test_users, data.test_users)] = data.test_items
    return found
