"""Threat model promote: how far rows must move before items enter the lists of many users."""

from typing import Any

import numpy as np

from advrec_tf import evaluation, perturbations
from advrec_tf.data import GROUPS, Interactions, choose_targets, popularity_groups
from advrec_tf.evaluation.promotion import (
    Units,
    all_rows_radii,
    knows,
    last_rivals,
    own_row_radii,
)
from advrec_tf.execution.results import Job, Layout, Measured
from advrec_tf.leaderboard.entries import Entry
from advrec_tf.leaderboard.measuring import ENTRY_COLUMNS, entry_keys
from advrec_tf.perturbations.arguments import Tables
from advrec_tf.perturbations.promotion import promote_all, promote_row
from advrec_tf.stability.measures import units
from advrec_tf.stability.procrustes import aligned

VERSION = 1  # one more whenever the bytes of a row change
TARGETS = 5  # of a group
OWN, ALL = "target", "all"  # the rows that move
FAKES = "bandwagon 1%"  # in place of rows: fake users, and a training on them
EPSILONS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
LAYOUT = Layout(
    (
        *("dataset", "entry", *ENTRY_COLUMNS, "factors", "seed"),
        *("group", "rows", "epsilon", "k"),
    ),
    ("target_HR", "bound", "moved"),
)


def jobs(entry: Entry, P: np.ndarray, Q: np.ndarray, data: Interactions, k: int) -> list[Job]:
    """Return the jobs of an entry: the targets of each group, by their own rows and by all rows."""
    base = entry_keys(entry, P, Q, data) | {"k": k}
    made = []
    for group in groups_of(data):
        for rows in (OWN, ALL):
            shared: dict[str, Any] = {**base, "group": group, "rows": rows}
            points = [{**shared, "epsilon": epsilon} for epsilon in EPSILONS]
            arguments = {"P": P, "Q": Q, "data": data}
            made.append(Job("advrec_tf.leaderboard.promotion:promoted", points, arguments))
    return made


def poisoned_job(
    entry: Entry, pair: Tables, other: Tables, data: Interactions, group: str, k: int
) -> Job:
    """Return the job of an entry and its training with fake users, who push a group's targets."""
    P, Q = pair
    base = entry_keys(entry, P, Q, data) | {"k": k}
    point: dict[str, Any] = {**base, "group": group, "rows": FAKES, "epsilon": None}
    arguments = {"P": P, "Q": Q, "other": (other[0][: len(P)], other[1]), "data": data}
    return Job("advrec_tf.leaderboard.promotion:poisoned", [point], arguments)


def groups_of(data: Interactions) -> list[str]:
    """Return the groups of popularity that have items."""
    return [group for group in GROUPS if len(popularity_groups(data)[group])]


def targets_of(data: Interactions, group: str, seed: int) -> np.ndarray:
    """Return random items of a group of popularity, at most TARGETS."""
    count = min(TARGETS, len(popularity_groups(data)[group]))
    return np.array(choose_targets(data, group, count, seed))


def promoted(points: list[dict], P: np.ndarray, Q: np.ndarray, data: Interactions) -> Measured:
    """Return target HR under attack and its upper bound at each point, means over targets.

    Each target is pushed alone.  What a smaller epsilon reaches, a larger one does too.
    """
    first, k = points[0], points[0]["k"]
    tables = perturbations.quantized_canonical(P, Q)
    sizes = units(tables)
    targets = targets_of(data, first["group"], first["seed"])
    radii = own_row_radii if first["rows"] == OWN else all_rows_radii
    bounds = radii(*tables, data, targets, k, sizes)
    attack = _by_own_row if first["rows"] == OWN else _by_all_rows
    epsilons = [point["epsilon"] for point in points]
    reached = attack(tables, data, targets, epsilons, k, sizes)
    rows = []
    for n, point in enumerate(points):
        bound = float(np.mean(bounds <= point["epsilon"]))
        rows.append(point | {"target_HR": float(reached[:, n].mean()), "bound": bound})
    return rows, {}


def poisoned(
    points: list[dict], P: np.ndarray, Q: np.ndarray, other: Tables, data: Interactions
) -> Measured:
    """Return target HR after a training with fake users, and how far the targets' rows moved."""
    (point,) = points
    targets = targets_of(data, point["group"], point["seed"])
    tables, second = (perturbations.quantized_canonical(*pair) for pair in ((P, Q), other))
    lists = evaluation.top_k(*second, data, point["k"])
    shares = [(lists == target).any(axis=1).mean() for target in targets]
    (_, before), (_, after) = aligned(tables, second)
    moved = np.linalg.norm(after[targets] - before[targets], axis=1)
    row = point | {
        "target_HR": float(np.mean(shares)),
        "moved": float(np.mean(moved) / units(tables)[1]),
    }
    return [row], {}


def _by_own_row(
    tables: Tables, data: Interactions, targets: np.ndarray, epsilons: list, k: int, norms: Units
) -> np.ndarray:
    """Return the share of lists that each target enters at each epsilon by its own row, [T, E]."""
    reached = np.zeros((len(targets), len(epsilons)))
    for row, (target, rival) in enumerate(zip(targets, last_rivals(*tables, data, targets, k))):
        known, move = knows(data, int(target)), None
        for column, epsilon in enumerate(epsilons):
            length = epsilon * norms[1]
            move, reached[row, column] = promote_row(
                tables[0], tables[1][target], rival, known, length, move
            )
    return np.maximum.accumulate(reached, axis=1)


def _by_all_rows(
    tables: Tables, data: Interactions, targets: np.ndarray, epsilons: list, k: int, norms: Units
) -> np.ndarray:
    """Return the same by all rows, of which the target's own may be the only one that moves."""
    reached = _by_own_row(tables, data, targets, epsilons, k, norms)
    for row, target in enumerate(targets):
        for column, epsilon in enumerate(epsilons):
            sizes = epsilon * norms[0], epsilon * norms[1]
            _, share = promote_all(*tables, data, int(target), k, sizes)
            reached[row, column] = max(share, reached[row, column])
    return np.maximum.accumulate(reached, axis=1)
