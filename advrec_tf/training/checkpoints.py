"""Weights and optimiser state on disk, as plain .npz files that are whole or absent."""

import zipfile
from pathlib import Path

import keras
import numpy as np

from advrec_tf.errors import UserError
from advrec_tf.files import replacing


def _variables(model: keras.Model) -> dict[str, keras.Variable]:
    # Optimiser variables by place: their names contain the model's, which differs between a model and its warm start.
    own = {variable.name: variable for variable in model.weights}
    return own | {f"optimizer.{place}": variable for place, variable in enumerate(model.optimizer.variables)}


def capture(model: keras.Model) -> dict[str, np.ndarray]:
    """Copies of the model's weights, by name, and of its optimiser's variables, by place."""
    return {name: variable.numpy().copy() for name, variable in _variables(model).items()}


def restore(model: keras.Model, arrays: dict[str, np.ndarray]) -> None:
    """The inverse of `capture`, on a compiled model of the same shape."""
    for name, variable in _variables(model).items():
        variable.assign(arrays[name])


def save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes arrays as .npz at once; the same arrays give the same bytes."""
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)


def load(path: Path) -> dict[str, np.ndarray]:
    """Reads what `save` wrote.  Raises UserError, naming the file, when it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: the checkpoint cannot be read ({error}): remove it to train again") from None
