"""Factors of other libraries: trained models, and files that hold a pair of tables."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from advrec_tf.errors import UserError
from advrec_tf.execution.storage import save
from advrec_tf.files import check_growth, regular
from advrec_tf.recommenders.matrices import as_floats, read_matrix
from advrec_tf.recommenders.unpickling import torch_tensors, unpickled

# Names of users' factors, items' factors, and items' biases where a library has them apart.
NAMES = (
    ("user_factors", "item_factors", "item_biases"),  # implicit
    ("u_factors", "i_factors", "i_biases"),  # cornac
    ("user_embeddings", "item_embeddings", "item_biases"),  # LightFM
    ("user_embedding", "item_embedding", "item_bias"),  # this project
    ("user_embedding.weight", "item_embedding.weight", "item_bias.weight"),  # PyTorch
    ("user_embeddings_", "item_embeddings_", "item_biases_"),  # LensKit
    ("pu", "qi", "bi"),  # Surprise
    ("U", "V", "Bi"),  # cornac's WMF
)
# Maps from ids to rows, of users and of items.
MAPS = (
    ("uid_map", "iid_map"),  # cornac
    ("_raw2inner_id_users", "_raw2inner_id_items"),  # Surprise
    ("_user_id_mapping", "_item_id_mapping"),  # LightFM's Dataset
)
IDS = ("user_ids", "item_ids")
PAIRS = (".npz", ".safetensors", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5", ".keras")


class Factors(NamedTuple):
    """P [U, D] and Q [I, D], and the ids of their rows, or None for the order of the data's ids."""

    user: np.ndarray
    item: np.ndarray
    user_ids: np.ndarray | None = None
    item_ids: np.ndarray | None = None


def factors_of(model: Any) -> Factors:
    """Return the factors whose products p_u . q_i give the lists of a model.

    model: a trained model of implicit, Cornac, LightFM, LensKit or Surprise, or a dict of arrays.
    Items' biases become one more column of Q, with ones in P.  Users' biases and means are
    dropped, because they change no list.  Models that know the ids of their rows keep them.
    Raises UserError for a model without factors.
    """
    tables = _tables(model)
    if tables is None:
        arrays = _attributes(model)
        names = ", ".join(sorted(map(str, arrays))[:12]) or "nothing"
        raise UserError(
            f"no factors of users and items among {names}: "
            "numpy.savez(file, user_embedding=P, item_embedding=Q) writes them"
        )
    P, Q, owner = tables
    user_ids, item_ids = _ids_of(owner)
    return Factors(P, Q, _trimmed(user_ids, P, "user"), _trimmed(item_ids, Q, "item"))


def save_factors(path: Path | str, factors: Factors) -> None:
    """Write factors, with the ids of their rows if they are known, as an .npz for --factors."""
    arrays = {"user_embedding": factors.user, "item_embedding": factors.item}
    ids = zip(IDS, (factors.user_ids, factors.item_ids))
    known = {name: np.asarray(values, str) for name, values in ids if values is not None}
    save(path, arrays | known)


def read_factors(paths: list[str]) -> Factors:
    """Return the factors of two files (`read_matrix`), or of one that holds a pair (PAIRS).

    Raises UserError for files that cannot be read.
    """
    if len(paths) == 2:
        (P, user_ids), (Q, item_ids) = map(read_matrix, paths)
        return Factors(P, Q, user_ids, item_ids)
    path = Path(paths[0])
    if path.suffix not in _READERS:
        raise UserError(
            f"{path}: factors are two files, .npy say, or one of {', '.join(PAIRS)}; "
            "numpy.savez(file, user_factors=P, item_factors=Q) writes one"
        )
    try:
        return factors_of(_READERS[path.suffix](regular(path)))
    except FileNotFoundError:
        raise UserError(f"{path}: No such file") from None
    except ImportError as error:
        raise UserError(
            f"{path} needs a package that is not installed: pip install {error.name}"
        ) from None
    except UserError as error:
        text = str(error)
        raise UserError(text if str(path) in text else f"{path}: {text}") from None
    except Exception as error:  # whatever a damaged file makes its reader raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: not a file of factors ({reason})") from None


def read_ids(path: Path | str) -> tuple[np.ndarray, np.ndarray]:
    """Return the ids of users and of items in the order of their rows, from a pickled data set.

    It is one of RecBole (`save_dataset`), whose first ids are padding, or LightFM's Dataset.
    Raises UserError for another file.
    """
    holder = _attributes(unpickled(regular(path)))
    user_ids, item_ids = _ids_of(holder)
    tokens = holder.get("field2id_token")  # of RecBole, by the names of columns
    if isinstance(tokens, dict):
        fields = (holder.get(name) for name in ("uid_field", "iid_field"))
        user_ids, item_ids = (np.asarray(tokens.get(field, ()), str) for field in fields)
    if user_ids is None or item_ids is None or not len(user_ids) or not len(item_ids):
        raise UserError(f"{path}: no ids of users and items, as data sets of RecBole and LightFM")
    return user_ids, item_ids


def _attributes(model: Any) -> dict[str, Any]:
    """Return what an object or a dict holds, by name."""
    return model if isinstance(model, dict) else dict(getattr(model, "__dict__", {}))


def _tables(model: Any, depth: int = 2) -> tuple[np.ndarray, np.ndarray, dict] | None:
    """Return P, Q and what holds them: the model, or a part of it such as `state_dict`."""
    arrays = _attributes(model)
    for user, item, bias in NAMES:
        if arrays.get(user) is not None and arrays.get(item) is not None:
            P, Q = _table(arrays[user], user), _table(arrays[item], item)
            return (*_with_biases(P, Q, arrays.get(bias), item, bias), arrays)
    if pair := _embeddings(arrays):
        P, Q = (_table(arrays[name], name) for name in pair)
        return P, Q, arrays
    for part in arrays.values() if depth else ():
        if tables := _tables(part, depth - 1):
            return tables
    return None


def _embeddings(arrays: dict[str, Any]) -> tuple[str, str] | None:
    """Return the names of the only two tables of which one is of users and one of items.

    Raises UserError where there are several, as in models of two towers.
    """
    tables = [name for name, each in arrays.items() if getattr(each, "ndim", 0) == 2]
    users = [name for name in tables if "user" in str(name).lower() and "bias" not in str(name)]
    items = [name for name in tables if "item" in str(name).lower() and "bias" not in str(name)]
    if len(users) == len(items) == 1:
        return users[0], items[0]
    if users and items:
        raise UserError(
            f"several tables may be the factors ({', '.join(map(str, users + items))}): save the "
            "right ones with numpy.savez(file, user_embedding=P, item_embedding=Q)"
        )
    return None


def _table(values: Any, name: str) -> np.ndarray:
    """Return the values. Raises UserError unless they are a numeric array of one or two axes."""
    if isinstance(values, np.ndarray):
        values = as_floats(values)
    numbers = isinstance(values, np.ndarray) and values.dtype.kind in "fiu"
    if not numbers or values.ndim not in (1, 2):
        raise UserError(f"{name} is no table of numbers")
    return values


def _with_biases(
    P: np.ndarray, Q: np.ndarray, biases: Any, item: str, bias: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return P with a column of ones and Q with one of biases, if there are any."""
    if biases is None or not np.size(biases):
        return P, Q
    column = np.ravel(_table(biases, bias))
    if len(column) != len(Q):
        raise UserError(f"{bias} are {len(column)} where {item} has {len(Q)} rows")
    return np.column_stack([P, np.ones(len(P), P.dtype)]), np.column_stack([Q, column])


def _ids_of(owner: dict[str, Any]) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return the ids of the rows of P and of Q, where the holder or its training set knows them."""
    if all(owner.get(name) is not None for name in IDS):
        return np.asarray(owner[IDS[0]], str), np.asarray(owner[IDS[1]], str)
    for holder in (owner, *(_attributes(owner.get(name)) for name in ("train_set", "trainset"))):
        for names in MAPS:
            users, items = (holder.get(name) or {} for name in names)
            if users and items:
                return _in_order(users), _in_order(items)
    vocabularies: list[Any] = [owner.get(name) for name in ("users", "items")]  # of LensKit
    if all(hasattr(each, "ids") for each in vocabularies):
        user_ids, item_ids = (np.asarray(each.ids(), str) for each in vocabularies)
        return user_ids, item_ids
    return None, None


def _in_order(row_of: dict[Any, Any]) -> np.ndarray:
    """Return the ids of rows 0, 1, ...  Raises UserError for a map that leaves some out."""
    rows = sorted((int(row), str(name)) for name, row in row_of.items())
    if [row for row, _ in rows] != list(range(len(rows))):
        raise UserError("the model's map of ids leaves out some rows")
    return np.array([name for _, name in rows])


def _trimmed(ids: np.ndarray | None, table: np.ndarray, side: str) -> np.ndarray | None:
    """Return ids, one for each row. Raises UserError where their number is another."""
    if ids is not None and len(ids) != len(table):
        raise UserError(f"{len(ids)} ids for {len(table)} rows of {side} factors")
    return ids


def _npz(path: Path) -> dict[str, np.ndarray | None]:
    """Read the arrays of a .npz whose names are known, None for all others."""
    with np.load(path, allow_pickle=False) as arrays:
        packed = path.stat().st_size
        check_growth(path, packed, sum(member.file_size for member in arrays.zip.infolist()))
        wanted = {name for names in (*NAMES, IDS) for name in names}
        return {name: arrays[name] if name in wanted else None for name in arrays.files}


def _safetensors(path: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(path)


def _keras(path: Path) -> dict[str, np.ndarray]:
    """Read the tables of a Keras model or of its weights, by the path of their layer."""
    import io
    import zipfile

    import h5py

    if path.suffix == ".h5":
        with h5py.File(path, "r") as file:
            return _h5_tables(path, file)
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo("model.weights.h5")
        check_growth(path, member.compress_size, member.file_size)
        with h5py.File(io.BytesIO(archive.read(member)), "r") as file:
            return _h5_tables(path, file)


def _h5_tables(path: Path, file: Any) -> dict[str, np.ndarray]:
    """Return all tables of numbers of an HDF5 file by name."""
    import h5py

    tables = {}

    def take(name: str, node: Any) -> None:
        """Keep a table."""
        if isinstance(node, h5py.Dataset) and node.ndim == 2 and node.dtype.kind in "fiu":
            check_growth(path, path.stat().st_size, node.size * node.dtype.itemsize)
            tables[name] = node[()]

    file.visititems(take)
    return tables


_READERS = {
    ".npz": _npz,
    ".safetensors": _safetensors,
    **dict.fromkeys((".pt", ".pth", ".ckpt"), torch_tensors),
    **dict.fromkeys((".pkl", ".pickle"), unpickled),
    **dict.fromkeys((".h5", ".keras"), _keras),
}
