"""Poisoning: fake profiles that make a recommender show the attacker's targets.

The attacks that learn, `bilevel` (RecSys20), `gan` and `zeroth_order` (RecSys19), are imported on
first use, because TensorFlow takes seconds.
"""

from importlib import import_module
from typing import Any

from advrec_tf.execution.startup import quiet_tensorflow
from advrec_tf.poisoning.heuristics import HEURISTICS, heuristic
from advrec_tf.poisoning.likeness import LIKENESS, likeness
from advrec_tf.poisoning.making import POISONING_ATTACKS, Plan, folder_of, make
from advrec_tf.poisoning.profiles import Profiles
from advrec_tf.poisoning.settings import MODULES, RecSys19Config, RecSys20Config
from advrec_tf.poisoning.trajectory import read_trajectory

__all__ = [
    "POISONING_ATTACKS",
    "HEURISTICS",
    "LIKENESS",
    "Plan",
    "Profiles",
    "RecSys19Config",
    "RecSys20Config",
    "folder_of",
    "heuristic",
    "likeness",
    "make",
    "read_trajectory",
]


def __getattr__(name: str) -> Any:
    if name not in MODULES.values():
        raise AttributeError(f"module 'advrec_tf.poisoning' has no attribute {name!r}")
    quiet_tensorflow()
    return import_module(f"advrec_tf.poisoning.{name}")
