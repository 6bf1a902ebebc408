"""The data of another training: clicks that are missing, and fake users that are there."""

from collections.abc import Callable
from functools import partial

import numpy as np

from advrec_tf.data import Interactions, choose_targets, popularity_groups
from advrec_tf.poisoning.heuristics import heuristic

SHARES = (0.001, 0.01, 0.05, 0.1)  # of the training clicks
TARGETS = 5  # items that fake users push
FAKE_SHARE = 0.01  # fake users for each real one


def data_changes(data: Interactions) -> dict[str, Callable[[int], Interactions]]:
    """Return what can be done to the data, by name; each takes a seed."""
    changes: dict[str, Callable[[int], Interactions]] = {
        "one user less": partial(without_one_user, data),
        "bandwagon 1%": partial(with_fakes, data),
    }
    for share in SHARES:
        changes[f"random {100 * share:g}%"] = partial(without_random, data, share)
        if data.train_timestamps is not None:
            changes[f"last {100 * share:g}%"] = partial(without_last, data, share)
    return changes


def without_last(data: Interactions, share: float, seed: int = 0) -> Interactions:
    """Return the data without the latest clicks. A click without a time is older than all others.

    Each user's first click stays. `seed` changes nothing.
    """
    order = np.argsort(-_age(data), kind="stable")
    return _without(data, order, share, f"last-{share:g}")


def without_random(data: Interactions, share: float, seed: int) -> Interactions:
    """Return the data without random clicks. Each user's first click stays."""
    order = np.random.default_rng(seed).permutation(len(data.train_users))
    return _without(data, order, share, f"random-{share:g}-{seed}")


def without_one_user(data: Interactions, seed: int) -> Interactions:
    """Return the data without all clicks but the first of one random user."""
    user = np.random.default_rng(seed).choice(np.unique(data.train_users))
    removed = (data.train_users == user) & ~_first_clicks(data)
    return data.without(removed, f"{data.name}-one-user-{seed}")


def with_fakes(
    data: Interactions, seed: int, targets: tuple[int, ...] | None = None
) -> Interactions:
    """Return the data with bandwagon's fake users after the real ones.

    targets: what they push, by default unpopular items
    """
    if targets is None:
        unpopular = popularity_groups(data)["tail"]
        targets = choose_targets(data, "tail", min(TARGETS, len(unpopular)), seed)
    count = max(1, round(FAKE_SHARE * data.n_users))
    return heuristic("bandwagon", data, count, targets, seed).stacked_on(data)


def _without(data: Interactions, order: np.ndarray, share: float, name: str) -> Interactions:
    """Return the data without a share of the clicks, the first in an order that may go."""
    may_go = order[~_first_clicks(data)[order]]
    removed = np.zeros(len(data.train_users), bool)
    removed[may_go[: round(share * len(removed))]] = True
    return data.without(removed, f"{data.name}-{name}")


def _age(data: Interactions) -> np.ndarray:
    """Return the times of the training clicks, those that are unknown before all others."""
    times = data.train_timestamps
    if times is None:
        return np.zeros(len(data.train_users))
    return np.where(np.isnan(times), -np.inf, times)


def _first_clicks(data: Interactions) -> np.ndarray:
    """Return which training clicks are the first of their user: bool [N]."""
    order = np.lexsort((_age(data), data.train_users))
    first = np.zeros(len(order), bool)
    first[order[data.indptr[:-1][np.diff(data.indptr) > 0]]] = True
    return first
