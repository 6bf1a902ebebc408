"""Figure 6 of the low-rank defences paper: more and more new ratings, before and after the transformation."""

from functools import partial
from itertools import product

from advrec_tf.cli import poisoned
from advrec_tf.cli.poisoned import Study
from advrec_tf.cli.runner import Experiment
from advrec_tf.defenses import LowRank, Transformation
from advrec_tf.reporting import pages
from advrec_tf.results import Job


def jobs(study: Study) -> list[Job]:
    """The ratings that were there stay as they are; 0 to 100% of the reconstruction's new ones join them."""
    values, defenses = study.values, []
    for rank, share in product(values["figure6_ranks"], values["shares"]):
        added = LowRank(None, rank, "ratings", share=share, choose=values["choose_ratings"], keep_originals=True)
        defenses += [added, Transformation(rank, added)]
    return poisoned.jobs(study, ["none", study.attack], defenses)


report = partial(pages.curves_of_pmf, "Figure 6: new ratings, before and after the transformation", "figure6", "share")
EXPERIMENT = Experiment(poisoned.LAYOUT, poisoned.against_one, jobs, report, poisoned.prepare)
