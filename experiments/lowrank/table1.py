"""Table I of the low-rank defences paper: recommenders without the users that a detector flags."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from advrec_tf.defenses import Svm
from advrec_tf.defenses.detection import FLAGGED, KNOWN
from advrec_tf.evaluation import DETECTION
from advrec_tf.execution.jobs import Stages
from advrec_tf.execution.results import Job, Layout
from advrec_tf.execution.runner import Experiment, Running
from advrec_tf.execution.storage import write_csv
from advrec_tf.poisoning import Profiles
from advrec_tf.reporting import page, read_results
from advrec_tf.reporting.vocabulary import markdown

from . import plots, poisoned_flags, poisoned_spec, profile_jobs, tables
from .poisoned_spec import PoisonedSpec
from .victim_jobs import UNDEFENDED, victim_jobs

LAYOUT = Layout(
    (*poisoned_spec.KEYS, "sampling", "tested_on"),
    (*poisoned_spec.LAYOUT.values, *DETECTION, FLAGGED),
)
DETECTORS = (
    ("poly2", "imbalanced"),
    ("linear", "imbalanced"),
    ("rbf", "imbalanced"),
    ("poly2", "down-sampled"),
    ("rbf", "down-sampled"),
)
COMPONENTS = 20
MOST_ITEMS_FOR_GAN = 5000  # the GAN of a larger catalogue takes a day
TRAINED_ON = ["trained on", "group", "profiles"]


def unknown_attacks(spec: PoisonedSpec) -> tuple[PoisonedSpec, list[str]]:
    """Return attacks that the detectors have not learned from.

    The spec is of the same attack with another seed and fewer outer epochs; the names are of
    other attacks.
    """
    names = ["bandwagon", "random", "recsys20", "recsys20_disguised"]
    if spec.data.n_items < MOST_ITEMS_FOR_GAN:
        names.append("recsys19")
    outer_epochs = spec.values["other_outer_epochs"]
    plans = {
        group: replace(plan, seed=plan.seed + 1, outer_epochs=outer_epochs)
        for group, plan in spec.plans.items()
    }
    return replace(spec, plans=plans), [name for name in names if name != spec.attack]


def prepare(spec: PoisonedSpec, running: Running) -> Stages:
    """Make the profiles of all these attacks; profiles from a file have no other run."""
    other, names = unknown_attacks(spec)
    attacks = profile_jobs.attacks_of(spec) + profile_jobs.attacks_of(other)
    return profile_jobs.make_profiles([*attacks, *((spec, name) for name in names)], running)


def jobs(spec: PoisonedSpec) -> list[Job]:
    """Return the jobs of recommenders with and without the SVM, and of all detectors.

    Each group of targets has its own detectors.
    """
    made = []
    for group in spec.plans:
        of_group = spec.of_group(group)
        known = of_group.profiles[group, spec.attack]
        width = min(COMPONENTS, len(known.item_ids) - 1, known.n_users)
        defenses = [UNDEFENDED, Svm(known, "poly2", width, folds=spec.values["folds"])]
        made += victim_jobs(of_group, spec.conditions, defenses)
        made += _detector_jobs(of_group, group, known, width)
    return made


def _detector_jobs(spec: PoisonedSpec, group: str, known: Profiles, width: int) -> list[Job]:
    """Return a job for each detector, tested on the fakes it has learned from and on others."""
    key = {
        "dataset": spec.data.name,
        "attack": spec.attack,
        "group": group,
        "profiles": known.digest()[:12],
    }
    detectors: list[tuple[Svm | None, dict[str, Any]]] = []
    for kernel, sampling in DETECTORS:
        svm = Svm(known, kernel, width, sampling, spec.values["folds"])
        detectors.append((svm, {**svm.columns, "sampling": sampling}))
    unlabelled = {
        "defense": "Mahalanobis distance, as many as there are fakes",
        "components": COMPONENTS if spec.data.n_users > 500 else 5,
    }
    detectors.append((None, unlabelled))
    tested = _tested_profiles(spec, group, known)
    arguments = {"data": spec.data, "tested": tested, "cache_dir": spec.cache_dir}
    made = []
    for detector, columns in detectors:
        points = [{**key, **columns, "tested_on": name} for name in tested]
        made.append(
            Job(
                "advrec_tf.defenses.detection:evaluate_detector",
                points,
                {**arguments, "detector": detector},
            )
        )
    return made


def _tested_profiles(spec: PoisonedSpec, group: str, known: Profiles) -> dict[str, Profiles]:
    other, names = unknown_attacks(spec)
    tested = {KNOWN: known}
    if spec.attack in spec.attacks:
        another_run = other.made([spec.attack])[group, spec.attack]
        tested[f"{spec.attack}, another seed"] = another_run
    profiles = spec.made(names)
    return tested | {name: profiles[group, name] for name in names}


def detectors(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each detector and test: what it learned from, and its scores."""
    tested = rows[rows["tested_on"] != ""]
    names = tested["kernel"] + ", " + tested["sampling"]
    names = names.where(tested["kernel"] != "", tested["defense"])
    tested = tested.assign(detector=names, is_unknown=tested["tested_on"] != KNOWN).sort_values(
        ["attack", "group", "profiles", "detector", "is_unknown", "tested_on"]
    )
    columns = ["attack", "group", "profiles", "detector", "tested_on", *DETECTION, FLAGGED]
    return tested[columns].rename(columns={"attack": "trained on", "tested_on": "tested on"})


def detectors_text(table: pd.DataFrame) -> str:
    """Return a section for each set of profiles that detectors learned from."""
    text = ""
    for (attack, group, profiles), part in table.groupby(TRAINED_ON):
        shown = part.drop(columns=TRAINED_ON)
        lines = []
        for name, test, *scores, flagged in shown.itertuples(index=False):
            lines.append([name, test, *(f"{score:.4f}" for score in scores), f"{flagged:.0f}"])
        text += f"\n## Detectors trained on {attack} ({group}, {profiles})\n\n"
        text += markdown(list(shown.columns), lines)
    return text


def report(folders: list[Path]) -> None:
    """Write report.md, detectors.csv and table1.png of each data set."""
    for folder in folders:
        rows = read_results(folder)
        table = detectors(rows)
        write_csv(folder / "detectors.csv", table)
        text = tables.defense_report(rows, "Table I: fake users found by PCA and an SVM")
        picture = plots.defense_figure(tables.summary(rows))
        page(
            folder,
            text + detectors_text(table),
            {"table1.png": picture},
            answer=tables.answer(rows),
        )


EXPERIMENT = Experiment(LAYOUT, poisoned_flags.one_attack, jobs, report, prepare)
