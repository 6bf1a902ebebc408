"""Stability: what storage, a new training, new data and fake users do to factors and lists."""

from advrec_tf.stability.gate import Comparison, compare
from advrec_tf.stability.measuring import LAYOUT, VERSION

__all__ = ["LAYOUT", "VERSION", "Comparison", "compare"]
