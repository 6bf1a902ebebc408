"""Train or resume: the same command gives the same bytes, however often it was killed."""

import json
import math
from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from tqdm import tqdm

from advrec_tf.data import Interactions, check_negatives
from advrec_tf.errors import UserError
from advrec_tf.evaluation import rank_metrics, ranks_of_test_items
from advrec_tf.files import locked, replacing, write_text
from advrec_tf.models import AMF, BPRMF, PMF, WRMF, CoupledAdam, RowAdagrad
from advrec_tf.training.checkpoints import capture, load, restore, save
from advrec_tf.training.settings import AMFSettings, BPRMFSettings, PMFSettings, Settings, WRMFSettings, epoch_file, model_folder

HISTORY = ("epoch", "loss", "HR@10", "nDCG@10")


def build_model(data: Interactions, settings: Settings, seed: int) -> keras.Model:
    """The compiled model of these settings, untrained."""
    sizes = data.n_users, data.n_items
    if isinstance(settings, WRMFSettings):
        own = {name: getattr(settings, name) for name in ("weight", "feedback", "solver")} | {"regularization": settings.decay}
        model = WRMF(*sizes, settings.embedding_dim, seed, **own)
        model.compile(CoupledAdam(settings.learning_rate, settings.decay))
        return model
    if isinstance(settings, PMFSettings):
        model = PMF(*sizes, settings.embedding_dim, seed, regularization=settings.regularization, biases=settings.biases)
        model.compile(keras.optimizers.SGD(settings.learning_rate, settings.momentum))
        return model
    bprmf = _bprmf(settings)
    if settings is bprmf:
        model = BPRMF(*sizes, bprmf.embedding_dim, seed)
    else:
        own = {name: value for name, value in vars(settings).items() if name not in ("start", "first_epoch")}
        model = AMF(*sizes, bprmf.embedding_dim, seed, **own)
    model.compile(RowAdagrad(bprmf.learning_rate))
    return model


def _bprmf(settings: Settings) -> Settings:
    """The settings that hold the batch size and the like: AMF's are those of its start."""
    return settings.start if isinstance(settings, AMFSettings) else settings


def train(
    data: Interactions, settings: Settings, seed: int, models_dir: Path, epochs: int, keep_epochs: tuple[int, ...] = (), save_every: int = 50,
    progress: bool = True, position: int = 0,
) -> Path:  # fmt: skip
    """Trains up to `epochs` (counted from BPR-MF's first), or goes on where an earlier run stopped; returns the folder.

    The folder holds state.npz (all that a resumed run needs and the weights of the epoch of best test HR@10), epoch-N.npz for
    every kept epoch and the last, and history.csv.

    Raises UserError when AMF's starting epoch is not there, when an epoch to be kept has passed unkept, or the loss diverges.
    """
    folder = model_folder(models_dir, data, settings, seed)
    with locked(folder, patience=30):
        write_text(folder.parent / "settings.json", json.dumps({"model": settings.name, **asdict(settings)}, indent=1) + "\n")
        state = load(folder / "state.npz") if (folder / "state.npz").exists() else None
        done = settings.first_epoch if state is None else int(state["epoch"])
        keep = sorted({n for n in keep_epochs if settings.first_epoch < n <= epochs} | {epochs})
        for epoch in keep:
            if epoch <= done and not epoch_file(folder, epoch).exists():
                raise UserError(f"{folder}: epoch {epoch} has passed and its weights were not kept; remove the folder to train again")
        if done < epochs:
            if isinstance(_bprmf(settings), BPRMFSettings):
                check_negatives(data)
            model = build_model(data, settings, seed)
            if start := state or _starting_point(data, settings, seed, models_dir):
                restore(model, start)
            bprmf = _bprmf(settings)
            keeper = _Keeper(data, bprmf.eval_every, folder, keep, save_every, state)
            with tqdm(total=epochs, initial=done, desc=f"{data.name} {settings.name} seed {seed}", unit="epoch", position=position,
                      disable=None if progress else True) as keeper.bar:  # fmt: skip
                model.fit(data, batch_size=bprmf.batch_size, initial_epoch=done, epochs=epochs, verbose=0, callbacks=[keeper])
    return folder


def _starting_point(data: Interactions, settings: Settings, seed: int, models_dir: Path) -> dict[str, np.ndarray] | None:
    if not isinstance(settings, AMFSettings):
        return None
    path = epoch_file(model_folder(models_dir, data, settings.start, seed), settings.first_epoch)
    if not path.exists():
        raise UserError(f"{path}: AMF starts from this epoch of BPR-MF, which has not been trained")
    return load(path)


class _Keeper(keras.callbacks.Callback):
    """After every epoch: evaluates, shows progress, keeps what is to be kept."""

    def __init__(self, data, eval_every, folder, keep, save_every, state):
        super().__init__()
        self.data, self.eval_every, self.folder = data, eval_every, folder
        self.keep, self.save_every = keep, save_every
        self.shown = {}
        self.history = [] if state is None else state["history"].tolist()
        self.best = {} if state is None else {name: value for name, value in state.items() if name.startswith("best.")}

    def on_epoch_end(self, epoch, logs=None):
        epoch, loss = epoch + 1, float(logs["loss"])
        if not math.isfinite(loss):
            raise UserError(f"{self.folder}: the loss of epoch {epoch} is {loss}; a smaller --learning_rate may help")
        measured = self._evaluate(epoch) if self.eval_every and epoch % self.eval_every == 0 else {}
        self.history.append([epoch, loss, *(measured.get(name, math.nan) for name in HISTORY[2:])])
        self.shown.update({name: f"{value:.4f}" for name, value in ({"loss": loss} | measured).items()})
        self.bar.set_postfix(self.shown, refresh=False)
        self.bar.update()
        if epoch in self.keep:
            save(epoch_file(self.folder, epoch), capture(self.model))
        if epoch % self.save_every == 0 or epoch == self.keep[-1]:
            with replacing(self.folder / "history.csv") as temporary:
                pd.DataFrame(self.history, columns=HISTORY).astype({"epoch": int}).to_csv(temporary, index=False)
            state = {"epoch": np.int64(epoch), "history": np.asarray(self.history), **self.best}
            save(self.folder / "state.npz", capture(self.model) | state)

    def _evaluate(self, epoch: int) -> dict[str, float]:
        factors = {variable.name: variable.numpy().copy() for variable in self.model.weights}
        measured = rank_metrics(ranks_of_test_items(*self.model.factors, self.data))
        if measured["HR@10"] > self.best.get("best.HR", -1):
            named = {f"best.{name}": value for name, value in factors.items()}
            self.best = {"best.epoch": np.int64(epoch), "best.HR": np.float64(measured["HR@10"]), **named}
        return measured
