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
    real, fake = rating_matrix(data), profiles.matrix()
    p, q = (np.bincount(np.rint(x).astype(int).ravel(), minlength=6) / x.size for x in (real, fake))
    middle = (p + q) / 2
    divergence = sum(np.sum(x[x > 0] * np.log2(x[x > 0] / middle[x > 0])) for x in (p, q)) / 2
    chosen = np.random.default_rng(seed).choice(len(real), min(len(fake), len(real)), replace=False)
    labels = np.repeat([0, 1], [len(chosen), len(fake)])
    folds = StratifiedKFold(min(5, len(fake), len(chosen)), shuffle=True, random_state=seed)
    accuracy = cross_val_score(LogisticRegression(max_iter=1000), np.vstack([real[chosen], fake]), labels, cv=folds).mean()
    return {
        "total variation of ratings": float(np.abs(p - q).sum() / 2),
        "Jensen-Shannon divergence of ratings, bits": float(divergence),
        "clicks per fake profile": float((fake > 0).sum() / len(fake)),
        "clicks per real profile": float((real > 0).sum() / len(real)),
        "accuracy of a classifier": float(accuracy),
    }
