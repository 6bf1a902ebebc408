"""Rows of factors in the order of the data's ids."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from advrec_tf.data import Interactions
from advrec_tf.errors import UserError
from advrec_tf.files import regular
from advrec_tf.recommenders.importers import Factors, read_ids

ORDERS = ("numeric", "text", "first_seen")  # in which libraries number ids
DATA_SETS = (".pth", ".pkl", ".pickle")  # of libraries, which know the ids of rows
Rows = tuple[str | None, str | None]  # of users and items: a file, one of ORDERS, or None


def aligned(
    factors: Factors, data: Interactions, rows: Rows = (None, None)
) -> tuple[np.ndarray, np.ndarray]:
    """Return P and Q with row n for the id n of the data.

    rows: what the rows of each table are: a CSV with columns row (from 0) and id, a pickled data
    set of RecBole or LightFM, or one of ORDERS.  Without it the file's own ids tell, or else the
    rows are in the order of the data's sorted ids.
    Raises UserError for rows that are missing, out of range, not numbers or named twice.
    """
    sides = zip(
        ("user", "item"),
        (factors.user, factors.item),
        (factors.user_ids, factors.item_ids),
        (data.user_ids, data.item_ids),
        rows,
    )
    P, Q = (_aligned(*side, data) for side in sides)
    return P, Q


def _aligned(
    side: str,
    table: np.ndarray,
    own_ids: np.ndarray | None,
    ids: np.ndarray,
    rows: str | None,
    data: Interactions,
) -> np.ndarray:
    """Return one table in the order of `ids`."""
    if rows in ORDERS:
        _check_count(side, table, ids)
        return table[order_of(data, side, rows)]
    if rows is not None and Path(rows).suffix in DATA_SETS:
        own_ids = read_ids(rows)[side == "item"]
        if len(own_ids) != len(table):
            raise UserError(f"{rows}: {len(own_ids)} {side}s for {len(table)} rows of factors")
    elif rows is not None:
        row_of = _read_rows(regular(rows), len(table))
        return table[_rows_of(ids, row_of, str(rows), side)]
    if own_ids is not None:
        row_of = dict(zip(map(str, own_ids), range(len(own_ids))))
        table, row_of = _with_unseen(side, table, row_of, data)
        return table[_rows_of(ids, row_of, rows or "the factors' own ids", side)]
    _check_count(side, table, ids)
    return table


def _with_unseen(
    side: str, table: np.ndarray, row_of: dict[str, int], data: Interactions
) -> tuple[np.ndarray, dict[str, int]]:
    """Return the table with a row of zeros for items that the training part does not have.

    A library that has seen the training part alone does not know them.
    """
    if side != "item":
        return table, row_of
    unseen = [str(name) for name in data.item_ids[data.item_counts == 0]]
    unknown = [name for name in unseen if name not in row_of]
    if not unknown:
        return table, row_of
    print(
        f"advrec: {len(unknown)} items without training interactions have rows of zeros",
        file=sys.stderr,
    )
    zeros = np.zeros((1, table.shape[1]), table.dtype)
    return np.vstack([table, zeros]), row_of | dict.fromkeys(unknown, len(table))


def order_of(data: Interactions, side: str, name: str) -> np.ndarray:
    """Return the row of each id in factors whose rows have one of ORDERS.

    Raises UserError where ids are no numbers, or the data have no first-seen order.
    """
    ids = data.user_ids if side == "user" else data.item_ids
    if name == "first_seen":
        order = data.user_order if side == "user" else data.item_order
        if order is None or len(order) != len(ids):
            raise UserError(f"{data.name} does not say in which order its {side}s were first seen")
    elif name == "text":
        order = np.argsort(ids.astype(str), kind="stable")
    else:
        try:
            order = np.argsort(ids.astype(np.float64), kind="stable")
        except ValueError:
            raise UserError(f"the {side}s of {data.name} are no numbers") from None
    return np.argsort(order)


def _check_count(side: str, table: np.ndarray, ids: np.ndarray) -> None:
    """Raise UserError unless there is one row for each id."""
    if len(table) != len(ids):
        raise UserError(
            f"the {side} factors have {len(table)} rows, the data {len(ids)} {side}s: map "
            f"rows to ids with --{side}_rows=CSV (columns row and id). A LightFM model with "
            f"{side} features is exported by get_{side}_representations(features)"
        )


def _read_rows(path: Path, count: int) -> dict[str, int]:
    """Return the row of each id that a CSV names."""
    try:
        table = pd.read_csv(path, dtype=str)
    except ValueError as error:  # empty, torn or no text
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: not a CSV with columns row and id ({reason})") from None
    if not {"row", "id"} <= set(table.columns):
        raise UserError(f"{path}, line 1: columns row and id are needed")
    index = pd.to_numeric(table["row"], errors="coerce")
    bad = index.isna() | (index < 0) | (index >= count) | (index % 1 != 0)
    if bad.any():
        line = int(np.argmax(bad))
        raise UserError(
            f"{path}, line {line + 2}: row {table['row'].iloc[line]} is none of the "
            f"{count} of the factors"
        )
    for column, values in (("id", table["id"]), ("row", index)):
        if values.duplicated().any():
            line = int(np.argmax(values.duplicated()))
            value = table[column].iloc[line]
            raise UserError(f"{path}, line {line + 2}: {column} {value} occurs twice")
    return dict(zip(table["id"], index.astype(int)))


def _rows_of(ids: np.ndarray, row_of: dict[str, int], source: str, side: str) -> list[int]:
    """Return the row of each id, in their order. Raises UserError for an id without a row."""
    missing = [name for name in map(str, ids) if name not in row_of]
    if missing:
        raise UserError(f"{source}: {side} {missing[0]} has no row ({len(missing)} such {side}s)")
    return [row_of[name] for name in map(str, ids)]
