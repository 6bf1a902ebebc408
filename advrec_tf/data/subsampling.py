"""Sub-samples of a data set."""

import numpy as np
import pandas as pd

from advrec_tf.data.choices import K_CORES
from advrec_tf.data.interactions import Interactions
from advrec_tf.data.seeds import generator
from advrec_tf.data.splits import leave_one_out
from advrec_tf.errors import UserError


def k_core(
    data: Interactions, k: int, protocol: str = "single_pass", seed: int = 0
) -> Interactions:
    """Return the data without users and items of fewer than k interactions (section 5.2).

    Train and test interactions count together.  "single_pass" removes such users, then such items
    of the rest, once, which gives the paper's densities; "iterated" repeats this to the end.
    A user's test item stays if it survives.  Of other users with at least two interactions the
    latest is held out, or one drawn from `seed` without timestamps.  Timestamps of train rows are
    kept, and ratings if train and test have them.
    Raises UserError if no user is left who can be tested.
    """
    if protocol not in K_CORES:
        raise ValueError(f"protocol must be one of {', '.join(K_CORES)}, not {protocol!r}")
    both = _all_interactions(data, seed)
    while True:
        before = len(both)
        for column in ("user", "item"):
            both = both[np.bincount(both[column])[both[column]] >= k]
        if protocol == "single_pass" or len(both) == before:
            break
    users, items, ages = (both[column].to_numpy() for column in ("user", "item", "age"))
    held_out = leave_one_out(users, items, ages, seed) if len(both) else np.empty(0, bool)
    if not held_out.any():
        raise UserError(f"the {k}-core of {data.name} has no user left with two interactions")
    both = both.assign(user=data.user_ids[both["user"]], item=data.item_ids[both["item"]])
    name = f"{data.name}-{protocol}-{k}"
    return Interactions.from_frames(both[~held_out], both[held_out], name=name)


def _all_interactions(data: Interactions, seed: int) -> pd.DataFrame:
    """Return train and test rows together, with an age that is infinite for the test rows."""
    unknown, latest = np.full(len(data.test_users), np.nan), np.full(len(data.test_users), np.inf)
    ages = data.train_timestamps
    if ages is None:
        ages = generator(seed).random(len(data.train_users))
    columns = {
        "user": (data.train_users, data.test_users),
        "item": (data.train_items, data.test_items),
        "age": (ages, latest),
    }
    if data.train_timestamps is not None:
        columns["timestamp"] = data.train_timestamps, unknown
    if data.train_ratings is not None and data.test_ratings is not None:
        columns["rating"] = data.train_ratings, data.test_ratings
    return pd.DataFrame({name: np.concatenate(parts) for name, parts in columns.items()})


def sample_users(data: Interactions, count: int | None) -> tuple[np.ndarray | slice, Interactions]:
    """Return some users who have a test item, and their data; P[users] are their factors.

    The users are drawn without replacement and are always the same ones.  All users are returned
    if `count` is None or not below the number of tested users.
    """
    tested = np.unique(data.test_users)
    if count is None or count >= len(tested):
        return slice(None), data
    users = np.sort(generator(0).choice(tested, count, replace=False))
    return users, data.of_users(users)
