"""Figure 6 of the low-rank defences paper: new ratings, before and after the transformation."""

from itertools import product

from advrec_tf.defenses import Defense, LowRank, Transformation

from . import pmf_curves
from .poisoned_spec import PoisonedSpec


def defenses(spec: PoisonedSpec) -> list[Defense]:
    """Return shares of the new ratings beside the original ones, each also transformed."""
    options = {"choose": spec.values["choose_ratings"], "keep_originals": True}
    made: list[Defense] = []
    for rank, share in product(spec.values["figure6_ranks"], spec.values["shares"]):
        added = LowRank(None, rank, "ratings", share=share, **options)
        made += [added, Transformation(rank, added)]
    return made


EXPERIMENT = pmf_curves.experiment(
    "Figure 6: new ratings, before and after the transformation", "figure6", "share", defenses
)
