"""Certified bounds of an ensemble's lists against a few fake users."""

import numpy as np
from scipy.stats import beta

from advrec_tf.data import Interactions


def share_bounds(
    bases: int, items: int, confidence: float = 0.999
) -> tuple[np.ndarray, np.ndarray]:
    """Return Clopper-Pearson bounds of the share of all possible bases that vote for an item.

    The bounds are given for 0 ... `bases` votes: float64 [bases + 1] each.  They hold with
    `confidence` for all items of a user together (Bonferroni).
    """
    votes, alpha = np.arange(bases + 1), (1 - confidence) / (2 * items)
    low = np.where(votes > 0, beta.ppf(alpha, votes, bases - votes + 1), 0.0)
    high = np.where(votes < bases, beta.ppf(1 - alpha, votes + 1, bases - votes), 1.0)
    return low, high


def untouched_share(users: int, sampled: int, fakes: int) -> float:
    """Return the share of all samples of users and fakes that hold no fake.

    It is C(users, sampled) / C(users + fakes, sampled).
    """
    if sampled > users:
        return 0.0
    drawn = np.arange(sampled)
    return float(np.prod((users - drawn) / (users + fakes - drawn)))


def certified_votes(
    votes: np.ndarray,
    shares: tuple[np.ndarray, np.ndarray],
    untouched: float,
    data: Interactions,
    targets: tuple[int, ...],
    k: int,
) -> dict[str, float]:
    """Return bounds of HR@k and target HR@k of the ensemble of ALL possible bases under an attack.

    A share s of all bases over the poisoned users saw no fake and votes as before.  The others may
    vote for any item.  So the share of votes of item j after the attack lies between s low_j and
    s high_j + 1 - s.  An item stays in a list when fewer than k others can reach it.  It cannot
    enter a list when k others stay above it.  No list holds an item that the user knows.

    votes: [U, I], those of some random bases on the clean data; shares: their `share_bounds`;
    untouched: s, the `untouched_share`
    -> certified_HR (at least), certified_target_HR (at most), over tested users
    """
    low, high = untouched * shares[0], untouched * shares[1] + 1 - untouched
    counts, tested = np.rint(votes).astype(int), np.unique(data.test_users)
    starts = np.searchsorted(data.test_users, np.arange(data.n_users + 1))
    certain = reachable = 0
    for user in tested:
        unknown = np.ones(data.n_items, bool)
        unknown[data.train_items[data.indptr[user] : data.indptr[user + 1]]] = False
        at_least = np.where(unknown, low[counts[user]], -1)
        at_most = np.where(unknown, high[counts[user]], -1)
        # An item counts itself among those that can reach its lower bound.
        certain += any(
            np.count_nonzero(at_most >= at_least[item]) <= k
            for item in data.test_items[starts[user] : starts[user + 1]]
            if unknown[item]
        )
        reachable += any(
            unknown[target] and np.count_nonzero(at_least > at_most[target]) < k
            for target in targets
        )
    return {"certified_HR": certain / len(tested), "certified_target_HR": reachable / len(tested)}
