"""Recommenders that learn little or nothing, with which other models are compared."""

from collections.abc import Callable

import numpy as np

from advrec_tf.data import Interactions
from advrec_tf.evaluation import block_starts, top_k, top_k_of_scores


class MostPopular:
    """Scores items by their train interactions: p_u = 1, q_i = count of i, one column each."""

    def __init__(self, data: Interactions):
        self.user_embedding = np.ones((data.n_users, 1), np.float32)
        self.item_embedding = data.item_counts[:, None].astype(np.float32)

    def top_k(self, data: Interactions, k: int = 10) -> np.ndarray:
        """Return the k most popular items that are not among a user's train items.

        -> int32 [U, k]
        """
        return top_k(self.user_embedding, self.item_embedding, data, k)


class Random:
    """Recommends uniformly random items that are not among a user's train items, from a seed."""

    def __init__(self, seed: int = 0):
        self.seed = seed

    def top_k(self, data: Interactions, k: int = 10) -> np.ndarray:
        """Return k distinct random items for each user, none of them a train item.

        -> int32 [U, k]
        """
        rng = np.random.default_rng(self.seed)
        starts = block_starts(data)
        sizes = (min(starts.step, data.n_users - start) for start in starts)
        scores = (rng.random((size, data.n_items), np.float32) for size in sizes)
        return top_k_of_scores(scores, data, k)


# Every table compares trained models with these.  name -> recommender from data and seed
BASELINES: dict[str, Callable[[Interactions, int], Random | MostPopular]] = {
    "Random": lambda data, seed: Random(seed),
    "MostPopular": lambda data, seed: MostPopular(data),
}
