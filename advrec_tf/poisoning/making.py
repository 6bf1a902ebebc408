"""Make the fake profiles of an attack, once for its data, configuration and seed."""

import json
from dataclasses import asdict, dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import Any

from advrec_tf.data import Interactions
from advrec_tf.execution.startup import quiet_tensorflow
from advrec_tf.files import write_text
from advrec_tf.poisoning.heuristics import heuristic
from advrec_tf.poisoning.profiles import Profiles
from advrec_tf.poisoning.settings import HEURISTICS, LEARNED, MODULES, LearnedConfig
from advrec_tf.poisoning.trajectory import Trajectory, attack_folder


@dataclass(frozen=True)
class Plan:
    """What the attacks on one group of targets depend on, apart from the data."""

    fakes: int
    targets: tuple[int, ...]
    learned: dict[str, dict]  # by attack of LEARNED: its fields except fakes, targets and k
    clicks: int | None
    outer_epochs: int | None
    seed: int

    @property
    def identity(self) -> dict:
        """Return all fields and the versions of the attacks as plain values."""
        versions = {name: kind.version for name, kind in LEARNED.items()}
        return json.loads(json.dumps({**asdict(self), "versions": versions}, default=str))


def folder_of(data: Interactions, name: str, plan: Plan, k: int, folder: Path) -> Path:
    """Return where the profiles of a learned attack are stored, below `folder`."""
    config = _config(name, plan, k)
    return attack_folder(data, config, config.steps(plan.outer_epochs), plan.seed, folder)


def _config(name: str, plan: Plan, k: int) -> LearnedConfig:
    """Return the configuration of a learned attack: the plan's fakes and targets, and its flags."""
    common: dict[str, Any] = {"fakes": plan.fakes, "targets": plan.targets, "k": k}
    known = {field.name for field in fields(LEARNED[name])}
    shared = {key: value for key, value in common.items() if key in known}
    return LEARNED[name](**shared, **plan.learned[name])


def make(
    data: Interactions,
    name: str,
    plan: Plan,
    k: int,
    folder: Path,
    progress: bool = True,
) -> Profiles:
    """Return the profiles of an attack.

    A learned attack has a folder of its own below `folder`.  Finished profiles are read from it.

    k: length of the lists on which a learned attack measures its success
    """
    if name in HEURISTICS:
        return heuristic(name, data, plan.fakes, plan.targets, plan.seed, plan.clicks)
    config, target = _config(name, plan, k), folder_of(data, name, plan, k, folder)
    steps = config.steps(plan.outer_epochs)
    with Trajectory(target) as run:
        if run.finished(steps):
            return run.profiles()
    record = {**asdict(config), "outer_epochs": steps, "seed": plan.seed}
    write_text(target / "settings.json", json.dumps(record, indent=1, default=str) + "\n")
    quiet_tensorflow()
    module = import_module(f"advrec_tf.poisoning.{MODULES[name]}")
    return module.attack(data, config, plan.seed, target, steps, progress)
