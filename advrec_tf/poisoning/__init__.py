"""Poisoning: fake profiles that make a recommender show the attacker's targets.

The public names are imported on first use, because pandas and SciPy take a second to import.
The attacks that learn, `bilevel` (RecSys20), `gan` and `zeroth_order` (RecSys19), need TensorFlow.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from advrec_tf.execution.startup import quiet_tensorflow

if TYPE_CHECKING:
    from advrec_tf.poisoning.public import *  # noqa: F403

_LEARNED = ("bilevel", "gan", "zeroth_order")


def __getattr__(name: str) -> Any:
    if name in _LEARNED:
        quiet_tensorflow()
        return import_module(f"advrec_tf.poisoning.{name}")
    return getattr(import_module("advrec_tf.poisoning.public"), name)


def __dir__() -> list[str]:
    return [*globals(), *_LEARNED, *import_module("advrec_tf.poisoning.public").__all__]
