"""Figure 4 of the low-rank defences paper: Figure 3's comparison over the length of PMF's factors."""

from functools import partial

from advrec_tf.cli import poisoned
from advrec_tf.cli.poisoned import UNDEFENDED, Study
from advrec_tf.cli.runner import Experiment
from advrec_tf.defenses import LowRank
from advrec_tf.reporting import pages
from advrec_tf.results import Job

RANKS = (50, 100)


def jobs(study: Study) -> list[Job]:
    """PMF of every length on the ratings as they are and on reconstructions of two ranks."""
    rebuilt = [LowRank(None, rank, "ratings", choose=study.values["choose_ratings"]) for rank in RANKS]
    return poisoned.jobs(study, ["none", study.attack], [UNDEFENDED, *rebuilt])


report = partial(pages.curves_of_pmf, "Figure 4: the length of PMF's factors", "figure4", "dim")
EXPERIMENT = Experiment(poisoned.LAYOUT, poisoned.against_one, jobs, report, poisoned.prepare)
