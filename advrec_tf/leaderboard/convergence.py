"""The attack on held-out items beside ten times its steps and ten restarts: has it converged?"""

import numpy as np

from advrec_tf import evaluation
from advrec_tf.data import Interactions
from advrec_tf.execution.results import Job, Layout, Measured
from advrec_tf.execution.storage import digest
from advrec_tf.leaderboard.entries import Entry
from advrec_tf.perturbations import quantized_canonical
from advrec_tf.perturbations.ensemble import SCHEDULES, Problem, restarted

KEYS = ("dataset", "entry", "factors", "seed", "epsilon", "steps", "restarts", "k")
CONVERGENCE_LAYOUT = Layout(KEYS, ("nDCG",))
CONVERGENCE_EPSILONS = (0.01, 0.02, 0.05)  # relative, of the l2 ball
EFFORTS = ((1, 1), (10, 1), (1, 10))  # times the steps of the ensemble, and how many starts


def jobs(entry: Entry, P: np.ndarray, Q: np.ndarray, data: Interactions, k: int = 10) -> list[Job]:
    """Return a job for each epsilon, with a point for each of EFFORTS and one for clean factors."""
    factors = digest({"P": P, "Q": Q})[:12]
    base = {"dataset": data.name, "entry": entry.label, "factors": factors}
    keys = {**base, "seed": entry.seed, "k": k}
    steps = SCHEDULES["test"].steps
    efforts = [(0, 0), *((times * steps, restarts) for times, restarts in EFFORTS)]
    measurements = []
    for epsilon in CONVERGENCE_EPSILONS:
        points = [
            {**keys, "epsilon": epsilon, "steps": steps, "restarts": restarts}
            for steps, restarts in efforts
        ]
        arguments = {"P": P, "Q": Q, "data": data}
        measurements.append(Job("advrec_tf.leaderboard.convergence:attacked", points, arguments))
    return measurements


def attacked(points: list[dict], P: np.ndarray, Q: np.ndarray, data: Interactions) -> Measured:
    """Measure the nDCG that every point's attack on the held-out items leaves.

    0 steps leave the factors as they are. Epsilon bounds the l2 norm of each row, relative to the
    root mean square row norm. Of several restarts the worst counts.
    """
    seed, k = points[0]["seed"], points[0]["k"]
    problem, rows = Problem(*quantized_canonical(P, Q), data, seed, k), []
    for point in points:
        user, item = problem.factors.user, problem.factors.item
        if point["steps"]:
            schedule = SCHEDULES["test"]._replace(steps=point["steps"])
            delta = restarted(problem, "test", point["epsilon"], "l2", schedule, point["restarts"])
            user, item = user + delta.user, item + delta.item
        lists = evaluation.top_k(user, item, data, k)
        rows.append(point | {"nDCG": evaluation.metrics(lists, data)["nDCG"]})
    return rows, {}
