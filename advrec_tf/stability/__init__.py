"""What storage, another training, new data and fake users do to factors and to lists."""

from advrec_tf.stability.gate import Comparison, compare, parse_bound
from advrec_tf.stability.measures import epsilons, list_changes
from advrec_tf.stability.procrustes import aligned
from advrec_tf.stability.quantization import STORAGE

__all__ = [
    "STORAGE",
    "Comparison",
    "aligned",
    "compare",
    "epsilons",
    "list_changes",
    "parse_bound",
]
