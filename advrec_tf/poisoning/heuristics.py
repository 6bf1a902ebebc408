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
    """Profiles that hold all targets, rated highest, and filler items up to `clicks` (default: a real user's mean).

    random: fillers uniformly, rated around the mean of all ratings; average: the same items, rated around the item's own mean;
    bandwagon: half of the fillers from the head, rated highest, the rest at random; popular: the most popular items alone, rated highest.
    Without ratings in the data a profile is its items, and random and average are the same.
    bootstrap: real users' own profiles, which know nothing of the targets (`sampled_users`); bootstrap_targets: the same, all targets rated highest.

    Raises UserError when a profile cannot hold so many items or not even the targets, and when too few users have at most `clicks`.
    """
    if name in SAMPLED:
        X = rating_matrix(data, sampled_users(data, fakes, seed, clicks))
        X[:, list(targets) if name == "bootstrap_targets" else []] = highest_rating(data)
        return Profiles.from_matrix(name, X, data, targets, rated=data.train_ratings is not None)
    clicks = round(len(data.train_users) / data.n_users) if clicks is None else clicks
    fillers = np.setdiff1d(np.arange(data.n_items), targets)
    if not len(targets) <= clicks <= data.n_items:
        raise UserError(
            f"a profile of {clicks} clicks must hold the {len(targets)} targets and at most the {data.n_items} items"
        )
    rng, X = np.random.default_rng(seed), np.zeros((fakes, data.n_items), np.float32)
    head = np.setdiff1d(popularity_groups(data)["head"], targets)
    popular = fillers[np.argsort(-data.item_counts[fillers], kind="stable")]
    for row in X:
        count = clicks - len(targets)
        if name == "popular":
            chosen = popular[:count]
        else:
            first = (
                rng.choice(head, min(len(head), count // 2), replace=False)
                if name == "bandwagon"
                else np.empty(0, int)
            )
            chosen = np.concatenate(
                [first, rng.choice(np.setdiff1d(fillers, first), count - len(first), replace=False)]
            )
        row[chosen] = _ratings(name, data, chosen, head, rng)
        row[list(targets)] = highest_rating(data)
    return Profiles.from_matrix(name, X, data, targets, rated=data.train_ratings is not None)


def sampled_users(data: Interactions, count: int, seed: int, most: int | None = None) -> np.ndarray:
    """Random users with clicks (at most `most` of them), none twice.  Raises UserError when there are not so many."""
    degree = np.diff(data.indptr)
    users = np.flatnonzero((degree > 0) & (degree <= (data.n_items if most is None else most)))
    if len(users) < count:
        raise UserError(
            f"{len(users)} users of {data.name} can be sampled, fewer than the {count} fakes"
        )
    return np.sort(np.random.default_rng([seed, 1 << 22]).choice(users, count, replace=False))


def _ratings(
    name: str, data: Interactions, items: np.ndarray, head: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    highest = highest_rating(data)
    if data.train_ratings is None or name == "popular":
        return np.full(len(items), highest)
    mean = np.full(len(items), data.train_ratings.mean())
    if name == "average":
        sums = np.bincount(data.train_items, data.train_ratings, data.n_items)[items]
        mean = np.where(
            data.item_counts[items] > 0, sums / np.maximum(data.item_counts[items], 1), mean
        )
    rated = np.clip(np.rint(rng.normal(mean, data.train_ratings.std())), *data.rating_scale)
    return np.where(np.isin(items, head), highest, rated) if name == "bandwagon" else rated
