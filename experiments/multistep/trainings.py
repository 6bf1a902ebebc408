"""What is trained before factors are perturbed: BPR-MF, and AMF that goes on from it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from advrec_tf.data import Interactions
from advrec_tf.errors import UserError
from advrec_tf.execution.jobs import Stages, Task
from advrec_tf.execution.runner import Running
from advrec_tf.recommenders import (
    AMFSettings,
    BPRMFSettings,
    Settings,
    model_folder,
    selected_factors,
)

from . import paper
from .labels import MODELS


@dataclass(frozen=True)
class Training:
    """BPR-MF and AMF on one data set, and the epochs that are looked at."""

    data: Interactions
    output_dir: Path
    seeds: list[int]
    bprmf: BPRMFSettings
    amf: AMFSettings
    epochs: int  # at which AMF ends
    bprmf_epochs: int
    selections: list[str]
    keep_epochs: list[int]

    @property
    def models(self) -> dict[str, Any]:
        """All that the weights depend on beside data and seeds, as plain values."""
        named = {settings.name: settings.identity for settings in (self.bprmf, self.amf)} | {
            "epochs": self.epochs
        }
        return named | (
            {"bprmf_epochs": self.bprmf_epochs} if self.bprmf_epochs != self.epochs else {}
        )

    def last_epoch(self, settings: Settings) -> int:
        """At which the training of one model ends."""
        return self.epochs if settings.first_epoch else self.bprmf_epochs

    def epochs_of(self, settings: Settings) -> list[tuple[str, str]]:
        """The selections of one model by name, and as best, last or epoch:N, without the epochs it does not have."""
        own = (
            paper.EPOCHS.get(self.data.name, {}).get(settings.name, 0)
            if self.data.registered
            else 0
        )
        named = [
            (name, f"epoch:{own}" if name == "published" else name) for name in self.selections
        ]
        return [
            (name, at)
            for name, at in named
            if not at.startswith("epoch:")
            or settings.first_epoch < int(at[6:]) <= self.last_epoch(settings)
        ]


def settings(values: dict[str, Any]) -> dict[str, Any]:
    """The fields of a Training that flags say.  Raises UserError for settings that do not go together."""
    amf = AMFSettings(
        **{
            name: values[name]
            for name in ("embedding_dim", "learning_rate", "batch_size", "eval_every", "eval_users")
        },
        first_epoch=values["amf_start"],
        adversary=values["adversary"],
        epsilon=values["adversary_epsilon"],
        adversarial_weight=values["adversary_weight"],
        iterations=values["adversary_iterations"],
        step_size=values["adversary_step_size"],
        ball=values["adversary_ball"],
    )
    bprmf_epochs = values["bprmf_epochs"] or values["epochs"]
    if not amf.first_epoch < values["epochs"]:
        raise UserError(
            f"--amf_start ({amf.first_epoch}) must be less than --epochs ({values['epochs']})"
        )
    if not amf.first_epoch <= bprmf_epochs <= values["epochs"]:
        raise UserError(
            f"--bprmf_epochs ({bprmf_epochs}) must be from --amf_start ({amf.first_epoch}) to --epochs ({values['epochs']})"
        )
    for text in values["model_selection"]:
        if text not in ("best", "last", "published") and not (
            text.startswith("epoch:") and text[6:].isdecimal()
        ):
            raise UserError(
                f"--model_selection must be of best, last, published and epoch:N, not {text!r}"
            )
    return {
        "seeds": values["seed"],
        "bprmf": amf.start,
        "amf": amf,
        "epochs": values["epochs"],
        "bprmf_epochs": bprmf_epochs,
        "selections": values["model_selection"],
        "keep_epochs": values["keep_epochs"],
    }


def train(study: Training, how: Running, names: Sequence[str] = MODELS) -> Stages:
    """Every model of every seed: BPR-MF up to AMF's start, then the rest of it beside AMF."""
    for settings in (study.bprmf, study.amf):
        if settings.name in names and "best" in study.selections:
            _check_evaluations(study, settings)
    for models in (
        [(study.bprmf, study.amf.first_epoch)],
        [(each, study.last_epoch(each)) for each in (study.amf, study.bprmf)],
    ):
        asked = []
        for settings, stop in models:
            measured = [
                int(at[6:]) for _, at in study.epochs_of(settings) if at.startswith("epoch:")
            ]
            keep = (*study.keep_epochs, *measured, study.amf.first_epoch)
            common = {
                "data": study.data,
                "settings": settings,
                "epochs": stop,
                "keep_epochs": keep,
                "models_dir": study.output_dir / "models",
            }
            common |= {"save_every": how.save_every, "progress": how.progress}
            asked += [
                Task("advrec_tf.recommenders.trainer:train", {**common, "seed": seed})
                for seed in study.seeds
                if settings.name in names
            ]
        yield asked


def by_seed(study: Training) -> list[Any]:
    """The study, seed by seed."""
    return [replace(study, seeds=[seed]) for seed in study.seeds]


def _check_evaluations(study: Training, settings: Settings) -> None:
    """Raises UserError where no epoch would be evaluated, before anything is trained."""
    every, first, last = (
        settings.epochs_between_evaluations(study.data),
        settings.first_epoch + 1,
        study.last_epoch(settings),
    )
    if last // every * every < first:
        raise UserError(
            f"{study.data.name}: none of {settings.name}'s epochs {first} to {last} is evaluated, as every {every}th is, so none is best: "
            "--eval_users=N brings --eval_every=auto down"
        )


def weights_of(study: Training, seed: int) -> list[tuple[Settings, int, list[str], dict]]:
    """Every trained model and epoch that is to be measured: the names of its selection, and the arguments of `selected_factors`."""
    found: list[tuple[Settings, int, list[str], dict]] = []
    for settings in (study.bprmf, study.amf):
        chosen: dict[int, tuple[list[str], dict]] = {}
        for name, at in study.epochs_of(settings):
            folder = model_folder(study.output_dir / "models", study.data, settings, seed)
            weights: dict[str, Any] = {
                "folder": folder,
                "selection": at,
                "epochs": study.last_epoch(settings),
            }
            chosen.setdefault(selected_factors(**weights)[0], ([], weights))[0].append(name)
        found += [(settings, epoch, names, weights) for epoch, (names, weights) in chosen.items()]
    return found
