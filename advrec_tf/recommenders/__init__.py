"""Recommenders: models with their configurations, training, checkpoints and baselines.

TensorFlow and SciPy's statistics take seconds to import, so models and baselines are imported
when they are first used.
"""

from importlib import import_module
from typing import Any

from advrec_tf.execution.startup import quiet_tensorflow
from advrec_tf.recommenders.amf_config import AMFConfig
from advrec_tf.recommenders.bprmf_config import BPRMFConfig
from advrec_tf.recommenders.config import RecommenderConfig
from advrec_tf.recommenders.ensemble_config import EnsembleConfig
from advrec_tf.recommenders.lightgcn_config import LightGCNConfig
from advrec_tf.recommenders.margin_mf_config import MarginMFConfig
from advrec_tf.recommenders.pmf_config import PMFConfig
from advrec_tf.recommenders.registry import RECOMMENDERS, recommender_config
from advrec_tf.recommenders.sasrec_config import SASRecConfig
from advrec_tf.recommenders.wrmf_config import WRMFConfig

_WITHOUT_TENSORFLOW = {
    "MostPopular": "baselines",
    "Random": "baselines",
    "epoch_file": "checkpoints",
    "model_folder": "checkpoints",
    "selected_factors": "checkpoints",
}
_LAZY = {
    "AMF": "amf",
    "BPRMF": "bprmf",
    "CoupledAdam": "adam",
    "Ensemble": "ensemble",
    "FactorModel": "factors",
    "LightGCN": "lightgcn",
    "MarginMF": "margin_mf",
    "PMF": "pmf",
    "RowAdagrad": "adagrad",
    "SASRec": "sasrec",
    "WRMF": "wrmf",
    "train": "trainer",
}

__all__ = [
    "RECOMMENDERS",
    "AMFConfig",
    "BPRMFConfig",
    "EnsembleConfig",
    "LightGCNConfig",
    "MarginMFConfig",
    "PMFConfig",
    "RecommenderConfig",
    "SASRecConfig",
    "WRMFConfig",
    "recommender_config",
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
