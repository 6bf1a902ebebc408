"""Factors of other libraries: models of implicit, cornac and LightFM, and files of arrays."""

from pathlib import Path
from typing import Any

import numpy as np

from advrec_tf.errors import UserError
from advrec_tf.execution.storage import load_matrix

# Names of users' factors, items' factors, and items' biases where a library has them apart.
NAMES = (
    ("user_factors", "item_factors", "item_biases"),  # implicit
    ("u_factors", "i_factors", "i_biases"),  # cornac
    ("user_embeddings", "item_embeddings", "item_biases"),  # LightFM
    ("user_embedding", "item_embedding", "item_bias"),  # this project
    ("U", "V", "Bi"),  # cornac's WMF
)


def factors_of(model: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return P [U, D] and Q [I, D] whose products p_u . q_i give the model's lists.

    model: a trained model of implicit, cornac or LightFM, or a dict of arrays.
    Items' biases become one more column of Q, with ones in P.  Users' biases and means are
    dropped, because they change no list.
    Raises UserError for a model without factors.
    """
    arrays = model if isinstance(model, dict) else getattr(model, "__dict__", {})
    for user, item, bias in NAMES:
        if arrays.get(user) is not None and arrays.get(item) is not None:
            P, Q = _table(arrays[user], user), _table(arrays[item], item)
            if arrays.get(bias) is None or not np.size(arrays[bias]):
                return P, Q
            biases = np.ravel(_table(arrays[bias], bias))
            if len(biases) != len(Q):
                raise UserError(f"{bias} are {len(biases)} where {item} has {len(Q)} rows")
            return np.column_stack([P, np.ones(len(P), P.dtype)]), np.column_stack([Q, biases])
    names = ", ".join(sorted(map(str, arrays))[:12]) or "nothing"
    raise UserError(f"no factors of users and items among {names}")


def _table(values: Any, name: str) -> np.ndarray:
    """Return the values. Raises UserError unless they are a numeric array of one or two axes."""
    numbers = isinstance(values, np.ndarray) and values.dtype.kind in "fiu"
    if not numbers or values.ndim not in (1, 2):
        raise UserError(f"{name} is no table of numbers")
    return values


def read_factors(paths: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return P and Q from two .npy files, or from one .npz or .safetensors file.

    Raises UserError for files that cannot be read.
    """
    if len(paths) == 2:
        return load_matrix(paths[0]), load_matrix(paths[1])
    (path,) = map(Path, paths)
    readers = {".npz": _npz, ".safetensors": _safetensors}
    if path.suffix not in readers:
        raise UserError(
            f"{path}: factors are two .npy files, or one of {', '.join(readers)}; "
            "numpy.savez(file, user_factors=P, item_factors=Q) writes one"
        )
    if not path.is_file():
        raise UserError(f"{path}: No such file")
    try:
        return factors_of(readers[path.suffix](path))
    except ImportError as error:
        raise UserError(f"{path} needs a package that is not installed ({error.name})") from None
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except Exception as error:  # whatever a damaged file makes its reader raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: not a file of factors ({reason})") from None


def _npz(path: Path) -> dict[str, np.ndarray | None]:
    """Read the arrays of a .npz whose names are known, None for all others."""
    with np.load(path, allow_pickle=False) as arrays:
        wanted = {name for names in NAMES for name in names}
        return {name: arrays[name] if name in wanted else None for name in arrays.files}


def _safetensors(path: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(path)
