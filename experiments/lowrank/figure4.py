"""Figure 4 of the low-rank defences paper: Figure 3's comparison over the length of PMF's factors."""

from functools import partial

from advrec_tf.defenses import LowRank
from advrec_tf.execution.results import Job
from advrec_tf.execution.runner import Experiment

from . import pages, poisoned
from .poisoned import UNDEFENDED, Study

RANKS = (50, 100)


def jobs(study: Study) -> list[Job]:
    """PMF of every length on the ratings as they are and on reconstructions of two ranks."""
    rebuilt = [
        LowRank(None, rank, "ratings", choose=study.values["choose_ratings"]) for rank in RANKS
    ]
    return poisoned.jobs(study, ["none", study.attack], [UNDEFENDED, *rebuilt])


report = partial(pages.curves_of_pmf, "Figure 4: the length of PMF's factors", "figure4", "dim")
EXPERIMENT = Experiment(poisoned.LAYOUT, poisoned.against_one, jobs, report, poisoned.prepare)
