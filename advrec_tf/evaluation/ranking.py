"""Top-K lists and test ranks from a pair of factor matrices, in blocks of users."""

import math
from collections.abc import Iterable, Iterator

import numpy as np

from advrec_tf.data import Interactions

SCORES = 1 << 21  # scores held at a time, whatever the number of users and items


def block_starts(data: Interactions) -> range:
    """First users of the blocks whose scores are held together; its step is the size of a block."""
    return range(0, data.n_users, max(1, SCORES // data.n_items))


def top_k(P: np.ndarray, Q: np.ndarray, data: Interactions, k: int = 10) -> np.ndarray:
    """The k items of highest score p_u . q_i that a user does not know from train, best first.

    Ties are pessimistic: among equal scores test items come last, the others by id.  A user with fewer than k unknown items
    has -1 in the places left.  P: [U, D], Q: [I, D] -> int32 [U, k]

    Raises ValueError for factors that are not finite or do not fit the data, and for a k outside 1 ... items.
    """
    return top_k_of_scores(score_blocks(P, Q, data), data, k)


def top_k_of_scores(blocks: Iterable[np.ndarray], data: Interactions, k: int) -> np.ndarray:
    """`top_k` of scores that come in blocks [B, I] of users, which are overwritten."""
    if not 1 <= k <= data.n_items:
        raise ValueError(f"k must lie in 1 ... {data.n_items}, not {k}")
    lists = np.empty((data.n_users, k), np.int32)
    for start, scores in _masked(blocks, data):
        part = slice(*np.searchsorted(data.test_users, [start, start + len(scores)]))
        tested = np.zeros(scores.shape, bool)
        tested[data.test_users[part] - start, data.test_items[part]] = True
        items, values = strongest(scores, k, tested)
        lists[start : start + len(scores)] = np.where(np.isneginf(values), -1, items)
    return lists


def strongest(scores: np.ndarray, count: int, losing: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The items of every row's highest scores, best first, and these scores; of equal ones those that are `losing` come last, the others by id.

    The `count` highest are no lower than the `count`-th of the maxima of disjoint parts, and stand in parts that reach it: few scores are looked
    at twice.  scores, losing: [B, I] -> int [B, count], [B, count]
    """
    n_items = scores.shape[1]
    width = min(n_items, 2 * math.isqrt(n_items * count) + 1)
    maxima = scores[:, :width].copy()  # of the columns width apart
    for start in range(width, n_items, width):
        part = scores[:, start : start + width]
        np.maximum(maxima[:, : part.shape[1]], part, out=maxima[:, : part.shape[1]])
    least = np.partition(maxima, width - count, axis=1)[:, width - count]
    rows, columns = np.divmod(np.flatnonzero(maxima >= least[:, None]), width)
    items = columns[:, None] + np.arange(0, n_items, width)
    values = scores.ravel().take((rows * n_items)[:, None] + items, mode="clip")
    found = np.flatnonzero((values >= least[rows][:, None]) & (items < n_items))
    rows, items, values = rows[found // items.shape[1]], items.ravel()[found], values.ravel()[found]
    places = np.arange(len(rows)) - np.searchsorted(rows, rows)
    keys = np.full((len(scores), places.max() + 1), complex(np.inf, np.inf))  # sorted by their real parts, equal ones by the others
    keys[rows, places] = -values + 1j * (items if losing is None else items + n_items * losing[rows, items])
    keys.sort(axis=1)
    return keys.imag[:, :count].astype(np.int64) % n_items, -keys.real[:, :count].astype(scores.dtype)


def ranks_of_test_items(P: np.ndarray, Q: np.ndarray, data: Interactions) -> np.ndarray:
    """Rank, from 1, of every test item among the items its user does not know from train; ties are pessimistic.

    Much cheaper than lists: what training evaluates after every epoch.  -> int32 [M], in the order of data.test_users
    """
    ranks = np.empty(len(data.test_users), np.int32)
    for start, scores in masked_scores(P, Q, data):
        part = slice(*np.searchsorted(data.test_users, [start, start + len(scores)]))
        for users, items, at in _one_item_a_user(data.test_users[part] - start, data.test_items[part]):
            own = scores if len(users) == len(scores) else scores[users]
            ranks[part][at] = np.count_nonzero(own >= scores[users, items][:, None], axis=1)
    return ranks


def _one_item_a_user(users: np.ndarray, items: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Splits sorted test pairs into rounds in which every user occurs at most once."""
    turn = np.arange(len(users)) - np.searchsorted(users, users)
    for n in range(turn.max(initial=-1) + 1):
        at = np.flatnonzero(turn == n)
        yield users[at], items[at], at


def masked_scores(P: np.ndarray, Q: np.ndarray, data: Interactions) -> Iterator[tuple[int, np.ndarray]]:
    """Yields (first user, scores [B, I]) in blocks of users, every user's train items at -inf.  Raises ValueError as `top_k`."""
    return _masked(score_blocks(P, Q, data), data)


def score_blocks(P: np.ndarray, Q: np.ndarray, data: Interactions) -> Iterator[np.ndarray]:
    """Yields scores [B, I] in blocks of users, those of `block_starts`.  Raises ValueError as `top_k`."""
    P, Q = np.asarray(P), np.asarray(Q)
    if P.ndim != 2 or Q.ndim != 2 or P.shape[1] != Q.shape[1] or (len(P), len(Q)) != (data.n_users, data.n_items):
        raise ValueError(f"factors {P.shape} and {Q.shape} do not fit {data.n_users} users and {data.n_items} items")
    if not (np.isfinite(P).all() and np.isfinite(Q).all()):
        raise ValueError("the factors hold values that are not finite")
    blocks = block_starts(data)
    for start in blocks:
        yield P[start : start + blocks.step] @ Q.T  # [B, I]


def _masked(blocks: Iterable[np.ndarray], data: Interactions) -> Iterator[tuple[int, np.ndarray]]:
    """Yields (first user, scores [B, I]) with every user's train items at -inf."""
    start = 0
    for scores in blocks:
        known = slice(data.indptr[start], data.indptr[start + len(scores)])
        scores[data.train_users[known] - start, data.train_items[known]] = -np.inf
        yield start, scores
        start += len(scores)
