"""Tables of interactions: what a file holds, in the columns user, item, rating and timestamp."""

import re
import tempfile
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from advrec_tf.data.columns import Columns
from advrec_tf.data.fields import Fields, line_numbers, read_fields
from advrec_tf.data.reading import AS_WRITTEN, Reading
from advrec_tf.data.scans import (
    Misfit,
    Scan,
    check_first_line,
    connected,
    first_that_is_no_object,
    is_json,
    json_scan,
    parquet_scan,
    reason_of,
    text_scans,
)
from advrec_tf.data.texts import Text, plain_text, without_patterns
from advrec_tf.errors import UserError
from advrec_tf.files import regular

_SHOWN = 5  # names of columns that are not used
_SAMPLE_LINES = 100  # which show whether lines are lists
_SAMPLE_ROWS = 1000  # which show whether ratings are more than 0 and 1


def read_table(
    path: Path | str, columns: Columns | None = None, reading: Reading = AS_WRITTEN
) -> pd.DataFrame:
    """Return users, items and, where they exist, ratings and timestamps of a table.

    A table is text (also packed as .gz or .zip), JSON lines (.jsonl, .json) or Parquet (.parquet).
    DuckDB finds the separator and the quotes of a text.  `columns` names the columns of user, item,
    rating and timestamp, or gives their positions from 0.  Without it, a header with common names
    is understood, and any other header is refused; a table without a header has the columns in
    this order, but an unnamed third column is a time if all of its values are.  A line of one user
    and many items is read too (`Reading.layout`).

    Ids are int64 if all of a column's are written as integers from 0 up, and otherwise a
    categorical of texts.  Times are seconds, or whatever unit the numbers have; a blank one is NaN.
    The frame's index is the line number (of Parquet the row's, from 1).  attrs: "path"; "read", a
    sentence on what was understood; "integers_as_floats" of `Fields`.

    Raises UserError in one line, with file and line where there is one, for all else.
    """
    path = regular(path)
    with tempfile.TemporaryDirectory(prefix="advrec-") as folder, connected() as connection:
        try:
            if path.suffix == ".parquet":
                source = without_patterns(path, Path(folder))
                scan = parquet_scan(connection, path, source, columns)
                return _frame(scan, read_fields(connection, scan, reading), reading)
            text = plain_text(path, Path(folder), reading.encoding)
            return _read_text(connection, path, text, columns, reading)
        except duckdb.Error as error:
            raise UserError(f"{path}: it cannot be read ({reason_of(error)})") from None


def _read_text(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    text: Text,
    columns: Columns | None,
    reading: Reading,
) -> pd.DataFrame:
    """Return the table of a text of any layout."""
    if not text.head.strip():
        raise UserError(f"{path}, line 1: the file is empty")
    if reading.layout == "lists" or (reading.layout == "auto" and _are_lists(text)):
        return _read_lists(path, text, reading)
    if is_json(path, text):
        try:
            scan = json_scan(connection, path, text, columns)
            return _frame(scan, read_fields(connection, scan, reading), reading)
        except duckdb.Error:
            if line := first_that_is_no_object(text):
                raise UserError(f"{path}, line {line}: not a JSON object") from None
            raise
    misfits = []
    for scan in text_scans(connection, path, text, columns):
        try:
            fields = read_fields(connection, scan, reading)
        except Misfit as error:
            misfits.append(error)
        else:
            if scan.guessed:
                check_first_line(connection, scan)
            return _frame(scan, fields, reading)
    raise misfits[0]


def _are_lists(text: Text) -> bool:
    """Return whether the first lines have a user and many items: integers, and no user twice."""
    rows = [line.split(" ") for line in text.head.splitlines()[:_SAMPLE_LINES]]
    users, widths = {row[0] for row in rows}, {len(row) for row in rows}
    integers = all(token.isdecimal() for row in rows for token in row if token)
    return integers and len(users) == len(rows) > 1 and len(widths) > 1 and max(widths) > 2


def _read_lists(path: Path, text: Text, reading: Reading) -> pd.DataFrame:
    """Return the table of a text with a user and that user's items on each line."""
    users: list[str] = []
    items: list[str] = []
    lines: list[int] = []
    with open(text.path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            user, *clicked = line.split() or [""]
            users += [user] * len(clicked)
            items += clicked
            lines += [number] * len(clicked)
    if not items:
        raise UserError(f"{path}: no line has a user and an item")
    frame = pd.DataFrame({"user": _ids(users, reading), "item": _ids(items, reading)}, index=lines)
    frame.attrs = {"path": str(path), "read": "a user and the user's items on each line"}
    return frame


def _ids(ids: list[str], reading: Reading) -> Any:
    """Return ids as int64 if all are written as integers, else as a categorical of texts."""
    integers = reading.ids != "text" and all(
        re.fullmatch("0|[1-9][0-9]{0,17}", each) for each in ids
    )
    return np.array(ids, np.int64) if integers else pd.Categorical(ids)


def _frame(scan: Scan, fields: Fields, reading: Reading) -> pd.DataFrame:
    """Return the fields as a frame that says what was understood."""
    if not len(fields.user):
        raise UserError(f"{scan.path}: the file has no rows")
    frame = pd.DataFrame(fields.by_name, index=line_numbers(scan, len(fields.user)), copy=False)
    kept, about_ratings = _positives(scan.path, fields.rating, reading.positive_from)
    encoding = scan.text.encoding if scan.text else ""
    said = [
        ", ".join(_places(scan, fields)),
        _unused(scan),
        f"read as {encoding}" if encoding else "",
        about_ratings,
    ]
    frame = frame if kept is None else frame[kept]
    frame.attrs = {
        "path": str(scan.path),
        "read": "; ".join(filter(None, said)),
        "integers_as_floats": fields.integers_as_floats,
    }
    return frame


def _places(scan: Scan, fields: Fields) -> list[str]:
    """Return which column each field was read from."""
    columns = []
    for field, position in scan.positions.items():
        name = scan.shown[position] if scan.header else f"column {position + 1}"
        if field not in fields.by_name:
            field = "timestamp"  # an unnamed third column of times
        dates = " (dates)" if field == "timestamp" and fields.dates else ""
        columns.append(f"{field}={name}{dates}")
    return columns


def _unused(scan: Scan) -> str:
    """Say which columns were not read, "" if there are none."""
    used = set(scan.positions.values())
    rest = [n for n in range(len(scan.shown)) if n not in used]
    names = [scan.shown[n] if scan.header else f"column {n + 1}" for n in rest]
    more = ", ..." if len(names) > _SHOWN else ""
    return f"not used: {', '.join(names[:_SHOWN])}{more}" if names else ""


def _positives(
    path: Path, ratings: np.ndarray | None, least: float | None
) -> tuple[np.ndarray | None, str]:
    """Return which rows are interactions, None for all, and what to say about it.

    Without `least`, ratings that are all 0 or 1 tell clicks from none.
    """
    if ratings is None:
        if least is not None:
            raise UserError(f"{path}: --positive_from needs a column of ratings")
        return None, ""
    if least is None:
        clicks = set(np.unique(ratings[:_SAMPLE_ROWS])) <= {0.0, 1.0} >= set(np.unique(ratings))
        if not clicks or ratings.all():
            return None, ""
        least = 1.0
    kept = ratings >= least
    if not kept.any():
        raise UserError(f"{path}: no rating is {least:g} or more")
    return kept, f"{np.sum(~kept):,} of {len(kept):,} rows are below {least:g}: no interactions"
