"""Profiles as matrices of ratings, and real-valued matrices as profiles."""

import numpy as np

from advrec_tf.data import Interactions
from advrec_tf.errors import UserError
from advrec_tf.poisoning.profiles import highest_rating

MAX_RATING = 20  # larger values are counts of plays, say, and no ratings


def rating_matrix(data: Interactions, users: np.ndarray | None = None) -> np.ndarray:
    """Return the train ratings of all users, or of the given ones: float32 [users, items].

    Without ratings in the data, a click is the highest rating.  Entries without a click are 0.
    """
    matrix = data.matrix(ratings=data.train_ratings is not None)
    dense = (matrix if users is None else matrix[users]).toarray()
    return dense if data.train_ratings is not None else dense * np.float32(highest_rating(data))


def scale_of(data: Interactions) -> tuple[float, float]:
    """Return the lowest and the highest rating, 1 and 5 where there are none.

    Raises UserError when the values are not ratings from above 0 to MAX_RATING.
    """
    low, high = (1.0, highest_rating(data)) if data.train_ratings is None else data.rating_scale
    if not 0 < low <= high <= MAX_RATING:
        raise UserError(
            f"the ratings of {data.name} run from {low:g} to {high:g}, which is no scale that"
            f" RecSys19 can imitate (0 to {MAX_RATING})"
        )
    return low, high


def discrete(F: np.ndarray, scale: tuple[float, float] = (1.0, 5.0)) -> np.ndarray:
    """Round values to ratings: 0 below half of the lowest one, else the nearest on the scale."""
    low, high = scale
    step = min(low, 1.0)
    return np.where(F < low / 2, 0, np.clip(step * np.rint(F / step), low, high)).astype(np.float32)


def strongest(F: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Keep the counts[row] largest entries of each row and set the others to 0.

    Among equal entries the first are kept.  F: [N, items], counts: int [N]
    """
    order, ranks = np.argsort(-F, axis=1, kind="stable"), np.empty(F.shape, int)
    np.put_along_axis(ranks, order, np.arange(F.shape[1])[None], axis=1)
    return np.where(ranks < counts[:, None], F, 0)


def like_real(F: np.ndarray, data: Interactions, seed: int) -> np.ndarray:
    """Keep the largest entries of each row, as many as a random real user has clicks.

    F: [fakes, items]
    """
    degree = np.diff(data.indptr)
    return strongest(F, np.random.default_rng([seed, 1 << 21]).choice(degree[degree > 0], len(F)))


def random_mask(shape: tuple[int, int], entries: int, seed: int) -> np.ndarray:
    """Return a mask [fakes, items] that is True at `entries` random items of every row."""
    chosen = np.argsort(np.random.default_rng([seed, 1 << 21]).random(shape), axis=1)[:, :entries]
    mask = np.zeros(shape, bool)
    np.put_along_axis(mask, chosen, True, axis=1)
    return mask
