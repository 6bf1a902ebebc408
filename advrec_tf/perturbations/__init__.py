"""Perturbations of factor matrices: random noise, FGSM, BIM and PGD.  This room knows no model.

The points of an attack and noise need NumPy alone; the rest is imported when it is first used, as TensorFlow takes seconds.
"""

from importlib import import_module
from typing import Any

from advrec_tf.execution.startup import quiet_tensorflow
from advrec_tf.perturbations.arguments import BALLS, Perturbation
from advrec_tf.perturbations.canonical import (
    UNITS,
    NormalizedFactors,
    canonical,
    normalize_users,
    normalized_factors,
    quantized_canonical,
    truncate,
)
from advrec_tf.perturbations.presets import (
    EMBEDDING_ATTACKS,
    PGD_INIT,
    VERSION,
    Attack,
    default_step,
    noise,
    points,
    uniform_start,
)

_LAZY = dict.fromkeys(
    (
        "ascend",
        "ascended",
        "bim",
        "fgsm",
        "normalize_rows",
        "perturbed",
        "pgd",
        "project_l2",
        "project_linf",
        "trajectory",
    ),
    "attacks",
)
_LAZY |= dict.fromkeys(
    ("TripleChunks", "batch_gradient", "bpr_loss", "chunk_triples", "full_gradient"), "gradient"
)

__all__ = [
    "EMBEDDING_ATTACKS",
    "BALLS",
    "UNITS",
    "PGD_INIT",
    "VERSION",
    "Attack",
    "NormalizedFactors",
    "Perturbation",
    "canonical",
    "quantized_canonical",
    "default_step",
    "normalize_users",
    "normalized_factors",
    "truncate",
    "noise",
    "points",
    "uniform_start",
    *_LAZY,
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'advrec_tf.perturbations' has no attribute {name!r}")
    quiet_tensorflow()
    return getattr(import_module(f"advrec_tf.perturbations.{_LAZY[name]}"), name)
