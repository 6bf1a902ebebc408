"""Generators of random numbers, after a look at the seed."""

import numpy as np

from advrec_tf.errors import UserError


def check_seed(seed: int) -> None:
    """Raises UserError for a seed that NumPy does not take."""
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise UserError(f"the seed must be a whole number from 0 up, not {seed}")


def generator(seed: int | list[int]) -> np.random.Generator:
    """A generator seeded by one number or several.  Raises UserError for a seed that is not a whole number from 0 up."""
    for part in seed if isinstance(seed, list) else [seed]:
        check_seed(part)
    return np.random.default_rng(seed)
