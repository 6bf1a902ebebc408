"""Figure 2 of the low-rank defences paper: the SVM's recall by kernel and components."""

from itertools import product

import pandas as pd
from matplotlib.figure import Figure

from advrec_tf.defenses.detection import KERNELS, SAMPLINGS, fold_of, labels_of
from advrec_tf.errors import UserError
from advrec_tf.evaluation import DETECTION
from advrec_tf.execution.results import Job, Layout
from advrec_tf.execution.runner import Experiment
from advrec_tf.reporting.plots import legend, panels
from advrec_tf.reporting.vocabulary import markdown

from . import pages, poisoned_flags, profile_jobs
from .poisoned_spec import PoisonedSpec

KEYS = ("dataset", "attack", "profiles", "sampling", "kernel", "components", "fold", "seed")
LAYOUT = Layout(KEYS, DETECTION)


def jobs(spec: PoisonedSpec) -> list[Job]:
    """Return a job for each fold, with every kernel on every number of components it can have."""
    fakes = spec.profiles[next(iter(spec.plans)), spec.attack]
    poisoned, folds, seed = fakes.stacked_on(spec.data), spec.values["folds"], spec.seeds[0]
    matrix, labels = poisoned.matrix(), labels_of(poisoned, spec.data.n_users)
    arguments = {"matrix": matrix, "labels": labels, "folds": folds}
    key = {"dataset": spec.data.name, "attack": spec.attack, "profiles": fakes.digest()[:12]}
    made = []
    for sampling, fold in product(SAMPLINGS, range(folds)):
        train_users = fold_of(labels, sampling, fold, folds, seed)[0]
        widest = min(len(train_users), matrix.shape[1]) - 1
        components = [count for count in spec.values["svm_components"] if count <= widest]
        if not components:
            raise UserError(
                f"a fold of {widest + 1} users has at most {widest} components: lower "
                "--svm_components"
            )
        base = {**key, "sampling": sampling, "fold": fold, "seed": seed}
        points = [
            {**base, "kernel": kernel, "components": count}
            for count, kernel in product(components, KERNELS)
        ]
        made.append(Job("advrec_tf.defenses.detection:fold_scores", points, arguments))
    return made


def over_folds(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the mean and std over folds of each score, by sampling, kernel and components."""
    return rows.groupby(["sampling", "kernel", "components"])[list(DETECTION)].agg(["mean", "std"])


def answer(rows: pd.DataFrame) -> str:
    """Return the kernel and the components of the highest recall, for each sampling."""
    sentences = []
    for sampling, table in over_folds(rows).groupby("sampling"):
        recall = table["recall", "mean"]
        _, kernel, components = recall.idxmax()
        sentences.append(
            f"{sampling}: the {kernel} kernel on {components:.0f} components has the highest "
            f"recall, {recall.max():.4f}."
        )
    return "\n".join(sentences)


def page_text(rows: pd.DataFrame) -> str:
    """Return report.md: all scores."""
    first = rows.iloc[0]
    parts = [
        f"# Figure 2: detecting {first['attack']} on {first['dataset']}\n",
        f"{rows['fold'].nunique():.0f} folds, stratified, of one seed. "
        "Cells: mean ± standard deviation over folds.\n",
    ]
    for sampling, table in over_folds(rows).groupby("sampling"):
        parts.append(f"\n## {sampling}\n")
        lines = []
        for (_, kernel, components), row in table.iterrows():
            scores = [f"{row[name, 'mean']:.4f} ± {row[name, 'std']:.4f}" for name in DETECTION]
            lines.append([kernel, f"{components:.0f}", *scores])
        parts.append(markdown(["kernel", "components", *DETECTION], lines))
    return "\n".join(parts)


def detection_figure(rows: pd.DataFrame) -> Figure:
    """Draw recall over the components: a panel for each sampling and a line for each kernel.

    The bars are standard deviations over folds.
    """
    table = over_folds(rows)
    samplings = list(table.index.unique("sampling"))
    figure, axes = panels(1, len(samplings))
    style = {"marker": "o", "markersize": 3, "linewidth": 1, "elinewidth": 0.5}
    for axis, sampling in zip(axes[0], samplings):
        for kernel, part in table.loc[sampling].groupby("kernel"):
            scores = part.loc[kernel, "recall"]
            axis.errorbar(scores.index, scores["mean"], scores["std"], label=kernel, **style)
        axis.set_title(sampling, fontsize=10)
        axis.set_xlabel("principal components")
        axis.set_ylim(0, 1.05)
    axes[0, 0].set_ylabel("recall")
    legend(figure, axes, columns=5)
    return figure


report = pages.report("figure2", page_text, detection_figure, answer)
EXPERIMENT = Experiment(
    LAYOUT, poisoned_flags.one_attack_and_seed, jobs, report, profile_jobs.prepare
)
