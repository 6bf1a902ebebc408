"""The measuring half of an audit: anyone's factors under a grid of perturbations, beside recommenders that learn nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from advrec_tf import evaluation, perturbations
from advrec_tf.data import Interactions, sample_triples
from advrec_tf.errors import UserError
from advrec_tf.evaluation import NAMES
from advrec_tf.models.baselines import BASELINES
from advrec_tf.results import Job, Layout

# Budgets as shares of the mean l2 norm of the rows of P and Q.
SHARES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
STEPS = (1, 5, 10, 25, 50)
FACTORS = "factors"  # what audited factors are called among the models
SCALE = 1e-6, 1e6  # of the mean row norm: beyond, single precision loses the attacks
LAYOUT = Layout(("dataset", "model", "attack", "ball", "start", "epsilon", "step_size", "iterations", "seed", "k"), NAMES)


def checked(P: np.ndarray, Q: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """The factors as float32, and the mean l2 norm of their rows.  Raises UserError for what is no pair of factors, or has no scale to speak of."""
    for x, what in ((P, "user"), (Q, "item")):
        if np.ndim(x) != 2 or not np.issubdtype(np.asarray(x).dtype, np.number) or np.iscomplexobj(x):
            raise UserError(f"{what} factors must be a table of real numbers, not {np.asarray(x).dtype} {np.shape(x)}")
        if not np.isfinite(x).all():
            raise UserError(f"{what} factors hold {int(np.sum(~np.isfinite(x)))} values that are not finite numbers")
    if P.shape[1] != Q.shape[1]:
        raise UserError(f"user factors have {P.shape[1]} columns, item factors {Q.shape[1]}")
    with np.errstate(over="ignore"):
        norm = float(np.linalg.norm(np.concatenate([np.float64(P), np.float64(Q)]), axis=1).mean())
    if not SCALE[0] <= norm <= SCALE[1]:
        raise UserError(
            f"the factors' rows have a mean norm of {norm:.3g}: scale them to within {SCALE[0]:g} to {SCALE[1]:g}, their lists stay the same"
        )
    return np.asarray(P, np.float32), np.asarray(Q, np.float32), norm


def jobs(P: np.ndarray, Q: np.ndarray, data: Interactions, norm: float, k: int, iterations: int, seed: int) -> list[Job]:
    """Unperturbed factors and baselines, noise and FGSM, BIM in both balls over budgets (and iterations, in its own), and certified bounds."""
    base = {"dataset": data.name, "seed": seed, "k": k}
    epsilons = [share * norm for share in SHARES]
    steps = sorted({*STEPS, iterations})
    attacks = [
        perturbations.points("noise", epsilons) + perturbations.points("fgsm", epsilons),
        perturbations.points("bim", epsilons, (iterations,), "l2"),
        perturbations.points("bim", epsilons, steps),
    ]
    found = [Job("advrec_tf.auditing:baselines", [{**base, "model": name} for name in BASELINES], {"data": data})]
    common = {"P": P, "Q": Q, "data": data, "seed": seed}
    for points in ([{}], *attacks):
        found.append(Job("advrec_tf.auditing:attack", [{**base, "model": FACTORS, **point} for point in points], common))
    for ball in perturbations.BALLS:
        points = [{**base, "model": FACTORS, "attack": "certificate", "ball": ball, "epsilon": epsilon} for epsilon in (0.0, *epsilons)]
        found.append(Job("advrec_tf.auditing:certify", points, {"P": P, "Q": Q, "data": data}))
    return found


def constant_columns(P: np.ndarray, Q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The columns of one and the same value that is not 0, such as the ones beside a bias: bool [D] each."""
    user, item = ((np.ptp(x, axis=0) == 0) & (x[0] != 0) for x in (P, Q))
    return user, item


def attack(points: list[dict], P: np.ndarray, Q: np.ndarray, data: Interactions, seed: int, position: int = 0) -> tuple[list[dict], dict[str, Any]]:
    """The metrics of the lists at every point, and each tested user's nDCG with his activity and the popularity of his test item."""
    triples = perturbations.chunk_triples(sample_triples(data, seed), data.n_users, data.n_items)
    rows, users = [], []
    for point, delta in perturbations.perturbed(P, Q, triples, points, seed, fixed=constant_columns(P, Q)):
        lists = evaluation.top_k(P + delta.user, Q + delta.item, data, point["k"])
        rows.append(point | evaluation.metrics(lists, data))
        users.append(evaluation.per_user_metrics(lists, data)["nDCG"])
    every = (len(rows), 1)
    activity, popularity = np.diff(data.indptr)[data.test_users], data.item_counts[data.test_items]
    return rows, {"nDCG": np.array(users), "user activity": np.tile(activity, every), "item popularity": np.tile(popularity, every)}


def baselines(points: list[dict], data: Interactions, position: int = 0) -> tuple[list[dict], dict[str, Any]]:
    """The same of recommenders that learn nothing or next to nothing."""
    lists = [BASELINES[point["model"]](data, point["seed"]).top_k(data, point["k"]) for point in points]
    users = np.array([evaluation.per_user_metrics(each, data)["nDCG"] for each in lists])
    return [point | evaluation.metrics(each, data) for point, each in zip(points, lists)], {"nDCG": users}


def certify(points: list[dict], P: np.ndarray, Q: np.ndarray, data: Interactions, position: int = 0) -> tuple[list[dict], dict[str, Any]]:
    """RE and nDCG that no perturbation of a point's size can go below."""
    k = points[0]["k"]
    radii = evaluation.certified_radii(P, Q, data, points[0]["ball"], k)
    bounds = [evaluation.certified_metrics(radii, point["epsilon"]) for point in points]
    return [point | {"RE": bound[f"HR@{k}"], "nDCG": bound[f"nDCG@{k}"]} for point, bound in zip(points, bounds)], {}


def align(factors: np.ndarray, rows_path: Path | None, ids: np.ndarray, what: str) -> np.ndarray:
    """Brings the rows of exported factors into the order of the data's ids.

    rows_path: a CSV with columns row and id (row: position in the factors, from 0), or None where row n belongs to ids[n].
    Raises UserError for rows that are missing, out of range, not numbers or named twice.
    """
    if rows_path is None:
        if len(factors) != len(ids):
            raise UserError(f"the {what} factors have {len(factors)} rows, the data {len(ids)} {what}s: map rows to ids with --{what}_rows=CSV")
        return factors
    try:
        table = pd.read_csv(rows_path, dtype=str)
    except ValueError as error:  # empty, torn or no text
        raise UserError(f"{rows_path}: not a CSV with columns row and id ({' '.join(str(error).split())})") from None
    if not {"row", "id"} <= set(table.columns):
        raise UserError(f"{rows_path}, line 1: columns row and id are needed")
    places = pd.to_numeric(table["row"], errors="coerce")
    bad = places.isna() | (places < 0) | (places >= len(factors)) | (places % 1 != 0)
    if bad.any():
        at = int(np.argmax(bad))
        raise UserError(f"{rows_path}, line {at + 2}: row {table['row'].iloc[at]} is none of the {len(factors)} of the factors")
    for column, what_twice in ((table["id"], "id"), (places, "row")):
        if column.duplicated().any():
            at = int(np.argmax(column.duplicated()))
            raise UserError(f"{rows_path}, line {at + 2}: {what_twice} {table[what_twice].iloc[at]} occurs twice")
    row_of = dict(zip(table["id"], places.astype(int)))
    missing = [each for each in map(str, ids) if each not in row_of]
    if missing:
        raise UserError(f"{rows_path}: {what} {missing[0]} has no row ({len(missing)} such {what}s)")
    return factors[[row_of[each] for each in map(str, ids)]]
