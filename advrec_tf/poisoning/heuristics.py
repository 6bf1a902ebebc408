"""Fake profiles by rule: what a learned attack must beat."""

from pkgutil import resolve_name

import numpy as np

from advrec_tf.data import Interactions, popularity_groups
from advrec_tf.errors import UserError
from advrec_tf.poisoning.profiles import Profiles, highest_rating
from advrec_tf.poisoning.ratings import rating_matrix
from advrec_tf.poisoning.settings import HEURISTICS


def heuristic(
    name: str,
    data: Interactions,
    fakes: int,
    targets: tuple[int, ...],
    seed: int = 0,
    clicks: int | None = None,
) -> Profiles:
    """Return fake profiles that follow a rule of HEURISTICS, by its name.

    Raises UserError when `clicks` leaves no room for the targets or exceeds the catalogue, and when
    too few users have at most `clicks`.
    """
    rule = resolve_name(HEURISTICS[name])(data, targets)
    X = rule.matrix(fakes, seed, clicks)
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


class Bootstrap:
    """Profiles of real users (`sampled_users`), which know nothing of the targets."""

    def __init__(self, data: Interactions, targets: tuple[int, ...]):
        self.data = data
        self.targets = list(targets)

    def matrix(self, fakes: int, seed: int, clicks: int | None) -> np.ndarray:
        """Return ratings, float32 [fakes, items]."""
        return rating_matrix(self.data, sampled_users(self.data, fakes, seed, clicks))


class BootstrapWithTargets(Bootstrap):
    """Profiles of real users, with the highest rating for all targets."""

    def matrix(self, fakes: int, seed: int, clicks: int | None) -> np.ndarray:
        """Return ratings, float32 [fakes, items]."""
        X = super().matrix(fakes, seed, clicks)
        X[:, self.targets] = highest_rating(self.data)
        return X


class RandomFillers:
    """The targets with the highest rating, and uniform fillers rated around the mean rating.

    Without ratings in the data a profile is a set of items.
    """

    def __init__(self, data: Interactions, targets: tuple[int, ...]):
        self.data = data
        self.targets = list(targets)
        self.candidates = np.setdiff1d(np.arange(data.n_items), targets)

    def matrix(self, fakes: int, seed: int, clicks: int | None) -> np.ndarray:
        """Return ratings, float32 [fakes, items].

        clicks: of each profile, targets included; the mean of real users by default.
        """
        data, rng = self.data, np.random.default_rng(seed)
        if clicks is None:
            clicks = round(len(data.train_users) / data.n_users)
        if not len(self.targets) <= clicks <= data.n_items:
            raise UserError(
                f"a profile of {clicks} clicks must hold the {len(self.targets)} targets"
                f" and at most the {data.n_items} items"
            )
        X = np.zeros((fakes, data.n_items), np.float32)
        for row in X:
            items = self.fillers(clicks - len(self.targets), rng)
            row[items] = self.ratings(items, rng)
            row[self.targets] = highest_rating(data)
        return X

    def fillers(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Return distinct items that are no targets: int [count]."""
        return rng.choice(self.candidates, count, replace=False)

    def ratings(self, items: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the ratings of fillers: float [count]."""
        if self.data.train_ratings is None:
            return np.full(len(items), highest_rating(self.data))
        drawn = rng.normal(self.mean_ratings(items), self.data.train_ratings.std())
        return np.clip(np.rint(drawn), *self.data.rating_scale)

    def mean_ratings(self, items: np.ndarray) -> np.ndarray:
        """Return what the ratings of fillers are drawn around: float [count]."""
        return np.full(len(items), self.data.train_ratings.mean())


class AverageFillers(RandomFillers):
    """The same fillers, rated around the mean of each item."""

    def mean_ratings(self, items: np.ndarray) -> np.ndarray:
        """Return the mean rating of each item, and the mean of all for items without one."""
        data, counts = self.data, self.data.item_counts[items]
        sums = np.bincount(data.train_items, data.train_ratings, data.n_items)[items]
        return np.where(counts > 0, sums / np.maximum(counts, 1), super().mean_ratings(items))


class BandwagonFillers(RandomFillers):
    """Half of the fillers from the head with the highest rating, and the rest as in random."""

    def __init__(self, data: Interactions, targets: tuple[int, ...]):
        super().__init__(data, targets)
        self.head = np.setdiff1d(popularity_groups(data)["head"], targets)

    def fillers(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Return items of the head, and uniform ones of all the others."""
        popular = rng.choice(self.head, min(len(self.head), count // 2), replace=False)
        others = np.setdiff1d(self.candidates, popular)
        return np.concatenate([popular, rng.choice(others, count - len(popular), replace=False)])

    def ratings(self, items: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the highest rating for items of the head."""
        rated = super().ratings(items, rng)
        return np.where(np.isin(items, self.head), highest_rating(self.data), rated)


class PopularFillers(RandomFillers):
    """The most popular items with the highest rating."""

    def fillers(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Return the most popular items that are no targets."""
        order = np.argsort(-self.data.item_counts[self.candidates], kind="stable")
        return self.candidates[order[:count]]

    def ratings(self, items: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the highest rating for each."""
        return np.full(len(items), highest_rating(self.data))
