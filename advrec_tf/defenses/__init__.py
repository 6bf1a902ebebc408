"""Defences against poisoned interactions and perturbed factors.

They find the fake users, or make data and factors low-rank.

The public names are imported on first use, because SciPy and scikit-learn take a second to import.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from advrec_tf.defenses.public import *  # noqa: F403


def __getattr__(name: str) -> Any:
    return getattr(import_module("advrec_tf.defenses.public"), name)


def __dir__() -> list[str]:
    return [*globals(), *import_module("advrec_tf.defenses.public").__all__]
