"""How fragile is a recommender, and what helps?  Adversarial perturbations of factorisation models in TensorFlow 2."""

import importlib

__version__ = "0.1.0"
_ROOMS = ("data", "evaluation", "models", "perturbations", "reporting", "training")
_MODELS = ("AMF", "BPRMF", "MostPopular", "Random")


def __getattr__(name: str):
    # TensorFlow takes seconds to import: a room is opened when it is first used.
    if name in _ROOMS:
        return importlib.import_module(f"advrec_tf.{name}")
    if name in _MODELS:
        return getattr(importlib.import_module("advrec_tf.models"), name)
    if name == "audit":
        return importlib.import_module("advrec_tf.reporting").audit
    raise AttributeError(f"module 'advrec_tf' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *_ROOMS, *_MODELS, "audit"])
