"""Parquet files of interactions, read by pyarrow."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from advrec_tf.data.columns import FIELDS, first_fault, positions_of
from advrec_tf.errors import UserError

if TYPE_CHECKING:
    import pyarrow


def read_parquet(path: Path, columns: dict[str, str | int] | None) -> pd.DataFrame:
    """Return the fields of a Parquet file. Raises UserError as `read_table`."""
    table = _parquet_columns(path, columns)
    frame = table.to_pandas(ignore_metadata=True, split_blocks=True, self_destruct=True)
    if frame.empty:
        raise UserError(f"{path}: the file has no rows")
    frame = frame[[field for field in FIELDS if field in frame]].apply(_as_in_text, args=(path,))
    integer = {field for field in FIELDS[:2] if frame[field].dtype == np.int64}
    fault = first_fault(frame, integer)
    if fault is not None:
        row = frame.astype(object).iloc[fault]
        values = ", ".join(f"{name} {value!r}" for name, value in row.items())
        raise UserError(f"{path}, row {fault + 1}: {values}: one is blank, negative or not finite")
    return frame


def _parquet_columns(path: Path, columns: dict[str, str | int] | None) -> "pyarrow.Table":
    """Return the columns of a Parquet file that are fields, under the names of the fields."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise UserError(f"{path}: a Parquet file is read by pyarrow: pip install pyarrow") from None
    try:
        names = parquet.read_schema(path).names
        positions = positions_of(str(path), names, columns, header=True)
        if len(set(names)) < len(names):
            raise UserError(f"{path}: two of its columns have one name")
        table = parquet.read_table(path, columns=[names[n] for n in positions.values()])
        numbers = [_without_dates_and_decimals(column) for column in table.columns]
        return pyarrow.table(numbers, names=list(positions))
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(
            f"{path}: not a whole Parquet file ({str(error).splitlines()[0]})"
        ) from None


def _without_dates_and_decimals(column: "pyarrow.ChunkedArray") -> "pyarrow.ChunkedArray":
    """Return seconds since 1970 for dates and float64 for decimals; other types are unchanged."""
    import pyarrow
    from pyarrow import compute

    if pyarrow.types.is_temporal(column.type):
        microseconds = column.cast(pyarrow.timestamp("us"), safe=False).cast(pyarrow.int64())
        return compute.divide(microseconds.cast(pyarrow.float64(), safe=False), 1e6)
    if pyarrow.types.is_decimal(column.type):
        return column.cast(pyarrow.float64())
    return column


def _as_in_text(column: pd.Series, path: Path) -> pd.Series:
    """Return a column in the type that a text table gives: ids int64 or text, all else float64."""
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
