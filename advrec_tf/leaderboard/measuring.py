"""The points of a leaderboard, and the measurement at each: one row per attack and epsilon."""

from typing import Any

import numpy as np

from advrec_tf import evaluation, perturbations
from advrec_tf.data import Interactions
from advrec_tf.evaluation import rank_metrics
from advrec_tf.execution.results import Job, Layout, Measured
from advrec_tf.execution.storage import digest
from advrec_tf.leaderboard.entries import Entry
from advrec_tf.perturbations.ensemble import SCHEDULES, THREAT_MODELS, Problem
from advrec_tf.perturbations.single_user import worst_ranks

VERSION = 6  # of the ensemble, one more whenever its bytes change
LAYOUT_VERSION = 2  # one more whenever columns or entries are named otherwise
ENTRY_COLUMNS = ("model", "model_rank", "truncated_rank", "user_normalized")
LAYOUT = Layout(
    (
        *("dataset", "entry", *ENTRY_COLUMNS, "factors", "seed"),
        *("threat_model", "unit", "ball", "epsilon", "attack", "k"),
    ),
    ("nDCG", "HR", "ICov", "EFD", "SE", "idle"),  # idle: share of tested users' rows that stay
)
EPSILONS = {"l2": (0.01, 0.02, 0.05, 0.1, 0.2, 0.4), "linf": (0.11,)}  # shares of the norm
MIN_SHIFT = 1e-3  # share of epsilon: a row that moves less has no gradient
USER = "user"  # threat model: each user is attacked alone
SINGLE_USER = "single user"  # its attack
CERTIFICATE = "certificate"  # in place of a threat model: what no attack can take


def versions() -> dict[str, int]:
    """Return the versions that the rows of a leaderboard depend on."""
    return {
        "perturbations": perturbations.VERSION,
        "evaluation": evaluation.VERSION,
        "certificates": evaluation.CERTIFICATES,
        "robustness": VERSION,
        "layout": LAYOUT_VERSION,
    }


def entry_keys(entry: Entry, P: np.ndarray, Q: np.ndarray, data: Interactions) -> dict[str, Any]:
    """Return the key columns that tell the rows of one entry apart from others."""
    return {"dataset": data.name, **entry.columns, "factors": digest({"P": P, "Q": Q})[:12]}


def jobs(
    entry: Entry,
    P: np.ndarray,
    Q: np.ndarray,
    data: Interactions,
    k: int = 10,
    unit: str = "relative",
) -> list[Job]:
    """Return the jobs of an entry: clean, and attacked and certified at every epsilon.

    P, Q: in any scale, basis or shift.  The absolute unit multiplies EPSILONS by the root mean
    square of all row norms.
    """
    scale = _rms_norm(P, Q) if unit == "absolute" else 1.0
    base = entry_keys(entry, P, Q, data) | {"unit": unit, "k": k}
    conditions: list[tuple[str, str, str, tuple, tuple]] = [("clean", "", "", (0.0,), ("",))]
    for ball, epsilons in EPSILONS.items():
        for threat_model, members in THREAT_MODELS.items():
            conditions.append(("attacked", threat_model, ball, epsilons, tuple(members)))
        if data.has_one_test_item_each:
            conditions.append(("certified", CERTIFICATE, ball, epsilons, ("",)))
            conditions.append(("attacked_by_user", USER, ball, epsilons, (SINGLE_USER,)))
    measurements = []
    for function, threat_model, ball, epsilons, attacks in conditions:
        shared = {**base, "threat_model": threat_model, "ball": ball}
        points = [
            {**shared, "epsilon": float(scale * epsilon), "attack": attack}
            for epsilon in epsilons
            for attack in attacks
        ]
        arguments = {"P": P, "Q": Q, "data": data}
        measurements.append(Job(f"advrec_tf.leaderboard.measuring:{function}", points, arguments))
    return measurements


def _rms_norm(P: np.ndarray, Q: np.ndarray) -> float:
    """Return the root mean square of the l2 norms of all rows of both tables."""
    squares = [np.sum(np.square(x, dtype=np.float64), axis=1) for x in (P, Q)]
    return float(np.sqrt(np.mean(np.concatenate(squares))))


def clean(points: list[dict], P: np.ndarray, Q: np.ndarray, data: Interactions) -> Measured:
    """Measure the factors without perturbation, for the only point.

    Beside tested users' nDCG, it returns the two values of each user that `worst_case.quarters`
    groups users by: the number of train items, and the popularity of the test items.
    """
    factors = _problem(points, P, Q, data).factors
    lists = evaluation.top_k(factors.user, factors.item, data, points[0]["k"])
    row, ndcg = measured(points[0], lists, data)
    users = {
        "nDCG": ndcg,
        "user activity": np.diff(data.indptr)[np.unique(data.test_users)],
        "item popularity": popularity(data),
    }
    return [row], {name: values[None] for name, values in users.items()}


def attacked(points: list[dict], P: np.ndarray, Q: np.ndarray, data: Interactions) -> Measured:
    """Measure the attack of each point: its row, and each tested user's nDCG under it.

    `idle` is the share of tested users whose row the attack leaves where it is.
    """
    problem, rows, ndcg = _problem(points, P, Q, data), [], []
    factors, tested = problem.factors, np.unique(data.test_users)
    for point in points:
        attack, epsilon = THREAT_MODELS[point["threat_model"]][point["attack"]], point["epsilon"]
        delta = attack(problem, epsilon, point["ball"])
        lists = evaluation.top_k(
            factors.user + delta.user, factors.item + delta.item, data, point["k"]
        )
        row, users = measured(point, lists, data)
        least = MIN_SHIFT * factors.sizes(epsilon)[0][:, 0]
        idle = np.linalg.norm(delta.user, axis=1) < least
        rows.append(row | {"idle": float(idle[tested].mean())})
        ndcg.append(users)
    return rows, {"nDCG": np.array(ndcg, np.float32)}


def certified(points: list[dict], P: np.ndarray, Q: np.ndarray, data: Interactions) -> Measured:
    """Return certified lower bounds of HR and nDCG under perturbations of each point's epsilon."""
    factors, k = _problem(points, P, Q, data).factors, points[0]["k"]
    radii = evaluation.certified_radii(
        factors.user, factors.item, data, points[0]["ball"], k, factors.units
    )
    ranks = [1 + np.sum(radii <= point["epsilon"], axis=1) for point in points]
    return _by_ranks(points, ranks)


def attacked_by_user(
    points: list[dict], P: np.ndarray, Q: np.ndarray, data: Interactions
) -> Measured:
    """Measure HR and nDCG where each user is attacked alone, by that user's row and all items.

    No two users share a perturbation, so each has the worst rank of `single_user.worst_ranks`.
    """
    factors, k = _problem(points, P, Q, data).factors, points[0]["k"]
    ranks = []
    for point in points:
        sizes = factors.sizes(point["epsilon"])
        ranks.append(worst_ranks(factors, data, sizes, point["ball"], k, SCHEDULES[USER]))
    return _by_ranks(points, ranks)


def _problem(points: list[dict], P: np.ndarray, Q: np.ndarray, data: Interactions) -> Problem:
    """Return what the ensemble attacks: the factors in the scale-free form that the unit asks for.

    points: of one unit, seed and k. The absolute unit leaves P and Q as they are.
    """
    first = points[0]
    if first["unit"] == "row":  # a positive factor on a user's row must change nothing
        P, Q = perturbations.normalize_users(P, Q)
    if first["unit"] != "absolute":
        P, Q = perturbations.quantized_canonical(P, Q)
    return Problem(P, Q, data, first["seed"], first["k"], first["unit"])


def measured(
    point: dict, lists: np.ndarray, data: Interactions
) -> tuple[dict[str, Any], np.ndarray]:
    """Return the row of a point from its lists [U, k], and tested users' nDCG [T]."""
    metrics = evaluation.metrics(lists, data)
    names = {"HR": "RE", "nDCG": "nDCG", "ICov": "ICov", "EFD": "EFD", "SE": "SE"}
    row = point | {name: metrics[metric] for name, metric in names.items()}
    return row, evaluation.per_user_metrics(lists, data)["nDCG"]


def _by_ranks(points: list[dict], ranks: list[np.ndarray]) -> Measured:
    """Return the rows and tested users' nDCG of points for which only ranks are known.

    ranks: for each point the rank of every user's test item, from 1
    """
    k, rows = points[0]["k"], []
    for point, of_users in zip(points, ranks):
        metrics = rank_metrics(of_users, k)
        rows.append(point | {"nDCG": metrics[f"nDCG@{k}"], "HR": metrics[f"HR@{k}"]})
    ndcg = [np.where(of_users <= k, 1 / np.log2(of_users + 1), 0) for of_users in ranks]
    return rows, {"nDCG": np.array(ndcg, np.float32)}


def popularity(data: Interactions) -> np.ndarray:
    """Return the mean popularity of each tested user's test items."""
    counts = np.bincount(data.test_users, data.item_counts[data.test_items])
    users = np.bincount(data.test_users)
    return (counts / np.maximum(users, 1))[np.unique(data.test_users)]
