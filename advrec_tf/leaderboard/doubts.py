"""Whether factors can be what they are said to be: rows in another order, held-out items seen."""

from itertools import product

import numpy as np

from advrec_tf import evaluation
from advrec_tf.data import Interactions
from advrec_tf.errors import UserError
from advrec_tf.leaderboard.leaks import has_seen_test, some_users
from advrec_tf.recommenders.alignment import ORDERS, order_of
from advrec_tf.recommenders.baselines import MostPopular

USERS = 1500  # in whose lists other orders are tried
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


def better_order(
    P: np.ndarray, Q: np.ndarray, data: Interactions, k: int = 10, seed: int = 0
) -> tuple[str, str, float] | None:
    """Return the orders of users and items in which factors rank better than MostPopular.

    None where they do so as they are, or in none of ORDERS.  The nDCG is that of some users.
    """
    chosen = some_users(data, USERS, seed)
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
