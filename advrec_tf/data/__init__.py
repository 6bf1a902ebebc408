"""Interactions: loading, splitting, sampling.

The public names are imported on first use, because pandas and SciPy take a second to import.
"""

from typing import TYPE_CHECKING

from advrec_tf.lazy import public_names

if TYPE_CHECKING:
    from advrec_tf.data.public import *  # noqa: F403

__getattr__, __dir__ = public_names(__name__)
