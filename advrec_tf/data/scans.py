"""What a table holds, as DuckDB scans it: text, JSON or Parquet, and where its fields stand."""

import csv
import io
import json
import re
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np

from advrec_tf.data.columns import (
    Columns,
    has_known_name,
    is_above_numbers,
    number_of,
    positions_of,
)
from advrec_tf.data.texts import Text
from advrec_tf.errors import UserError
from advrec_tf.files import check_growth

_SAMPLE_LINES = 20  # below the first line, which show whether it is a header
_ROW_BYTES = 32  # of a row's fields in memory
_SEPARATORS = ("\t", ",", ";", "|", " ")


class Misfit(UserError):
    """A line of a text has too few or too many fields."""


class Scan(NamedTuple):
    """A table that DuckDB can read.

    relation: what follows FROM in SQL, with columns `names` of DuckDB's `types`.
    positions: of the fields among the columns, from 0.  shown: the columns' names in the file, or
    its first line.  header: whether the file names its columns.
    first_line: of the first row.  text: the file, None where rows have no lines (Parquet).
    separator, quote: of a text, "" where there is none.  guessed: whether neither the file nor the
    user says which column is which
    """

    path: Path
    relation: str
    names: list[str]
    types: list[str]
    positions: dict[str, int]
    shown: list[str]
    header: bool = True
    first_line: int = 1
    text: Text | None = None
    separator: str = ""
    quote: str = ""
    guessed: bool = False

    def column(self, field: str) -> str:
        """Return the column of a field in SQL."""
        return _name(self.names[self.positions[field]])

    def type_of(self, field: str) -> str:
        """Return DuckDB's type of a field."""
        return self.types[self.positions[field]]


def connected() -> duckdb.DuckDBPyConnection:
    """Return a database in memory that loads no extension from elsewhere."""
    options: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    connection = duckdb.connect(config=options)
    connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
    return connection


def text_scans(
    connection: duckdb.DuckDBPyConnection, path: Path, text: Text, columns: Columns | None
) -> list[Scan]:
    """Return the scans of a text with one interaction a line, with quotes and without.

    The more likely one comes first: the first lines may hold no quotes, or a lone one.
    Raises UserError for a header that is not understood.
    """
    separator, quote = _dialect(connection, text)
    names, *below = _first_rows(text, separator, quote)
    by_name = columns is not None and any(isinstance(each, str) for each in columns.values())
    header = by_name or has_known_name(names) or is_above_numbers(names, below)
    positions = positions_of(f"{path}, line 1", names, columns, header)
    if header and text.lines < 2:
        raise UserError(f"{path}, line 2: there is a header and nothing else")
    names_in_sql, first = [f"c{n}" for n in range(len(names))], 1 + header
    types = ["VARCHAR"] * len(names)
    scans = []
    for each in (quote, "" if quote else '"'):
        relation = _csv(text.path, separator, each, len(names), skip=int(header))
        scan = Scan(path, relation, names_in_sql, types, positions, names, header, first, text)
        guessed = columns is None and not header
        scans.append(scan._replace(separator=separator, quote=each, guessed=guessed))
    return scans


def select(
    connection: duckdb.DuckDBPyConnection, scan: Scan, expressions: dict[str, str]
) -> dict[str, np.ndarray]:
    """Return SQL expressions of every row as arrays, by name.

    Raises Misfit for a line that does not fit.
    """
    connection.execute("DROP TABLE IF EXISTS reject_errors; DROP TABLE IF EXISTS reject_scans")
    selected = ", ".join(f"{text} AS {name}" for name, text in expressions.items())
    arrays = connection.execute(f"SELECT {selected} FROM {scan.relation}").fetchnumpy()
    if not scan.separator:
        return arrays
    query = "SELECT line, csv_line FROM reject_errors ORDER BY line LIMIT 1"
    if row := connection.execute(query).fetchone():
        count = len(split_line(row[1], scan.separator))
        raise Misfit(
            f"{scan.path}, line {row[0]}: {count} column(s) where there should be {len(scan.names)}"
        )
    return arrays


def json_scan(
    connection: duckdb.DuckDBPyConnection, path: Path, text: Text, columns: Columns | None
) -> Scan:
    """Return the scan of JSON lines, or of one array of objects."""
    layout = "array" if text.head.lstrip().startswith("[") else "newline_delimited"
    relation = f"read_json({literal(text.path)}, format = '{layout}')"
    names, types = _described(connection, relation)
    positions = positions_of(str(path), names, columns, header=True)
    return Scan(path, relation, names, types, positions, names, text=text)


def parquet_scan(
    connection: duckdb.DuckDBPyConnection, path: Path, source: Path, columns: Columns | None
) -> Scan:
    """Return the scan of a Parquet file.  source: its name without patterns"""
    relation = f"read_parquet({literal(source)})"
    try:
        schema = connection.execute(
            f"SELECT name FROM parquet_schema({literal(source)}) WHERE num_children IS NULL"
        ).fetchall()
        (rows,) = connection.execute(f"SELECT count(*) FROM {relation}").fetchone() or (0,)
        names, types = _described(connection, relation)
    except duckdb.Error as error:
        raise UserError(f"{path}: not a whole Parquet file ({reason_of(error)})") from None
    check_growth(path, path.stat().st_size, rows * _ROW_BYTES)
    if len({name for (name,) in schema}) < len(schema):
        raise UserError(f"{path}: two of its columns have one name")
    positions = positions_of(str(path), names, columns, header=True)
    return Scan(path, relation, names, types, positions, names)


def is_json(path: Path, text: Text) -> bool:
    """Return whether a text is JSON: an object in its first line, or an array by its name."""
    head = text.head.lstrip()
    if ".json" in path.suffixes and head.startswith("["):
        return True
    try:
        return isinstance(json.loads(head.partition("\n")[0]), dict)
    except ValueError:
        return ".jsonl" in path.suffixes or ".json" in path.suffixes


def first_that_is_no_object(text: Text) -> int | None:
    """Return the first line of JSON lines that is no JSON object, from 1, or None."""
    with open(text.path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                if line.strip() and not isinstance(json.loads(line), dict):
                    return number
            except ValueError:
                return number
    return None


def split_line(line: str, separator: str) -> list[str]:
    """Return the fields of a line, stripped. A separator of one character may be in quotes."""
    line = line.strip("\r\ufeff")
    single = len(separator) == 1  # csv does not take longer ones
    fields = next(csv.reader([line], delimiter=separator), []) if single else line.split(separator)
    return [field.strip() for field in fields]


def _first_rows(text: Text, separator: str, quote: str) -> list[list[str]]:
    """Return the fields of the first lines, stripped; a quoted field may hold a line break."""
    lines = text.head.splitlines()[: 1 + _SAMPLE_LINES]
    if not quote:
        return [split_line(line, separator) for n, line in enumerate(lines) if line or not n]
    rows = csv.reader(io.StringIO(text.head), delimiter=separator, quotechar=quote)
    first = list(islice(rows, 1 + _SAMPLE_LINES))
    return [[field.strip() for field in row] for n, row in enumerate(first) if row or not n]


def _dialect(connection: duckdb.DuckDBPyConnection, text: Text) -> tuple[str, str]:
    """Return the separator of a text and its quote, "" for none, as DuckDB's sniffer finds them.

    Where it finds one column only, the first line decides.
    """
    first = text.head.splitlines()[0]
    if "::" in first:
        return "::", ""
    sniff = f"sniff_csv({literal(text.path)}, all_varchar = true)"
    try:
        row = connection.execute(f"SELECT Delimiter, Quote FROM {sniff}").fetchone()
    except duckdb.Error:
        row = None
    separator, quote = row or ("", "")
    quote = quote if quote in ('"', "'") else ""
    if separator and len(_first_rows(text, separator, quote)[0]) > 1:
        return separator, quote
    return next((each for each in _SEPARATORS if each in first), ","), quote


def _csv(path: Path, separator: str, quote: str, width: int, skip: int) -> str:
    columns = ", ".join(f"'c{n}': 'VARCHAR'" for n in range(width))
    return (
        f"read_csv({literal(path)}, auto_detect = false, header = false, skip = {skip}, "
        f"delim = {literal(separator)}, quote = {literal(quote)}, escape = {literal(quote)}, "
        f"columns = {{{columns}}}, store_rejects = true, rejects_limit = 1)"
    )


def check_first_line(connection: duckdb.DuckDBPyConnection, scan: Scan) -> None:
    """Raise UserError where the first line of words may name columns and may be an interaction.

    It is an interaction if its user or its item occurs again.
    """
    names = scan.shown
    if any(name[:1].isdigit() or number_of(name) is not None or not name for name in names):
        return
    recurs = " OR ".join(
        f"trim({scan.column(field)}) = {literal(names[scan.positions[field]])}"
        for field in ("user", "item")
    )
    rows = connection.execute(f"SELECT 1 FROM {scan.relation} WHERE {recurs} LIMIT 2").fetchall()
    if len(rows) < 2:
        raise UserError(
            f"{scan.path}, line 1: {', '.join(names)} may name columns or be an interaction: say "
            f"--columns=user={names[0]},item={names[1]}, or --columns=user=0,item=1"
        )


def _described(connection: duckdb.DuckDBPyConnection, relation: str) -> tuple[list[str], list[str]]:
    """Return the names and the types of a relation's columns."""
    rows = connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    return [row[0] for row in rows], [row[1] for row in rows]


def reason_of(error: Exception) -> str:
    """Return what DuckDB says, in one line and without the name of a temporary file."""
    text = re.sub(r"\s*\"[^\"]*advrec-[^\"]*\"", "", str(error).strip().splitlines()[0])
    return text[:200]


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def literal(value: object) -> str:
    """Return a text as SQL has it."""
    return "'" + str(value).replace("'", "''") + "'"
