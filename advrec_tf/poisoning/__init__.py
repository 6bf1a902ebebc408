"""Poisoning: fake profiles that make a recommender show the attacker's targets."""

from advrec_tf.poisoning.profiles import Profiles

__all__ = ["Profiles"]
