"""Making the fake profiles of an attack, once for its data, settings and seed."""

import json
from dataclasses import asdict, dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import Any

from advrec_tf.data import Interactions
from advrec_tf.execution.startup import quiet_tensorflow
from advrec_tf.files import write_text
from advrec_tf.poisoning.heuristics import HEURISTICS, heuristic
from advrec_tf.poisoning.profiles import Profiles
from advrec_tf.poisoning.settings import LEARNED, MODULES, LearnedSettings
from advrec_tf.poisoning.trajectory import Trajectory, own_folder

POISONING_ATTACKS = (*LEARNED, *HEURISTICS)


@dataclass(frozen=True)
class Plan:
    """What the attacks on one group of targets depend on, beside the data."""

    fakes: int
    targets: tuple[int, ...]
    learned: dict[str, dict]  # settings of each attack of LEARNED, beside fakes, targets and k
    clicks: int | None
    outer_epochs: int | None
    seed: int

    @property
    def identity(self) -> dict:
        """All of it, as plain values."""
        versions = {name: kind.version for name, kind in LEARNED.items()}
        return json.loads(json.dumps({**asdict(self), "versions": versions}, default=str))


def folder_of(data: Interactions, name: str, plan: Plan, k: int, folder: Path) -> Path:
    """Where the profiles of a learnt attack are kept, below `folder`."""
    settings = _settings(name, plan, k)
    return own_folder(data, settings, settings.steps(plan.outer_epochs), plan.seed, folder)


def _settings(name: str, plan: Plan, k: int) -> LearnedSettings:
    common: dict[str, Any] = {"fakes": plan.fakes, "targets": plan.targets, "k": k}
    own = {field.name for field in fields(LEARNED[name])}
    return LEARNED[name](
        **{key: value for key, value in common.items() if key in own}, **plan.learned[name]
    )


def make(
    data: Interactions,
    name: str,
    plan: Plan,
    k: int,
    folder: Path,
    progress: bool = True,
) -> Profiles:
    """The profiles of an attack; those of a learnt one are in a folder of their own below `folder`, and read if they are finished.

    k: length of the lists that a learnt attack looks at
    """
    if name in HEURISTICS:
        return heuristic(name, data, plan.fakes, plan.targets, plan.seed, plan.clicks)
    settings, own = _settings(name, plan, k), folder_of(data, name, plan, k, folder)
    steps = settings.steps(plan.outer_epochs)
    with Trajectory(own) as run:
        if run.finished(steps):
            return run.profiles()
    write_text(
        own / "settings.json",
        json.dumps(
            {**asdict(settings), "outer_epochs": steps, "seed": plan.seed}, indent=1, default=str
        )
        + "\n",
    )
    quiet_tensorflow()
    module = import_module(f"advrec_tf.poisoning.{MODULES[name]}")
    return module.attack(data, settings, plan.seed, own, steps, progress)
