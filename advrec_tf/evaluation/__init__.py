"""Lists and metrics.  This room knows no model: factors may come from anywhere."""

from advrec_tf.evaluation.certificate import CERTIFICATES, certified_metrics, certified_radii
from advrec_tf.evaluation.lists import read_lists, save_lists
from advrec_tf.evaluation.metrics import (
    DETECTION,
    NAMES,
    PER_USER,
    VERSION,
    metrics,
    novelty,
    per_user_metrics,
    rank_metrics,
    resampled_metrics,
)
from advrec_tf.evaluation.ranking import (
    block_starts,
    of_blocks,
    ranks_of_test_items,
    strongest,
    top_k,
    top_k_of_scores,
)
from advrec_tf.evaluation.significance import (
    bootstrap_interval,
    corrected,
    equal_harm,
    holm,
    mean_interval,
    mean_test,
    paired_test,
)
from advrec_tf.evaluation.targets import (
    TARGET_NAMES,
    per_user_poisoning_metrics,
    poisoning_metrics,
    target_hits,
    target_margins,
    target_ranks,
)
from advrec_tf.evaluation.voting import certified_votes, share_bounds, untouched_share

__all__ = [
    "CERTIFICATES",
    "DETECTION",
    "NAMES",
    "PER_USER",
    "TARGET_NAMES",
    "VERSION",
    "block_starts",
    "bootstrap_interval",
    "certified_metrics",
    "certified_radii",
    "certified_votes",
    "corrected",
    "equal_harm",
    "holm",
    "mean_interval",
    "mean_test",
    "metrics",
    "novelty",
    "of_blocks",
    "paired_test",
    "per_user_metrics",
    "per_user_poisoning_metrics",
    "poisoning_metrics",
    "rank_metrics",
    "ranks_of_test_items",
    "read_lists",
    "resampled_metrics",
    "save_lists",
    "share_bounds",
    "strongest",
    "target_hits",
    "target_margins",
    "target_ranks",
    "top_k",
    "top_k_of_scores",
    "untouched_share",
]
