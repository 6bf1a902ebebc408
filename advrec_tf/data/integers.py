"""The fast way for a text whose ids are integers: pandas reads such a table faster than DuckDB."""

import math

import numpy as np
import pandas as pd

from advrec_tf.data.columns import FIELDS
from advrec_tf.data.scans import Scan
from advrec_tf.data.texts import BLOCK

_ZERO, _NINE, _NEWLINE = ord("0"), ord("9"), ord("\n")
_SIGNS, _OF_FLOATS = b"+- ", b".eE_"


def read_integers(scan: Scan) -> dict[str, np.ndarray] | None:
    """Return the fields of a plain table, or None for any other, which DuckDB reads or refuses.

    A plain table has integer ids and times, as they are canonically written, ratings from 0 up,
    equally many fields on every line, and neither quotes nor blank lines.
    """
    text = scan.text
    if text is None or len(scan.separator) != 1 or not _is_plain(scan):
        return None
    fields = {position: field for field, position in scan.positions.items()}
    types = {n: np.float64 if field == "rating" else np.int64 for n, field in fields.items()}
    # pandas is three times as slow where it is told which columns to read, even if it is all.
    chosen = sorted(fields) if len(fields) < len(scan.names) else None
    try:
        frame = pd.read_csv(
            text.path,
            sep=scan.separator,
            header=None,
            skiprows=scan.first_line - 1,
            usecols=chosen,
            dtype=types,
            keep_default_na=False,
        )
    except (ValueError, OverflowError):
        return None
    arrays = {fields[int(n)]: frame[n].to_numpy() for n in frame.columns}
    values = list(arrays.values())
    if not all(len(each) and each.min() >= 0 and np.isfinite(each.max()) for each in values):
        return None
    return {field: arrays[field] for field in FIELDS if field in arrays}


def _is_plain(scan: Scan) -> bool:
    """Return whether every line has as many separators, and integers look like such."""
    text = scan.text
    assert text is not None
    integers = [position for field, position in scan.positions.items() if field != "rating"]
    separators, rest = 0.0, b"\n"  # a chunk begins with the end of the line before
    header_lines = scan.first_line - 1
    with open(text.path, "rb") as file:
        for _ in range(header_lines):
            file.readline()
        while block := file.read(BLOCK):
            if b'"' in block or b"\n\n" in block or b"\r\n\r" in block:
                return False
            chunk = rest + block
            cut = max(chunk.rfind(b"\n"), 0)
            separators += _separators_of_plain(chunk[: cut + 1], scan.separator, integers)
            rest = chunk[cut:]
    separators += _separators_of_plain(rest + b"\n", scan.separator, integers)
    return separators == (len(scan.names) - 1) * (text.lines - header_lines)


def _separators_of_plain(chunk: bytes, separator: str, integers: list[int]) -> float:
    """Return how many separators some lines hold, NaN where an integer is written otherwise.

    chunk: the lines, after the end of the line before; integers: the columns of integers
    """
    here = np.frombuffer(chunk, np.uint8)
    for first in (_ZERO, *(sign for sign in _SIGNS if sign in chunk)):
        at = np.flatnonzero(here[1:-1] == first) + 1
        before, after = here[at - 1], here[at + 1]
        begins = (before == ord(separator)) | (before == _NEWLINE)
        if np.any(begins & (after >= _ZERO) & (after <= _NINE)):
            return math.nan
    if any(byte in chunk for byte in _OF_FLOATS):
        points = np.flatnonzero(np.isin(here, list(_OF_FLOATS)))
        positions = np.flatnonzero(here == ord(separator))
        starts = np.flatnonzero(here == _NEWLINE)
        lines = starts[np.searchsorted(starts, points) - 1]
        columns = np.searchsorted(positions, points) - np.searchsorted(positions, lines)
        if np.isin(columns, integers).any():
            return math.nan
    return chunk.count(separator.encode())
