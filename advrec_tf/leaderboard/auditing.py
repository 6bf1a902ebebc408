"""The measuring half of an audit: anyone's factors as an entry of the leaderboard, beside recommenders that learn nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from advrec_tf import leaderboard
from advrec_tf.data import Interactions
from advrec_tf.errors import UserError
from advrec_tf.execution.results import Job
from advrec_tf.recommenders.baselines import BASELINES

FACTORS = "factors"  # what audited factors are called among the entries
SCALE = 1e-6, 1e6  # of the mean row norm: beyond, single precision loses the attacks


def checked(
    P: np.ndarray, Q: np.ndarray, data: Interactions
) -> tuple[np.ndarray, np.ndarray, float]:
    """The factors as float32, and the mean l2 norm of their rows.

    Raises UserError for what is no pair of factors, is none of these data, or has no scale to speak of.
    """
    for x, what in ((P, "user"), (Q, "item")):
        if (
            np.ndim(x) != 2
            or not np.issubdtype(np.asarray(x).dtype, np.number)
            or np.iscomplexobj(x)
        ):
            raise UserError(
                f"{what} factors must be a table of real numbers, not {np.asarray(x).dtype} {np.shape(x)}"
            )
        if not np.isfinite(x).all():
            raise UserError(
                f"{what} factors hold {int(np.sum(~np.isfinite(x)))} values that are not finite numbers"
            )
    if P.shape[1] != Q.shape[1]:
        raise UserError(f"user factors have {P.shape[1]} columns, item factors {Q.shape[1]}")
    if (len(P), len(Q)) != (data.n_users, data.n_items):
        raise UserError(
            f"the factors have {len(P)} and {len(Q)} rows, {data.name} {data.n_users} users and {data.n_items} items"
        )
    with np.errstate(over="ignore"):
        norm = float(np.linalg.norm(np.concatenate([np.float64(P), np.float64(Q)]), axis=1).mean())
    if not SCALE[0] <= norm <= SCALE[1]:
        raise UserError(
            f"the factors' rows have a mean norm of {norm:.3g}: scale them to within {SCALE[0]:g} to {SCALE[1]:g}, their lists stay the same"
        )
    return np.asarray(P, np.float32), np.asarray(Q, np.float32), norm


def jobs(
    P: np.ndarray, Q: np.ndarray, data: Interactions, k: int, seed: int, budget: str
) -> list[Job]:
    """What the leaderboard measures of an entry, beside recommenders that learn nothing or next to nothing."""
    common = {
        "dataset": data.name,
        "factors": "",
        "seed": seed,
        "threat": "",
        "budget": budget,
        "ball": "",
        "rho": 0.0,
        "member": "",
        "k": k,
    }
    points = [{**common, "entry": name} for name in BASELINES]
    return [
        Job("advrec_tf.leaderboard.auditing:baselines", points, {"data": data}),
        *leaderboard.jobs(FACTORS, P, Q, data, seed, k, budget),
    ]


def baselines(points: list[dict], data: Interactions) -> tuple[list[dict], dict[str, Any]]:
    """The metrics of baselines' lists, and tested users' nDCG."""
    lists = [
        BASELINES[point["entry"]](data, point["seed"]).top_k(data, point["k"]) for point in points
    ]
    found = [leaderboard.measured(point, each, data) for point, each in zip(points, lists)]
    return [row for row, _ in found], {"nDCG": np.array([users for _, users in found], np.float32)}


def align(factors: np.ndarray, rows_path: Path | None, ids: np.ndarray, what: str) -> np.ndarray:
    """Brings the rows of exported factors into the order of the data's ids.

    rows_path: a CSV with columns row and id (row: position in the factors, from 0), or None where row n belongs to ids[n].
    Raises UserError for rows that are missing, out of range, not numbers or named twice.
    """
    if rows_path is None:
        if len(factors) != len(ids):
            raise UserError(
                f"the {what} factors have {len(factors)} rows, the data {len(ids)} {what}s: map rows to ids with --{what}_rows=CSV"
            )
        return factors
    try:
        table = pd.read_csv(rows_path, dtype=str)
    except ValueError as error:  # empty, torn or no text
        raise UserError(
            f"{rows_path}: not a CSV with columns row and id ({' '.join(str(error).split())})"
        ) from None
    if not {"row", "id"} <= set(table.columns):
        raise UserError(f"{rows_path}, line 1: columns row and id are needed")
    places = pd.to_numeric(table["row"], errors="coerce")
    bad = places.isna() | (places < 0) | (places >= len(factors)) | (places % 1 != 0)
    if bad.any():
        at = int(np.argmax(bad))
        raise UserError(
            f"{rows_path}, line {at + 2}: row {table['row'].iloc[at]} is none of the {len(factors)} of the factors"
        )
    for column, what_twice in ((table["id"], "id"), (places, "row")):
        if column.duplicated().any():
            at = int(np.argmax(column.duplicated()))
            raise UserError(
                f"{rows_path}, line {at + 2}: {what_twice} {table[what_twice].iloc[at]} occurs twice"
            )
    row_of = dict(zip(table["id"], places.astype(int)))
    missing = [each for each in map(str, ids) if each not in row_of]
    if missing:
        raise UserError(
            f"{rows_path}: {what} {missing[0]} has no row ({len(missing)} such {what}s)"
        )
    return factors[[row_of[each] for each in map(str, ids)]]
