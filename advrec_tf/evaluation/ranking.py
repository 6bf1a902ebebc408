"""Top-k lists and test ranks from a pair of factor matrices, in blocks of users."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import numpy as np

from advrec_tf.data import Interactions
from advrec_tf.errors import UserError
from advrec_tf.execution.threads import side_by_side

_T = TypeVar("_T")
SCORES = 1 << 21  # scores that a thread holds at a time, unless these are of fewer users than
USERS = 64  # with fewer users a product spends its time on reading the items


def block_starts(data: Interactions) -> range:
    """Return the first user of each block of scores; its step is the size of a block."""
    return range(0, data.n_users, max(USERS, SCORES // data.n_items))


def top_k(P: np.ndarray, Q: np.ndarray, data: Interactions, k: int = 10) -> np.ndarray:
    """Return each user's k items of highest score p_u . q_i, best first: int32 [U, k].

    Train items are masked.  Ties are pessimistic: among equal scores test items come last, the
    others by id.  A user with fewer than k unknown items has -1 in the slots that are left.
    Raises ValueError for factors that are not finite or do not fit the data, and for a k outside
    1 ... items.

    P: [U, D], Q: [I, D]
    """
    _check_length(k, data)
    blocks = of_blocks(lambda start, scores: _lists(scores, start, data, k), P, Q, data)
    return np.concatenate(list(blocks))


def top_k_of_scores(blocks: Iterable[np.ndarray], data: Interactions, k: int) -> np.ndarray:
    """Return `top_k` of scores in blocks of users, [B, I], which are overwritten."""
    _check_length(k, data)
    lists, start = [], 0
    for scores in blocks:
        lists.append(_lists(_masked(scores, start, data), start, data, k))
        start += len(scores)
    return np.concatenate(lists)


def _check_length(k: int, data: Interactions) -> None:
    """Raise ValueError if lists of length k cannot be filled."""
    if not 1 <= k <= data.n_items:
        raise ValueError(f"k must lie in 1 ... {data.n_items}, not {k}")


def _lists(scores: np.ndarray, start: int, data: Interactions, k: int) -> np.ndarray:
    """Return each user's k items of highest score: int32 [rows, k], -1 where there are fewer.

    scores: [rows, items] of a block of users, -inf for masked items; start: the first user. Test
    items lose ties.
    """
    part = slice(*np.searchsorted(data.test_users, [start, start + len(scores)]))
    tested = np.zeros(scores.shape, bool)
    tested[data.test_users[part] - start, data.test_items[part]] = True
    items, values = strongest(scores, k, tested)
    return np.where(np.isneginf(values), -1, items).astype(np.int32)


def strongest(
    scores: np.ndarray, count: int, losing: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the items of every row's highest scores, best first, and these scores.

    Among equal scores, items that are `losing` come last, the others by id.
    Raises UserError where the scores overflow.

    scores, losing: [B, I] -> int [B, count], [B, count]
    """
    rows, items, values = _candidates(scores, count)
    columns = np.arange(len(rows)) - np.searchsorted(rows, rows)
    ties = items if losing is None else items + scores.shape[1] * losing[rows, items]
    # Complex numbers are sorted by their real parts, equal ones by their imaginary parts.
    keys = np.full((len(scores), columns.max() + 1), complex(np.inf, np.inf))
    keys[rows, columns] = -values + 1j * ties
    keys.sort(axis=1)
    keys = keys[:, :count]
    return keys.imag.astype(np.int64) % scores.shape[1], 0 - keys.real.astype(scores.dtype)


def _candidates(scores: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows, items and values of the scores that can be among a row's `count` highest.

    Items that are `width` apart share a column, and each column has a maximum.  The `count`
    highest scores reach the `count`-th highest maximum, so only columns that reach it are read.
    """
    n_items = scores.shape[1]
    width = min(n_items, 2 * math.isqrt(n_items * count) + 1)
    maxima = scores[:, :width].copy()
    for start in range(width, n_items, width):
        part = scores[:, start : start + width]
        np.maximum(maxima[:, : part.shape[1]], part, out=maxima[:, : part.shape[1]])
    if np.isnan(maxima).any():
        raise UserError("the products of these factors are too large for their precision")
    least = np.partition(maxima, width - count, axis=1)[:, width - count]
    rows, columns = np.divmod(np.flatnonzero(maxima >= least[:, None]), width)
    items = columns[:, None] + np.arange(0, n_items, width)
    values = scores.ravel().take((rows * n_items)[:, None] + items, mode="clip")
    high = np.flatnonzero((values >= least[rows][:, None]) & (items < n_items))
    return rows[high // items.shape[1]], items.ravel()[high], values.ravel()[high]


def ranks_of_test_items(P: np.ndarray, Q: np.ndarray, data: Interactions) -> np.ndarray:
    """Return the rank, from 1, of every test item among the items its user does not know.

    Ties are pessimistic.  This costs much less than lists, so training calls it while it runs.
    -> int32 [M], in the order of data.test_users
    """

    def ranks_of(start: int, scores: np.ndarray) -> np.ndarray:
        """Return the ranks of the test items of a block of users from `start` on."""
        part = slice(*np.searchsorted(data.test_users, [start, start + len(scores)]))
        users, items = data.test_users[part] - start, data.test_items[part]
        ranks = np.empty(len(users), np.int32)
        for pairs in _one_item_a_user(users):
            rows = users[pairs]
            row_scores = scores if len(rows) == len(scores) else scores[rows]
            thresholds = scores[rows, items[pairs]][:, None]
            ranks[pairs] = np.count_nonzero(row_scores >= thresholds, axis=1)
        return ranks

    return np.concatenate(list(of_blocks(ranks_of, P, Q, data)))


def _one_item_a_user(users: np.ndarray) -> Iterator[np.ndarray]:
    """Yield indices of sorted test pairs in rounds in which every user occurs at most once."""
    turn = np.arange(len(users)) - np.searchsorted(users, users)
    for n in range(turn.max(initial=-1) + 1):
        yield np.flatnonzero(turn == n)


def of_blocks(
    work: Callable[[int, np.ndarray], _T],
    P: np.ndarray,
    Q: np.ndarray,
    data: Interactions,
    masked: bool = True,
) -> Iterator[_T]:
    """Yield work(first user, scores [B, I]) of the blocks of `block_starts`, in this order.

    Blocks are computed side by side where there are threads.  With `masked`, the scores of every
    user's train items are -inf.  Raises ValueError as `top_k`.
    """
    P, Q = np.asarray(P), np.asarray(Q)
    fits = P.ndim == Q.ndim == 2 and P.shape[1] == Q.shape[1]
    if not fits or (len(P), len(Q)) != (data.n_users, data.n_items):
        raise ValueError(
            f"factors {P.shape} and {Q.shape} do not fit "
            f"{data.n_users} users and {data.n_items} items"
        )
    if not (np.isfinite(P).all() and np.isfinite(Q).all()):
        raise ValueError("the factors hold values that are not finite")
    blocks = block_starts(data)

    def scored(start: int) -> _T:
        """Return the result of `work` on the scores of the block from `start` on."""
        scores = P[start : start + blocks.step] @ Q.T
        return work(start, _masked(scores, start, data) if masked else scores)

    return side_by_side(scored, blocks)


def _masked(scores: np.ndarray, start: int, data: Interactions) -> np.ndarray:
    """Set the scores of each user's train items to -inf, in place.

    scores: [rows, items]; start: the user of the first row
    """
    known = slice(data.indptr[start], data.indptr[start + len(scores)])
    scores[data.train_users[known] - start, data.train_items[known]] = -np.inf
    return scores
