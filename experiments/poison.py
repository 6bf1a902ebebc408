"""Fake profiles against a recommender: the profiles, how they came about, and the victim before and after."""

from dataclasses import asdict
from functools import reduce
from pathlib import Path

from tqdm import tqdm

from advrec_tf.data import Interactions
from advrec_tf.files import write_text
from advrec_tf.poisoning import Profiles, likeness
from advrec_tf.reporting import Results, plots, poisoning, read_results, recorded_run, tables, victim_path
from advrec_tf.reporting.results import POISONED
from advrec_tf.training import Settings
from advrec_tf.training.jobs import run as run_jobs
from experiments.attack_runs import Running
from experiments.attacks import Plan

NAME = "poison"


def key_of(
    data: Interactions, settings: Settings, epochs: int, seed: int, k: int, group: str, attack: str, profiles: Profiles | None, **defense
) -> dict:
    """The key columns of a row; defense: its name, and what it is set to."""
    digest = "" if profiles is None else profiles.digest()[:12]
    base = {"dataset": data.name, "model": settings.name, "epoch": epochs, "attack": attack, "seed": seed, "k": k, "profiles": digest, "group": group}
    return base | ({"defense": "none"} | defense)


def made(data: Interactions, plans: dict[str, Plan], attacks: list[str], k: int, how: Running) -> dict[tuple[str, str], Profiles]:
    """The profiles of every attack on every group of targets, made side by side where they are not on disk: (group, attack) -> Profiles."""
    parts = list(dict.fromkeys((group, part) for group in plans for attack in attacks for part in attack.split("+")))
    jobs = [{"data": data, "name": part, "plan": plans[group], "k": k, "progress": how.progress} for group, part in parts]
    single = {parts[index]: profiles for index, profiles in run_jobs("experiments.attacks:attack", jobs, how.workers, how.backend)}
    return {(group, attack): reduce(Profiles.merged, [single[group, part] for part in attack.split("+")]) for group in plans for attack in attacks}


def measured(jobs: list[dict], results: Results, folder: Path, cache_dir: Path, how: Running) -> None:
    """Adds the rows of the jobs (arguments of `victims.measure`) that are not there yet."""
    left = [job for job in jobs if job["key"] not in results or not victim_path(folder, job["key"]).exists()]
    left = [{**job, "folder": folder, "cache_dir": cache_dir, "progress": how.progress} for job in left]
    bar = tqdm(total=len(jobs), initial=len(jobs) - len(left), desc="victims", unit="model", disable=not how.progress or None)
    for _, rows in run_jobs("experiments.victims:measure", left, how.workers, how.backend):
        results.add(rows)
        bar.update()
    bar.close()


def run(
    data: Interactions, plans: dict[str, Plan], attacks: list[str], given: list[Profiles], victim: tuple[Settings, int], seeds: list[int], k: int,
    output_dir: Path, how: Running,
) -> None:  # fmt: skip
    """Makes the profiles, trains a victim on clean and on poisoned data for every seed, and writes the report.

    plans: what the attacks on each group of targets depend on; given: profiles from files, attacks of their own.
    """
    settings, epochs = victim
    folder, cache_dir = Path(output_dir) / NAME / data.name, Path(output_dir) / "cache"
    config = {"data": data.ratings_fingerprint, "k": k, "targets": {group: plan.targets for group, plan in plans.items()}}
    config |= {settings.name: asdict(settings), "epochs": epochs}
    with recorded_run(folder, config, data.statistics(), how.flags, POISONED) as results:
        profiles = made(data, plans, [name for name in attacks if name != "none"], k, how)
        jobs = []
        for group, plan in plans.items():
            known = [("none", None)] + [(attack, profiles[group, attack]) for attack in attacks if attack != "none"]
            for attack, fakes in known + [(each.name, each) for each in given]:
                common = {"data": data, "profiles": fakes, "defense": None, "settings": settings, "epochs": epochs, "targets": plan.targets}
                for seed in seeds:
                    jobs.append({**common, "seed": seed, "key": key_of(data, settings, epochs, seed, k, group, attack, fakes)})
        for fakes in given:
            fakes.stacked_on(data)  # tells profiles of another catalogue before anything is trained
        measured(jobs, results, folder, cache_dir, how)
    rows = read_results(folder)
    likenesses = _likenesses(data, {**profiles, **{("", each.name): each for each in given}})
    text = poisoning.poison_report(rows, folder, likenesses)
    write_text(folder / "report.md", text)
    plots.save_figure(plots.poison_figure(poisoning.summary(rows)), folder / "poison.png")
    print(f"{text}\nKept in {folder}: results.csv, report.md, poison.png; profiles in {Path(output_dir) / 'profiles' / data.name}")


def _likenesses(data: Interactions, profiles: dict[tuple[str, str], Profiles]) -> str:
    """How close each attack's profiles are to real ones, as a table."""
    if not profiles:
        return ""
    found = {key: likeness(each, data) for key, each in profiles.items()}
    names = list(next(iter(found.values())))
    lines = [[*key, *(f"{values[name]:.4f}" for name in names)] for key, values in found.items()]
    return "\n## How close the fake profiles are to real ones\n\n" + tables.markdown(["targets", "attack", *names], lines)
