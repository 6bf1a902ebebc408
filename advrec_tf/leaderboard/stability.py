"""The points of the stability experiment, and the measurement of each."""

from functools import cached_property
from typing import Any

import numpy as np

from advrec_tf import evaluation, perturbations
from advrec_tf.data import Interactions
from advrec_tf.execution.results import Job, Layout, Measured
from advrec_tf.leaderboard.entries import Entry
from advrec_tf.leaderboard.measuring import ENTRY_COLUMNS, entry_keys
from advrec_tf.perturbations.arguments import Tables
from advrec_tf.perturbations.ensemble import THREAT_MODELS, Problem
from advrec_tf.stability.measures import cosine, epsilons, list_changes, units
from advrec_tf.stability.procrustes import aligned, linear_residual, padded
from advrec_tf.stability.quantization import STORAGE, integers, storage_changes

VERSION = 2  # one more whenever the bytes of a row change
CHANGE, NOISE, ATTACK, CERTIFICATE = "change", "noise", "attack", "certificate"
DIRECTIONS = (CHANGE, NOISE, ATTACK)
OTHER_SEED, OTHER = "other seed", "other"  # changes: the next seed, the training of --other
UNIFORM = ""  # the change that moves all rows by the key `uniform`, which others do not have
CURVE = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)  # epsilons of uniform rows
LAYOUT = Layout(
    (
        *("dataset", "entry", *ENTRY_COLUMNS, "factors", "seed"),
        *("change", "uniform", "direction", "k"),
    ),
    (
        *("epsilon", "user_epsilon", "item_epsilon", "user_p95", "item_p95"),
        *("user_most", "item_most", "linear_epsilon", "overlap", "RBO", "same_list"),
        *("same_first", "nDCG", "ICov", "cosine", "certified", "rank"),
    ),
)
# The forms in which one model is stored as 4-bit integers with one scale a table. Canonical factors
# have the change "int4 table".
AS_TRAINED, NORMALIZED = "int4 table, as trained", "int4 table, user-normalised"
_SMOOTH = THREAT_MODELS["test"]["smooth DCG"]


def jobs(entry: Entry, P: np.ndarray, Q: np.ndarray, data: Interactions, k: int) -> list[Job]:
    """Return the jobs of an entry that need no other training: curves, and stored factors."""
    base = entry_keys(entry, P, Q, data) | {"k": k}
    directions = (NOISE, ATTACK, *([CERTIFICATE] if data.has_one_test_item_each else []))
    curve = [{**base, "change": UNIFORM, "uniform": 0.0, "direction": CHANGE}]
    curve += [
        {**base, "change": UNIFORM, "uniform": epsilon, "direction": direction}
        for epsilon in CURVE
        for direction in directions
    ]
    arguments = {"P": P, "Q": Q, "data": data}
    forms = [
        {**base, "change": form, "uniform": None, "direction": CHANGE}
        for form in (AS_TRAINED, NORMALIZED)
    ]
    made = [
        Job("advrec_tf.leaderboard.stability:curves", curve, arguments),
        Job("advrec_tf.leaderboard.stability:stored_in_forms", forms, arguments),
    ]
    return made + [_job(base, change, "stored", arguments) for change in storage_changes()]


def trained_job(
    entry: Entry, change: str, pair: Tables, other: Tables, data: Interactions, k: int
) -> Job:
    """Return the job of an entry and another training of it, whose first users are the same."""
    P, Q = pair
    arguments = {"P": P, "Q": Q, "other": (other[0][: len(P)], other[1]), "data": data}
    return _job(entry_keys(entry, P, Q, data) | {"k": k}, change, "trained", arguments)


def _job(base: dict[str, Any], change: str, function: str, arguments: dict[str, Any]) -> Job:
    """Return the job of one change: the change, noise of its rows, and the attack of its size."""
    shared = {**base, "change": change, "uniform": None}
    points = [{**shared, "direction": direction} for direction in DIRECTIONS]
    return Job(f"advrec_tf.leaderboard.stability:{function}", points, arguments)


class _Factors:
    """Canonical factors, their lists, and how changes of them are measured."""

    def __init__(self, points: list[dict], P: np.ndarray, Q: np.ndarray, data: Interactions):
        first = points[0]
        self.data, self.k, self.seed = data, first["k"], first["seed"]
        self.tables: Tables = perturbations.quantized_canonical(P, Q)
        self.lists = evaluation.top_k(*self.tables, data, self.k)
        self.problem = Problem(*self.tables, data, self.seed, self.k)

    def row(
        self,
        point: dict,
        moved: Tables,
        lists: np.ndarray | None = None,
        before: Tables | None = None,
    ) -> dict[str, Any]:
        """Return the row of a point: how far tables have moved, and what became of the lists.

        lists: by default those of the moved tables; before: the tables in the width of the moved
        """
        lists = evaluation.top_k(*moved, self.data, self.k) if lists is None else lists
        metrics = evaluation.metrics(lists, self.data)
        quality = {name: metrics[name] for name in ("nDCG", "ICov")}
        quality["rank"] = self.tables[0].shape[1]
        changed = epsilons(before or self.tables, moved) | list_changes(self.lists, lists)
        return point | changed | quality

    @cached_property
    def radii(self) -> np.ndarray:
        """The certified radii of the held-out items, [M, k]."""
        return evaluation.certified_radii(*self.tables, self.data, "l2", self.k, units(self.tables))

    def attacked(self, epsilon: float) -> Tables:
        """Return the tables under the attack on held-out items."""
        if not epsilon:
            return self.tables
        factors = self.problem.factors
        delta = factors.to_original(_SMOOTH(self.problem, epsilon, "l2"))
        return self.tables[0] + delta.user, self.tables[1] + delta.item

    def noisy(self, lengths: Tables) -> Tables:
        """Return the tables plus random rows of these lengths, [U, 1] and [I, 1]."""
        rng, noisy = np.random.default_rng(self.seed), []
        for table, length in zip(self.tables, lengths):
            rows = rng.standard_normal(table.shape, np.float32)
            rows *= length / np.linalg.norm(rows, axis=1, keepdims=True)
            noisy.append(table + rows)
        return noisy[0], noisy[1]

    def uniform(self, epsilon: float) -> Tables:
        """Return the lengths of rows that all move by epsilon."""
        user, item = (
            np.full((len(x), 1), epsilon * unit, np.float32)
            for x, unit in zip(self.tables, units(self.tables))
        )
        return user, item

    def rows(
        self, points: list[dict], before: Tables, moved: Tables, lists: np.ndarray | None = None
    ) -> list[dict]:
        """Return the rows of a change and its companions, in the order of DIRECTIONS.

        before: the tables in the basis and width of the moved ones
        """
        change = self.row(points[0], moved, lists, before)
        change["linear_epsilon"] = linear_residual(before, moved)
        change["certified"] = self._certified(max(change["user_most"], change["item_most"]))
        user, item = (np.linalg.norm(x - y, axis=1, keepdims=True) for x, y in zip(before, moved))
        rows = [change]
        companions = self.noisy((user, item)), self.attacked(change["epsilon"])
        for point, tables in zip(points[1:], companions):
            wide = padded(tables, before[0].shape[1])
            rows.append(self.row(point, tables) | {"cosine": cosine(before, moved, wide)})
        return rows

    def _certified(self, epsilon: float) -> float | None:
        """Return the share of listed held-out items that no move of all rows by epsilon unlists.

        None where users have several test items, and where none is listed.
        """
        if not self.data.has_one_test_item_each:
            return None
        edges = self.radii[:, -1]  # where the item leaves the list
        return float(np.mean(edges[edges > 0] > epsilon)) if edges.any() else None


def curves(points: list[dict], P: np.ndarray, Q: np.ndarray, data: Interactions) -> Measured:
    """Measure factors as they are, and under noise, attack and certificate of each epsilon."""
    factors, rows = _Factors(points, P, Q, data), []
    for point in points:
        epsilon = point["uniform"]
        if point["direction"] == CERTIFICATE:
            bounds = evaluation.certified_metrics(factors.radii, epsilon)
            rows.append(point | {"epsilon": epsilon, "nDCG": bounds[f"nDCG@{factors.k}"]})
        elif point["direction"] == ATTACK:
            rows.append(factors.row(point, factors.attacked(epsilon)))
        else:
            rows.append(factors.row(point, factors.noisy(factors.uniform(epsilon))))
    return rows, {}


def stored(points: list[dict], P: np.ndarray, Q: np.ndarray, data: Interactions) -> Measured:
    """Measure factors that were stored as the points' change says, and the companions."""
    factors = _Factors(points, P, Q, data)
    moved = STORAGE[points[0]["change"]](factors.tables, points[0]["seed"])
    return factors.rows(points, factors.tables, moved), {}


def stored_in_forms(
    points: list[dict], P: np.ndarray, Q: np.ndarray, data: Interactions
) -> Measured:
    """Measure 4-bit integers of the factors as they are, and of user-normalised canonical ones.

    The first depend on scale and basis, which nothing else here does.
    """
    rows = []
    for point in points:
        tables: Tables = np.asarray(P, np.float32), np.asarray(Q, np.float32)
        if point["change"] == NORMALIZED:
            tables = perturbations.quantized_canonical(*perturbations.normalize_users(P, Q))
        factors = _Factors([point], *tables, data)
        user, item = (integers(table, 4, by_row=False) for table in tables)
        lists = evaluation.top_k(user, item, data, point["k"])
        stored = perturbations.quantized_canonical(user, item)
        before, moved = aligned(factors.tables, stored)
        rows.append(factors.row(point, moved, lists, before))
    return rows, {}


def trained(
    points: list[dict], P: np.ndarray, Q: np.ndarray, other: Tables, data: Interactions
) -> Measured:
    """Measure another training, and the companions of the change that it makes.

    Its lists are its own; only epsilons need both trainings in one basis.
    """
    factors = _Factors(points, P, Q, data)
    tables = perturbations.quantized_canonical(*other)
    lists = evaluation.top_k(*tables, data, factors.k)
    return factors.rows(points, *aligned(factors.tables, tables), lists), {}
