"""The users, items, ratings and times of a scan, as arrays; a faulty value is named by its line."""

import csv
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from advrec_tf.data.columns import FIELDS
from advrec_tf.data.integers import read_integers
from advrec_tf.data.reading import Reading
from advrec_tf.data.scans import Scan, select
from advrec_tf.errors import UserError

IDS = FIELDS[:2]
_INTEGERS = {f"{sign}{size}INT" for sign in ("", "U") for size in ("TINY", "SMALL", "BIG", "HUGE")}
_INTEGERS |= {"INTEGER", "UINTEGER"}
_TEXTS = ("VARCHAR", "ENUM", "UUID")
_DATES = ("DATE", "TIMESTAMP")
EPOCHS = 631_152_000, 4_102_444_800  # 1990 and 2100, in seconds


@dataclass
class Fields:
    """The fields of a table, an array each with a value for every row.

    user, item: int64, or a categorical of texts.  rating, timestamp: float64, None without one.
    dates: whether the times were written as dates.  integers_as_floats: by field, an id such as
    28.0 among texts
    """

    user: Any
    item: Any
    rating: np.ndarray | None
    timestamp: np.ndarray | None
    dates: bool
    integers_as_floats: dict[str, str]

    @property
    def by_name(self) -> dict[str, Any]:
        """Return the arrays that there are, by the names of FIELDS."""
        arrays = {name: getattr(self, name) for name in FIELDS}
        return {name: array for name, array in arrays.items() if array is not None}


def read_fields(connection: duckdb.DuckDBPyConnection, scan: Scan, reading: Reading) -> Fields:
    """Return the fields of a scan.

    An unnamed third column is a time where every value is an epoch or a date.
    Raises UserError with file and line for a blank id, for a rating or time that is no number
    from 0 up, and with --ids=integer for an id that is no integer.
    """
    if reading.ids == "auto" and (plain := read_integers(scan)):
        return _of_plain(scan, plain)
    expressions: dict[str, str] = {}
    for field in IDS:
        expressions |= _id_expressions(scan, field, reading.ids)
    for field in FIELDS[2:]:
        if field in scan.positions:
            expressions |= _number_expressions(scan, field)
    arrays = select(connection, scan, expressions)
    reader = _Reader(connection, scan, reading, arrays)
    user, item = (reader.ids(field) for field in IDS)
    rating, timestamp = (reader.numbers(field) for field in FIELDS[2:])
    if reader.dates and timestamp is None or _is_time(scan, rating, timestamp):
        rating, timestamp = None, rating
    reader.check()
    return Fields(user, item, rating, timestamp, reader.dates, reader.integers_as_floats)


def _of_plain(scan: Scan, arrays: dict[str, np.ndarray]) -> Fields:
    """Return the fields of a plain table.  Where nothing says so, a third column may be a time."""
    rating, timestamp = (arrays.get(field) for field in FIELDS[2:])
    if _is_time(scan, rating, timestamp):
        rating, timestamp = None, rating
    if timestamp is not None:
        timestamp = timestamp.astype(np.float64)
    return Fields(arrays["user"], arrays["item"], rating, timestamp, False, {})


def line_numbers(scan: Scan, count: int) -> np.ndarray:
    """Return the line of each of `count` rows, or its number from 1 where rows have no lines."""
    numbers = np.arange(count) + scan.first_line
    if scan.text is None or scan.first_line + count - 1 == scan.text.lines:
        return numbers
    # Some lines are blank, or some fields hold line breaks.
    with open(scan.text.path, encoding="utf-8", newline="") as file:
        if len(scan.separator) == 1 and scan.quote:
            reader = csv.reader(file, delimiter=scan.separator)
            ends = [0, *(reader.line_num for row in reader)]
            starts = [end + 1 for end, row in zip(ends, ends[1:])]
        else:
            starts = [number for number, line in enumerate(file, 1) if line.strip("\r\n")]
    starting_lines = np.array(starts[scan.first_line - 1 :])
    return starting_lines[:count] if len(starting_lines) >= count else numbers


def _is_time(scan: Scan, rating: np.ndarray | None, timestamp: np.ndarray | None) -> bool:
    """Return whether what stands where ratings do is a time, which no column is said to be.

    All values are then of 1990 to 2100, in seconds or all in milliseconds.
    """
    if not scan.guessed or timestamp is not None or rating is None or not len(rating):
        return False
    low, high = np.min(rating), np.max(rating)
    return any(EPOCHS[0] <= low / unit and high / unit <= EPOCHS[1] for unit in (1, 1000))


def _id_expressions(scan: Scan, field: str, kind: str) -> dict[str, str]:
    """Return the SQL of an id as an integer, and whether it is written as one.

    Raises UserError for a column of neither integers nor texts.
    """
    column, of_type = scan.column(field), scan.type_of(field)
    if not of_type.startswith((*_INTEGERS, *_TEXTS)):
        raise UserError(
            f"{scan.path}: the {field}s are {of_type.lower()}, and neither integers nor text"
        )
    integer = f"TRY_CAST({column} AS BIGINT)"
    written = f"{integer} >= 0"
    if kind == "integer":
        written += f" AND TRY_CAST({column} AS DOUBLE) = {integer}"
    elif of_type not in _INTEGERS:
        written += f" AND {integer}::VARCHAR = trim({column})"
    return {field: integer, f"{field}_written": f"coalesce({written}, false)"}


def _number_expressions(scan: Scan, field: str) -> dict[str, str]:
    """Return the SQL of a number, or of seconds since 1970, and whether the field is blank."""
    column, of_type = scan.column(field), scan.type_of(field)
    if field == "timestamp" and of_type.startswith(_DATES):
        return {field: f"epoch({column})", f"{field}_blank": f"{column} IS NULL"}
    blank = f"({column} IS NULL OR trim({column}::VARCHAR) = '')"
    return {field: f"TRY_CAST({column} AS DOUBLE)", f"{field}_blank": blank}


class _Reader:
    """Turns the arrays of a query into fields, and keeps the first fault that it meets."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        scan: Scan,
        reading: Reading,
        arrays: dict[str, np.ndarray],
    ):
        self.connection, self.scan, self.reading, self.arrays = connection, scan, reading, arrays
        self.count = len(arrays["user"])
        timed = "timestamp" in scan.positions
        self.dates = timed and scan.type_of("timestamp").startswith(_DATES)
        self.integers_as_floats: dict[str, str] = {}
        self._faults: list[tuple[int, int, str, str]] = []  # row, place of the field, field, why

    def ids(self, field: str) -> Any:
        """Return ids as int64 where all are written as integers, else as a categorical."""
        values, written = self.arrays[field], np.asarray(self.arrays[f"{field}_written"], bool)
        if self.reading.ids == "integer":
            self._note(field, ~written, "is not an integer id")
        elif self.reading.ids == "text" or not written.all():
            return self._texts(field)
        return np.ma.getdata(values).astype(np.int64, copy=False)

    def _texts(self, field: str) -> pd.Categorical:
        """Return ids as texts, whose categories are sorted by code point."""
        connection, scan, column = self.connection, self.scan, self.scan.column(field)
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE ids AS "
            f"SELECT trim({column}::VARCHAR) AS id FROM {scan.relation}"
        )
        connection.execute("DROP TYPE IF EXISTS id_type")
        connection.execute(
            "CREATE TYPE id_type AS ENUM (SELECT DISTINCT id FROM ids WHERE id <> '' ORDER BY id)"
        )
        ids = connection.execute(
            "SELECT CASE WHEN id <> '' THEN id END::id_type AS id FROM ids"
        ).df()["id"]
        codes, categories = ids.cat.codes.to_numpy(), ids.cat.categories.to_numpy(object)
        self._note(field, codes < 0, "is blank")
        self._check_texts(field)
        return pd.Categorical.from_codes(codes, categories)

    def _check_texts(self, field: str) -> None:
        """Note integers that are written as floats.

        Raises UserError where others are not, and for an unnamed column of times.
        """
        row = self.connection.execute(
            "SELECT min(id) FILTER (regexp_full_match(id, '[0-9]+[.]0*')), "
            "min(id) FILTER (regexp_full_match(id, '0|[1-9][0-9]*')), "
            "count(*) FILTER (id <> '' AND (length(id) < 8 OR TRY_CAST(id AS TIMESTAMP) IS NULL)) "
            "FROM ids"
        ).fetchone()
        floats, integers, others = row or (None, None, 1)
        if floats and integers:
            raise UserError(
                f"{self.scan.path}: the {field}s {integers} and {floats} may be of one kind: write "
                "all as integers or all as texts, or say --ids=integer or --ids=text"
            )
        if floats:
            self.integers_as_floats[field] = floats
        if self.scan.guessed and not others and self.count:
            raise UserError(
                f"{self.scan.path}: column {self.scan.positions[field] + 1} holds times, and no "
                f"{field}s: say --columns=user=POSITION,item=POSITION,timestamp=POSITION, from 0"
            )

    def numbers(self, field: str) -> np.ndarray | None:
        """Return ratings, or times in which a blank is NaN; None without this column."""
        if field not in self.scan.positions:
            return None
        values = np.ma.filled(self.arrays[field].astype(np.float64), np.nan)
        blank = np.asarray(self.arrays[f"{field}_blank"], bool)
        no_number = ~np.isfinite(values) & ~(blank & (field == "timestamp"))
        if no_number.any() and self._may_be_dates(field):
            dates, no_date = self._read_dates(field, blank)
            if not no_date.any() and not blank.all():
                self.dates = True
                return dates
        why = "is not a number"
        if self.scan.guessed:
            why += ": if this is another column, say --columns=user=POSITION,item=POSITION, from 0"
        self._note(field, no_number, why)
        if not self.dates:
            self._note(field, np.isfinite(values) & (values < 0), "is negative")
        return values

    def _may_be_dates(self, field: str) -> bool:
        """Return whether a column of texts is one of times, or the unnamed third one."""
        if not self.scan.type_of(field).startswith("VARCHAR"):
            return False
        third = self.scan.guessed and "timestamp" not in self.scan.positions
        return field == "timestamp" or third

    def _read_dates(self, field: str, blank: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return seconds since 1970, NaN where blank, and which rows hold no date."""
        column = self.scan.column(field)
        expressions = {"seconds": f"epoch(TRY_CAST(trim({column}) AS TIMESTAMPTZ))"}
        values = select(self.connection, self.scan, expressions)["seconds"]
        seconds = np.ma.filled(values.astype(np.float64), np.nan)
        return seconds, np.isnan(seconds) & ~blank

    def _note(self, field: str, faulty: np.ndarray, why: str) -> None:
        """Keep the first faulty row of a field."""
        if faulty.any():
            self._faults.append((int(np.argmax(faulty)), FIELDS.index(field), field, why))

    def check(self) -> None:
        """Raise UserError about the first faulty row."""
        if not self._faults:
            return
        row, _, field, why = min(self._faults)
        scan = self.scan
        query = f"SELECT {scan.column(field)}::VARCHAR FROM {scan.relation} LIMIT 1 OFFSET {row}"
        (value,) = self.connection.execute(query).fetchone() or (None,)
        where = f"line {line_numbers(scan, self.count)[row]}" if scan.text else f"row {row + 1}"
        shown = "" if why == "is blank" else f" {(value or '').strip()!r}"
        raise UserError(f"{scan.path}, {where}: the {field}{shown} {why}")
