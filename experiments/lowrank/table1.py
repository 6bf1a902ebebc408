"""Table I of the low-rank defences paper: a recommender without the users that PCA and an SVM take for fakes; and detectors on other attacks."""

from dataclasses import replace
from pathlib import Path

from advrec_tf.defenses import Svm
from advrec_tf.defenses.detection import FLAGGED, KNOWN
from advrec_tf.evaluation import DETECTION
from advrec_tf.execution.jobs import Stages
from advrec_tf.execution.results import Job, Layout
from advrec_tf.execution.runner import Experiment, Running
from advrec_tf.execution.storage import write_csv
from advrec_tf.poisoning import Profiles
from advrec_tf.reporting import page, read_results

from . import detection, plots, poisoned, tables
from .poisoned import UNDEFENDED, Study

LAYOUT = Layout(
    (*poisoned.LAYOUT.keys, "sampling", "tested_on"), (*poisoned.LAYOUT.values, *DETECTION, FLAGGED)
)
DETECTORS = (
    ("poly2", "imbalanced"),
    ("linear", "imbalanced"),
    ("rbf", "imbalanced"),
    ("poly2", "down-sampled"),
    ("rbf", "down-sampled"),
)
COMPONENTS = 20


def elsewhere(study: Study) -> tuple[Study, list[str]]:
    """Attacks that the detectors have not learnt from: the same with another seed and fewer outer epochs, and others by name."""
    others = [
        "bandwagon",
        "random",
        "recsys20",
        "recsys20_disguised",
        *(["recsys19"] if study.data.n_items < 5000 else []),
    ]  # the GAN of a large catalogue takes a day
    outer_epochs = study.values["other_outer_epochs"]
    plans = {
        group: replace(plan, seed=plan.seed + 1, outer_epochs=outer_epochs)
        for group, plan in study.plans.items()
    }
    return replace(study, plans=plans), [name for name in others if name != study.attack]


def prepare(study: Study, how: Running) -> Stages:
    """Makes the profiles of all these attacks; a given file of profiles has no other run."""
    other, names = elsewhere(study)
    return poisoned.make_profiles(
        poisoned.parts_of(study) + poisoned.parts_of(other) + [(study, name) for name in names], how
    )


def jobs(study: Study) -> list[Job]:
    """Of each group of targets: no defence and the SVM, on clean and on attacked data; every detector on the fakes it learnt from and on others."""
    return [job for group in study.plans for job in _jobs(study.of_group(group), group)]


def _jobs(study: Study, group: str) -> list[Job]:
    attack, folds = study.attack, study.values["folds"]
    known = study.profiles[group, attack]
    width = min(COMPONENTS, len(known.item_ids) - 1, known.n_users)
    victims = poisoned.jobs(
        study, ["none", attack], [UNDEFENDED, Svm(known, "poly2", width, folds=folds)]
    )
    other, names = elsewhere(study)
    tested: dict[str, Profiles] = {KNOWN: known}
    if attack in study.attacks:
        tested[f"{attack}, another seed"] = other.made([attack])[group, attack]
    tested |= {name: study.made([name])[group, name] for name in names}
    base = {
        "dataset": study.data.name,
        "attack": attack,
        "group": group,
        "profiles": known.digest()[:12],
    }
    common = {"data": study.data, "tested": tested, "cache_dir": study.cache_dir}
    found = []
    for kernel, sampling in DETECTORS:
        detector = Svm(known, kernel, width, sampling, folds)
        points = [
            {**base, **detector.columns, "sampling": sampling, "tested_on": name} for name in tested
        ]
        found.append(
            Job(
                "advrec_tf.defenses.detection:evaluate_detector",
                points,
                {**common, "detector": detector},
            )
        )
    unlabelled = {
        "defense": "Mahalanobis distance, as many as there are fakes",
        "components": COMPONENTS if study.data.n_users > 500 else 5,
    }
    points = [{**base, **unlabelled, "tested_on": name} for name in tested]
    return (
        victims
        + found
        + [
            Job(
                "advrec_tf.defenses.detection:evaluate_detector",
                points,
                {**common, "detector": None},
            )
        ]
    )


def report(folders: list[Path]) -> None:
    """Renders report.md, detectors.csv and table1.png from the results of each data set."""
    for folder in folders:
        rows = read_results(folder)
        detectors = detection.detectors(rows)
        write_csv(folder / "detectors.csv", detectors)
        text = tables.defense_report(
            rows, "Table I: fake users found by PCA and an SVM"
        ) + detection.detectors_report(rows)
        page(
            folder,
            text,
            {"table1.png": plots.defense_figure(tables.summary(rows))},
            "detectors.csv",
        )


EXPERIMENT = Experiment(LAYOUT, poisoned.against_one, jobs, report, prepare)
