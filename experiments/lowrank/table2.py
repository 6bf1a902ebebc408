"""Table II of the low-rank defences paper: local low-rank reconstruction before WRMF."""

from functools import partial

from advrec_tf.execution.results import Job
from advrec_tf.execution.runner import Experiment

from . import pages, poisoned
from .poisoned import Study


def jobs(study: Study) -> list[Job]:
    """Every [patch, rank] on clean and on attacked data."""
    return poisoned.jobs(study, ["none", study.attack], poisoned.reconstructions(study))


report = partial(pages.defended, "Table II: local low-rank reconstruction", "table2")
EXPERIMENT = Experiment(
    poisoned.LAYOUT,
    poisoned.against_one,
    jobs,
    report,
    poisoned.prepare,
    poisoned.prepare_reconstructions,
)
