"""Jobs that train and measure recommenders on poisoned and defended data."""

from collections.abc import Sequence
from itertools import product
from typing import Any

from advrec_tf.defenses import Defense, LowRank
from advrec_tf.defenses.measuring import VictimSpec
from advrec_tf.execution.jobs import Task
from advrec_tf.execution.results import Job

from .poisoned_spec import PoisonedSpec

UNDEFENDED = Defense()


def victim_jobs(
    spec: PoisonedSpec, attacks: Sequence[str], defenses: Sequence[Defense]
) -> list[Job]:
    """Return a job for every group, attack, recommender, defence and seed.

    The attack "none" is clean data.
    """
    made = []
    for (group, plan), attack in product(spec.plans.items(), attacks):
        fakes = spec.profiles.get((group, attack))
        poisoned = spec.data if fakes is None else fakes.stacked_on(spec.data)
        key = {
            "dataset": spec.data.name,
            "epoch": spec.epochs,
            "attack": attack,
            "k": spec.k,
            "group": group,
            "profiles": "" if fakes is None else fakes.digest()[:12],
        }
        for (model, config), defense in product(spec.victims.items(), defenses):
            arguments = {
                "data": spec.data,
                "spec": VictimSpec(poisoned, defense, config),
                "targets": plan.targets,
                "cache_dir": spec.cache_dir,
                "progress": spec.values["progress"],
            }
            for seed in spec.seeds:
                point = {**key, "model": model, "seed": seed, **defense.columns}
                made.append(Job("advrec_tf.defenses.measuring:measure", [point], arguments))
    return made


def reconstructions(spec: PoisonedSpec) -> list[Defense]:
    """Return no defence, and a reconstruction for every [patch, rank] of the flags."""
    values = spec.values
    (config,) = spec.victims.values()
    enter = "ratings" if config.reads_ratings else values["enter"]
    options = {
        "threshold": values["threshold"],
        "shuffle_seed": values["shuffle_seed"],
        "choose": values["choose_ratings"],
        "partial": values["partial_patches"],
    }
    return [UNDEFENDED, *(LowRank(*patch, enter, **options) for patch in values["patches"])]


def prepare_reconstructions(jobs: list[Job]) -> list[Task]:
    """Return a task for each matrix that jobs reconstruct as a whole.

    The ranks of a matrix share one decomposition.
    """
    matrices: dict[str, dict[str, Any]] = {}
    ranks: dict[str, set[int]] = {}
    for job in jobs:
        defense, data = job.arguments["spec"].defense, job.arguments["spec"].poisoned
        if isinstance(defense, LowRank) and defense.patch is None and not defense.of_ratings:
            matrix = {"data": data, "cache_dir": job.arguments["cache_dir"]}
            matrices.setdefault(data.fingerprint, matrix)
            ranks.setdefault(data.fingerprint, set()).add(defense.rank)
    return [
        Task(
            "advrec_tf.defenses.low_rank:prepare_full",
            {**matrix, "ranks": tuple(sorted(ranks[name]))},
        )
        for name, matrix in matrices.items()
    ]
