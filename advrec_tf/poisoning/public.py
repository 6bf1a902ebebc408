"""All public names of `advrec_tf.poisoning`, which it imports from here on first use."""

from advrec_tf.poisoning.heuristics import heuristic
from advrec_tf.poisoning.making import Plan, folder_of, make
from advrec_tf.poisoning.profiles import Profiles
from advrec_tf.poisoning.settings import (
    HEURISTICS,
    POISONING_ATTACKS,
    RecSys19Config,
    RecSys20Config,
)
from advrec_tf.poisoning.similarity import LIKENESS, likeness
from advrec_tf.poisoning.trajectory import read_trajectory

__all__ = [name for name in globals() if not name.startswith("_")]
