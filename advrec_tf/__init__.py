"""Adversarial perturbations, poisoning and defences of recommenders, in TensorFlow 2.

- `audit` measures how fragile any pair of factor matrices is, and writes one page.
- `data` loads, splits and samples interactions. `recommenders` holds the models and trains them.
- `perturbations` moves their embeddings. `poisoning` adds fake users to their data.
- `defenses` finds the fake users or repairs the data. `evaluation` has metrics and certificates.
- `stability` measures what storage, another training and new data do to factors and lists.
- `leaderboard` compares factors under an ensemble of attacks. `reporting` makes pages of results.
"""

import importlib

from advrec_tf.version import __version__ as __version__

ROOMS = (
    "data",
    "defenses",
    "evaluation",
    "leaderboard",
    "perturbations",
    "poisoning",
    "recommenders",
    "reporting",
    "stability",
)
_MODELS = ("AMF", "BPRMF", "MostPopular", "PMF", "Random", "WRMF")
__all__ = ["audit", *_MODELS, *ROOMS]


def __getattr__(name: str):
    # Imported on first use, because TensorFlow takes seconds.
    if name in ROOMS:
        return importlib.import_module(f"advrec_tf.{name}")
    if name in _MODELS:
        return getattr(importlib.import_module("advrec_tf.recommenders"), name)
    if name == "audit":
        return importlib.import_module("advrec_tf.leaderboard.auditing").audit
    raise AttributeError(f"module 'advrec_tf' has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
