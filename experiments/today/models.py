"""The recommenders, their configurations and how long they are trained."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from advrec_tf import data as data_package
from advrec_tf import evaluation, perturbations
from advrec_tf.data import Interactions, sequences
from advrec_tf.errors import UserError
from advrec_tf.execution.jobs import Stages, Task
from advrec_tf.execution.runner import Running, list_length
from advrec_tf.leaderboard import measuring, surfaces
from advrec_tf.leaderboard.entries import Entry, parse_entry
from advrec_tf.leaderboard.trained import Trained
from advrec_tf.recommenders import (
    LightGCNConfig,
    RecommenderConfig,
    SASRecConfig,
    WRMFConfig,
    model_folder,
)

RELATIVE = 0.1  # epsilon of adversarial training, about AMF's on ML-1M
# Chosen on held-out training interactions of gowalla-lightgcn and ML-1M.
CONFIGS: dict[str, RecommenderConfig] = {
    "BPR-MF": LightGCNConfig(propagation_layers=0, regularization=0.01),
    "iALS": WRMFConfig(128, solver="als", regularization=30.0, weight=20.0),
    "LightGCN": LightGCNConfig(),
    "LightGCN-APR": LightGCNConfig(epsilon=RELATIVE),
    "SASRec": SASRecConfig(),
    "SASRec-APR": SASRecConfig(epsilon=RELATIVE),
}
MAPPED = ("LightGCN", "LightGCN-APR", "SASRec", "SASRec-APR")  # their tables are no factors
SWEEPS = 15  # of iALS
LENGTHS = {"gowalla-lightgcn": 20}  # of the lists that published accuracies are of
GOWALLA = {"batch_size": 131072, "learning_rate": 0.04, "epochs": 240}
# What is better than CONFIGS on held-out clicks of a data set.
SEARCHED: dict[str, dict[str, dict[str, Any]]] = {
    "gowalla-lightgcn": {
        "BPR-MF": {"batch_size": 131072, "epochs": 160},
        **dict.fromkeys(("LightGCN", "LightGCN-APR"), GOWALLA),
    },
    "ml-100k": dict.fromkeys(("BPR-MF", "LightGCN", "LightGCN-APR"), {"epochs": 30}),
    "ml-1m": dict.fromkeys(
        ("SASRec", "SASRec-APR"),
        {"embedding_dim": 128, "length": 200, "batch_size": 16, "epochs": 50},
    ),
}
BATCHES = 24  # of an epoch of LightGCN: as few as 32768 triples make on gowalla-lightgcn
CURVE = (0.1, 0.25, 0.5, 1.0)  # shares of the epochs whose weights are measured


@dataclass(frozen=True)
class Training:
    """One model with one seed on one data set."""

    name: str
    config: RecommenderConfig
    epochs: int
    seed: int
    data: Interactions
    models_dir: Path

    @property
    def folder(self) -> Path:
        """Return the folder of its weights."""
        return model_folder(self.models_dir, self.data, self.config, self.seed)

    @property
    def digest(self) -> str:
        """Return what tells its configuration and data from others, in key columns."""
        return self.folder.parent.name

    @property
    def measured_epochs(self) -> list[int]:
        """Return the epochs of the learning curve, the last one included."""
        return sorted({max(1, round(share * self.epochs)) for share in CURVE})

    @property
    def trained(self) -> Trained:
        """Return where its weights are."""
        return Trained(self.folder, self.config, self.seed, self.data)

    def task(self, save_every: int = 10, progress: bool = True) -> Task:
        """Return its training, which goes on where an earlier run stopped."""
        arguments = {
            "data": self.data,
            "config": self.config,
            "seed": self.seed,
            "models_dir": self.models_dir,
            "epochs": self.epochs,
            "keep_epochs": tuple(self.measured_epochs),
            "save_every": save_every,
            "progress": progress,
        }
        return Task("advrec_tf.recommenders.trainer:train", arguments)


@dataclass(frozen=True)
class TodaySpec:
    """The models of one data set, and what their factors depend on.

    Rows say by `factors` and `epoch` which configuration and training they are of.
    """

    data: Interactions
    entries: list[Entry]
    trainings: list[Training]
    k: int

    @property
    def published(self) -> bool:
        """Whether published accuracies may stand beside: of public data with their own split."""
        return self.data.registered

    @property
    def config(self) -> dict[str, Any]:
        """What the results depend on, as plain values."""
        versions = {
            "perturbations": perturbations.VERSION,
            "evaluation": evaluation.VERSION,
            "sampling": data_package.sampling.VERSION,
            "sequences": sequences.VERSION,
            "ensemble": measuring.VERSION,
            "surfaces": surfaces.VERSION,
        }
        return {"k": self.k, "versions": versions, "data": self.data.times_fingerprint}


def training(
    name: str, data: Interactions, seed: int, output_dir: Path, epochs: dict[str, Any]
) -> Training:
    """Return the training of one of CONFIGS.  epochs: the values of TodayOptions"""
    config, count = CONFIGS[name], SWEEPS
    if isinstance(config, LightGCNConfig):
        config = replace(config, batch_size=max(1, len(data.train_users) // BATCHES))
    config = replace(config, **SEARCHED.get(data.name, {}).get(name, {}))
    if isinstance(config, LightGCNConfig | SASRecConfig):
        flag = "lightgcn_epochs" if isinstance(config, LightGCNConfig) else "sasrec_epochs"
        count = epochs[flag] or config.epochs
        config = replace(config, epochs=count)
    return Training(name, config, count, seed, data, output_dir / "models")


def trainings(
    values: dict[str, Any], data: Interactions, output_dir: Path, names: Sequence[str]
) -> list[Training]:
    """Return the trainings of models on data, with all seeds.

    Models of sequences are left out where the data have no times.
    Raises UserError where no model is left.
    """
    made = []
    for name in names:
        if CONFIGS[name].reads_times and not sequences.has_times(data):
            continue
        made += [training(name, data, seed, output_dir, values) for seed in values["seed"]]
    if not made:
        raise UserError(f"{data.name} has no timestamps, which {', '.join(names)} need")
    return made


def specs(
    values: dict[str, Any], datasets: list[Interactions], output_dir: Path
) -> list[TodaySpec]:
    """Return the spec of each data set.

    Raises UserError as `trainings`, and for other texts of --models.
    """
    entries = [parse_entry(text, CONFIGS, (), "--models") for text in values["models"]]
    names = list(dict.fromkeys(entry.model for entry in entries))
    return [
        TodaySpec(
            data,
            entries,
            trainings(values, data, output_dir, names),
            list_length(values, data, LENGTHS.get(data.name, 10)),
        )
        for data in datasets
    ]


def train(spec: TodaySpec, running: Running) -> Stages:
    """Train all models."""
    yield [training.task(running.save_every, running.progress) for training in spec.trainings]
