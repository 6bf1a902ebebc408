"""Training that can be killed and resumed: the same command gives the same bytes."""

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
from advrec_tf.recommenders.checkpoints import capture, epoch_file, model_folder, restore
from advrec_tf.recommenders.config import RecommenderConfig

HISTORY = ("epoch", "loss", "HR@10", "nDCG@10")


def train(
    data: Interactions,
    config: RecommenderConfig,
    seed: int,
    models_dir: Path,
    epochs: int,
    keep_epochs: tuple[int, ...] = (),
    save_every: int = 50,
    progress: bool = True,
) -> Path:
    """Train up to `epochs`, or resume where an earlier run stopped, and return the folder.

    AMF's epochs count from BPR-MF's first.  The folder holds state.npz (what a resumed run needs,
    and the weights of the epoch with the best test HR@10), epoch-N.npz for the last and every
    kept epoch, and history.csv.

    Raises UserError where AMF's starting epoch does not exist, where training is past an epoch
    to be kept that was not kept, or where the loss diverges.
    """
    folder = model_folder(models_dir, data, config, seed)
    with locked(folder, patience=30):
        write_text(folder.parent / "settings.json", json.dumps(config.identity, indent=1) + "\n")
        state = load(folder / "state.npz") if (folder / "state.npz").exists() else None
        done = config.first_epoch if state is None else int(state["epoch"])
        kept = sorted({n for n in keep_epochs if config.first_epoch < n <= epochs} | {epochs})
        _check_kept(folder, kept, done)
        if done < epochs:
            if config.samples_negatives:
                check_negatives(data)
            model = config.build(data, seed)
            if start := state or _starting_point(data, config, seed, models_dir):
                restore(model, start)
            keeper = _Keeper(data, config, folder, kept, save_every, state)
            bar = {"desc": f"{data.name} {config.name} seed {seed}", "unit": "epoch"}
            with progress_bar(total=epochs, initial=done, **bar, shown=progress) as keeper.bar:
                options = {"epochs": epochs, "verbose": 0, "callbacks": [keeper]}
                model.fit(data, config.batch_size, done, **options)
    return folder


def _check_kept(folder: Path, kept: list[int], done: int) -> None:
    """Raise UserError if an epoch that is to be kept has passed without being kept."""
    for epoch in kept:
        if epoch <= done and not epoch_file(folder, epoch).exists():
            raise UserError(
                f"{folder}: epoch {epoch} has passed and its weights were not kept; "
                "remove the folder to train again"
            )


def _starting_point(
    data: Interactions, config: RecommenderConfig, seed: int, models_dir: Path
) -> dict[str, np.ndarray] | None:
    """Return the weights that the training starts from, None if the model starts from none.

    Raises UserError if the model that it starts from has not been trained.
    """
    if config.start is None:
        return None
    path = epoch_file(model_folder(models_dir, data, config.start, seed), config.first_epoch)
    if not path.exists():
        raise UserError(
            f"{path}: {config.name} starts from this epoch of {config.start.name}, "
            "which has not been trained"
        )
    return load(path)


class _Keeper(keras.callbacks.Callback):
    """Evaluates the model after every epoch, shows progress and saves what is to be kept."""

    def __init__(self, data, config: RecommenderConfig, folder: Path, kept, save_every, state):
        super().__init__()
        self.users, self.data = sample_users(data, config.eval_users)
        self.eval_every = config.epochs_between_evaluations(data)
        self.folder, self.kept, self.save_every = folder, kept, save_every
        self.shown: dict[str, str] = {}
        state = state or {"history": np.empty((0, len(HISTORY)))}
        self.history = state["history"].tolist()
        self.best = {name: value for name, value in state.items() if name.startswith("best.")}

    def on_epoch_end(self, epoch, logs=None):
        """Check the loss, evaluate, show progress, and save what is to be saved."""
        epoch, loss = epoch + 1, float(logs["loss"])
        if not math.isfinite(loss):
            raise UserError(
                f"{self.folder}: the loss of epoch {epoch} is {loss}; "
                "a smaller --learning_rate may help"
            )
        measured = self._evaluate(epoch) if self.eval_every and epoch % self.eval_every == 0 else {}
        self.history.append([epoch, loss, *(measured.get(name, math.nan) for name in HISTORY[2:])])
        shown = {"loss": loss} | measured
        self.shown.update({name: f"{value:.4f}" for name, value in shown.items()})
        self.bar.set_postfix(self.shown, refresh=False)
        self.bar.update()
        if epoch in self.kept:
            save(epoch_file(self.folder, epoch), capture(self.model))
        if epoch % self.save_every == 0 or epoch == self.kept[-1]:
            history = pd.DataFrame(self.history, columns=HISTORY).astype({"epoch": int})
            write_csv(self.folder / "history.csv", history)
            state = {"epoch": np.int64(epoch), "history": np.asarray(self.history), **self.best}
            save(self.folder / "state.npz", capture(self.model) | state)

    def _evaluate(self, epoch: int) -> dict[str, float]:
        """Return HR@10 and nDCG@10 of the sampled users; keep the weights of the best HR@10."""
        P, Q = self.model.factors
        measured = rank_metrics(ranks_of_test_items(P[self.users], Q, self.data))
        if measured["HR@10"] > self.best.get("best.HR", -1):
            weights = {f"best.{w.name}": w.numpy().copy() for w in self.model.weights}
            score = np.float64(measured["HR@10"])
            self.best = {"best.epoch": np.int64(epoch), "best.HR": score, **weights}
        return measured
