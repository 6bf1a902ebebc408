"""Recommenders: BPR-MF, AMF, WRMF, PMF and their robust relatives as Keras models, and the baselines that need no training.

A model is imported when it is first used, as TensorFlow takes seconds.
"""

from importlib import import_module
from typing import Any

from advrec_tf.models.baselines import MostPopular, Random
from advrec_tf.startup import quiet_tensorflow

_LAZY = {
    "ADVERSARIES": "amf", "AMF": "amf", "AdversarialWRMF": "adversarial_wrmf", "BPRMF": "bprmf", "CoupledAdam": "adam", "Ensemble": "ensemble",
    "MarginMF": "margin_mf", "PMF": "pmf", "RowAdagrad": "adagrad", "WRMF": "wrmf",
}  # fmt: skip

__all__ = ["MostPopular", "Random", *_LAZY]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'advrec_tf.models' has no attribute {name!r}")
    quiet_tensorflow()
    return getattr(import_module(f"advrec_tf.models.{_LAZY[name]}"), name)
