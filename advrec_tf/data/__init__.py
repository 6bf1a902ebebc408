"""Interactions: loading, splitting, sampling.

The public names are imported on first use, because pandas and SciPy take a second to import.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from advrec_tf.data.public import *  # noqa: F403


def __getattr__(name: str) -> Any:
    return getattr(import_module("advrec_tf.data.public"), name)


def __dir__() -> list[str]:
    return [*globals(), *import_module("advrec_tf.data.public").__all__]
