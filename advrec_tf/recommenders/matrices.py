"""One table of factors in a file, and the ids of its rows where the file knows them."""

from pathlib import Path
from typing import NamedTuple

import ml_dtypes
import numpy as np

from advrec_tf.errors import UserError
from advrec_tf.files import check_growth, regular
from advrec_tf.recommenders.unpickling import Opaque, unpickled


class Matrix(NamedTuple):
    """Rows of factors [N, D], and their ids [N]; None for the order of the data's ids."""

    rows: np.ndarray
    ids: np.ndarray | None = None


def read_matrix(path: Path | str) -> Matrix:
    """Return one table of factors.

    Known are .npy (bfloat16 too), Spark's Parquet of ids and features (a file or a folder), and
    gensim's vectors: .kv, and word2vec's text (.txt, .vec).
    Raises UserError for a file of another kind, and OSError when it is missing.
    """
    path = Path(path)
    if path.is_dir() or path.suffix == ".parquet":
        return _parquet(path)
    readers = {".npy": _npy, ".kv": _key_vectors, ".txt": _word2vec, ".vec": _word2vec}
    path = regular(path)
    if path.suffix not in readers:
        raise UserError(
            f"{path}: one table of factors is {', '.join(readers)} or .parquet; "
            "numpy.save(file, factors) writes a .npy"
        )
    matrix = readers[path.suffix](path)
    if matrix.rows.ndim != 2:
        raise UserError(f"{path}: factors must be a table [rows, dim], not {matrix.rows.shape}")
    return matrix


def _npy(path: Path) -> Matrix:
    """Read a .npy. It is mapped first, which asks for no memory that the file does not fill."""
    try:
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception:  # NumPy's reader of headers fails in many ways
        raise UserError(f"{path}: not an .npy file of numbers") from None
    if not isinstance(mapped, np.ndarray):
        raise UserError(f"{path}: an .npz archive; export each matrix as an .npy file")
    return Matrix(as_floats(np.array(mapped)))


def as_floats(values: np.ndarray) -> np.ndarray:
    """Return bfloat16 as float32, also where NumPy has read two bytes of nothing; others as is."""
    if values.dtype == np.dtype("V2"):
        values = values.view(ml_dtypes.bfloat16)
    return values.astype(np.float32) if values.dtype == ml_dtypes.bfloat16 else values


def _parquet(path: Path) -> Matrix:
    """Read ids and lists of numbers, such as Spark's ALS saves: userFactors of (id, features)."""
    import duckdb

    from advrec_tf.data.scans import connected, literal

    files = sorted(path.glob("*.parquet")) if path.is_dir() else [regular(path)]
    if not files:
        raise UserError(f"{path}: the folder holds no .parquet files")
    relation = f"read_parquet([{', '.join(map(literal, files))}])"
    with connected() as connection:
        try:
            described = connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
            lists = [name for name, of_type, *_ in described if of_type.endswith("]")]
            others = [name for name, *_ in described if name not in lists]
            if len(lists) != 1 or len(others) != 1:
                names = ", ".join(name for name, *_ in described)
                raise UserError(
                    f"{path}: factors are one column of ids and one of lists, not {names}"
                )
            query = f'SELECT "{others[0]}"::VARCHAR AS id, "{lists[0]}" AS row FROM {relation}'
            columns = connection.execute(query).fetchnumpy()
        except duckdb.Error:
            raise UserError(f"{path}: not a whole Parquet file") from None
    rows = columns["row"]
    if len({len(row) for row in rows}) != 1:
        raise UserError(f"{path}: its rows have no equal number of factors")
    return Matrix(np.stack([np.asarray(row) for row in rows]), columns["id"].astype(str))


def _key_vectors(path: Path) -> Matrix:
    """Read gensim's KeyedVectors, whose large arrays stand in a file of their own."""
    vectors = unpickled(path)
    keys = getattr(vectors, "index_to_key", None)
    rows = getattr(vectors, "vectors", None)
    beside = path.with_name(f"{path.name}.vectors.npy")
    if rows is None and beside.exists():
        rows = _npy(regular(beside)).rows
    if not isinstance(vectors, Opaque) or not isinstance(rows, np.ndarray) or keys is None:
        raise UserError(f"{path}: not gensim's KeyedVectors")
    return Matrix(as_floats(rows), np.array(list(map(str, keys))))


def _word2vec(path: Path) -> Matrix:
    """Read word2vec's text: a line "count dimension", and then a key and its numbers a line."""
    with open(path, encoding="utf-8") as file:
        try:
            count, dimension = map(int, file.readline().split())
            check_growth(path, path.stat().st_size, 8 * count * dimension)
            keys, rows = [], []
            for line in file:
                key, *numbers = line.rstrip("\n").rsplit(" ", dimension)
                keys.append(key)
                rows.append(np.array(numbers, np.float32))
            values = np.array(rows, np.float32).reshape(count, dimension)
        except UserError:
            raise
        except (ValueError, UnicodeDecodeError):
            raise UserError(f"{path}: not the text format of word2vec") from None
    return Matrix(values, np.array(keys))
