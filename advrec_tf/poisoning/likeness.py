"""How close fake profiles are to real ones."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score

from advrec_tf.data import Interactions
from advrec_tf.poisoning.profiles import Profiles


def rating_matrix(data: Interactions) -> np.ndarray:
    """float32 [users, items]: the train ratings (5 for each click where there are none), 0 elsewhere.  This is the GAN's training set."""
    matrix = np.zeros((data.n_users, data.n_items), np.float32)
    matrix[data.train_users, data.train_items] = 5 if data.train_ratings is None else data.train_ratings
    return matrix


def likeness(profiles: Profiles, data: Interactions, seed: int = 0) -> dict[str, float]:
    """How close fake profiles are to real ones.

    Total variation and Jensen-Shannon divergence (bits) of the rating histograms over no rating and 1 ... 5, clicks per profile,
    and the accuracy, over five folds, of a logistic classifier of fakes and as many real users (.5: it cannot tell them apart).
    """
    p, q = (
        _shares(data.train_ratings, len(data.train_users), data.n_users * data.n_items),
        _shares(profiles.ratings, len(profiles.users), profiles.n_users * data.n_items),
    )
    middle = (p + q) / 2
    divergence = sum(np.sum(x[x > 0] * np.log2(x[x > 0] / middle[x > 0])) for x in (p, q)) / 2
    return {
        "total variation of ratings": float(np.abs(p - q).sum() / 2),
        "Jensen-Shannon divergence of ratings, bits": float(divergence),
        "clicks per fake profile": len(profiles.users) / profiles.n_users,
        "clicks per real profile": len(data.train_users) / data.n_users,
        "accuracy of a classifier": _classifier_accuracy(profiles, data, seed),
    }


def _shares(ratings: np.ndarray | None, n: int, cells: int) -> np.ndarray:
    """The shares of no rating and of 1 ... 5 (and above) among all cells.  -> float64 [6]"""
    rounded = np.full(n, 5) if ratings is None else np.clip(np.rint(ratings), 1, 5).astype(int)
    counts = np.bincount(rounded, minlength=6)
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
    real[place[data.train_users[kept]], data.train_items[kept]] = 5 if data.train_ratings is None else data.train_ratings[kept]
    labels = np.repeat([0, 1], [count, profiles.n_users])
    folds = StratifiedKFold(min(5, count), shuffle=True, random_state=seed)
    fake = profiles.matrix() * (5 if profiles.ratings is None else 1)
    return float(cross_val_score(LogisticRegression(max_iter=1000), np.vstack([real, fake]), labels, cv=folds).mean())
