"""Perturbations of factor matrices: random noise, FGSM, BIM and PGD.  This room knows no model."""

from advrec_tf.perturbations.attacks import (
    BALLS,
    PGD_INIT,
    Perturbation,
    ascend,
    bim,
    fgsm,
    noise,
    normalize_rows,
    pgd,
    project_l2,
    project_linf,
    trajectory,
    uniform_start,
)
from advrec_tf.perturbations.gradient import TripleChunks, batch_gradient, bpr_loss, chunk_triples, full_gradient

__all__ = [
    "BALLS", "PGD_INIT", "Perturbation", "TripleChunks", "ascend", "batch_gradient", "bim", "bpr_loss", "chunk_triples", "fgsm",
    "full_gradient", "noise", "normalize_rows", "pgd", "project_l2", "project_linf", "trajectory", "uniform_start",
]  # fmt: skip
