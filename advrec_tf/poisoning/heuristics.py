"""Fake profiles by rule: what a learned attack must beat."""

import numpy as np

from advrec_tf.data import Interactions, popularity_groups
from advrec_tf.errors import UserError
from advrec_tf.poisoning.profiles import Profiles, highest_rating
from advrec_tf.poisoning.ratings import rating_matrix
from advrec_tf.poisoning.settings import SAMPLED


def heuristic(
    name: str,
    data: Interactions,
    fakes: int,
    targets: tuple[int, ...],
    seed: int = 0,
    clicks: int | None = None,
) -> Profiles:
    """Return fake profiles that follow the rule of that name.

    bootstrap: profiles of real users (`sampled_users`), which know nothing of the targets.
    bootstrap_targets: the same, with the highest rating for all targets.
    The others give all targets the highest rating and add filler items up to `clicks` (default: the
    mean of real users).
    random: uniform fillers, rated around the mean of all ratings.
    average: the same fillers, rated around the mean of each item.
    bandwagon: half of the fillers from the head with the highest rating, the rest as in random.
    popular: the most popular items with the highest rating.
    Without ratings in the data a profile is a set of items, and random and average are the same.

    Raises UserError when `clicks` leaves no room for the targets or exceeds the catalogue, and when
    too few users have at most `clicks`.
    """
    if name in SAMPLED:
        X = rating_matrix(data, sampled_users(data, fakes, seed, clicks))
        X[:, list(targets) if name == "bootstrap_targets" else []] = highest_rating(data)
    else:
        clicks = round(len(data.train_users) / data.n_users) if clicks is None else clicks
        X = _targets_and_fillers(name, data, (fakes, clicks), targets, np.random.default_rng(seed))
    return Profiles.from_matrix(name, X, data, targets, rated=data.train_ratings is not None)


def sampled_users(data: Interactions, count: int, seed: int, most: int | None = None) -> np.ndarray:
    """Return distinct random users with clicks, at most `most` of them each, in ascending order.

    Raises UserError when there are fewer than `count`.
    """
    degree = np.diff(data.indptr)
    users = np.flatnonzero((degree > 0) & (degree <= (data.n_items if most is None else most)))
    if len(users) < count:
        raise UserError(
            f"{len(users)} users of {data.name} can be sampled, fewer than the {count} fakes"
        )
    return np.sort(np.random.default_rng([seed, 1 << 22]).choice(users, count, replace=False))


def _targets_and_fillers(
    name: str,
    data: Interactions,
    shape: tuple[int, int],
    targets: tuple[int, ...],
    rng: np.random.Generator,
) -> np.ndarray:
    """Return ratings, float32 [fakes, items].  shape: fakes, clicks of each"""
    fakes, clicks = shape
    if not len(targets) <= clicks <= data.n_items:
        raise UserError(
            f"a profile of {clicks} clicks must hold the {len(targets)} targets"
            f" and at most the {data.n_items} items"
        )
    fillers = np.setdiff1d(np.arange(data.n_items), targets)
    by_popularity = fillers[np.argsort(-data.item_counts[fillers], kind="stable")]
    head = np.setdiff1d(popularity_groups(data)["head"], targets)
    count, X = clicks - len(targets), np.zeros((fakes, data.n_items), np.float32)
    for row in X:
        if name == "popular":
            chosen = by_popularity[:count]
        else:
            in_head = min(len(head), count // 2) if name == "bandwagon" else 0
            first = rng.choice(head, in_head, replace=False) if in_head else np.empty(0, int)
            others = np.setdiff1d(fillers, first)
            chosen = np.concatenate([first, rng.choice(others, count - len(first), replace=False)])
        row[chosen] = _filler_ratings(name, data, chosen, head, rng)
        row[list(targets)] = highest_rating(data)
    return X


def _filler_ratings(
    name: str, data: Interactions, items: np.ndarray, head: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return the fakes' ratings of filler items: float [items].

    `popular` rates all of them highest. Others draw normal ratings around the mean of all ratings,
    `average` around the mean of each item. `bandwagon` rates the items of the head highest.
    """
    highest = highest_rating(data)
    if data.train_ratings is None or name == "popular":
        return np.full(len(items), highest)
    mean = np.full(len(items), data.train_ratings.mean())
    if name == "average":
        counts = data.item_counts[items]
        sums = np.bincount(data.train_items, data.train_ratings, data.n_items)[items]
        mean = np.where(counts > 0, sums / np.maximum(counts, 1), mean)
    rated = np.clip(np.rint(rng.normal(mean, data.train_ratings.std())), *data.rating_scale)
    return np.where(np.isin(items, head), highest, rated) if name == "bandwagon" else rated
