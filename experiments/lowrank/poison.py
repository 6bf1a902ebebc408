"""Fake profiles against a recommender: the profiles, and the recommender before and after."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from advrec_tf.data import Interactions
from advrec_tf.execution.jobs import Stages
from advrec_tf.execution.results import Job, Layout
from advrec_tf.execution.runner import Experiment, Running
from advrec_tf.execution.storage import write_csv
from advrec_tf.poisoning import LIKENESS
from advrec_tf.reporting import page, read_results

from . import attack_seeds, plots, poisoned_flags, poisoned_spec, profile_jobs, tables
from .poisoned_spec import PoisonedSpec
from .victim_jobs import UNDEFENDED, victim_jobs

PROMOTED = "promoted.csv"
LAYOUT = Layout(
    (*poisoned_spec.KEYS, "attack_seed"),
    (*poisoned_spec.LAYOUT.values, *LIKENESS, "changed_entries"),
)


def specs(
    values: dict[str, Any], datasets: list[Interactions], output_dir: Path
) -> list[PoisonedSpec]:
    """Return the spec of each data set, with one or more seeds of its attacks."""
    seeds = tuple(values["attack_seed"])
    made = poisoned_flags.specs({**values, "attack_seed": seeds[:1]}, datasets, output_dir)
    return [replace(spec, attack_seeds=seeds) for spec in made]


def by_attack_seed(spec: PoisonedSpec) -> dict[int, PoisonedSpec]:
    """Return the spec of the attacks of each seed, without the profiles from files."""
    by_seed = {}
    for seed in spec.attack_seeds:
        plans = {group: replace(plan, seed=seed) for group, plan in spec.plans.items()}
        by_seed[seed] = replace(spec, plans=plans, given=())
    return by_seed


def prepare(spec: PoisonedSpec, running: Running) -> Stages:
    """Make the profiles of all attack seeds that are not on disk yet, and list their targets."""
    write_csv(spec.output_dir / "poison" / spec.data.name / PROMOTED, _promoted(spec))
    attacks = []
    for seeded in by_attack_seed(spec).values():
        attacks += profile_jobs.attacks_of(seeded)
    return profile_jobs.make_profiles(attacks, running)


def _promoted(spec: PoisonedSpec) -> pd.DataFrame:
    """Return a row for each target: group, item (its id in the data) and clicks in train."""
    targets = [(group, plan.targets) for group, plan in spec.plans.items()]
    rows = [(group, item) for group, items in targets for item in items]
    table = pd.DataFrame(rows, columns=["group", "number"])
    number = table.pop("number").to_numpy(int)
    return table.assign(item=spec.data.item_ids[number], clicks=spec.data.item_counts[number])


def jobs(spec: PoisonedSpec) -> list[Job]:
    """Return the jobs of victims, and of how close the profiles of each attack are to real ones.

    Each victim seed has a victim on clean data and one on the data of each attack and attack seed.
    Clean data and profiles from files have no attack seed.
    """
    unseeded = replace(spec, attacks=())
    made = _jobs(unseeded, unseeded.conditions, None)
    for seed, seeded in by_attack_seed(spec).items():
        made += _jobs(seeded, seeded.conditions[1:], seed)
    return made


def _jobs(spec: PoisonedSpec, attacks: list[str], attack_seed: int | None) -> list[Job]:
    made = []
    for job in victim_jobs(spec, attacks, [UNDEFENDED]) + profile_jobs.similarity_jobs(spec):
        points = [{**point, "attack_seed": attack_seed} for point in job.points]
        made.append(job._replace(points=points))
    return made


def report(folders: list[Path]) -> None:
    """Write report.md and poison.png of each data set."""
    for folder in folders:
        rows = read_results(folder)
        promoted = tables.promoted(folder / PROMOTED)
        text = tables.poison_report(rows, folder) + attack_seeds.report(rows) + promoted
        pictures = {"poison.png": plots.poison_figure(tables.summary(rows))}
        page(folder, text, pictures, answer=tables.answer(rows))


EXPERIMENT = Experiment(LAYOUT, specs, jobs, report, prepare)
