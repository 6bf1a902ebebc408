"""Has the attack on held-out items converged?  Its nDCG beside that of ten times the steps and of ten restarts."""

import numpy as np

from advrec_tf import evaluation
from advrec_tf.data import Interactions
from advrec_tf.execution.results import Job, Layout
from advrec_tf.execution.storage import digest
from advrec_tf.perturbations import quantized_canonical
from advrec_tf.perturbations.ensemble import SCHEDULES, Problem, restarted

KEYS = ("dataset", "entry", "factors", "seed", "rho", "steps", "restarts", "k")
LAYOUT = Layout(KEYS, ("nDCG",))
EPSILONS = (0.01, 0.02, 0.05)  # relative, of the l2 ball
EFFORTS = ((1, 1), (10, 1), (1, 10))  # times the steps of the ensemble, and how many starts


def jobs(
    name: str, P: np.ndarray, Q: np.ndarray, data: Interactions, seed: int = 0, k: int = 10
) -> list[Job]:
    """Return a job for each epsilon, with a point for each of EFFORTS and one for clean factors."""
    base = {
        "dataset": data.name,
        "entry": name,
        "factors": digest({"P": P, "Q": Q})[:12],
        "seed": seed,
        "k": k,
    }
    steps, found = SCHEDULES["test"].steps, []
    for epsilon in EPSILONS:
        efforts = [(0, 0), *((times * steps, restarts) for times, restarts in EFFORTS)]
        points = [
            {**base, "rho": epsilon, "steps": each, "restarts": restarts}
            for each, restarts in efforts
        ]
        found.append(
            Job(
                "advrec_tf.leaderboard.convergence:attacked", points, {"P": P, "Q": Q, "data": data}
            )
        )
    return found


def attacked(
    points: list[dict], P: np.ndarray, Q: np.ndarray, data: Interactions, position: int = 0
) -> tuple[list[dict], dict[str, np.ndarray]]:
    """Return what every point's attack leaves of nDCG; no steps leave the factors as they are."""
    seed, k = points[0]["seed"], points[0]["k"]
    problem, rows = Problem(*quantized_canonical(P, Q), data, seed, k), []
    for point in points:
        user, item = problem.factors.user, problem.factors.item
        if point["steps"]:
            schedule = SCHEDULES["test"]._replace(steps=point["steps"])
            delta = restarted(problem, "test", point["rho"], "l2", schedule, point["restarts"])
            user, item = user + delta.user, item + delta.item
        lists = evaluation.top_k(user, item, data, k)
        rows.append(point | {"nDCG": evaluation.metrics(lists, data)["nDCG"]})
    return rows, {}
