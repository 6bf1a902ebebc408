"""Figure 6 of the low-rank defences paper: more and more new ratings, before and after the transformation."""

from functools import partial
from itertools import product

from advrec_tf.defenses import LowRank, Transformation
from advrec_tf.execution.results import Job
from advrec_tf.execution.runner import Experiment

from . import pages, poisoned
from .poisoned import Study


def jobs(study: Study) -> list[Job]:
    """The ratings that were there stay as they are; 0 to 100% of the reconstruction's new ones join them."""
    values, defenses = study.values, []
    for rank, share in product(values["figure6_ranks"], values["shares"]):
        added = LowRank(
            None, rank, "ratings", share=share, choose=values["choose_ratings"], keep_originals=True
        )
        defenses += [added, Transformation(rank, added)]
    return poisoned.jobs(study, ["none", study.attack], defenses)


report = partial(
    pages.curves_of_pmf,
    "Figure 6: new ratings, before and after the transformation",
    "figure6",
    "share",
)
EXPERIMENT = Experiment(poisoned.LAYOUT, poisoned.against_one, jobs, report, poisoned.prepare)
