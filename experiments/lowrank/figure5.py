"""Figure 5 of the low-rank defences paper: PMF's factors transformed into the space of the ratings' singular vectors."""

from functools import partial

from advrec_tf.defenses import Transformation
from advrec_tf.execution.results import Job
from advrec_tf.execution.runner import Experiment

from . import pages, poisoned
from .poisoned import UNDEFENDED, Study


def jobs(study: Study) -> list[Job]:
    """The same trained factors before and after the transformation at every rank; no rating is added."""
    return poisoned.jobs(
        study, ["none", study.attack], [UNDEFENDED, *map(Transformation, study.values["svd_ranks"])]
    )


report = partial(
    pages.curves_of_pmf, "Figure 5: low-rank transformation of PMF's factors", "figure5", "rank"
)
EXPERIMENT = Experiment(poisoned.LAYOUT, poisoned.against_one, jobs, report, poisoned.prepare)
