"""Sub-samples of a data set: which users and items are kept at all."""

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
    """The sub-sample without users and items of fewer than k interactions, train and test counted together (section 5.2).

      `single_pass` removes such users, then such items of what is left, once, which gives the densities the paper prints; `iterated`
      goes on until nothing more falls away.  A user whose test item survives keeps it; of the others with at least two interactions left
      the latest is held out, or one drawn from `seed` where there are no timestamps.
    Timestamps of train rows are kept, and ratings where train and test have them.

      Raises UserError when nothing testable is left.
    """
    if protocol not in K_CORES:
        raise ValueError(f"protocol must be one of {', '.join(K_CORES)}, not {protocol!r}")
    age = (
        generator(seed).random(len(data.train_users))
        if data.train_timestamps is None
        else data.train_timestamps
    )
    columns = {
        "user": (data.train_users, data.test_users),
        "item": (data.train_items, data.test_items),
        "age": (age, np.full(len(data.test_users), np.inf)),  # a surviving test row is the latest
        "timestamp": (data.train_timestamps, np.full(len(data.test_users), np.nan)),
        "rating": (data.train_ratings, data.test_ratings),
    }
    both = pd.DataFrame(
        {
            name: np.concatenate([a, b])
            for name, (a, b) in columns.items()
            if a is not None and b is not None
        }
    )
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
    return Interactions.from_frames(
        both[~held_out], both[held_out], name=f"{data.name}-{protocol}-{k}"
    )


def sample_users(data: Interactions, count: int | None) -> tuple[np.ndarray | slice, Interactions]:
    """Users who have a test item, drawn without replacement, always the same ones, and the data of these alone; all users, where `count` is None or
    no less than there are.

    P[users] are their factors.
    """
    tested = np.unique(data.test_users)
    if count is None or count >= len(tested):
        return slice(None), data
    users = np.sort(generator(0).choice(tested, count, replace=False))
    return users, data.of_users(users)
