"""Poisoning: fake profiles that make a recommender show the attacker's targets.

The attacks themselves, `bilevel` (RecSys20) and `gan` (RecSys19), need TensorFlow and are imported by name.
"""

from advrec_tf.poisoning.heuristics import HEURISTICS, heuristic
from advrec_tf.poisoning.likeness import likeness, rating_matrix
from advrec_tf.poisoning.profiles import Profiles

__all__ = ["HEURISTICS", "Profiles", "heuristic", "likeness", "rating_matrix"]
