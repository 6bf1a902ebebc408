"""Fake profiles against a recommender: the profiles, how they came about, and the victim before and after."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from advrec_tf.data import Interactions
from advrec_tf.execution.jobs import Stages
from advrec_tf.execution.results import Job, Layout
from advrec_tf.execution.runner import Experiment, Running
from advrec_tf.poisoning import LIKENESS
from advrec_tf.reporting import page, read_results

from . import attack_seeds, plots, poisoned, tables
from .poisoned import UNDEFENDED, Study

LAYOUT = Layout(
    (*poisoned.LAYOUT.keys, "attack_seed"), (*poisoned.LAYOUT.values, *LIKENESS, "changed_entries")
)


def studies(values: dict[str, Any], datasets: list[Interactions], output_dir: Path) -> list[Study]:
    """Return the study of each data set, with one or more seeds of its attacks."""
    seeds = tuple(values["attack_seed"])
    found = poisoned.studies({**values, "attack_seed": seeds[:1]}, datasets, output_dir)
    return [replace(study, attack_seeds=seeds) for study in found]


def by_attack_seed(study: Study) -> dict[int, Study]:
    """Return the attacks to be made with each seed, without the profiles from files."""
    found = {}
    for seed in study.attack_seeds:
        plans = {group: replace(plan, seed=seed) for group, plan in study.plans.items()}
        found[seed] = replace(study, plans=plans, given=())
    return found


def prepare(study: Study, how: Running) -> Stages:
    """Make the profiles of all attack seeds that are not on disk yet."""
    asked = [part for own in by_attack_seed(study).values() for part in poisoned.parts_of(own)]
    return poisoned.make_profiles(asked, how)


def jobs(study: Study) -> list[Job]:
    """Return the jobs of victims, and of how close the profiles of each attack are to real ones.

    Each victim seed has a victim on clean data and one on the data of each attack and attack seed.
    Clean data and profiles from files have no attack seed.
    """
    unseeded = replace(study, attacks=())
    found = _jobs(unseeded, ["none", *unseeded.all_attacks], None)
    for seed, own in by_attack_seed(study).items():
        found += _jobs(own, [name for name in own.attacks if name != "none"], seed)
    return found


def _jobs(study: Study, attacks: list[str], attack_seed: int | None) -> list[Job]:
    found = poisoned.jobs(study, attacks, [UNDEFENDED]) + poisoned.resemblance(study)
    more = {"attack_seed": attack_seed}
    return [job._replace(points=[{**point, **more} for point in job.points]) for job in found]


def report(folders: list[Path]) -> None:
    """Renders report.md and poison.png from the results of each data set."""
    for folder in folders:
        rows = read_results(folder)
        text = tables.poison_report(rows, folder) + attack_seeds.report(rows)
        page(folder, text, {"poison.png": plots.poison_figure(tables.summary(rows))})


EXPERIMENT = Experiment(LAYOUT, studies, jobs, report, prepare)
