"""Perturbations of factor matrices: random noise, FGSM, BIM and PGD. No model is known here.

Points of attacks and noise need only NumPy. TensorFlow takes seconds, so the rest is imported when
it is first used.
"""

from importlib import import_module
from typing import Any

from advrec_tf.execution.startup import quiet_tensorflow
from advrec_tf.perturbations.arguments import BALLS, Budget, Perturbation
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

_LAZY = dict.fromkeys(("bim", "fgsm", "perturbed", "pgd", "trajectory"), "attacks")
_LAZY |= dict.fromkeys(("TripleChunks", "chunk_triples"), "chunks")
_LAZY |= dict.fromkeys(("batch_gradient", "bpr_loss", "full_gradient"), "gradient")
_LAZY |= dict.fromkeys(("ascend", "iterates", "normalize_rows"), "loop")
_LAZY |= dict.fromkeys(("project_l2", "project_linf"), "loop")
_LAZY |= dict.fromkeys(("ServedMap", "in_xla", "outside_xla"), "served")

__all__ = [
    "BALLS",
    "EMBEDDING_ATTACKS",
    "PGD_INIT",
    "UNITS",
    "VERSION",
    "Attack",
    "Budget",
    "NormalizedFactors",
    "Perturbation",
    "canonical",
    "default_step",
    "noise",
    "normalize_users",
    "normalized_factors",
    "points",
    "quantized_canonical",
    "truncate",
    "uniform_start",
    *_LAZY,
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'advrec_tf.perturbations' has no attribute {name!r}")
    quiet_tensorflow()
    return getattr(import_module(f"advrec_tf.perturbations.{_LAZY[name]}"), name)
