"""All public names of `advrec_tf.defenses`, which it imports from here on first use."""

from advrec_tf.defenses.choices import CONVERSIONS, PARTIAL
from advrec_tf.defenses.detection import KERNELS, Svm, sanitize, unsupervised_scores
from advrec_tf.defenses.low_rank import LowRank, Transformation, projection
from advrec_tf.defenses.protocol import Defense, Projection, project
from advrec_tf.defenses.reconstruction import reconstruct, reconstruct_full

__all__ = [name for name in globals() if not name.startswith("_")]
