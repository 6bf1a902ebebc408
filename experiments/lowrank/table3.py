"""Table III of the low-rank defences paper: local low-rank reconstruction under each attack and under both together."""

from functools import partial
from pathlib import Path
from typing import Any

from advrec_tf.data import Interactions
from advrec_tf.execution.results import Job
from advrec_tf.execution.runner import Experiment

from . import pages, poisoned
from .poisoned import Study

ATTACKS = ["recsys19", "recsys20", "recsys19+recsys20"]


def studies(values: dict[str, Any], datasets: list[Interactions], output_dir: Path) -> list[Study]:
    """The attacks of this table are given."""
    return poisoned.studies({**values, "attack": ATTACKS}, datasets, output_dir)


def jobs(study: Study) -> list[Job]:
    """No defence and each [patch, rank], under no attack, each and both."""
    return poisoned.jobs(study, ["none", *study.all_attacks], poisoned.reconstructions(study))


report = partial(
    pages.defended, "Table III: local low-rank reconstruction under several attacks", "table3"
)
EXPERIMENT = Experiment(
    poisoned.LAYOUT, studies, jobs, report, poisoned.prepare, poisoned.prepare_reconstructions
)
