"""Reading a table of interactions, with the file and the line in every complaint."""

import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd

from advrec_tf.errors import UserError

FIELDS = ("user", "item", "rating", "timestamp")
_SEPARATORS = ("::", "\t", ",", ";", "|", " ")
_HEADERS = {
    "user": {"user", "userid", "user_id", "uid"},
    "item": {"item", "itemid", "item_id", "iid", "sid", "movieid", "movie_id", "artistid", "artist_id"},
    "rating": {"rating", "weight", "score", "count"},
    "timestamp": {"timestamp", "time", "unixtime"},
}


def read_table(path: Path, columns: dict[str, str | int] | None = None) -> pd.DataFrame:
    """Reads users, items and, where there are any, ratings and timestamps of a text table.

    The separator is seen from the first line.  `columns` says where user, item, rating and timestamp stand, by name or by
    position from 0; without it a header with common names is understood, else the columns are taken in that order.
    Ids are integers from 0 when those of the first row are, and strings otherwise; ratings and timestamps are numbers,
    and a timestamp may be blank (NaN).

    Returns a frame with the columns found; its index is the line number, its attrs["path"] the file.
    Raises UserError, naming file and line, for an empty file, a missing column or field, a value that is not a number
    where one is due, and a negative one.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a text file in UTF-8 ({error.reason} at byte {error.start})") from None
    if not text:
        raise UserError(f"{path}, line 1: the file is empty")
    first, _, rest = text.partition("\n")
    separator = next((s for s in _SEPARATORS if s in first), ",")
    names = next(csv.reader([first.strip("\r")], delimiter=separator)) if len(separator) == 1 else first.split(separator)
    positions, header = _positions(path, [name.strip() for name in names], columns)
    if header and not rest:
        raise UserError(f"{path}, line 2: there is a header and nothing else")
    sample = _fields((rest if header else text).partition("\n")[0], separator)
    integer = {name for name in ("user", "item") if positions[name] < len(sample) and _is_integer(sample[positions[name]])}
    frame = _parse(text, separator, len(names), positions, header, integer)
    if frame is None or _first_fault(frame, integer) is not None:
        raise UserError(_complaint(path, text, separator, len(names), positions, header, integer))
    frame.index = np.arange(len(frame)) + 1 + header
    frame.attrs["path"] = str(path)
    return frame


def _positions(path: Path, names: list[str], columns: dict[str, str | int] | None) -> tuple[dict[str, int], int]:
    """Where each field stands, and the number of header lines (0 or 1)."""
    lower = [name.lower() for name in names]
    if columns is None:
        found = {field: lower.index(name) for field, known in _HEADERS.items() for name in lower if name in known}
        if "user" in found or "item" in found:
            columns, header = found, 1
        else:
            columns, header = {field: at for at, field in enumerate(FIELDS[: len(names)])}, 0
    else:
        header = int(any(isinstance(where, str) for where in columns.values()) or lower[0] in _HEADERS["user"])
    positions = {}
    for field, where in columns.items():
        if field not in FIELDS:
            raise UserError(f"column {field!r} is none of {', '.join(FIELDS)}")
        if isinstance(where, str) and where not in names:
            raise UserError(f"{path}, line 1: there is no column {where!r} among {', '.join(names)}")
        positions[field] = names.index(where) if isinstance(where, str) else where
    for field in dict.fromkeys((*FIELDS[:2], *positions)):
        if positions.get(field, len(names)) >= len(names):
            raise UserError(f"{path}, line 1: the {field} column is missing")
    return positions, header


def _parse(text: str, separator: str, width: int, positions: dict[str, int], header: int, integer: set[str]) -> pd.DataFrame | None:
    """The table by pandas' fast reader, or None where a line does not fit."""
    stride = len(separator)  # "::" is read as ":" with an empty column between
    at = {position * stride: field for field, position in positions.items()}
    types = {p: np.int64 if f in integer else str if f in ("user", "item") else np.float64 for p, f in at.items()}
    try:
        frame = pd.read_csv(
            io.StringIO(text), sep=separator[0], header=None, skiprows=header, usecols=sorted(at), dtype=types,
            keep_default_na=False, na_values={p: [""] for p, f in at.items() if f == "timestamp"}, skip_blank_lines=False,
        )  # fmt: skip
    except ValueError:  # ParserError is one
        return None
    # The reader fills short lines and cuts long ones; only a quoted field may hold separators of its own.
    surplus = text.count(separator) - (width - 1) * (len(frame) + header)
    if surplus < 0 or (surplus > 0 and '"' not in text):
        return None
    return frame.rename(columns=at)[[field for field in FIELDS if field in positions]]


def _first_fault(frame: pd.DataFrame, integer: set[str]) -> int | None:
    bad = np.zeros(len(frame), bool)
    for field in frame.columns:
        values = frame[field]
        if field in integer or field == "timestamp":
            bad |= (values < 0).to_numpy()
        elif field == "rating":
            bad |= ~(np.isfinite(values) & (values >= 0)).to_numpy()
        else:
            bad |= (values == "").to_numpy()
    return int(np.argmax(bad)) if bad.any() else None


def _fields(line: str, separator: str) -> list[str]:
    return [f.strip() for f in (next(csv.reader([line], delimiter=separator), []) if len(separator) == 1 else line.split(separator))]


def _complaint(path: Path, text: str, separator: str, width: int, positions: dict[str, int], header: int, integer: set[str]) -> str:
    """Finds the first line that does not fit, slowly, and says why."""
    for number, line in enumerate(text.split("\n")[header:], 1 + header):
        fields = _fields(line.strip("\r"), separator)
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
    return f"{path}: the table cannot be read"


def _is_integer(value: str) -> bool:
    return value.removeprefix("-").isdecimal()


def _is_number(value: str) -> bool:
    try:
        return bool(np.isfinite(float(value)))
    except ValueError:
        return False
