"""Figure 3 of the low-rank defences paper: PMF on low-rank reconstructed ratings over the SVD rank, clean and attacked."""

from functools import partial

from advrec_tf.defenses import LowRank
from advrec_tf.execution.results import Job
from advrec_tf.execution.runner import Experiment

from . import pages, poisoned
from .poisoned import UNDEFENDED, Study


def jobs(study: Study) -> list[Job]:
    """All ratings from the reconstruction, those that were there and all the new ones, at every rank."""
    values = study.values
    rebuilt = [
        LowRank(None, rank, "ratings", choose=values["choose_ratings"])
        for rank in values["svd_ranks"]
    ]
    return poisoned.jobs(study, ["none", study.attack], [UNDEFENDED, *rebuilt])


report = partial(
    pages.curves_of_pmf, "Figure 3: PMF on low-rank reconstructed ratings", "figure3", "rank"
)
EXPERIMENT = Experiment(poisoned.LAYOUT, poisoned.against_one, jobs, report, poisoned.prepare)
