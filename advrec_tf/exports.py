"""Factors as other libraries leave them: models of implicit, cornac and LightFM, and files of arrays."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from advrec_tf.errors import UserError
from advrec_tf.storage import load_matrix

# Users' factors, items' factors, and items' biases where a library keeps them apart: implicit, cornac, LightFM, LightGCN, cornac's WMF.
NAMES = (
    ("user_factors", "item_factors", "item_biases"),
    ("u_factors", "i_factors", "i_biases"),
    ("user_embeddings", "item_embeddings", "item_biases"),
    ("user_embedding.weight", "item_embedding.weight", "item_bias.weight"),
    ("user_embedding", "item_embedding", "item_bias"),
    ("U", "V", "Bi"),
)


def factors_of(model: Any) -> tuple[np.ndarray, np.ndarray]:
    """P [U, D] and Q [I, D] of a trained model of implicit, cornac or LightFM, or of a dict of arrays; lists of p_u . q_i are the model's.

    Biases of items become one more column of Q beside ones in P; what a user's bias, or a mean, adds to all items changes no list.
    Raises UserError where there are none.
    """
    own = model if isinstance(model, dict) else vars(model)
    for user, item, bias in NAMES:
        if own.get(user) is not None and own.get(item) is not None:
            P, Q = (np.asarray(own[name]) for name in (user, item))
            biases = own.get(bias)
            if biases is None or not np.size(biases):
                return P, Q
            return np.column_stack([P, np.ones(len(P), P.dtype)]), np.column_stack([Q, np.ravel(biases)])
    raise UserError(f"no factors of users and items among {', '.join(sorted(map(str, own))[:12]) or 'nothing'}")


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
        found = readers[path.suffix](path)
    except ImportError as error:
        raise UserError(f"{path} needs a package that is not installed ({error.name})") from None
    except Exception as error:  # whatever a damaged file makes its reader raise
        raise UserError(f"{path}: not a file of factors ({' '.join(str(error).split()) or type(error).__name__})") from None
    try:
        return factors_of(found)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _npz(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as arrays:
        wanted = {name for names in NAMES for name in names}
        return {name: arrays[name] for name in arrays.files if name in wanted}


def _safetensors(path: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(path)


def _pickle(path: Path) -> Any:
    with path.open("rb") as file:
        return _Inert(file).load()


class _Thing:
    """Stands for an object of any class: keeps its attributes, and runs nothing."""

    def __new__(cls, *_: Any, **__: Any):
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any):
        pass

    def __setstate__(self, state: Any) -> None:
        for part in state if isinstance(state, tuple) else (state,):
            if isinstance(part, dict):
                vars(self).update(part)

    def __setitem__(self, *_: Any) -> None:
        pass

    def append(self, *_: Any) -> None:
        """An item of a list that is none here."""

    extend = add = append


class _Inert(pickle.Unpickler):
    """Reads arrays, numbers, texts and what holds them; of everything else only attributes."""

    ARRAYS = {("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")} | {
        (f"numpy.{core}.{place}", name)
        for core in ("core", "_core")
        for place, name in (("multiarray", "_reconstruct"), ("multiarray", "scalar"), ("numeric", "_frombuffer"))
    }

    def find_class(self, module: str, name: str) -> Any:
        return super().find_class(module, name) if (module, name) in self.ARRAYS else _Thing
