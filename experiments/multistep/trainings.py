"""What is trained before factors are perturbed: BPR-MF, and AMF that continues from it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from advrec_tf.cli import sections
from advrec_tf.data import Interactions
from advrec_tf.errors import UserError
from advrec_tf.execution.jobs import Stages, Task
from advrec_tf.execution.runner import Running
from advrec_tf.recommenders import (
    AMFConfig,
    BPRMFConfig,
    RecommenderConfig,
    model_folder,
    selected_factors,
)

from . import paper
from .labels import MODELS


@dataclass(frozen=True)
class TrainingSpec:
    """BPR-MF and AMF on one data set, and the epochs that are measured."""

    data: Interactions
    output_dir: Path
    seeds: list[int]
    bprmf: BPRMFConfig
    amf: AMFConfig
    epochs: int  # at which AMF ends
    bprmf_epochs: int
    selections: list[str]
    keep_epochs: list[int]

    @property
    def models(self) -> dict[str, Any]:
        """All that the weights depend on beside data and seeds, as plain values."""
        models = {config.name: config.identity for config in (self.bprmf, self.amf)}
        models["epochs"] = self.epochs
        if self.bprmf_epochs != self.epochs:
            models["bprmf_epochs"] = self.bprmf_epochs
        return models

    def last_epoch(self, config: RecommenderConfig) -> int:
        """Return the epoch at which the training of a model ends."""
        return self.epochs if config.first_epoch else self.bprmf_epochs

    def epochs_of(self, config: RecommenderConfig) -> list[tuple[str, str]]:
        """Return the selections of a model: their names, and best, last or epoch:N.

        Epochs that the model does not have are left out, and "published" where the paper has none.
        """
        published = 0
        if self.data.registered:
            published = paper.EPOCHS.get(self.data.name, {}).get(config.name, 0)
        pairs = []
        for name in self.selections:
            selection = f"epoch:{published}" if name == "published" else name
            epoch = _epoch(selection)
            if epoch is None or config.first_epoch < epoch <= self.last_epoch(config):
                pairs.append((name, selection))
        return pairs


def _epoch(selection: str) -> int | None:
    """Return N of epoch:N, None for other selections."""
    name, _, number = selection.partition(":")
    return int(number) if name == "epoch" and number.isdecimal() else None


def settings(values: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a TrainingSpec that flags set.

    BPR-MF's configuration is that of the run which AMF continues after its first epoch.
    Raises UserError for flags that do not fit together.
    """
    amf = AMFConfig(**sections.AMF.fields(values))
    epochs, bprmf_epochs = values["epochs"], values["bprmf_epochs"] or values["epochs"]
    if not amf.first_epoch < epochs:
        raise UserError(f"--amf_start ({amf.first_epoch}) must be less than --epochs ({epochs})")
    if not amf.first_epoch <= bprmf_epochs <= epochs:
        raise UserError(
            f"--bprmf_epochs ({bprmf_epochs}) must be from --amf_start ({amf.first_epoch}) "
            f"to --epochs ({epochs})"
        )
    for selection in values["model_selection"]:
        if selection not in ("best", "last", "published") and _epoch(selection) is None:
            raise UserError(
                f"--model_selection must be of best, last, published and epoch:N, not {selection!r}"
            )
    return {
        "seeds": values["seed"],
        "bprmf": amf.start,
        "amf": amf,
        "epochs": epochs,
        "bprmf_epochs": bprmf_epochs,
        "selections": values["model_selection"],
        "keep_epochs": values["keep_epochs"],
    }


def train(spec: TrainingSpec, running: Running, names: Sequence[str] = MODELS) -> Stages:
    """Yield the training of BPR-MF up to AMF's start, and then the rest of it beside AMF.

    names: of the models. Raises UserError if `best` is selected and no epoch would be evaluated.
    """
    for config in (spec.bprmf, spec.amf):
        if config.name in names and "best" in spec.selections:
            _check_evaluations(spec, config)
    start = spec.amf.first_epoch
    rest = [(config, spec.last_epoch(config)) for config in (spec.amf, spec.bprmf)]
    for models in ([(spec.bprmf, start)], rest):
        tasks = []
        for config, stop in models:
            measured = [_epoch(selection) for _, selection in spec.epochs_of(config)]
            keep = (*spec.keep_epochs, *(n for n in measured if n is not None), start)
            arguments = {
                "data": spec.data,
                "config": config,
                "epochs": stop,
                "keep_epochs": keep,
                "models_dir": spec.output_dir / "models",
                "save_every": running.save_every,
                "progress": running.progress,
            }
            if config.name in names:
                function = "advrec_tf.recommenders.trainer:train"
                tasks += [Task(function, {**arguments, "seed": seed}) for seed in spec.seeds]
        yield tasks


def by_seed(spec: TrainingSpec) -> list[Any]:
    """Return the spec seed by seed."""
    return [replace(spec, seeds=[seed]) for seed in spec.seeds]


def _check_evaluations(spec: TrainingSpec, config: RecommenderConfig) -> None:
    """Raise UserError if no epoch would be evaluated, before anything is trained."""
    every = config.epochs_between_evaluations(spec.data)
    first, last = config.first_epoch + 1, spec.last_epoch(config)
    if last // every * every < first:
        raise UserError(
            f"{spec.data.name}: none of {config.name}'s epochs {first} to {last} is evaluated, as "
            f"every {every}th is, so none is best: --eval_users=N brings --eval_every=auto down"
        )


def weights_of(
    spec: TrainingSpec, seed: int
) -> list[tuple[RecommenderConfig, int, list[str], dict]]:
    """Return every epoch of a model that is measured.

    Each is the model's config, the epoch, the names of its selections, and the arguments of
    `selected_factors`. Selections of the same epoch share the arguments of the first.
    """
    weights = []
    for config in (spec.bprmf, spec.amf):
        folder = model_folder(spec.output_dir / "models", spec.data, config, seed)
        epochs: dict[int, tuple[list[str], dict]] = {}
        for name, selection in spec.epochs_of(config):
            arguments: dict[str, Any] = {
                "folder": folder,
                "selection": selection,
                "epochs": spec.last_epoch(config),
            }
            epoch, _, *_ = selected_factors(**arguments)
            epochs.setdefault(epoch, ([], arguments))[0].append(name)
        weights += [(config, epoch, *named) for epoch, named in epochs.items()]
    return weights
