"""Figure 5 of the low-rank defences paper: PMF's factors in the space of singular vectors."""

from advrec_tf.defenses import Defense, Transformation

from . import pmf_curves
from .poisoned_spec import PoisonedSpec
from .victim_jobs import UNDEFENDED


def defenses(spec: PoisonedSpec) -> list[Defense]:
    """Return no defence, and the transformation at every rank; no rating is added."""
    return [UNDEFENDED, *map(Transformation, spec.values["svd_ranks"])]


EXPERIMENT = pmf_curves.experiment(
    "Figure 5: low-rank transformation of PMF's factors", "figure5", "rank", defenses
)
