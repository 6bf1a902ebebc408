"""Attacks on the factors that a recommender serves, and on the parameter tables before them."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from advrec_tf import evaluation, perturbations
from advrec_tf.data import Interactions
from advrec_tf.execution.results import Job, Layout, Measured
from advrec_tf.leaderboard.entries import Entry, changed
from advrec_tf.leaderboard.measuring import ENTRY_COLUMNS, popularity
from advrec_tf.leaderboard.trained import Trained
from advrec_tf.leaderboard.worst_case import quarter_of
from advrec_tf.perturbations import PGD_INIT, Budget, Perturbation, uniform_start
from advrec_tf.perturbations.ensemble import BIM_STEPS, THREAT_MODELS, Attack, Problem
from advrec_tf.recommenders.baselines import MostPopular

VERSION = 1  # one more whenever the bytes of a row change
SERVED, PARAMETERS = "served", "parameters"
EPSILONS = (0.02, 0.05, 0.1)  # shares of the RMS row norm of each table, l2
QUARTERS = tuple(f"nDCG_{by}{n}" for by in ("activity", "popularity") for n in range(1, 5))
LAYOUT = Layout(
    (
        *("dataset", "entry", *ENTRY_COLUMNS, "factors", "seed", "epoch", "surface"),
        *("threat_model", "epsilon", "attack", "k"),
    ),
    ("nDCG", "HR", "ICov", *QUARTERS),
)


def _fgsm(problem: Problem, epsilon: float, ball: str) -> Perturbation:
    """Return the single step of FGSM (Eq. 4)."""
    return _ascended(problem, Budget(epsilon, epsilon, ball), None, 1)


def _pgd(problem: Problem, epsilon: float, ball: str) -> Perturbation:
    """Return PGD's perturbation: BIM from a uniform start."""
    factors = problem.factors
    start = uniform_start(factors.user, factors.item, problem.seed, PGD_INIT)
    return _ascended(problem, Budget(epsilon, ball=ball), factors.scaled(start), BIM_STEPS)


def _ascended(problem, budget: Budget, init, steps: int) -> Perturbation:
    """Return the perturbation after so many steps up the BPR loss."""
    return next(
        perturbations.iterates(
            problem.factors, problem.chunks, budget, init, (steps,), problem.served
        )
    )


# The ensemble of the leaderboard, and the attacks of Table 1, by what the attacker knows.
ATTACKS: dict[str, dict[str, Attack]] = {
    **THREAT_MODELS,
    "train": {**THREAT_MODELS["train"], "fgsm": _fgsm, "pgd": _pgd},
}


def jobs(
    entry: Entry, epoch: int, trained: Trained, k: int, surfaces: Iterable[str] = (SERVED,)
) -> list[Job]:
    """Return the jobs of an entry: on each surface clean, and under each threat model.

    Only an entry whose factors are not changed has tables before them.
    """
    made = []
    for surface in surfaces:
        shared: dict[str, Any] = {
            **{"dataset": trained.data.name, **entry.columns},
            "factors": trained.folder.parent.name,
            **{"epoch": epoch, "surface": surface, "k": k},
        }
        grid: list[tuple[str, tuple, tuple]] = [("", (0.0,), ("",))]
        grid += [(model, EPSILONS, tuple(members)) for model, members in ATTACKS.items()]
        for threat_model, epsilons, attacks in grid:
            points = [
                {**shared, "threat_model": threat_model, "epsilon": epsilon, "attack": attack}
                for attack in attacks
                for epsilon in epsilons
            ]
            function = "advrec_tf.leaderboard.surfaces:attacked"
            made.append(Job(function, points, {"trained": trained, "entry": entry}))
    return made


def popular_job(data: Interactions, k: int) -> Job:
    """Return the job of MostPopular, which the attacked models are compared with."""
    point: dict[str, Any] = {"dataset": data.name, **Entry("MostPopular").columns}
    point |= {"factors": data.fingerprint[:12], "epoch": 0}
    point |= {"surface": SERVED, "threat_model": "", "epsilon": 0.0, "attack": "", "k": k}
    return Job("advrec_tf.leaderboard.surfaces:popular", [point], {"data": data})


def popular(points: list[dict], data: Interactions) -> Measured:
    """Measure the lists of the most popular items."""
    (point,) = points
    model = MostPopular(data)
    lists = evaluation.top_k(model.user_embedding, model.item_embedding, data, point["k"])
    return [point | _values(lists, data)], {}


def attacked(points: list[dict], trained: Trained, entry: Entry) -> Measured:
    """Measure the attack of each point, all on one surface.

    Beside the means it returns nDCG in each quarter of users by their train items (activity1: the
    fewest), and by the popularity of their test items.
    """
    first, data = points[0], trained.data
    problem = problem_of(trained, entry, first["epoch"], first["surface"], first["k"])
    rows = []
    for point in points:
        delta = problem.factors.zeros
        if point["threat_model"]:
            attack = ATTACKS[point["threat_model"]][point["attack"]]
            delta = attack(problem, point["epsilon"], "l2")
        lists = evaluation.top_k(*problem.factors.moved(*delta), data, point["k"])
        rows.append(point | _values(lists, data))
    return rows, {}


def _values(lists: np.ndarray, data: Interactions) -> dict[str, Any]:
    """Return the values of a row of lists [U, k]."""
    metrics = evaluation.metrics(lists, data)
    users = evaluation.per_user_metrics(lists, data)["nDCG"]
    values = {"nDCG": metrics["nDCG"], "HR": metrics["RE"], "ICov": metrics["ICov"]}
    quarters = _quarters(data).items()
    return values | {name: float(users[part].mean()) for name, part in quarters}


def problem_of(trained: Trained, entry: Entry, epoch: int, surface: str, k: int) -> Problem:
    """Return what is attacked on a surface.

    Factors are changed as the entry says and attacked in canonical form, tables as they are.
    """
    model = trained.model(epoch)
    if surface == SERVED:
        P, Q = model.factors
        P, Q = perturbations.quantized_canonical(*changed(P, Q, entry))
        return Problem(P, Q, trained.data, trained.seed, k)
    user, item = (table.numpy() for table in model.tables)
    return Problem(user, item, trained.data, trained.seed, k, served=model.served)


def _quarters(data: Interactions) -> dict[str, np.ndarray]:
    """Return which tested users are in each quarter: bool [T] by the names of QUARTERS."""
    activity = np.diff(data.indptr)[np.unique(data.test_users)]
    parts: dict[str, np.ndarray] = {}
    for by, values in (("activity", activity), ("popularity", popularity(data))):
        quarter = quarter_of(values)
        parts |= {f"nDCG_{by}{n}": quarter == n for n in range(1, 5) if np.any(quarter == n)}
    return parts
