"""The fake profiles that experiments share: how they are made and measured."""

from functools import partial
from pathlib import Path
from typing import Any

from advrec_tf.execution.jobs import Stages, Task
from advrec_tf.execution.results import Job
from advrec_tf.execution.runner import Running
from advrec_tf.poisoning import folder_of, read_trajectory
from advrec_tf.poisoning.settings import LEARNED
from advrec_tf.reporting.plots import save_figure

from . import plots
from .poisoned_spec import PoisonedSpec


def prepare(spec: PoisonedSpec, running: Running) -> Stages:
    """Make the profiles that are not on disk yet."""
    return make_profiles(attacks_of(spec), running)


def attacks_of(spec: PoisonedSpec) -> list[tuple[PoisonedSpec, str]]:
    """Return the spec beside each of its attacks."""
    return [(spec, name) for name in spec.single_attacks]


def make_profiles(attacks: list[tuple[PoisonedSpec, str]], running: Running) -> Stages:
    """Make the profiles of the learned attacks among these, on every group of targets.

    RecSys19 starts from the profiles of the GAN, which are made in a stage before.
    """
    gans = [(spec, "gan") for spec, name in attacks if name == "recsys19"]
    arguments: dict[Path, dict[str, Any]] = {}
    for spec, name in dict.fromkeys([*gans, *attacks]):
        for plan in spec.plans.values() if name in LEARNED else ():
            attack: dict[str, Any] = {
                "data": spec.data,
                "name": name,
                "plan": plan,
                "k": spec.k,
                "folder": spec.profiles_dir,
            }
            arguments.setdefault(folder_of(**attack), attack)
    for is_recsys19 in (False, True):
        yield [
            Task(
                "advrec_tf.poisoning:make",
                {**attack, "progress": running.progress},
                partial(_draw_trajectory, folder, attack["name"]),
            )
            for folder, attack in arguments.items()
            if (attack["name"] == "recsys19") == is_recsys19
        ]


def _draw_trajectory(folder: Path, name: str, _: Any) -> None:
    path = folder / "trajectory.png"
    if not path.exists():
        save_figure(plots.trajectory_figure(name, read_trajectory(folder)), path)


def similarity_jobs(spec: PoisonedSpec) -> list[Job]:
    """Return a job for each attack: how close its profiles are to real ones.

    The row also counts the entries that zeroth-order steps have changed.
    """
    made = []
    for (group, attack), fakes in spec.profiles.items():
        point = {
            "dataset": spec.data.name,
            "attack": attack,
            "group": group,
            "profiles": fakes.digest()[:12],
        }
        arguments: dict[str, Any] = {"data": spec.data, "profiles": fakes}
        if attack in LEARNED and attack in spec.attacks:
            plan = spec.plans[group]
            folder = folder_of(spec.data, attack, plan, spec.k, spec.profiles_dir)
            last = read_trajectory(folder).iloc[-1]
            if "changed_entries" in last:
                arguments["changed_entries"] = int(last["changed_entries"])
        made.append(Job("advrec_tf.defenses.measuring:profile_similarity", [point], arguments))
    return made
