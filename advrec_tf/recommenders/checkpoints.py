"""Where trained weights are stored, and how they are read and written as arrays."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from advrec_tf.data import Interactions
from advrec_tf.errors import UserError
from advrec_tf.execution import storage
from advrec_tf.recommenders.config import RecommenderConfig

if TYPE_CHECKING:  # reading checkpoints needs no TensorFlow
    import keras

    from advrec_tf.recommenders.factors import FactorModel


def model_folder(
    models_dir: Path | str, data: Interactions, config: RecommenderConfig, seed: int
) -> Path:
    """Return models_dir/<data set>/<hash of data and configuration>/seed=N."""
    digest = storage.hashed({"data": config.fingerprint(data), **config.identity}, 12)
    return Path(models_dir) / data.name / digest / f"seed={seed}"


def epoch_file(folder: Path | str, epoch: int) -> Path:
    """Return the path of a kept epoch's weights and optimiser state."""
    return Path(folder) / f"epoch-{epoch:04d}.npz"


def _variables(model: keras.Model) -> dict[str, keras.Variable]:
    """Return all variables that training changes, by name."""
    # Optimiser variables are numbered, because their names contain the model's name, which
    # differs between a model and the one that it starts from.
    variables = {variable.name: variable for variable in model.weights}
    numbered = enumerate(model.optimizer.variables)
    return variables | {f"optimizer.{number}": variable for number, variable in numbered}


def capture(model: keras.Model) -> storage.Arrays:
    """Return copies of the model's weights by name and its optimiser's variables by number."""
    return {name: variable.numpy().copy() for name, variable in _variables(model).items()}


def restore(model: keras.Model, arrays: storage.Arrays) -> None:
    """Set a compiled model of the same shape to what `capture` returned."""
    for name, variable in _variables(model).items():
        variable.assign(arrays[name])


def trained_model(
    folder: Path, epoch: int, data: Interactions, config: RecommenderConfig, seed: int
) -> FactorModel:
    """Return the model with the weights of a kept epoch."""
    model = config.build(data, seed)
    restore(model, storage.load(epoch_file(folder, epoch)))
    return model


def selected_factors(
    folder: Path, selection: str, epochs: int
) -> tuple[int, np.ndarray, np.ndarray]:
    """Return the selected epoch and its parameter tables of users and items.

    Checkpoints hold parameters; `FactorModel.served` makes factors of them, which for matrix
    factorisation are the same.
    selection: `best` (highest test HR@10 so far), `last`, or `epoch:N`.
    Raises UserError where those weights were not kept.
    """
    if selection == "best":
        return _best_factors(folder, epochs)
    epoch = epochs if selection == "last" else int(selection.removeprefix("epoch:"))
    path = epoch_file(folder, epoch)
    if not path.exists():
        raise UserError(
            f"{folder}: the weights of epoch {epoch} were not kept: "
            "name it in --keep_epochs before training"
        )
    arrays = storage.load(path)
    return epoch, arrays["user_embedding"], arrays["item_embedding"]


def _best_factors(folder: Path, epochs: int) -> tuple[int, np.ndarray, np.ndarray]:
    """Return the epoch of the best test HR@10, and the embedding tables that it had.

    Raises UserError if no epoch was evaluated, or if the best one is after `epochs`.
    """
    state = storage.load(folder / "state.npz")
    if "best.epoch" not in state:
        raise UserError(f"{folder}: no epoch was evaluated, so none is best: lower --eval_every")
    epoch = int(state["best.epoch"])
    if epoch > epochs:
        raise UserError(
            f"{folder}: the best epoch is {epoch}, and the best of the first {epochs} epochs was "
            f"not kept: use --epochs={epoch} or more, or another --output_dir"
        )
    return epoch, state["best.user_embedding"], state["best.item_embedding"]
