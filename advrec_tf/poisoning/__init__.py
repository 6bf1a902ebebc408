"""Poisoning: fake profiles that make a recommender show the attacker's targets.

The public names are imported on first use, because pandas and SciPy take a second to import.
The attacks that learn, `bilevel` (RecSys20), `gan` and `zeroth_order` (RecSys19), need TensorFlow.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from advrec_tf.execution.startup import quiet_tensorflow
from advrec_tf.lazy import public_names

if TYPE_CHECKING:
    from advrec_tf.poisoning.public import *  # noqa: F403

_public_name, __dir__ = public_names(__name__)


def __getattr__(name: str) -> Any:
    """Return a public name, or a module of an attack that learns."""
    if name not in ("bilevel", "gan", "zeroth_order"):
        return _public_name(name)
    quiet_tensorflow()
    return import_module(f"advrec_tf.poisoning.{name}")
