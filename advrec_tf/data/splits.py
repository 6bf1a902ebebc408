"""Split protocols: which interactions are held out."""

import numpy as np

from advrec_tf.data.seeds import generator


def leave_one_out(
    users: np.ndarray, items: np.ndarray, timestamps: np.ndarray | None, seed: int
) -> np.ndarray:
    """Marks one interaction of every user who has at least two (section 4.4, "Evaluation Protocol").

    With timestamps it is the latest one; a blank (NaN) timestamp is older than every known one, and of several with the
    same timestamp the one with the largest item id is taken.  Without timestamps (None) it is a random one, drawn from `seed`.

    users, items, timestamps: [N] -> bool [N]
    """
    if timestamps is None:
        age = generator(seed).random(len(users))
    else:
        age = np.where(np.isnan(timestamps), -np.inf, timestamps)
    chosen = np.argsort(users, kind="stable")
    for key in (age, items):
        chosen = highest_of_each(users, key, chosen)
    held_out = np.zeros(len(users), bool)
    held_out[chosen] = np.bincount(users)[users[chosen]] > 1
    return held_out


def highest_of_each(groups: np.ndarray, key: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Of places in the order of their groups those whose key is the highest in the group."""
    first = np.flatnonzero(np.diff(groups[places], prepend=-1))
    highest = np.maximum.reduceat(key[places], first)
    return places[key[places] == np.repeat(highest, np.diff(first, append=len(places)))]


def one_in_five(users: np.ndarray, seed: int) -> np.ndarray:
    """Marks a random fifth of every user's interactions, rounded, and at least one of two or more: the 80:20 split.

    users: [N] -> bool [N]
    """
    order = np.lexsort((generator(seed).random(len(users)), users))
    counts = np.bincount(users)
    place = np.arange(len(users)) - np.repeat(
        np.cumsum(counts) - counts, counts
    )  # of an interaction among its user's
    held_out = np.zeros(len(users), bool)
    held_out[order] = (
        place < np.where(counts > 1, np.maximum(1, np.rint(counts / 5)), 0)[users[order]]
    )
    return held_out
