"""Whether factors can be what they are said to be: rows in another order, held-out items seen."""

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import svds

from advrec_tf import evaluation
from advrec_tf.data import Interactions
from advrec_tf.errors import UserError
from advrec_tf.recommenders.alignment import ORDERS, order_of
from advrec_tf.recommenders.baselines import MostPopular

USERS = 1500  # that are looked at
NEAREST = 50  # items of about the popularity of another one
RANKS = (4, 8, 16, 32, 64)  # of the SVDs that factors are compared with
MIN_MEMORY = 0.7  # a model below it tells training items hardly from others
ERRORS = 1.0  # standard errors by which factors lie nearer to those that have seen the items
SIDES = ("user", "item")


def doubts(
    P: np.ndarray, Q: np.ndarray, data: Interactions, k: int = 10, seed: int = 0
) -> list[str]:
    """Return what makes the numbers of these factors doubtful, a sentence each."""
    reasons = []
    if has_seen_test(P, Q, data, seed):
        reasons.append(
            "these factors have seen the held-out items, so results look about twice as good as "
            "they are: train on the training part that --experiment=split writes, or pass --test"
        )
    if better := better_order(P, Q, data, k, seed):
        user, item, ndcg = better
        reasons.append(
            f"the rows may be in another order: with --user_rows={user} --item_rows={item} "
            f"nDCG is {ndcg:.4f} on some users"
        )
    return reasons


class Standing(NamedTuple):
    """How often an item scores above others of its popularity that the user does not have.

    train: one training item of each user; test: the held-out item; error: the standard error of
    `share`
    """

    train: float
    test: float
    error: float

    @property
    def share(self) -> float:
        """What held-out items have of the training items' lead over chance."""
        return (self.test - 0.5) / max(self.train - 0.5, 1e-9)


def has_seen_test(P: np.ndarray, Q: np.ndarray, data: Interactions, seed: int = 0) -> bool:
    """Return whether factors were trained on the held-out items too.

    Training items score above other items of their popularity. Held-out items do so less, unless
    the model has seen them. How much less depends on the split and on how much a model remembers.
    So it is measured on truncated SVDs of the training part and of all interactions, and
    interpolated between their ranks to the one that remembers as much as the factors. Factors that
    lie nearer to the SVD of all interactions have seen the items. It is False where this cannot be
    told.
    """
    users = _some_users(data, seed)
    given = standing(P, Q, data, users)
    if given.train < MIN_MEMORY or data.n_users < 3 or data.n_items < 3:
        return False
    apart = _svds(data.matrix())
    seen = _svds(data.matrix() + _test_matrix(data))
    pairs = [
        (standing(*apart(rank), data, users), standing(*seen(rank), data, users))
        for rank in RANKS
        if rank < min(data.n_users, data.n_items)
    ]
    pairs.sort(key=lambda pair: pair[0].train)
    memory = [honest.train for honest, _ in pairs]
    shares = np.array([(honest.share, leaky.share) for honest, leaky in pairs])
    honest, leaky = (np.interp(given.train, memory, column) for column in shares.T)
    if leaky - honest < 4 * ERRORS * given.error:
        return False  # these models do not differ enough on these data
    return given.share - (honest + leaky) / 2 > ERRORS * given.error


def _some_users(data: Interactions, seed: int) -> np.ndarray:
    """Return tested users with a training item, at most USERS, drawn from the seed."""
    users = np.unique(data.test_users)
    users = users[np.diff(data.indptr)[users] > 0]
    if len(users) <= USERS:
        return users
    return np.sort(np.random.default_rng(seed).choice(users, USERS, replace=False))


def standing(P: np.ndarray, Q: np.ndarray, data: Interactions, users: np.ndarray) -> Standing:
    """Return how the training items and the held-out items of some users stand."""
    order = np.argsort(data.item_counts, kind="stable")
    rank = np.argsort(order)  # of each item, the least popular first
    leads = np.array([_leads(Q @ P[user], user, data, order, rank) for user in users])
    train, test = leads.T
    denominator = max(train.mean() - 0.5, 1e-9)
    share = (test.mean() - 0.5) / denominator
    # The delta method for a ratio of two means of the same users.
    error = np.std((test - 0.5) - share * (train - 0.5)) / denominator / np.sqrt(len(users))
    return Standing(float(train.mean()), float(test.mean()), float(error))


def _leads(
    scores: np.ndarray, user: int, data: Interactions, order: np.ndarray, rank: np.ndarray
) -> tuple[float, float]:
    """Return the shares of like items that score below a training item and the held-out item.

    The training item is the one whose popularity is nearest to that of the held-out item.
    """
    trained_items = data.train_items[data.indptr[user] : data.indptr[user + 1]]
    held_out = data.test_items[np.searchsorted(data.test_users, user)]
    trained = trained_items[np.argmin(np.abs(rank[trained_items] - rank[held_out]))]
    free = np.ones(data.n_items, bool)
    free[trained_items] = free[data.test_items[data.test_users == user]] = False
    others = order[free[order]]  # by popularity
    leads = []
    for item in (trained, held_out):
        near = np.searchsorted(rank[others], rank[item])
        like = others[max(0, near - NEAREST // 2) : near + NEAREST // 2]
        below = np.mean(scores[item] > scores[like]) if len(like) else 0.5
        leads.append(float(below))
    return leads[0], leads[1]


def _test_matrix(data: Interactions) -> sparse.csr_matrix:
    ones = np.ones(len(data.test_users), np.float32)
    pairs = (data.test_users, data.test_items)
    return sparse.csr_matrix((ones, pairs), shape=(data.n_users, data.n_items))


def _svds(matrix: sparse.csr_matrix) -> Callable[[int], tuple[np.ndarray, np.ndarray]]:
    """Return the truncated SVDs of a matrix by their rank, up to the largest of RANKS."""
    rank = min(max(RANKS), min(matrix.shape) - 1)
    U, s, Vt = svds(matrix.astype(np.float64), k=rank, random_state=0)
    return lambda count: ((U * s)[:, -count:], Vt.T[:, -count:])  # SciPy's largest come last


def better_order(
    P: np.ndarray, Q: np.ndarray, data: Interactions, k: int = 10, seed: int = 0
) -> tuple[str, str, float] | None:
    """Return the orders of users and items in which factors rank better than MostPopular.

    None where they do so as they are, or in none of ORDERS.  The nDCG is that of some users.
    """
    chosen = _some_users(data, seed)
    some = data.of_users(chosen)

    def ndcg(user_rows: np.ndarray, item_rows: np.ndarray) -> float:
        """Return the nDCG of factors in this order."""
        lists = evaluation.top_k(P[user_rows[chosen]], Q[item_rows], some, k)
        return evaluation.metrics(lists, some)["nDCG"]

    as_given = np.arange(data.n_users), np.arange(data.n_items)
    popular = MostPopular(data)
    least = evaluation.metrics(
        evaluation.top_k(popular.user_embedding[chosen], popular.item_embedding, some, k), some
    )["nDCG"]
    if ndcg(*as_given) > least:
        return None
    candidates = []
    for (user, user_rows), (item, item_rows) in product(*map(_orders, (data, data), SIDES)):
        candidates.append((ndcg(user_rows, item_rows), user, item))
    value, user, item = max(candidates)
    return (user, item, value) if value > 1.1 * least else None


def _orders(data: Interactions, side: str) -> list[tuple[str, np.ndarray]]:
    """Return the rows of all ids in each order that the data have."""
    orders = []
    for name in ORDERS:
        try:
            orders.append((name, order_of(data, side, name)))
        except UserError:
            continue
    return orders
