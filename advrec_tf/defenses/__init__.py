"""Defences against poisoned interactions and perturbed factors: finding the fakes, or low-rank data and factors."""

from advrec_tf.defenses.detection import KERNELS, Svm, sanitize, unsupervised_scores
from advrec_tf.defenses.entering import ENTER
from advrec_tf.defenses.low_rank import (
    PARTIAL,
    LowRank,
    Transformation,
    projection,
    reconstruct,
    reconstruct_full,
)
from advrec_tf.defenses.protocol import Defense, Projection, project

__all__ = [
    "ENTER",
    "KERNELS",
    "PARTIAL",
    "Defense",
    "LowRank",
    "Projection",
    "Svm",
    "Transformation",
    "project",
    "projection",
    "reconstruct",
    "reconstruct_full",
    "sanitize",
    "unsupervised_scores",
]
