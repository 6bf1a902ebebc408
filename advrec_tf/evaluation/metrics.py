"""The six metrics of Table 1 as pure functions of lists, train and test (section 4.3)."""

import numpy as np
from scipy import sparse

from advrec_tf.data import Interactions

VERSION = 1  # of lists and metrics, one more whenever their bytes change
NAMES = ("PR", "RE", "nDCG", "EFD", "SE", "ICov")
PER_USER = NAMES[:4]
DETECTION = ("recall", "precision", "F1", "AUROC", "AUPRC")  # of a detector of fake users


def per_user_metrics(lists: np.ndarray, data: Interactions) -> dict[str, np.ndarray]:
    """Accuracy and novelty of every tested user's list; users without a test item are left out.

    With disc(r) = 1 / log2(r + 1) for the rank r from 1, and n_u test items:
    PR = hits / K; RE = hits / n_u; nDCG = sum of disc at the hits / the largest sum possible;
    EFD = sum of disc nov at the hits / sum of disc over the list, nov(i) = -log2(train count of i / train interactions), an item
    that train never saw taking the largest novelty (Vargas and Castells 2011, expected free discovery with relevance).

    lists: int [U, K], -1 for an empty place -> float64 [tested users] each, in the order of user ids
    """
    n_test = np.bincount(data.test_users, minlength=data.n_users)
    tested = np.flatnonzero(n_test)
    lists, n_test = _checked(lists, data)[tested], n_test[tested]
    k = lists.shape[1]
    hit = np.isin(
        data.pairs(tested[:, None], lists), data.pairs(data.test_users, data.test_items)
    ) & (lists >= 0)  # [T, K]
    discount = 1 / np.log2(np.arange(2, k + 2))  # [K]
    ideal = np.cumsum(discount)[np.minimum(n_test, k) - 1]
    hits = hit.sum(axis=1)
    return {
        "PR": hits / k,
        "RE": hits / n_test,
        "nDCG": hit @ discount / ideal,
        "EFD": np.where(hit, novelty(data)[lists], 0) @ discount / discount.sum(),
    }


def metrics(lists: np.ndarray, data: Interactions) -> dict[str, float]:
    """PR, RE, nDCG and EFD averaged over tested users, and over all lists together SE and ICov.

    SE = -sum_i p_i log2 p_i in bits, p_i the share of item i among all places; ICov = number of distinct items.
    lists: int [U, K] -> {name: value}
    """
    lists = _checked(lists, data)
    shown = np.bincount(lists[lists >= 0], minlength=data.n_items)
    means = {name: float(values.mean()) for name, values in per_user_metrics(lists, data).items()}
    return {**means, "SE": _entropy(shown), "ICov": int(np.count_nonzero(shown))}


def resampled_metrics(
    lists: np.ndarray, data: Interactions, resamples: int = 200, seed: int = 0, block: int = 50
) -> np.ndarray:
    """The six metrics of users drawn with replacement, as many as there are: a bootstrap, with the same draws for all lists of the same users.

    Fewer users are in a draw than there are, so its ICov lies below that of all users; its deviation is what counts, and so are differences
    between lists.  lists: int [U, K] -> float64 [resamples, 6], in the order of `NAMES`
    """
    lists, rng, found = _checked(lists, data), np.random.default_rng(seed), []
    rows, places = np.nonzero(lists >= 0)
    listed = sparse.csr_matrix(
        (np.ones(len(rows)), (rows, lists[rows, places])), (data.n_users, data.n_items)
    )
    tested, own = (
        np.bincount(data.test_users, minlength=data.n_users) > 0,
        np.column_stack(list(per_user_metrics(lists, data).values())),
    )
    for start in range(0, resamples, block):
        drawn = (
            rng.integers(0, data.n_users, data.n_users)
            for _ in range(min(block, resamples - start))
        )
        times = np.stack([np.bincount(users, minlength=data.n_users) for users in drawn]).astype(
            np.float64
        )  # [block, U]
        means = times[:, tested] @ own / np.maximum(times[:, tested].sum(axis=1), 1)[:, None]
        shown = (listed.T @ times.T).T  # [block, I]
        found.append(
            np.column_stack(
                [means, [_entropy(each) for each in shown], np.count_nonzero(shown, axis=1)]
            )
        )
    return np.concatenate(found)


def _entropy(shown: np.ndarray) -> float:
    """In bits, of the shares of all places that items have.  shown: how often each is listed [I]"""
    shares = shown[shown > 0] / shown.sum()
    return float(-np.sum(shares * np.log2(shares)))


def novelty(data: Interactions) -> np.ndarray:
    """-log2 of an item's share of the train interactions; an item never seen takes the largest.  -> float64 [I]"""
    counts = data.item_counts
    return -np.log2(np.maximum(counts, counts[counts > 0].min()) / counts.sum())


def rank_metrics(ranks: np.ndarray, k: int = 10) -> dict[str, float]:
    """HR@k and nDCG@k from the ranks of one test item a user.  ranks: int [M], from 1 -> {name: value}"""
    hit = ranks <= k
    return {
        f"HR@{k}": float(hit.mean()),
        f"nDCG@{k}": float(np.where(hit, 1 / np.log2(ranks + 1), 0).mean()),
    }


def _checked(lists: np.ndarray, data: Interactions) -> np.ndarray:
    lists = np.asarray(lists)
    if lists.ndim != 2 or len(lists) != data.n_users:
        raise ValueError(f"lists must be [{data.n_users}, K], one row a user, not {lists.shape}")
    if lists.size and (lists.min() < -1 or lists.max() >= data.n_items):
        raise ValueError(f"lists hold item ids outside 0 ... {data.n_items - 1}")
    return lists
