"""Figure 3 of the low-rank defences paper: PMF on reconstructed ratings over the SVD rank."""

from functools import partial

from advrec_tf.defenses import Defense, LowRank

from . import pmf_curves
from .poisoned_spec import PoisonedSpec
from .victim_jobs import UNDEFENDED


def defenses(spec: PoisonedSpec) -> list[Defense]:
    """Return no defence, and reconstructions of every rank with all their new ratings."""
    reconstruction = partial(LowRank, None, enter="ratings", choose=spec.values["choose_ratings"])
    return [UNDEFENDED, *map(reconstruction, spec.values["svd_ranks"])]


EXPERIMENT = pmf_curves.experiment(
    "Figure 3: PMF on low-rank reconstructed ratings", "figure3", "rank", defenses
)
