"""Weights and optimiser state as arrays, and the parameter tables of a chosen epoch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from advrec_tf.errors import UserError
from advrec_tf.execution import storage
from advrec_tf.recommenders.settings import epoch_file

if TYPE_CHECKING:  # reading checkpoints needs no TensorFlow
    import keras


def _variables(model: keras.Model) -> dict[str, keras.Variable]:
    # Optimiser variables by place: their names contain the model's, which differs between a model and its warm start.
    own = {variable.name: variable for variable in model.weights}
    return own | {
        f"optimizer.{place}": variable for place, variable in enumerate(model.optimizer.variables)
    }


def capture(model: keras.Model) -> dict[str, np.ndarray]:
    """Copies of the model's weights, by name, and of its optimiser's variables, by place."""
    return {name: variable.numpy().copy() for name, variable in _variables(model).items()}


def restore(model: keras.Model, arrays: dict[str, np.ndarray]) -> None:
    """The inverse of `capture`, on a compiled model of the same shape."""
    for name, variable in _variables(model).items():
        variable.assign(arrays[name])


def selected_factors(
    folder: Path, selection: str, epochs: int
) -> tuple[int, np.ndarray, np.ndarray]:
    """Return the epoch and its parameter tables of users and items: `best` (highest test HR@10 so
    far), `last`, or `epoch:N`.

    Checkpoints hold parameters. `FactorModel.served` makes factors of them; for matrix factorisation
    they are the same.
    Raises UserError when those weights were not kept.
    """
    if selection == "best":
        state = storage.load(folder / "state.npz")
        if "best.epoch" not in state:
            raise UserError(
                f"{folder}: no epoch was evaluated, so none is best: lower --eval_every"
            )
        if int(state["best.epoch"]) > epochs:
            raise UserError(
                f"{folder}: the best epoch is {state['best.epoch']}, after the {epochs} asked for, whose own best was not kept"
            )
        return int(state["best.epoch"]), state["best.user_embedding"], state["best.item_embedding"]
    epoch = epochs if selection == "last" else int(selection.removeprefix("epoch:"))
    if not epoch_file(folder, epoch).exists():
        raise UserError(
            f"{folder}: the weights of epoch {epoch} were not kept: name it in --keep_epochs before training"
        )
    arrays = storage.load(epoch_file(folder, epoch))
    return epoch, arrays["user_embedding"], arrays["item_embedding"]
