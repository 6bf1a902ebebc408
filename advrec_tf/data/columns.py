"""Which columns of a table hold users, items, ratings and timestamps, and what they may hold."""

import numpy as np
import pandas as pd

from advrec_tf.errors import UserError

FIELDS = ("user", "item", "rating", "timestamp")
_HEADERS = {
    "user": {"user", "userid", "user_id", "uid"},
    "item": set("item itemid item_id iid sid movieid movie_id artistid artist_id".split()),
    "rating": {"rating", "weight", "score", "count"},
    "timestamp": {"timestamp", "time", "unixtime"},
}


def is_header(
    names: list[str], columns: dict[str, str | int] | None, below: list[list[str]]
) -> bool:
    """Return whether the first line names columns.

    names: the fields of that line; below: the fields of each of the next lines; columns: as in
    `tables.read_table`
    """
    lower = {name.lower() for name in names}
    if columns is None:
        known = any(lower & _HEADERS[field] for field in ("user", "item"))
    else:
        known = any(isinstance(where, str) for where in columns.values()) or any(
            name.lower() in _HEADERS["user"] for name in names[:1]
        )
    return known or _is_above_numbers(names, below)


def positions_of(
    path: str, names: list[str], columns: dict[str, str | int] | None, header: bool
) -> dict[str, int]:
    """Return the position of each field among the columns, from 0.

    path: the file, with which error messages begin; names: of the columns, or the fields of the
    first line if there is no header; columns: as in `tables.read_table`
    """
    spelled = names
    if columns is None:
        spelled = [name.lower() for name in names]
        columns = {
            field: name for field, known in _HEADERS.items() for name in spelled if name in known
        }
        if header and not {"user", "item"} <= columns.keys():
            raise UserError(
                f"{path}: a header without a user and an item: "
                f"say with --columns which of {', '.join(names)} are which"
            )
        if not header:
            columns = dict(zip(FIELDS, range(len(names))))
    positions = {}
    for field, where in columns.items():
        if field not in FIELDS:
            raise UserError(f"column {field!r} is none of {', '.join(FIELDS)}")
        if isinstance(where, str) and where not in spelled:
            raise UserError(f"{path}: there is no column {where!r} among {', '.join(names)}")
        if isinstance(where, str) and spelled.count(where) > 1:
            raise UserError(
                f"{path}: {spelled.count(where)} columns have the name {where!r}: "
                f"say by position with --columns which is the {field}"
            )
        positions[field] = spelled.index(where) if isinstance(where, str) else where
    _check_positions(path, positions, len(names))
    return positions


def _check_positions(path: str, positions: dict[str, int], width: int) -> None:
    """Raise UserError for a missing user, item or other field, and for two in one column."""
    field_of: dict[int, str] = {}
    for field in dict.fromkeys((*FIELDS[:2], *positions)):
        position = positions.get(field, -1)
        if not 0 <= position < width:
            raise UserError(f"{path}: the {field} column is missing")
        if field_of.setdefault(position, field) != field:
            raise UserError(f"{path}: the {field_of[position]} and the {field} are the same column")


def _is_above_numbers(names: list[str], below: list[list[str]]) -> bool:
    """Return whether the first line has words only, where the next lines have numbers."""
    above = []
    for position, name in enumerate(names):
        values = [row[position] for row in below if position < len(row) and row[position]]
        if values and None not in map(number_of, values):
            above.append(name)
    return any(above) and all(number_of(name) is None for name in above)


def number_of(value: str) -> float | None:
    """Return the number that a text spells, or None if it spells none."""
    try:
        return float(value)
    except ValueError:
        return None


def first_fault(frame: pd.DataFrame, integer: set[str]) -> int | None:
    """Return the position of the first row with a blank, negative or infinite value, or None.

    frame: columns of FIELDS; integer: those of them that hold integer ids
    """
    bad = np.zeros(len(frame), bool)
    for field in frame.columns:
        values = frame[field]
        if field in integer:
            bad |= (values < 0).to_numpy()
        elif field == "rating":
            bad |= ~(np.isfinite(values) & (values >= 0)).to_numpy()
        elif field == "timestamp":
            bad |= ((values < 0) | np.isinf(values)).to_numpy()
        else:
            bad |= (values == "").to_numpy()
    return int(np.argmax(bad)) if bad.any() else None
