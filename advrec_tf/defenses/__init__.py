"""Defences against poisoned interactions and perturbed factors.

They find the fake users, or make data and factors low-rank.

The public names are imported on first use, because SciPy and scikit-learn take a second to import.
"""

from typing import TYPE_CHECKING

from advrec_tf.lazy import public_names

if TYPE_CHECKING:
    from advrec_tf.defenses.public import *  # noqa: F403

__getattr__, __dir__ = public_names(__name__)
