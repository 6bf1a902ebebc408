"""Split protocols: which interactions are held out."""

import numpy as np

from advrec_tf.data.seeds import generator


def leave_one_out(users: np.ndarray, items: np.ndarray, timestamps: np.ndarray | None, seed: int) -> np.ndarray:
    """Marks one interaction of every user who has at least two (section 4.4, "Evaluation Protocol").

    With timestamps it is the latest one; a blank (NaN) timestamp is older than every known one, and of several with the
    same timestamp the one with the largest item id is taken.  Without timestamps (None) it is a random one, drawn from `seed`.

    users, items, timestamps: [N] -> bool [N]
    """
    if timestamps is None:
        age = generator(seed).random(len(users))
    else:
        age = np.where(np.isnan(timestamps), -np.inf, timestamps)
    order = np.lexsort((items, age, users))
    last_of_user = order[np.append(users[order][1:] != users[order][:-1], True)]
    held_out = np.zeros(len(users), bool)
    held_out[last_of_user] = np.bincount(users)[users[last_of_user]] > 1
    return held_out


def one_in_five(users: np.ndarray, seed: int) -> np.ndarray:
    """Marks a random fifth of every user's interactions, rounded, and at least one of two or more: the 80:20 split.

    users: [N] -> bool [N]
    """
    order = np.lexsort((generator(seed).random(len(users)), users))
    counts = np.bincount(users)
    place = np.arange(len(users)) - np.repeat(np.cumsum(counts) - counts, counts)  # of an interaction among its user's
    held_out = np.zeros(len(users), bool)
    held_out[order] = place < np.where(counts > 1, np.maximum(1, np.rint(counts / 5)), 0)[users[order]]
    return held_out
