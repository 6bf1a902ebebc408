"""Split protocols, which choose the interactions that are held out."""

import numpy as np

from advrec_tf.data.seeds import generator


def leave_one_out(
    users: np.ndarray, items: np.ndarray, timestamps: np.ndarray | None, seed: int
) -> np.ndarray:
    """Mark one interaction of every user who has at least two (section 4.4).

    It is the user's latest one.  A blank (NaN) timestamp is older than every known one, and ties
    go to the largest item id.  Without timestamps (None) it is drawn from `seed`.

    users, items, timestamps: [N] -> bool [N]
    """
    if timestamps is None:
        age = generator(seed).random(len(users))
    else:
        age = np.where(np.isnan(timestamps), -np.inf, timestamps)
    if np.all(users[1:] >= users[:-1]):
        chosen = np.flatnonzero(_is_highest(users, age))
    else:
        order = np.argsort(users, kind="stable")
        chosen = order[_is_highest(users[order], age[order])]
    chosen = chosen[_is_highest(users[chosen], items[chosen])]
    held_out = np.zeros(len(users), bool)
    held_out[chosen] = np.bincount(users)[users[chosen]] > 1
    return held_out


def _is_highest(groups: np.ndarray, key: np.ndarray) -> np.ndarray:
    """Return which keys are the highest of their group: bool [N].

    groups, key: [N], sorted by group
    """
    first = np.flatnonzero(np.diff(groups, prepend=-1))
    highest = np.maximum.reduceat(key, first)
    return key == np.repeat(highest, np.diff(first, append=len(key)))


def one_in_five(users: np.ndarray, seed: int) -> np.ndarray:
    """Mark a random fifth of every user's interactions: the 80:20 split.

    The fifth is rounded, and at least one interaction of a user who has two or more.

    users: [N] -> bool [N]
    """
    order = np.lexsort((generator(seed).random(len(users)), users))
    counts = np.bincount(users)
    first = np.cumsum(counts) - counts  # the position of a user's first interaction in `order`
    turn = np.arange(len(users)) - np.repeat(first, counts)
    sizes = np.where(counts > 1, np.maximum(1, np.rint(counts / 5)), 0)
    held_out = np.zeros(len(users), bool)
    held_out[order] = turn < sizes[users[order]]
    return held_out
