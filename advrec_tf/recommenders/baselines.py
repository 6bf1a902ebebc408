"""Recommenders that learn nothing or next to nothing: what a trained or a perturbed model is held against."""

from collections.abc import Callable

import numpy as np

from advrec_tf.data import Interactions
from advrec_tf.evaluation import block_starts, top_k, top_k_of_scores


class MostPopular:
    """Scores every item by its train interactions, as factors of dimension 1: p_u = 1, q_i = count of i."""

    def __init__(self, data: Interactions):
        self.user_embedding = np.ones((data.n_users, 1), np.float32)
        self.item_embedding = data.item_counts[:, None].astype(np.float32)

    def top_k(self, data: Interactions, k: int = 10) -> np.ndarray:
        """The k most popular items that a user does not know from train.  -> int32 [U, k]"""
        return top_k(self.user_embedding, self.item_embedding, data, k)


class Random:
    """Recommends unknown items uniformly at random, from a seed."""

    def __init__(self, seed: int = 0):
        self.seed = seed

    def top_k(self, data: Interactions, k: int = 10) -> np.ndarray:
        """k distinct items a user that the user does not know from train.  -> int32 [U, k]"""
        rng = np.random.default_rng(self.seed)
        starts = block_starts(data)
        sizes = (min(starts.step, data.n_users - at) for at in starts)
        return top_k_of_scores(
            (rng.random((size, data.n_items), np.float32) for size in sizes), data, k
        )


# What stands beside trained models in every table: name -> the recommender of data and seed.
BASELINES: dict[str, Callable[[Interactions, int], Random | MostPopular]] = {
    "Random": lambda data, seed: Random(seed),
    "MostPopular": lambda data, seed: MostPopular(data),
}
