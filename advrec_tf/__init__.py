"""Adversarial perturbations, poisoning and defences of recommenders, in TensorFlow 2."""

import importlib

from advrec_tf.version import __version__ as __version__

_ROOMS = (
    "data",
    "defenses",
    "evaluation",
    "leaderboard",
    "perturbations",
    "poisoning",
    "recommenders",
    "reporting",
)
_MODELS = ("AMF", "BPRMF", "MostPopular", "PMF", "Random", "WRMF")


def __getattr__(name: str):
    # Imported on first use, because TensorFlow takes seconds.
    if name in _ROOMS:
        return importlib.import_module(f"advrec_tf.{name}")
    if name in _MODELS:
        return getattr(importlib.import_module("advrec_tf.recommenders"), name)
    if name == "audit":
        return importlib.import_module("advrec_tf.leaderboard.auditing").audit
    raise AttributeError(f"module 'advrec_tf' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *_ROOMS, *_MODELS, "audit"])
