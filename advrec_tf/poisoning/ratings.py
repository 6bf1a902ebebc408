"""Profiles as matrices of ratings, and matrices of real values as profiles."""

import numpy as np

from advrec_tf.data import Interactions
from advrec_tf.errors import UserError
from advrec_tf.poisoning.profiles import highest_rating

MOST_RATINGS = 20  # a scale above is no scale of ratings, but counts of plays, say


def rating_matrix(data: Interactions, users: np.ndarray | None = None) -> np.ndarray:
    """float32 [users, items]: the train ratings (the highest for each click where there are none), 0 elsewhere; of all users or of some."""
    matrix = data.matrix(ratings=data.train_ratings is not None)
    dense = (matrix if users is None else matrix[users]).toarray()
    return dense if data.train_ratings is not None else dense * np.float32(highest_rating(data))


def scale_of(data: Interactions) -> tuple[float, float]:
    """The lowest and the highest rating, 1 and 5 where there are none.  Raises UserError for what is no scale of ratings."""
    low, high = (1.0, highest_rating(data)) if data.train_ratings is None else data.rating_scale
    if not 0 < low <= high <= MOST_RATINGS:
        raise UserError(
            f"the ratings of {data.name} run from {low:g} to {high:g}, which is no scale that RecSys19 can imitate (0 to {MOST_RATINGS})"
        )
    return low, high


def discrete(F: np.ndarray, scale: tuple[float, float] = (1.0, 5.0)) -> np.ndarray:
    """Values as ratings: nothing below half of the lowest, else the nearest step of the scale."""
    low, high = scale
    step = min(low, 1.0)
    return np.where(F < low / 2, 0, np.clip(step * np.rint(F / step), low, high)).astype(np.float32)


def strongest(F: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """F with 0 for all but the counts[row] largest entries of each row; of equal ones the first are kept.  F: [N, items], counts: int [N]"""
    places = np.empty(F.shape, int)
    np.put_along_axis(
        places, np.argsort(-F, axis=1, kind="stable"), np.arange(F.shape[1])[None], axis=1
    )
    return np.where(places < counts[:, None], F, 0)


def like_real(F: np.ndarray, data: Interactions, seed: int) -> np.ndarray:
    """F with as many entries a row as a random real user has clicks, its largest.  F: [fakes, items]"""
    degree = np.diff(data.indptr)
    return strongest(F, np.random.default_rng([seed, 1 << 21]).choice(degree[degree > 0], len(F)))


def random_mask(shape: tuple[int, int], entries: int, seed: int) -> np.ndarray:
    """True at so many random places of every row.  -> bool [fakes, items]"""
    chosen = np.argsort(np.random.default_rng([seed, 1 << 21]).random(shape), axis=1)[:, :entries]
    mask = np.zeros(shape, bool)
    np.put_along_axis(mask, chosen, True, axis=1)
    return mask
