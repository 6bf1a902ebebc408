"""Defences against poisoned interactions and perturbed factors: detectors and low-rank methods."""

from advrec_tf.defenses.detection import KERNELS, Svm, sanitize, unsupervised_scores
from advrec_tf.defenses.low_rank import LowRank, Transformation, projection
from advrec_tf.defenses.protocol import Defense, project
from advrec_tf.defenses.reconstruction import PARTIAL, reconstruct, reconstruct_full
from advrec_tf.defenses.training_interactions import CONVERSIONS

__all__ = [
    "CONVERSIONS",
    "KERNELS",
    "PARTIAL",
    "Defense",
    "LowRank",
    "Svm",
    "Transformation",
    "project",
    "projection",
    "reconstruct",
    "reconstruct_full",
    "sanitize",
    "unsupervised_scores",
]
