"""All public names of `advrec_tf.data`, which it imports from here on first use."""

from advrec_tf.data.choices import GROUPS, K_CORES
from advrec_tf.data.groups import check_targets, choose_targets, popularity_groups
from advrec_tf.data.interactions import Interactions
from advrec_tf.data.loaders import default_data_dir, distinct_names, load
from advrec_tf.data.reading import Reading
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
from advrec_tf.data.sources import NAMES
from advrec_tf.data.subsampling import k_core, sample_users
from advrec_tf.data.synthesis import synthetic

__all__ = [name for name in globals() if not name.startswith("_")]
