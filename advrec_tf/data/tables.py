"""Tables of interactions, whose faults are reported with the file and the line."""

import csv
import io
import math
from pathlib import Path

import numpy as np
import pandas as pd

from advrec_tf.errors import UserError

FIELDS = ("user", "item", "rating", "timestamp")
_SAMPLE_LINES = 20  # below the first line, which show whether it is a header
_SEPARATORS = ("::", "\t", ",", ";", "|", " ")
_HEADERS = {
    "user": {"user", "userid", "user_id", "uid"},
    "item": set("item itemid item_id iid sid movieid movie_id artistid artist_id".split()),
    "rating": {"rating", "weight", "score", "count"},
    "timestamp": {"timestamp", "time", "unixtime"},
}


def read_table(path: Path, columns: dict[str, str | int] | None = None) -> pd.DataFrame:
    """Return users, items and, where they exist, ratings and timestamps of a table.

    A table is text or Parquet (.parquet).  The separator of a text is taken from its first line.
    `columns` names the columns of user, item, rating and timestamp, or gives their positions from
    0.  Without it, a header with common names is understood, and any other header is refused; a
    table without a header has the columns in this order.  A line of words above numbers is a
    header.
    Ids of a text are integers if those of the first row are, and strings otherwise.  Ratings and
    timestamps are numbers; a timestamp may be blank (NaN), and in Parquet it may be a date.

    The frame's index is the line number (of Parquet the row's, from 1); attrs["path"] is the file.
    Raises UserError with file and line for an empty file, a missing column or field, a column that
    has two meanings, a value that is not a finite number >= 0, and an integer id above 2^63 - 1.
    """
    path = Path(path)
    if path.suffix == ".parquet":
        return _read_parquet(path, columns)
    try:
        text = path.read_text(encoding="utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: not a text file in UTF-8 ({error.reason} at byte {error.start})"
        ) from None
    if not text:
        raise UserError(f"{path}, line 1: the file is empty")
    first, _, rest = text.partition("\n")
    separator = next((s for s in _SEPARATORS if s in first), ",")
    names, *below = (
        _fields(line, separator)
        for line in (first, *rest.split("\n", _SAMPLE_LINES)[:_SAMPLE_LINES])
    )
    header = int(_is_header(names, columns, below))
    positions = _positions(f"{path}, line 1", names, columns, bool(header))
    if header and not rest:
        raise UserError(f"{path}, line 2: there is a header and nothing else")
    sample = below[0] if header else names
    ids = {name: sample[positions[name]] for name in FIELDS[:2] if positions[name] < len(sample)}
    integer = {name for name, value in ids.items() if _is_integer(value)}
    frame = _parse(text, separator, len(names), positions, header, integer)
    if frame is None or _first_fault(frame, integer) is not None:
        raise UserError(_complaint(path, text, separator, len(names), positions, header, integer))
    frame.index = np.arange(len(frame)) + 1 + header
    frame.attrs["path"] = str(path)
    return frame


def _read_parquet(path: Path, columns: dict[str, str | int] | None) -> pd.DataFrame:
    try:
        import pyarrow
        from pyarrow import compute, parquet
    except ImportError:
        raise UserError(f"{path}: a Parquet file is read by pyarrow: pip install pyarrow") from None
    try:
        names = parquet.read_schema(path).names
        positions = _positions(str(path), names, columns, header=True)
        if len(set(names)) < len(names):
            raise UserError(f"{path}: two of its columns have one name")
        table = parquet.read_table(
            path, columns=[names[at] for at in positions.values()]
        ).rename_columns(list(positions))
        for at, field in enumerate(positions):
            column = table[field]
            if pyarrow.types.is_temporal(column.type):
                microseconds = column.cast(pyarrow.timestamp("us"), safe=False).cast(
                    pyarrow.int64()
                )
                column = compute.divide(microseconds.cast(pyarrow.float64(), safe=False), 1e6)
            elif pyarrow.types.is_decimal(column.type):
                column = column.cast(pyarrow.float64())
            table = table.set_column(at, field, column)
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(
            f"{path}: not a whole Parquet file ({str(error).splitlines()[0]})"
        ) from None
    frame = table.to_pandas(ignore_metadata=True, split_blocks=True, self_destruct=True)
    if frame.empty:
        raise UserError(f"{path}: the file has no rows")
    frame = frame[[field for field in FIELDS if field in positions]].apply(
        _as_text_has_it, args=(path,)
    )
    integer = {field for field in ("user", "item") if frame[field].dtype == np.int64}
    fault = _first_fault(frame, integer)
    if fault is not None:
        values = ", ".join(
            f"{name} {value!r}" for name, value in frame.astype(object).iloc[fault].items()
        )
        raise UserError(f"{path}, row {fault + 1}: {values}: one is blank, negative or not finite")
    frame.index = np.arange(len(frame)) + 1
    frame.attrs["path"] = str(path)
    return frame


def _as_text_has_it(column: pd.Series, path: Path) -> pd.Series:
    """Return a Parquet column in the type of `_parse`: ids int64 or text, all else float64."""
    kind, blank = pd.api.types, column.isna()
    if column.name in FIELDS[:2]:
        if kind.is_numeric_dtype(column) and not blank.any():
            if not kind.is_integer_dtype(column) or column.max() > np.iinfo(np.int64).max:
                raise UserError(
                    f"{path}: the {column.name}s are {column.dtype}, or too large, "
                    "and neither integers nor text"
                )
            return column.astype(np.int64)
        return column.astype(object).where(~blank, "").astype(str)
    if not kind.is_numeric_dtype(column):
        raise UserError(f"{path}: the {column.name} column is not of numbers")
    return column.astype(np.float64)


def _is_header(
    names: list[str], columns: dict[str, str | int] | None, below: list[list[str]]
) -> bool:
    """Return whether the first line names columns.  below: the fields of the next lines"""
    lower = {name.lower() for name in names}
    if columns is None:
        known = any(lower & _HEADERS[field] for field in ("user", "item"))
    else:
        known = any(isinstance(where, str) for where in columns.values()) or any(
            name.lower() in _HEADERS["user"] for name in names[:1]
        )
    return known or _is_above_numbers(names, below)


def _positions(
    path: str, names: list[str], columns: dict[str, str | int] | None, header: bool
) -> dict[str, int]:
    """Return the position of each field.  path: with which error messages begin"""
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
    field_at: dict[int, str] = {}
    for field in dict.fromkeys((*FIELDS[:2], *positions)):
        at = positions.get(field, -1)
        if not 0 <= at < len(names):
            raise UserError(f"{path}: the {field} column is missing")
        if field_at.setdefault(at, field) != field:
            raise UserError(f"{path}: the {field_at[at]} and the {field} are the same column")
    return positions


def _is_above_numbers(names: list[str], below: list[list[str]]) -> bool:
    """Return whether the first line has words only, where the next lines have numbers."""
    columns = [[row[at] for row in below if at < len(row) and row[at]] for at in range(len(names))]
    above = [
        name for name, values in zip(names, columns) if values and None not in map(_number, values)
    ]
    return any(above) and all(_number(name) is None for name in above)


def _parse(
    text: str, separator: str, width: int, positions: dict[str, int], header: int, integer: set[str]
) -> pd.DataFrame | None:
    """Return the table by pandas' fast reader, or None if a line does not fit."""
    stride = len(separator)  # "::" is read as ":" with an empty column between
    at = {position * stride: field for field, position in positions.items()}
    types = {
        p: np.int64 if f in integer else str if f in ("user", "item") else np.float64
        for p, f in at.items()
    }
    try:
        frame = pd.read_csv(
            io.StringIO(text),
            sep=separator[0],
            header=None,
            skiprows=header,
            usecols=sorted(at),
            dtype=types,
            keep_default_na=False,
            na_values={p: [""] for p, f in at.items() if f == "timestamp"},
            skip_blank_lines=False,
        )
    except (ValueError, OverflowError):  # ParserError is a ValueError
        return None
    # The reader fills short lines and cuts long ones; only quoted fields may hold separators.
    surplus = text.count(separator) - (width - 1) * (len(frame) + header)
    if surplus < 0 or (surplus > 0 and '"' not in text):
        return None
    return frame.rename(columns=at)[[field for field in FIELDS if field in positions]]


def _first_fault(frame: pd.DataFrame, integer: set[str]) -> int | None:
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


def _fields(line: str, separator: str) -> list[str]:
    line = line.strip("\r")
    single = len(separator) == 1  # csv does not take longer ones
    fields = next(csv.reader([line], delimiter=separator), []) if single else line.split(separator)
    return [field.strip() for field in fields]


def _complaint(
    path: Path,
    text: str,
    separator: str,
    width: int,
    positions: dict[str, int],
    header: int,
    integer: set[str],
) -> str:
    """Find the first line that does not fit, slowly, and return what is wrong with it."""
    for number, line in enumerate(text.split("\n")[header:], 1 + header):
        fields = _fields(line, separator)
        if len(fields) != width:
            return f"{path}, line {number}: {len(fields)} column(s) where there should be {width}"
        for field, at in positions.items():
            value = fields[at]
            kind = "an integer id" if field in integer else "a number"
            if field == "timestamp" and value == "":
                continue
            if field in ("user", "item") and field not in integer:
                if value == "":
                    return f"{path}, line {number}: the {field} is blank"
                continue
            if not (_is_integer(value) if field in integer else _is_number(value)):
                return f"{path}, line {number}: the {field} {value!r} is not {kind}"
            if float(value) < 0:
                return f"{path}, line {number}: the {field} {value} is negative"
            if field in integer and _is_too_large(value):
                return f"{path}, line {number}: the {field} {value} is too large an id"
    return f"{path}: the table cannot be read"


def _is_integer(value: str) -> bool:
    return value.isascii() and value.removeprefix("-").isdecimal()


def _is_too_large(value: str) -> bool:
    digits = value.lstrip("0")
    return len(digits) > 19 or int(digits or 0) >= 2**63  # int() refuses thousands of digits


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def _is_number(value: str) -> bool:
    number = _number(value)
    return number is not None and math.isfinite(number)
