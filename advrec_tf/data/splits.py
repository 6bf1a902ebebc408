"""Split protocols and sub-samples: which interactions are held out, and which are kept at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from advrec_tf.errors import UserError

if TYPE_CHECKING:
    from advrec_tf.data.interactions import Interactions

K_CORES = ("single_pass", "iterated")


def leave_one_out(users: np.ndarray, items: np.ndarray, timestamps: np.ndarray | None, seed: int) -> np.ndarray:
    """Marks one interaction of every user who has at least two (section 4.4, "Evaluation Protocol").

    With timestamps it is the latest one; a blank (NaN) timestamp is older than every known one, and of several with the
    same timestamp the one with the largest item id is taken.  Without timestamps (None) it is a random one, drawn from `seed`.

    users, items, timestamps: [N] -> bool [N]
    """
    if timestamps is None:
        age = np.random.default_rng(seed).random(len(users))
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
    order = np.lexsort((np.random.default_rng(seed).random(len(users)), users))
    counts = np.bincount(users)
    place = np.arange(len(users)) - np.repeat(np.cumsum(counts) - counts, counts)  # of an interaction among its user's
    held_out = np.zeros(len(users), bool)
    held_out[order] = place < np.where(counts > 1, np.maximum(1, np.rint(counts / 5)), 0)[users[order]]
    return held_out


def k_core(data: Interactions, k: int, protocol: str = "single_pass", seed: int = 0) -> Interactions:
    """The sub-sample without users and items of fewer than k interactions, train and test counted together (section 5.2).

    `single_pass` removes such users, then such items of what is left, once, which gives the densities the paper prints; `iterated`
    goes on until nothing more falls away.  A user whose test item survives keeps it; of the others with at least two interactions left
    the latest is held out, or one drawn from `seed` where there are no timestamps.

    Raises UserError when nothing testable is left.
    """
    if protocol not in K_CORES:
        raise ValueError(f"protocol must be one of {', '.join(K_CORES)}, not {protocol!r}")
    times = data.train_timestamps if data.train_timestamps is not None else np.random.default_rng(seed).random(len(data.train_users))
    both = pd.DataFrame(
        {
            "user": np.concatenate([data.train_users, data.test_users]),
            "item": np.concatenate([data.train_items, data.test_items]),
            "timestamp": np.concatenate([times, np.full(len(data.test_users), np.inf)]),  # a surviving test row is the latest
        }
    )
    while True:
        before = len(both)
        for column in ("user", "item"):
            both = both[np.bincount(both[column])[both[column]] >= k]
        if protocol == "single_pass" or len(both) == before:
            break
    held_out = leave_one_out(*(both[column].to_numpy() for column in ("user", "item", "timestamp")), seed) if len(both) else np.empty(0, bool)
    if not held_out.any():
        raise UserError(f"the {k}-core of {data.name} has no user left with two interactions")
    both = both.assign(user=data.user_ids[both["user"]], item=data.item_ids[both["item"]], timestamp=both["timestamp"].replace(np.inf, np.nan))
    return type(data).from_frames(both[~held_out], both[held_out], name=f"{data.name}-{protocol}-{k}")
