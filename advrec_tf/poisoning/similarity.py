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
VERSION = 2  # of the comparison; increase it whenever its values change
MAX_LEVELS = 10  # of ratings in the histograms
MAX_PROFILES = 1000  # that are compared with each other


def likeness(profiles: Profiles, data: Interactions) -> dict[str, float]:
    """Compare fake profiles with real ones; the names of the values are LIKENESS.

    Total variation and Jensen-Shannon divergence are those of the histograms of missing ratings and
    rating levels.  Jaccard is the mean similarity of two profiles, the popular share that of the
    head in the clicks.  The accuracy is that of a logistic classifier of fakes and as many real
    users over five folds: at 0.5 it cannot tell them apart.
    """
    users, items, highest = data.n_users, data.n_items, highest_rating(data)
    p = _histogram(data.train_ratings, len(data.train_users), users * items, highest)
    q = _histogram(profiles.ratings, len(profiles.users), profiles.n_users * items, highest)
    head = popularity_groups(data)["head"]
    values = (
        float(np.abs(p - q).sum() / 2),
        float((_divergence(p, (p + q) / 2) + _divergence(q, (p + q) / 2)) / 2),
        len(profiles.users) / profiles.n_users,
        len(data.train_users) / users,
        mean_jaccard(profiles.matrix() > 0),
        mean_jaccard(data.matrix() > 0),
        float(np.isin(profiles.items, head).mean()),
        float(np.isin(data.train_items, head).mean()),
        _classifier_accuracy(profiles, data),
    )
    return dict(zip(LIKENESS, values))


def mean_jaccard(clicked: np.ndarray | sparse.csr_matrix) -> float:
    """Return the mean Jaccard similarity of two profiles with clicks, NaN for fewer than two.

    Only the first MAX_PROFILES are compared.  clicked: bool [N, items]
    """
    compared = sparse.csr_matrix(clicked[:MAX_PROFILES], dtype=np.float32)
    compared = compared[np.diff(compared.indptr) > 0]
    shared, sizes = (compared @ compared.T).toarray(), np.diff(compared.indptr)
    if len(sizes) < 2:
        return float("nan")
    jaccard = shared / np.maximum(sizes[:, None] + sizes - shared, 1)
    return float(jaccard[~np.eye(len(sizes), dtype=bool)].mean())


def _histogram(ratings: np.ndarray | None, clicks: int, cells: int, highest: float) -> np.ndarray:
    """Return the shares of cells without a rating and of each level: float64 [levels + 1]."""
    levels = int(min(np.ceil(highest), MAX_LEVELS))
    if ratings is None:
        level = np.full(clicks, levels)
    else:
        level = np.ceil(np.rint(ratings) * (levels / highest))
        level = np.clip(level, 1, levels).astype(int)
    counts = np.bincount(level, minlength=levels + 1)
    counts[0] = cells - clicks
    return counts / cells


def _divergence(p: np.ndarray, q: np.ndarray) -> float:
    """Return the Kullback-Leibler divergence of p from q in bits."""
    return np.sum(p[p > 0] * np.log2(p[p > 0] / q[p > 0]))


def _classifier_accuracy(profiles: Profiles, data: Interactions) -> float:
    """Return the accuracy, NaN when there are too few fakes to cross-validate."""
    count = min(profiles.n_users, data.n_users)
    if count < 2:
        return float("nan")
    chosen = np.random.default_rng(0).choice(data.n_users, count, replace=False)
    rows = np.full(data.n_users, -1)
    rows[chosen] = np.arange(count)
    kept = rows[data.train_users] >= 0
    real = np.zeros((count, data.n_items), np.float32)
    real[rows[data.train_users[kept]], data.train_items[kept]] = (
        highest_rating(data) if data.train_ratings is None else data.train_ratings[kept]
    )
    fake = profiles.matrix() * (profiles.highest if profiles.ratings is None else 1)
    labels = np.repeat([0, 1], [count, profiles.n_users])
    folds = StratifiedKFold(min(5, count), shuffle=True, random_state=0)
    classifier = LogisticRegression(max_iter=1000)
    return float(cross_val_score(classifier, np.vstack([real, fake]), labels, cv=folds).mean())
