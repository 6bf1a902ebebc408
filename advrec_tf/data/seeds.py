"""Checked seeds and their generators of random numbers."""

import numpy as np

from advrec_tf.errors import UserError


def check_seed(seed: int) -> None:
    """Raise UserError for a seed that NumPy does not take."""
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise UserError(f"the seed must be a whole number from 0 up, not {seed}")


def generator(seed: int | list[int]) -> np.random.Generator:
    """Return a generator seeded by one number or several.  Raises UserError as `check_seed`."""
    for part in seed if isinstance(seed, list) else [seed]:
        check_seed(part)
    return np.random.default_rng(seed)
