"""How close fake profiles are to real ones."""

import numpy as np
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score

from advrec_tf.data import Interactions, popularity_groups
from advrec_tf.poisoning.profiles import Profiles, highest_rating

LIKENESS = (
    "total variation of ratings",
    "Jensen-Shannon divergence of ratings, bits",
    "clicks per fake profile",
    "clicks per real profile",
    "Jaccard between fakes",
    "Jaccard between real users",
    "popular share of fakes",
    "popular share of real users",
    "accuracy of a classifier",
)
VERSION = 2  # of the comparison, one more whenever its bytes change
LEVELS = 10  # of ratings that are told apart, at most


def likeness(profiles: Profiles, data: Interactions, seed: int = 0) -> dict[str, float]:
    """How close fake profiles are to real ones.

    Total variation and Jensen-Shannon divergence (bits) of the histograms of no rating and the levels of ratings (1 ... 5, say), clicks per
    profile, the mean Jaccard similarity of two profiles, the share of the head in the clicks, and the accuracy, over five folds, of a logistic
    classifier of fakes and as many real users (.5: it cannot tell them apart).
    """
    p, q = (
        _shares(
            data.train_ratings,
            len(data.train_users),
            data.n_users * data.n_items,
            highest_rating(data),
        ),
        _shares(
            profiles.ratings,
            len(profiles.users),
            profiles.n_users * data.n_items,
            highest_rating(data),
        ),
    )
    middle = (p + q) / 2
    divergence = sum(np.sum(x[x > 0] * np.log2(x[x > 0] / middle[x > 0])) for x in (p, q)) / 2
    clicks = len(profiles.users) / profiles.n_users, len(data.train_users) / data.n_users
    alike = mean_jaccard(profiles.matrix() > 0), mean_jaccard(data.matrix() > 0)
    popular = [
        float(np.isin(items, popularity_groups(data)["head"]).mean())
        for items in (profiles.items, data.train_items)
    ]
    found = (
        float(np.abs(p - q).sum() / 2),
        float(divergence),
        *clicks,
        *alike,
        *popular,
        _classifier_accuracy(profiles, data, seed),
    )
    return dict(zip(LIKENESS, found))


def mean_jaccard(clicked: np.ndarray | sparse.csr_matrix, most: int = 1000) -> float:
    """Mean Jaccard similarity of two profiles, over all pairs of (at most the first `most`) profiles that have clicks; NaN for fewer than two.

    clicked: bool [N, items]
    """
    some = sparse.csr_matrix(clicked[:most], dtype=np.float32)
    some = some[np.diff(some.indptr) > 0]
    shared, sizes = (some @ some.T).toarray(), np.diff(some.indptr)
    jaccard = shared / np.maximum(sizes[:, None] + sizes - shared, 1)
    return (
        float(jaccard[~np.eye(len(sizes), dtype=bool)].mean()) if len(sizes) > 1 else float("nan")
    )


def _shares(ratings: np.ndarray | None, n: int, cells: int, highest: float) -> np.ndarray:
    """The shares, among all cells, of no rating and of each level of ratings up to the highest.  -> float64 [levels + 1]"""
    levels = int(min(np.ceil(highest), LEVELS))
    level = (
        np.full(n, levels)
        if ratings is None
        else np.clip(np.ceil(np.rint(ratings) * (levels / highest)), 1, levels).astype(int)
    )
    counts = np.bincount(level, minlength=levels + 1)
    counts[0] = cells - n
    return counts / cells


def _classifier_accuracy(profiles: Profiles, data: Interactions, seed: int) -> float:
    """NaN where there are too few fakes to cross-validate."""
    count = min(profiles.n_users, data.n_users)
    if count < 2:
        return float("nan")
    chosen = np.random.default_rng(seed).choice(data.n_users, count, replace=False)
    place = np.full(data.n_users, -1)
    place[chosen] = np.arange(count)
    kept = place[data.train_users] >= 0
    real = np.zeros((count, data.n_items), np.float32)
    real[place[data.train_users[kept]], data.train_items[kept]] = (
        highest_rating(data) if data.train_ratings is None else data.train_ratings[kept]
    )
    labels = np.repeat([0, 1], [count, profiles.n_users])
    folds = StratifiedKFold(min(5, count), shuffle=True, random_state=seed)
    fake = profiles.matrix() * (profiles.highest if profiles.ratings is None else 1)
    return float(
        cross_val_score(
            LogisticRegression(max_iter=1000), np.vstack([real, fake]), labels, cv=folds
        ).mean()
    )
