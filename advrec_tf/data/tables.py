"""Tables of interactions, whose faults are reported with the file and the line."""

import csv
import io
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from advrec_tf.data.columns import FIELDS, first_fault, is_header, number_of, positions_of
from advrec_tf.data.parquet import read_parquet
from advrec_tf.errors import UserError

_SAMPLE_LINES = 20  # below the first line, which show whether it is a header
_SEPARATORS = ("::", "\t", ",", ";", "|", " ")


class _Layout(NamedTuple):
    """How the lines of a text table are read."""

    separator: str
    width: int  # fields of a line
    positions: dict[str, int]  # by the name of a field, from 0
    header_lines: int  # 0 or 1
    integer: set[str]  # fields whose ids are integers


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
        return _numbered(read_parquet(path, columns), path, first=1)
    try:
        text = path.read_text(encoding="utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: not a text file in UTF-8 ({error.reason} at byte {error.start})"
        ) from None
    if not text:
        raise UserError(f"{path}, line 1: the file is empty")
    layout = _layout(path, text, columns)
    frame = _parse(text, layout)
    if frame is None or first_fault(frame, layout.integer) is not None:
        raise UserError(_complaint(path, text, layout))
    return _numbered(frame, path, first=1 + layout.header_lines)


def _numbered(frame: pd.DataFrame, path: Path, first: int) -> pd.DataFrame:
    """Set the line numbers, from `first`, as the index, and the path as attrs["path"]."""
    frame.index = np.arange(len(frame)) + first
    frame.attrs["path"] = str(path)
    return frame


def _layout(path: Path, text: str, columns: dict[str, str | int] | None) -> _Layout:
    """Return the layout of a text by its first lines. Raises UserError if it has no columns."""
    first, _, rest = text.partition("\n")
    separator = next((s for s in _SEPARATORS if s in first), ",")
    names = _fields(first, separator)
    below = [_fields(line, separator) for line in rest.split("\n", _SAMPLE_LINES)[:_SAMPLE_LINES]]
    header = is_header(names, columns, below)
    positions = positions_of(f"{path}, line 1", names, columns, header)
    if header and not rest:
        raise UserError(f"{path}, line 2: there is a header and nothing else")
    sample = below[0] if header else names
    ids = {name: sample[positions[name]] for name in FIELDS[:2] if positions[name] < len(sample)}
    integer = {name for name, value in ids.items() if _is_integer(value)}
    return _Layout(separator, len(names), positions, int(header), integer)


def _parse(text: str, layout: _Layout) -> pd.DataFrame | None:
    """Return the table by pandas' fast reader, or None if a line does not fit."""
    stride = len(layout.separator)  # "::" is read as ":" with an empty column between
    fields = {position * stride: field for field, position in layout.positions.items()}
    types = {
        n: np.int64 if field in layout.integer else str if field in FIELDS[:2] else np.float64
        for n, field in fields.items()
    }
    try:
        frame = pd.read_csv(
            io.StringIO(text),
            sep=layout.separator[0],
            header=None,
            skiprows=layout.header_lines,
            usecols=sorted(fields),
            dtype=types,
            keep_default_na=False,
            na_values={n: [""] for n, field in fields.items() if field == "timestamp"},
            skip_blank_lines=False,
        )
    except (ValueError, OverflowError):  # ParserError is a ValueError
        return None
    # The reader fills short lines and cuts long ones; only quoted fields may hold separators.
    expected = (layout.width - 1) * (len(frame) + layout.header_lines)
    surplus = text.count(layout.separator) - expected
    if surplus < 0 or (surplus > 0 and '"' not in text):
        return None
    return frame.rename(columns=fields)[[field for field in FIELDS if field in layout.positions]]


def _fields(line: str, separator: str) -> list[str]:
    """Return the fields of a line, stripped. A separator of one character may be in quotes."""
    line = line.strip("\r")
    single = len(separator) == 1  # csv does not take longer ones
    fields = next(csv.reader([line], delimiter=separator), []) if single else line.split(separator)
    return [field.strip() for field in fields]


def _complaint(path: Path, text: str, layout: _Layout) -> str:
    """Find the first line that does not fit, slowly, and return what is wrong with it."""
    lines = text.split("\n")[layout.header_lines :]
    for number, line in enumerate(lines, 1 + layout.header_lines):
        fields = _fields(line, layout.separator)
        if len(fields) != layout.width:
            return (
                f"{path}, line {number}: {len(fields)} column(s) "
                f"where there should be {layout.width}"
            )
        for field, position in layout.positions.items():
            fault = _fault_of(field, fields[position], field in layout.integer)
            if fault:
                return f"{path}, line {number}: the {field} {fault}"
    return f"{path}: the table cannot be read"


def _fault_of(field: str, value: str, is_integer_id: bool) -> str | None:
    """Return what is wrong with a value of this field of a text, or None."""
    if field in FIELDS[:2] and not is_integer_id:
        return "is blank" if value == "" else None
    if field == "timestamp" and value == "":
        return None
    if not (_is_integer(value) if is_integer_id else _is_number(value)):
        return f"{value!r} is not {'an integer id' if is_integer_id else 'a number'}"
    if float(value) < 0:
        return f"{value} is negative"
    if is_integer_id and _is_too_large(value):
        return f"{value} is too large an id"
    return None


def _is_integer(value: str) -> bool:
    """Return whether a text spells an integer."""
    return value.isascii() and value.removeprefix("-").isdecimal()


def _is_too_large(digits: str) -> bool:
    """Return whether the integer is above 2^63 - 1."""
    digits = digits.lstrip("0")
    return len(digits) > 19 or int(digits or 0) >= 2**63  # int() refuses thousands of digits


def _is_number(value: str) -> bool:
    """Return whether a text spells a finite number."""
    number = number_of(value)
    return number is not None and math.isfinite(number)
