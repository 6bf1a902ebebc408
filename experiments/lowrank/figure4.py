"""Figure 4 of the low-rank defences paper: Figure 3's comparison over the length of factors."""

from functools import partial

from advrec_tf.defenses import Defense, LowRank

from . import pmf_curves
from .poisoned_spec import PoisonedSpec
from .victim_jobs import UNDEFENDED

RANKS = (50, 100)


def defenses(spec: PoisonedSpec) -> list[Defense]:
    """Return no defence, and reconstructions of two ranks."""
    reconstruction = partial(LowRank, None, enter="ratings", choose=spec.values["choose_ratings"])
    return [UNDEFENDED, *map(reconstruction, RANKS)]


EXPERIMENT = pmf_curves.experiment(
    "Figure 4: the length of PMF's factors", "figure4", "dim", defenses
)
