"""Interactions: loading, splitting, sampling."""

from advrec_tf.data.interactions import Interactions
from advrec_tf.data.loaders import NAMES, default_data_dir, load
from advrec_tf.data.sampling import Triples, check_negatives, sample_triples, shuffled_batches
from advrec_tf.data.splits import K_CORES, k_core
from advrec_tf.data.synthetic import synthetic

__all__ = [
    "K_CORES",
    "NAMES",
    "Interactions",
    "Triples",
    "check_negatives",
    "default_data_dir",
    "k_core",
    "load",
    "sample_triples",
    "shuffled_batches",
    "synthetic",
]
