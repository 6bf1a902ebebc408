"""Whether factors were trained on the held-out items too."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import svds

from advrec_tf.data import Interactions

USERS = 6000  # that are looked at
NEAREST = 50  # items of about the popularity of another one
RANKS = (4, 8, 16, 32, 64)  # of the SVDs that factors are compared with
MIN_MEMORY = 0.7  # lead of training items, .5 by chance, below which nothing can be told
# How far factors come on the way from the SVD that has not seen the held-out items (0) to the one
# that has (1). Five libraries' models on four data sets: without the items .59 at most, with them
# .79 at least.
SEEN = 0.7
MIN_ERRORS = 5  # standard errors between both SVDs, below which nothing can be told
BLOCK = 256  # users whose scores are taken at once


class Standing(NamedTuple):
    """How often an item scores above others of its popularity that the user does not have.

    train: one training item of each user; test: the held-out item; error: the standard error of
    `share`
    """

    train: float
    test: float
    error: float

    @property
    def train_lead(self) -> float:
        """The training items' lead over chance."""
        return max(self.train - 0.5, 1e-9)

    @property
    def share(self) -> float:
        """What held-out items have of the training items' lead over chance."""
        return (self.test - 0.5) / self.train_lead


def has_seen_test(P: np.ndarray, Q: np.ndarray, data: Interactions, seed: int = 0) -> bool:
    """Return whether factors were trained on the held-out items too.

    Training items score above other items of their popularity. Held-out items do so less, unless
    the model has seen them. How much less depends on the split and on how much a model remembers.
    So it is measured on truncated SVDs of the training part and of all interactions, and
    interpolated between their ranks to the one that remembers as much as the factors. Factors that
    come close to the SVD of all interactions (SEEN) have seen the items. It is False where this
    cannot be told.
    """
    if data.n_users < 3 or data.n_items < 3:
        return False
    compared = compared_items(data, some_users(data, USERS, seed))
    given = standing(P, Q, compared)
    if given.train < MIN_MEMORY:
        return False
    apart = _svds(data.matrix())
    seen = _svds(data.matrix() + _test_matrix(data))
    pairs = [
        (standing(*apart(rank), compared), standing(*seen(rank), compared))
        for rank in RANKS
        if rank < min(data.n_users, data.n_items)
    ]
    if not pairs:
        return False
    pairs.sort(key=lambda pair: pair[0].train)
    memory = [honest.train for honest, _ in pairs]
    shares = np.array([(honest.share, leaky.share) for honest, leaky in pairs])
    honest, leaky = (np.interp(given.train, memory, column) for column in shares.T)
    if leaky - honest < MIN_ERRORS * given.error:
        return False  # these models do not differ enough on these data
    return bool(given.share > honest + SEEN * (leaky - honest))


def some_users(data: Interactions, count: int, seed: int) -> np.ndarray:
    """Return tested users with a training item, at most `count`, drawn from the seed."""
    users = np.unique(data.test_users)
    users = users[np.diff(data.indptr)[users] > 0]
    if len(users) <= count:
        return users
    return np.sort(np.random.default_rng(seed).choice(users, count, replace=False))


class Compared(NamedTuple):
    """A training item and the held-out item of some users, and other items of their popularity.

    users: int [n]; items: [n, 2], the training item first; others: [n, 2, NEAREST], -1 where there
    are fewer
    """

    users: np.ndarray
    items: np.ndarray
    others: np.ndarray


def compared_items(data: Interactions, users: np.ndarray) -> Compared:
    """Return the items of each user, and the user's unknown items that are nearest in popularity.

    The training item is the one whose popularity is nearest to that of the held-out item.
    """
    order = np.argsort(data.item_counts, kind="stable")
    rank = np.argsort(order)  # of each item, the least popular first
    items = np.empty((len(users), 2), np.int64)
    others = np.full((len(users), 2, NEAREST), -1)
    for n, user in enumerate(users):
        trained_items = data.train_items[data.indptr[user] : data.indptr[user + 1]]
        first, end = np.searchsorted(data.test_users, [user, user + 1])
        held_out = data.test_items[first]
        trained = trained_items[np.argmin(np.abs(rank[trained_items] - rank[held_out]))]
        items[n] = trained, held_out
        free = np.ones(data.n_items, bool)
        free[trained_items] = free[data.test_items[first:end]] = False
        unknown = order[free[order]]  # by popularity
        for side, item in enumerate(items[n]):
            near = np.searchsorted(rank[unknown], rank[item])
            like = unknown[max(0, near - NEAREST // 2) : near + NEAREST // 2]
            others[n, side, : len(like)] = like
    return Compared(users, items, others)


def standing(P: np.ndarray, Q: np.ndarray, compared: Compared) -> Standing:
    """Return how the training items and the held-out items of some users stand."""
    blocks = [
        _leads(P, Q, Compared(*(part[start : start + BLOCK] for part in compared)))
        for start in range(0, len(compared.users), BLOCK)
    ]
    train, test = np.concatenate(blocks).T
    means = Standing(float(train.mean()), float(test.mean()), error=np.nan)
    # The delta method for a ratio of two means of the same users.
    apart = np.std((test - 0.5) - means.share * (train - 0.5)) / np.sqrt(len(train))
    return means._replace(error=float(apart / means.train_lead))


def _leads(P: np.ndarray, Q: np.ndarray, compared: Compared) -> np.ndarray:
    """Return the shares of like items that score below each of both items: [n, 2].

    It is .5 for an item without like ones.
    """
    scores = np.einsum("nd,nsd->ns", P[compared.users], Q[compared.items])
    others = np.einsum("nd,nsmd->nsm", P[compared.users], Q[compared.others])
    known = compared.others >= 0
    below = np.sum((scores[:, :, None] > others) & known, axis=2)
    return np.where(known.any(axis=2), below / np.maximum(known.sum(axis=2), 1), 0.5)


def _test_matrix(data: Interactions) -> sparse.csr_matrix:
    ones = np.ones(len(data.test_users), np.float32)
    pairs = (data.test_users, data.test_items)
    return sparse.csr_matrix((ones, pairs), shape=(data.n_users, data.n_items))


def _svds(matrix: sparse.csr_matrix) -> Callable[[int], tuple[np.ndarray, np.ndarray]]:
    """Return the truncated SVDs of a matrix by their rank, up to the largest of RANKS."""
    rank = min(max(RANKS), min(matrix.shape) - 1)
    U, s, Vt = svds(matrix.astype(np.float64), k=rank, random_state=0)
    return lambda count: ((U * s)[:, -count:], Vt.T[:, -count:])  # SciPy's largest come last
