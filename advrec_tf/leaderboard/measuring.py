"""The points of the leaderboard and what is measured at each: a row for every member of every ensemble."""

from typing import Any

import numpy as np

from advrec_tf import evaluation, perturbations
from advrec_tf.data import Interactions
from advrec_tf.evaluation import rank_metrics
from advrec_tf.execution.results import Job, Layout
from advrec_tf.execution.storage import digest
from advrec_tf.perturbations.ensemble import SCHEDULES, THREAT_MODELS, Problem
from advrec_tf.perturbations.single_user import worst_ranks

VERSION = 6  # of the ensemble, one more whenever its bytes change
LAYOUT = Layout(
    ("dataset", "entry", "factors", "seed", "threat", "budget", "ball", "rho", "member", "k"),
    (
        "nDCG",
        "HR",
        "ICov",
        "EFD",
        "SE",
        "idle",
    ),  # idle: share of tested users' rows that an attack leaves
)
Measured = tuple[list[dict], dict[str, np.ndarray]]  # rows, and what is kept of single users
SIZES = {"l2": (0.01, 0.02, 0.05, 0.1, 0.2, 0.4), "linf": (0.11,)}
STILL = 1e-3  # of the budget: a row that has moved less has found no gradient
ALONE, CERTIFICATE = "alone", "certificate"  # each user attacked alone; what no attack can take


def jobs(
    name: str,
    P: np.ndarray,
    Q: np.ndarray,
    data: Interactions,
    seed: int = 0,
    k: int = 10,
    budget: str = "relative",
) -> list[Job]:
    """Unperturbed, and every budget of each ball: under each threat, certified, and each user alone.  P, Q: in any scale, basis or shift.

    A rho of the absolute budget is a number of the factors: SIZES times the root mean square of all rows' norms.
    """
    norm = np.sqrt(
        np.mean(
            [
                *np.sum(np.square(P, dtype=np.float64), axis=1),
                *np.sum(np.square(Q, dtype=np.float64), axis=1),
            ]
        )
    )
    unit = norm if budget == "absolute" else 1.0
    base = {
        "dataset": data.name,
        "entry": name,
        "factors": digest({"P": P, "Q": Q})[:12],
        "seed": seed,
        "budget": budget,
        "k": k,
    }
    arguments = {"P": P, "Q": Q, "data": data}

    def job(function: str, threat: str, members, ball: str = "", sizes: tuple = (0.0,)) -> Job:
        named = {**base, "threat": threat, "ball": ball}
        points = [
            {**named, "rho": float(unit * rho), "member": member}
            for rho in sizes
            for member in members
        ]
        return Job(f"advrec_tf.leaderboard.measuring:{function}", points, arguments)

    found = [job("unperturbed", "", ("",))]
    for ball, sizes in SIZES.items():
        found += [
            job("attacked", threat, members, ball, sizes)
            for threat, members in THREAT_MODELS.items()
        ]
        if data.has_one_test_item_each:
            found += [
                job("certified", CERTIFICATE, ("",), ball, sizes),
                job("attacked_alone", ALONE, (ALONE,), ball, sizes),
            ]
    return found


def unperturbed(
    points: list[dict], P: np.ndarray, Q: np.ndarray, data: Interactions, position: int = 0
) -> Measured:
    """The factors as they are; and of tested users what groups are made by, beside their nDCG."""
    form = _problem(points, P, Q, data).factors
    row, users = measured(
        points[0], evaluation.top_k(form.user, form.item, data, points[0]["k"]), data
    )
    groups = {
        "user activity": np.diff(data.indptr)[_tested(data)],
        "item popularity": _popularity(data),
    }
    return [row], {name: values[None] for name, values in {"nDCG": users, **groups}.items()}


def attacked(
    points: list[dict], P: np.ndarray, Q: np.ndarray, data: Interactions, position: int = 0
) -> Measured:
    """Every point's member of its threat's ensemble; and each tested user's nDCG there."""
    problem, found = _problem(points, P, Q, data), []
    for point in points:
        delta = THREAT_MODELS[point["threat"]][point["member"]](
            problem, point["rho"], point["ball"]
        )
        lists = evaluation.top_k(
            problem.factors.user + delta.user, problem.factors.item + delta.item, data, point["k"]
        )
        row, users = measured(point, lists, data)
        still = (
            np.linalg.norm(delta.user, axis=1)
            < STILL * problem.factors.sizes(point["rho"])[0][:, 0]
        )
        found.append((row | {"idle": float(still[_tested(data)].mean())}, users))
    return [row for row, _ in found], {"nDCG": np.array([users for _, users in found], np.float32)}


def certified(
    points: list[dict], P: np.ndarray, Q: np.ndarray, data: Interactions, position: int = 0
) -> Measured:
    """HR and nDCG below which no perturbation of a point's size can bring them."""
    form, k = _problem(points, P, Q, data).factors, points[0]["k"]
    radii = evaluation.certified_radii(form.user, form.item, data, points[0]["ball"], k, form.units)
    return _by_ranks(points, [1 + np.sum(radii <= point["rho"], axis=1) for point in points])


def attacked_alone(
    points: list[dict], P: np.ndarray, Q: np.ndarray, data: Interactions, position: int = 0
) -> Measured:
    """HR and nDCG when every user is attacked `alone`."""
    form, k = _problem(points, P, Q, data).factors, points[0]["k"]
    ranks = (
        worst_ranks(form, data, form.sizes(point["rho"]), point["ball"], k, SCHEDULES[ALONE])
        for point in points
    )
    return _by_ranks(points, list(ranks))


def _problem(points: list[dict], P: np.ndarray, Q: np.ndarray, data: Interactions) -> Problem:
    first = points[0]
    if first["budget"] == "row":
        P, Q = perturbations.normalize_users(
            P, Q
        )  # which is the same for any factor on a user's row
    if first["budget"] != "absolute":
        P, Q = perturbations.quantized_canonical(P, Q)
    return Problem(P, Q, data, first["seed"], first["k"], first["budget"])


def measured(
    point: dict, lists: np.ndarray, data: Interactions
) -> tuple[dict[str, Any], np.ndarray]:
    """The row of a point from its lists, and tested users' nDCG."""
    metrics = evaluation.metrics(lists, data)
    return point | {"HR": metrics["RE"]} | {
        n: metrics[n] for n in ("nDCG", "ICov", "EFD", "SE")
    }, evaluation.per_user_metrics(lists, data)["nDCG"]


def _by_ranks(points: list[dict], ranks: list[np.ndarray]) -> Measured:
    k = points[0]["k"]
    measured = [rank_metrics(each, k) for each in ranks]
    rows = [
        point | {"nDCG": each[f"nDCG@{k}"], "HR": each[f"HR@{k}"]}
        for point, each in zip(points, measured)
    ]
    return rows, {
        "nDCG": np.array(
            [np.where(each <= k, 1 / np.log2(each + 1), 0) for each in ranks], np.float32
        )
    }


def _tested(data: Interactions) -> np.ndarray:
    return np.unique(data.test_users)


def _popularity(data: Interactions) -> np.ndarray:
    """Of each tested user's test items, in the mean."""
    counts = data.item_counts[data.test_items]
    return (np.bincount(data.test_users, counts) / np.maximum(np.bincount(data.test_users), 1))[
        _tested(data)
    ]
