"""Top-K lists and test ranks from a pair of factor matrices, in blocks of users."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import numpy as np

from advrec_tf.data import Interactions
from advrec_tf.errors import UserError
from advrec_tf.execution.threads import side_by_side

_T = TypeVar("_T")
SCORES = 1 << 21  # scores that a thread holds at a time, unless they are of
USERS = 64  # users: with fewer a product spends its time on reading the items


def block_starts(data: Interactions) -> range:
    """First users of the blocks whose scores are held together; its step is the size of a block."""
    return range(0, data.n_users, max(USERS, SCORES // data.n_items))


def top_k(P: np.ndarray, Q: np.ndarray, data: Interactions, k: int = 10) -> np.ndarray:
    """The k items of highest score p_u . q_i that a user does not know from train, best first.

    Ties are pessimistic: among equal scores test items come last, the others by id.  A user with fewer than k unknown items
    has -1 in the places left.  P: [U, D], Q: [I, D] -> int32 [U, k]

    Raises ValueError for factors that are not finite or do not fit the data, and for a k outside 1 ... items.
    """
    _check_length(k, data)
    return np.concatenate(
        list(of_blocks(lambda start, scores: _lists(scores, start, data, k), P, Q, data))
    )


def top_k_of_scores(blocks: Iterable[np.ndarray], data: Interactions, k: int) -> np.ndarray:
    """`top_k` of scores that come in blocks [B, I] of users, which are overwritten."""
    _check_length(k, data)
    lists, start = [], 0
    for scores in blocks:
        lists.append(_lists(_masked(scores, start, data), start, data, k))
        start += len(scores)
    return np.concatenate(lists)


def _check_length(k: int, data: Interactions) -> None:
    if not 1 <= k <= data.n_items:
        raise ValueError(f"k must lie in 1 ... {data.n_items}, not {k}")


def _lists(scores: np.ndarray, start: int, data: Interactions, k: int) -> np.ndarray:
    part = slice(*np.searchsorted(data.test_users, [start, start + len(scores)]))
    tested = np.zeros(scores.shape, bool)
    tested[data.test_users[part] - start, data.test_items[part]] = True
    items, values = strongest(scores, k, tested)
    return np.where(np.isneginf(values), -1, items).astype(np.int32)


def strongest(
    scores: np.ndarray, count: int, losing: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The items of every row's highest scores, best first, and these scores; of equal ones those that are `losing` come last, the others by id.

    The `count` highest are no lower than the `count`-th of the maxima of disjoint parts, and stand in parts that reach it: few scores are looked
    at twice.  scores, losing: [B, I] -> int [B, count], [B, count]

    Raises UserError where scores are so large that they are no numbers any more.
    """
    n_items = scores.shape[1]
    width = min(n_items, 2 * math.isqrt(n_items * count) + 1)
    maxima = scores[:, :width].copy()  # of the columns width apart
    for start in range(width, n_items, width):
        part = scores[:, start : start + width]
        np.maximum(maxima[:, : part.shape[1]], part, out=maxima[:, : part.shape[1]])
    if np.isnan(maxima).any():
        raise UserError("the products of these factors are too large for their precision")
    least = np.partition(maxima, width - count, axis=1)[:, width - count]
    rows, columns = np.divmod(np.flatnonzero(maxima >= least[:, None]), width)
    items = columns[:, None] + np.arange(0, n_items, width)
    values = scores.ravel().take((rows * n_items)[:, None] + items, mode="clip")
    found = np.flatnonzero((values >= least[rows][:, None]) & (items < n_items))
    rows, items, values = rows[found // items.shape[1]], items.ravel()[found], values.ravel()[found]
    places = np.arange(len(rows)) - np.searchsorted(rows, rows)
    keys = np.full(
        (len(scores), places.max() + 1), complex(np.inf, np.inf)
    )  # sorted by their real parts, equal ones by the others
    keys[rows, places] = -values + 1j * (
        items if losing is None else items + n_items * losing[rows, items]
    )
    keys.sort(axis=1)
    return keys.imag[:, :count].astype(np.int64) % n_items, 0 - keys.real[:, :count].astype(
        scores.dtype
    )


def ranks_of_test_items(P: np.ndarray, Q: np.ndarray, data: Interactions) -> np.ndarray:
    """Rank, from 1, of every test item among the items its user does not know from train; ties are pessimistic.

    Much cheaper than lists: what training evaluates after every epoch.  -> int32 [M], in the order of data.test_users
    """

    def ranks_of(start: int, scores: np.ndarray) -> np.ndarray:
        part = slice(*np.searchsorted(data.test_users, [start, start + len(scores)]))
        ranks = np.empty(part.stop - part.start, np.int32)
        for users, items, at in _one_item_a_user(
            data.test_users[part] - start, data.test_items[part]
        ):
            own = scores if len(users) == len(scores) else scores[users]
            ranks[at] = np.count_nonzero(own >= scores[users, items][:, None], axis=1)
        return ranks

    return np.concatenate(list(of_blocks(ranks_of, P, Q, data)))


def _one_item_a_user(
    users: np.ndarray, items: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Splits sorted test pairs into rounds in which every user occurs at most once."""
    turn = np.arange(len(users)) - np.searchsorted(users, users)
    for n in range(turn.max(initial=-1) + 1):
        at = np.flatnonzero(turn == n)
        yield users[at], items[at], at


def of_blocks(
    work: Callable[[int, np.ndarray], _T],
    P: np.ndarray,
    Q: np.ndarray,
    data: Interactions,
    masked: bool = True,
) -> Iterator[_T]:
    """Yields work(first user, scores [B, I]) of blocks of users, those of `block_starts`, in this order; side by side where there are threads.

    masked: every user's train items are at -inf.  Raises ValueError as `top_k`.
    """
    P, Q = np.asarray(P), np.asarray(Q)
    if (
        P.ndim != 2
        or Q.ndim != 2
        or P.shape[1] != Q.shape[1]
        or (len(P), len(Q)) != (data.n_users, data.n_items)
    ):
        raise ValueError(
            f"factors {P.shape} and {Q.shape} do not fit {data.n_users} users and {data.n_items} items"
        )
    if not (np.isfinite(P).all() and np.isfinite(Q).all()):
        raise ValueError("the factors hold values that are not finite")
    blocks = block_starts(data)

    def scored(start: int) -> _T:
        scores = P[start : start + blocks.step] @ Q.T
        return work(start, _masked(scores, start, data) if masked else scores)

    return side_by_side(scored, blocks)


def _masked(scores: np.ndarray, start: int, data: Interactions) -> np.ndarray:
    known = slice(data.indptr[start], data.indptr[start + len(scores)])
    scores[data.train_users[known] - start, data.train_items[known]] = -np.inf
    return scores
