"""Figure 5 of the low-rank defences paper: PMF's factors transformed into the space of the ratings' singular vectors."""

from functools import partial

from advrec_tf.cli import poisoned
from advrec_tf.cli.poisoned import UNDEFENDED, Study
from advrec_tf.cli.runner import Experiment
from advrec_tf.defenses import Transformation
from advrec_tf.reporting import pages
from advrec_tf.results import Job


def jobs(study: Study) -> list[Job]:
    """The same trained factors before and after the transformation at every rank; no rating is added."""
    return poisoned.jobs(study, ["none", study.attack], [UNDEFENDED, *map(Transformation, study.values["svd_ranks"])])


report = partial(pages.curves_of_pmf, "Figure 5: low-rank transformation of PMF's factors", "figure5", "rank")
EXPERIMENT = Experiment(poisoned.LAYOUT, poisoned.against_one, jobs, report, poisoned.prepare)
