"""RecSys19 taken apart: what its GAN and its zeroth-order steps do, beside an ideal GAN, forced targets and RecSys20."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from advrec_tf.data import Interactions
from advrec_tf.execution.results import Job, Layout
from advrec_tf.execution.runner import Experiment
from advrec_tf.poisoning import LIKENESS
from advrec_tf.reporting import page, read_results

from . import control_plots, poisoned, recsys19_report
from .poisoned import UNDEFENDED, Study

_CONTROLS = [
    "bootstrap",
    "bootstrap_refined",
    "bootstrap_blind",
    "bootstrap_scored",
    "bootstrap_targets",
]
_BOTH = [f"{first}+recsys20" for first in ("recsys19", "bootstrap", "bootstrap_scored")]
ATTACKS = [*_CONTROLS, "gan", "recsys19", "recsys20", *_BOTH]
LAYOUT = Layout(poisoned.LAYOUT.keys, (*poisoned.LAYOUT.values, *LIKENESS, "changed_entries"))


def studies(values: dict[str, Any], datasets: list[Interactions], output_dir: Path) -> list[Study]:
    """The attacks of this page are given; PMF stands beside WRMF where there are ratings."""
    found = poisoned.studies({**values, "attack": ATTACKS}, datasets, output_dir)
    both = poisoned.victims_of(values, "wrmf", "pmf")
    return [
        study if study.data.train_ratings is None else replace(study, victims=both)
        for study in found
    ]


def jobs(study: Study) -> list[Job]:
    """A victim of every kind and seed on clean data and under each attack; and the profiles of each."""
    return poisoned.jobs(study, ["none", *study.all_attacks], [UNDEFENDED]) + poisoned.resemblance(
        study
    )


def report(folders: list[Path]) -> None:
    """Renders report.md and recsys19.png from the results of each data set."""
    for folder in folders:
        rows = read_results(folder)
        page(
            folder,
            recsys19_report.report(rows),
            {"recsys19.png": control_plots.parts_figure(recsys19_report.compared(rows))},
        )


EXPERIMENT = Experiment(LAYOUT, studies, jobs, report, poisoned.prepare)
