"""Seeded random data that a model can learn."""

import numpy as np
import pandas as pd

from advrec_tf.data.interactions import Interactions
from advrec_tf.data.seeds import generator


def synthetic(
    n_users: int = 600,
    n_items: int = 400,
    per_user: int = 30,
    rank: int = 6,
    seed: int = 0,
    split: str | None = None,
) -> Interactions:
    """Return latent-factor interactions under a power-law popularity.

    User u draws about `per_user` distinct items (at least 2) without replacement (Gumbel trick).
    The weight of item i is exp(3 p_u . q_i / sqrt(rank)) / (popularity rank of i)^0.6.
    Timestamps are a random order, so the hold-out is random unless `split` says otherwise.
    A rating is the fifth, from 1 to 5, in which p_u . q_i lies among all chosen pairs.
    """
    rng = generator(seed)
    p = rng.normal(size=(n_users, rank))  # [U, R]
    q = rng.normal(size=(n_items, rank))  # [I, R]
    popularity = -0.6 * np.log(1 + rng.permutation(n_items))
    sizes = np.clip(rng.poisson(per_user, n_users), 2, n_items - 1)
    users, items, times, likings = [], [], [], []
    for u in range(n_users):
        keys = 3 * (q @ p[u]) / np.sqrt(rank) + popularity + rng.gumbel(size=n_items)
        chosen = np.argsort(-keys)[: sizes[u]]
        # In the order of the draws, the hold-out would be the least likely item.
        items.append(rng.permutation(chosen))
        likings.append(q[items[-1]] @ p[u])
        users.append(np.full(sizes[u], u))
        times.append(np.arange(sizes[u]))
    liking = np.concatenate(likings)
    ratings = 1.0 + np.searchsorted(np.quantile(liking, [0.2, 0.4, 0.6, 0.8]), liking)
    columns = {
        "user": np.concatenate(users),
        "item": np.concatenate(items),
        "timestamp": np.concatenate(times),
        "rating": ratings,
    }
    return Interactions.from_frames(pd.DataFrame(columns), name="synthetic", split=split, seed=seed)
