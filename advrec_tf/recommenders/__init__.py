"""Recommenders: a Keras model and its configuration each, training, checkpoints, baselines without training, and factors of other libraries.

A model is imported when it is first used, because TensorFlow takes seconds to import.
"""

from importlib import import_module
from typing import Any

from advrec_tf.execution.startup import quiet_tensorflow
from advrec_tf.recommenders.settings import (
    RECOMMENDERS,
    AMFSettings,
    BPRMFSettings,
    EnsembleSettings,
    MarginMFSettings,
    PMFSettings,
    Settings,
    WRMFSettings,
    epoch_file,
    model_folder,
)

_WITHOUT_TENSORFLOW = {
    "MostPopular": "baselines",
    "Random": "baselines",
    "selected_factors": "checkpoints",
}
_LAZY = {
    "ADVERSARIES": "amf",
    "AMF": "amf",
    "AdversarialWRMF": "adversarial_wrmf",
    "BPRMF": "bprmf",
    "CoupledAdam": "adam",
    "Ensemble": "ensemble",
    "MarginMF": "margin_mf",
    "PMF": "pmf",
    "RowAdagrad": "adagrad",
    "WRMF": "wrmf",
    "train": "trainer",
}

__all__ = [
    "RECOMMENDERS",
    "AMFSettings",
    "BPRMFSettings",
    "EnsembleSettings",
    "MarginMFSettings",
    "PMFSettings",
    "Settings",
    "WRMFSettings",
    "epoch_file",
    "model_folder",
    *_WITHOUT_TENSORFLOW,
    *_LAZY,
]


def __getattr__(name: str) -> Any:
    if name in _WITHOUT_TENSORFLOW:
        module = import_module(f"advrec_tf.recommenders.{_WITHOUT_TENSORFLOW[name]}")
        return getattr(module, name)
    if name not in _LAZY:
        raise AttributeError(f"module 'advrec_tf.recommenders' has no attribute {name!r}")
    quiet_tensorflow()
    return getattr(import_module(f"advrec_tf.recommenders.{_LAZY[name]}"), name)
