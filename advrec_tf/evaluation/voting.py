"""What a few fake users cannot do to an ensemble's votes: certified bounds of its lists."""

import numpy as np
from scipy.stats import beta

from advrec_tf.data import Interactions


def share_bounds(bases: int, items: int, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Clopper-Pearson bounds of the share of all possible bases that vote for an item, by its votes 0 ... bases: float64 [bases + 1] each.

    They hold with `confidence` for all items of a user together (Bonferroni).
    """
    votes, alpha = np.arange(bases + 1), (1 - confidence) / (2 * items)
    low = np.where(votes > 0, beta.ppf(alpha, votes, bases - votes + 1), 0.0)
    high = np.where(votes < bases, beta.ppf(1 - alpha, votes + 1, bases - votes), 1.0)
    return low, high


def untouched_share(users: int, sampled: int, fakes: int) -> float:
    """The share of all choices of `sampled` among users + fakes that hold no fake: C(users, sampled) / C(users + fakes, sampled)."""
    if sampled > users:
        return 0.0
    chosen = np.arange(sampled)
    return float(np.prod((users - chosen) / (users + fakes - chosen)))


def certified_votes(
    votes: np.ndarray,
    bases: int,
    sampled: int,
    fakes: int,
    data: Interactions,
    targets: tuple[int, ...],
    k: int,
    confidence: float = 0.999,
) -> dict[str, float]:
    """Bounds, over tested users, of HR@k and target HR@k of the ensemble of ALL bases there can be, whatever so many fake users do.

    Its vote shares are known from those of `bases` random ones (`share_bounds`).  Of all bases over the poisoned users the share s =
    `untouched_share` saw no fake, and these vote as before; the others may vote for anything.  So the share of votes of item j after the attack
    lies between s low_j and s high_j + 1 - s.  An item is sure to stay in a list when fewer than k others can reach it, and cannot enter when k
    others surely stay above it; the user's own items are in no list.

    votes: counts of `bases` bases on clean data, [users, items] -> certified_HR (at least), certified_target_HR (at most)
    """
    low, high = share_bounds(bases, data.n_items, confidence)
    s, counts = untouched_share(data.n_users, sampled, fakes), np.rint(votes).astype(int)
    test_starts, tested = (
        np.searchsorted(data.test_users, np.arange(data.n_users + 1)),
        np.unique(data.test_users),
    )
    sure, entered = 0, 0
    for user in tested:
        unknown = np.ones(data.n_items, bool)
        unknown[data.train_items[data.indptr[user] : data.indptr[user + 1]]] = False
        at_least, at_most = (
            np.where(unknown, s * low[counts[user]], -1),
            np.where(unknown, s * high[counts[user]] + 1 - s, -1),
        )
        highest, lowest = np.sort(at_most)[::-1], np.sort(at_least)[::-1]
        own = data.test_items[test_starts[user] : test_starts[user + 1]]
        # An item's own upper bound reaches its lower one, so it counts itself among those that can.
        sure += any(
            np.count_nonzero(highest >= at_least[item]) <= k for item in own if unknown[item]
        )
        entered += any(
            unknown[target] and np.count_nonzero(lowest > at_most[target]) < k for target in targets
        )
    return {"certified_HR": sure / len(tested), "certified_target_HR": entered / len(tested)}
