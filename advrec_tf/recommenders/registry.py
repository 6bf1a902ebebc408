"""The recommenders that can be poisoned, by the names that flags give them."""

from pkgutil import resolve_name

from advrec_tf.recommenders.config import RecommenderConfig

# name -> "module:class" of its configuration, which is imported when it is asked for.
RECOMMENDERS = {
    "wrmf": "advrec_tf.recommenders.wrmf_config:WRMFConfig",
    "pmf": "advrec_tf.recommenders.pmf_config:PMFConfig",
    "wrmf_fit": "advrec_tf.recommenders.adversarial_wrmf_config:FitWRMFConfig",
    "wrmf_norm": "advrec_tf.recommenders.adversarial_wrmf_config:NormWRMFConfig",
    "lightgcn": "advrec_tf.recommenders.lightgcn_config:LightGCNConfig",
    "ensemble": "advrec_tf.recommenders.ensemble_config:EnsembleConfig",
}


def recommender_config(name: str) -> type[RecommenderConfig]:
    """Return the configuration's class of a name in RECOMMENDERS."""
    return resolve_name(RECOMMENDERS[name])
