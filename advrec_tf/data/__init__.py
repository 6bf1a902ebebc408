"""Interactions, and how they are loaded, split and sampled."""

from advrec_tf.data.groups import GROUPS, check_targets, choose_targets, popularity_groups
from advrec_tf.data.interactions import Interactions
from advrec_tf.data.loaders import NAMES, default_data_dir, distinct_names, load
from advrec_tf.data.sampling import (
    RatingBatches,
    Triples,
    UserBatches,
    check_negatives,
    rating_batches,
    sample_triples,
    shuffled_batches,
    user_batches,
)
from advrec_tf.data.subsampling import K_CORES, k_core, sample_users
from advrec_tf.data.synthetic import synthetic

__all__ = [
    "GROUPS",
    "K_CORES",
    "NAMES",
    "Interactions",
    "RatingBatches",
    "Triples",
    "UserBatches",
    "check_negatives",
    "check_targets",
    "choose_targets",
    "default_data_dir",
    "distinct_names",
    "k_core",
    "load",
    "popularity_groups",
    "rating_batches",
    "sample_triples",
    "sample_users",
    "shuffled_batches",
    "synthetic",
    "user_batches",
]
