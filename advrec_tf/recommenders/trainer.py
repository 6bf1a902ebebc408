"""Train or resume: the same command gives the same bytes, however often it was killed."""

import json
import math
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from advrec_tf.data import Interactions, check_negatives, sample_users
from advrec_tf.errors import UserError
from advrec_tf.evaluation import rank_metrics, ranks_of_test_items
from advrec_tf.execution.progress import progress_bar
from advrec_tf.execution.storage import load, save, write_csv
from advrec_tf.files import locked, write_text
from advrec_tf.recommenders.checkpoints import capture, restore
from advrec_tf.recommenders.settings import Settings, epoch_file, model_folder

HISTORY = ("epoch", "loss", "HR@10", "nDCG@10")


def train(
    data: Interactions,
    settings: Settings,
    seed: int,
    models_dir: Path,
    epochs: int,
    keep_epochs: tuple[int, ...] = (),
    save_every: int = 50,
    progress: bool = True,
) -> Path:
    """Trains up to `epochs` (counted from BPR-MF's first), or goes on where an earlier run stopped; returns the folder.

    The folder holds state.npz (all that a resumed run needs and the weights of the epoch of best test HR@10), epoch-N.npz for
    every kept epoch and the last, and history.csv.

    Raises UserError when AMF's starting epoch is not there, when an epoch to be kept has passed unkept, or the loss diverges.
    """
    folder = model_folder(models_dir, data, settings, seed)
    with locked(folder, patience=30):
        write_text(folder.parent / "settings.json", json.dumps(settings.identity, indent=1) + "\n")
        state = load(folder / "state.npz") if (folder / "state.npz").exists() else None
        done = settings.first_epoch if state is None else int(state["epoch"])
        keep = sorted({n for n in keep_epochs if settings.first_epoch < n <= epochs} | {epochs})
        for epoch in keep:
            if epoch <= done and not epoch_file(folder, epoch).exists():
                raise UserError(
                    f"{folder}: epoch {epoch} has passed and its weights were not kept; remove the folder to train again"
                )
        if done < epochs:
            if settings.samples_negatives:
                check_negatives(data)
            model = settings.build(data, seed)
            if start := state or _starting_point(data, settings, seed, models_dir):
                restore(model, start)
            keeper = _Keeper(data, settings, folder, keep, save_every, state)
            with progress_bar(
                total=epochs,
                initial=done,
                desc=f"{data.name} {settings.name} seed {seed}",
                unit="epoch",
                shown=progress,
            ) as keeper.bar:
                model.fit(
                    data,
                    batch_size=settings.batch_size,
                    initial_epoch=done,
                    epochs=epochs,
                    verbose=0,
                    callbacks=[keeper],
                )
    return folder


def _starting_point(
    data: Interactions, settings: Settings, seed: int, models_dir: Path
) -> dict[str, np.ndarray] | None:
    if settings.start is None:
        return None
    path = epoch_file(model_folder(models_dir, data, settings.start, seed), settings.first_epoch)
    if not path.exists():
        raise UserError(
            f"{path}: {settings.name} starts from this epoch of {settings.start.name}, which has not been trained"
        )
    return load(path)


class _Keeper(keras.callbacks.Callback):
    """After every epoch: evaluates, shows progress, keeps what is to be kept."""

    def __init__(self, data: Interactions, settings: Settings, folder, keep, save_every, state):
        super().__init__()
        self.users, self.data = sample_users(data, settings.eval_users)
        self.eval_every = settings.epochs_between_evaluations(data)
        self.folder, self.keep, self.save_every = folder, keep, save_every
        self.shown: dict[str, str] = {}
        self.history = [] if state is None else state["history"].tolist()
        self.best = (
            {}
            if state is None
            else {name: value for name, value in state.items() if name.startswith("best.")}
        )

    def on_epoch_end(self, epoch, logs=None):
        epoch, loss = epoch + 1, float(logs["loss"])
        if not math.isfinite(loss):
            raise UserError(
                f"{self.folder}: the loss of epoch {epoch} is {loss}; a smaller --learning_rate may help"
            )
        measured = self._evaluate(epoch) if self.eval_every and epoch % self.eval_every == 0 else {}
        self.history.append([epoch, loss, *(measured.get(name, math.nan) for name in HISTORY[2:])])
        self.shown.update(
            {name: f"{value:.4f}" for name, value in ({"loss": loss} | measured).items()}
        )
        self.bar.set_postfix(self.shown, refresh=False)
        self.bar.update()
        if epoch in self.keep:
            save(epoch_file(self.folder, epoch), capture(self.model))
        if epoch % self.save_every == 0 or epoch == self.keep[-1]:
            write_csv(
                self.folder / "history.csv",
                pd.DataFrame(self.history, columns=HISTORY).astype({"epoch": int}),
            )
            state = {"epoch": np.int64(epoch), "history": np.asarray(self.history), **self.best}
            save(self.folder / "state.npz", capture(self.model) | state)

    def _evaluate(self, epoch: int) -> dict[str, float]:
        factors = {variable.name: variable.numpy().copy() for variable in self.model.weights}
        P, Q = self.model.factors
        measured = rank_metrics(ranks_of_test_items(P[self.users], Q, self.data))
        if measured["HR@10"] > self.best.get("best.HR", -1):
            named = {f"best.{name}": value for name, value in factors.items()}
            self.best = {
                "best.epoch": np.int64(epoch),
                "best.HR": np.float64(measured["HR@10"]),
                **named,
            }
        return measured
