"""Factors as other libraries leave them: models of implicit, cornac and LightFM, and files of arrays."""

import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np

from advrec_tf.errors import UserError
from advrec_tf.execution.storage import load_matrix

# Users' factors, items' factors, and items' biases where a library keeps them apart: implicit, cornac, LightFM, this project, cornac's WMF.
NAMES = (
    ("user_factors", "item_factors", "item_biases"),
    ("u_factors", "i_factors", "i_biases"),
    ("user_embeddings", "item_embeddings", "item_biases"),
    ("user_embedding", "item_embedding", "item_bias"),
    ("U", "V", "Bi"),
)


def factors_of(model: Any) -> tuple[np.ndarray, np.ndarray]:
    """P [U, D] and Q [I, D] of a trained model of implicit, cornac or LightFM, or of a dict of arrays; lists of p_u . q_i are the model's.

    Biases of items become one more column of Q beside ones in P; what a user's bias, or a mean, adds to all items changes no list.
    Raises UserError where there are none.
    """
    own = model if isinstance(model, dict) else getattr(model, "__dict__", {})
    for user, item, bias in NAMES:
        if own.get(user) is not None and own.get(item) is not None:
            P, Q = _table(own[user], user), _table(own[item], item)
            if own.get(bias) is None or not np.size(own[bias]):
                return P, Q
            biases = np.ravel(_table(own[bias], bias))
            if len(biases) != len(Q):
                raise UserError(f"{bias} are {len(biases)} where {item} has {len(Q)} rows")
            return np.column_stack([P, np.ones(len(P), P.dtype)]), np.column_stack([Q, biases])
    raise UserError(
        f"no factors of users and items among {', '.join(sorted(map(str, own))[:12]) or 'nothing'}"
    )


def _table(values: Any, name: str) -> np.ndarray:
    if (
        not isinstance(values, np.ndarray)
        or values.ndim not in (1, 2)
        or values.dtype.kind not in "fiu"
    ):
        raise UserError(f"{name} is no table of numbers")
    return values


def read_factors(paths: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """P and Q from two .npy files, or from one model: .npz (implicit's), .safetensors, or a pickle, of which no code is run.

    Raises UserError for files that cannot be read.
    """
    if len(paths) == 2:
        return load_matrix(paths[0]), load_matrix(paths[1])
    (path,) = map(Path, paths)
    readers = {".npz": _npz, ".safetensors": _safetensors, ".pkl": _pickle, ".pickle": _pickle}
    if path.suffix not in readers:
        raise UserError(f"{path}: factors are two .npy files, or one of {', '.join(readers)}")
    if not path.is_file():
        raise UserError(f"{path}: No such file")
    try:
        return factors_of(readers[path.suffix](path))
    except ImportError as error:
        raise UserError(f"{path} needs a package that is not installed ({error.name})") from None
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except Exception as error:  # whatever a damaged file makes its reader raise
        raise UserError(
            f"{path}: not a file of factors ({' '.join(str(error).split()) or type(error).__name__})"
        ) from None


def _npz(path: Path) -> dict[str, np.ndarray | None]:
    with np.load(path, allow_pickle=False) as arrays:
        wanted = {name for names in NAMES for name in names}
        return {name: arrays[name] if name in wanted else None for name in arrays.files}


def _safetensors(path: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(path)


def _pickle(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        found = _Inert(file).load()
    own = found if isinstance(found, dict) else getattr(found, "__dict__", {})
    return {
        str(name): value.values if isinstance(value, _Array) else value
        for name, value in own.items()
    }


class _Thing:
    """Stands for an object of any class: keeps its attributes and its texts' values, and runs nothing."""

    def __new__(cls, *_: Any, **__: Any):
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any):
        pass

    def __setstate__(self, state: Any) -> None:
        for part in state if isinstance(state, tuple) else (state,):
            if isinstance(part, dict):
                vars(self).update({str(name): value for name, value in part.items()})

    def __setitem__(self, name: Any, value: Any) -> None:
        vars(self)[str(name)] = value

    def append(self, *_: Any) -> None:
        """An item of a list that is none here."""

    extend = add = append


class _Kind(_Thing):
    """A NumPy type of plain numbers; any other is none."""

    def __init__(self, text: Any = "", *_: Any):
        self.text = f"<{text}" if re.fullmatch("[fiub][1248]", str(text)) else ""

    def __setstate__(self, state: Any) -> None:
        if self.text and isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">"):
            self.text = state[1] + self.text[1:]


def _values(content: Any, kind: Any, shape: Any, order: Any = "C") -> np.ndarray | None:
    """Plain numbers from their bytes; None for whatever else."""
    if not (isinstance(content, bytes | bytearray) and isinstance(kind, _Kind) and kind.text):
        return None
    return np.frombuffer(bytes(content), kind.text).reshape(shape, order=order)


class _Array(_Thing):
    """A NumPy array on its way, which NumPy itself has no part in."""

    values: np.ndarray | None = None

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) == 5:
            _, shape, kind, columns_first, content = state
            self.values = _values(content, kind, shape, "F" if columns_first else "C")


def _encoded(text: Any, how: Any = "latin1", *_: Any) -> bytes:
    return text.encode("latin1") if isinstance(text, str) and how in ("latin1", "latin-1") else b""


class _Inert(pickle.Unpickler):
    """Reads arrays of plain numbers, texts and what holds them; of everything else only attributes.  No class but those here is touched."""

    STANDING_IN = {
        ("numpy", "dtype"): _Kind,
        ("_codecs", "encode"): _encoded,
        ("numpy", "ndarray"): _Thing,
        **{(f"numpy.{core}.multiarray", "_reconstruct"): _Array for core in ("core", "_core")},
        **{(f"numpy.{core}.numeric", "_frombuffer"): _values for core in ("core", "_core")},
    }

    def find_class(self, module: str, name: str) -> Any:
        return self.STANDING_IN.get((module, name), _Thing)
