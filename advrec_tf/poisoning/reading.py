"""Fake profiles of other programs: sparse matrices, tables and lists of items."""

import json
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from scipy import sparse

from advrec_tf.data import Interactions
from advrec_tf.data.reading import Reading
from advrec_tf.data.tables import read_table
from advrec_tf.errors import UserError
from advrec_tf.files import check_growth, plain_name, regular
from advrec_tf.poisoning.profiles import Profiles, highest_rating

SUFFIXES = (".npz", ".csv", ".tsv", ".txt", ".json")


def read_profiles(path: Path | str, data: Interactions, targets: tuple[int, ...] = ()) -> Profiles:
    """Return the fake profiles of a file.

    A .npz is one of ours (`Profiles.save`) or SciPy's sparse matrix [fakes, items] in the order of
    the data's items.  A .csv or .tsv has the columns of a table of interactions; a .txt has a fake
    and its items on each line; a .json is a list of lists of items.  Items have the ids of `data`.
    targets: the items that the profiles promote, where the file does not say.
    Raises UserError for a file that cannot be read, and for items that the data do not have.
    """
    path = existing(path)
    if path.suffix == ".npz" and not _is_sparse(path):
        return Profiles.load(path)
    if path.suffix == ".npz":
        fakes, items, ratings = _sparse(path, data)
    elif path.suffix == ".json":
        fakes, ids = _json(path)
        items, ratings = items_of(path, ids, data), None
    else:
        layout = "lists" if path.suffix == ".txt" else "auto"
        table = read_table(path, reading=Reading(layout=layout))
        items = items_of(path, table["item"].astype(str).to_numpy(), data)
        fakes = np.unique(table["user"].astype(str), return_inverse=True)[1]
        ratings = table["rating"].to_numpy(np.float32) if "rating" in table else None
    pairs, kept = np.unique(data.pairs(fakes, items), return_index=True)
    return Profiles(
        plain_name(path.stem),
        int(fakes.max()) + 1,
        data.item_ids,
        (pairs // data.n_items).astype(np.int32),
        (pairs % data.n_items).astype(np.int32),
        None if ratings is None or data.train_ratings is None else ratings[kept],
        targets,
        highest_rating(data),
    )


def existing(path: Path | str) -> Path:
    """Return the path of a file of profiles. Raises UserError for another one."""
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path}: there is no such file of profiles")
    if path.suffix not in SUFFIXES:
        raise UserError(f"{path}: profiles are read from {', '.join(SUFFIXES)} files")
    return regular(path)


def _is_sparse(path: Path) -> bool:
    """Return whether a .npz is a sparse matrix of SciPy."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {"indices.npy", "indptr.npy", "shape.npy"} <= set(archive.namelist())
    except zipfile.BadZipFile:
        return False


def _sparse(path: Path, data: Interactions) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return fakes, items and values of a sparse matrix."""
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
        check_growth(path, path.stat().st_size, unpacked)
    try:
        matrix = sparse.csr_matrix(sparse.load_npz(path))
        matrix.check_format(full_check=True)
        matrix.eliminate_zeros()
        matrix = matrix.tocoo()
    except Exception:  # whatever a damaged file makes its reader raise
        raise UserError(f"{path}: not a whole sparse matrix of SciPy") from None
    if matrix.shape[1] != data.n_items:
        raise UserError(
            f"{path}: it has {matrix.shape[1]} columns, {data.name} {data.n_items} items"
        )
    if not matrix.nnz or not np.isfinite(matrix.data).all():
        raise UserError(f"{path}: it holds no interactions, or values that are not finite")
    return matrix.row.astype(np.int64), matrix.col.astype(np.int64), matrix.data.astype(np.float32)


def _json(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the fake and the item of each entry of a list of lists."""
    try:
        lists = json.loads(path.read_text(encoding="utf-8"))
        lists = list(lists.values()) if isinstance(lists, dict) else lists
        fakes = np.repeat(np.arange(len(lists)), [len(items) for items in lists])
        ids = [str(item) for items in lists for item in items]
    except (ValueError, TypeError, RecursionError):
        raise UserError(f"{path}: not a JSON list of lists of items") from None
    if not ids:
        raise UserError(f"{path}: it holds no items")
    return fakes, np.array(ids)


def items_of(source: Path | str, ids: Iterable[str], data: Interactions) -> np.ndarray:
    """Return the number of each item.

    source: of the ids, with which an error begins.  Raises UserError for an id that the data do not
    have.
    """
    known = {str(name): number for number, name in enumerate(data.item_ids)}
    unknown = [name for name in ids if name not in known]
    if unknown:
        raise UserError(f"{source}: {unknown[0]!r} is no item of {data.name} ({len(unknown)} such)")
    return np.array([known[name] for name in ids], np.int64)
