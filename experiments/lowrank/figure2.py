"""Figure 2 of the low-rank defences paper: the SVM's recall over the principal components, by kernel, on imbalanced and down-sampled data."""

from itertools import product
from pathlib import Path

from advrec_tf.defenses.detection import KERNELS, SAMPLINGS, fold_of, labels_of
from advrec_tf.errors import UserError
from advrec_tf.evaluation import DETECTION
from advrec_tf.execution.results import Job, Layout
from advrec_tf.execution.runner import Experiment
from advrec_tf.reporting import page, read_results

from . import detection, plots, poisoned
from .poisoned import Study

LAYOUT = Layout(
    ("dataset", "attack", "profiles", "sampling", "kernel", "components", "fold", "seed"), DETECTION
)


def jobs(study: Study) -> list[Job]:
    """A job is a fold, with every kernel on every number of components that its users can have."""
    fakes = study.profiles[next(iter(study.plans)), study.attack]
    poisoned_data, folds, seed, found = (
        fakes.stacked_on(study.data),
        study.values["folds"],
        study.seeds[0],
        [],
    )
    matrix, labels = poisoned_data.matrix(), labels_of(poisoned_data, study.data.n_users)
    for sampling, fold in product(SAMPLINGS, range(folds)):
        base = {"dataset": study.data.name, "attack": study.attack, "profiles": fakes.digest()[:12]}
        base |= {"sampling": sampling, "fold": fold, "seed": seed}
        widest = min(len(fold_of(labels, sampling, fold, folds, seed)[0]), matrix.shape[1]) - 1
        dimensions = [n for n in study.values["svm_components"] if n <= widest]
        if not dimensions:
            raise UserError(
                f"a fold of {widest + 1} users has at most {widest} components: lower --svm_components"
            )
        points = [
            {**base, "kernel": kernel, "components": n} for n in dimensions for kernel in KERNELS
        ]
        found.append(
            Job(
                "advrec_tf.defenses.detection:fold_scores",
                points,
                {"matrix": matrix, "labels": labels, "folds": folds},
            )
        )
    return found


def report(folders: list[Path]) -> None:
    """Renders report.md and figure2.png from the results of each data set."""
    for folder in folders:
        rows = read_results(folder)
        page(folder, detection.report(rows), {"figure2.png": plots.detection_figure(rows)})


EXPERIMENT = Experiment(LAYOUT, poisoned.of_one, jobs, report, poisoned.prepare)
