"""How the values of a reconstruction enter the data that a recommender is trained on."""

from dataclasses import replace

import numpy as np
from scipy import sparse

from advrec_tf.data import Interactions
from advrec_tf.defenses.choices import CHOICES
from advrec_tf.errors import UserError


def entered(
    data: Interactions, rebuilt: sparse.csr_matrix, enter: str, threshold: float
) -> Interactions:
    """The data with their train interactions taken from a reconstruction.

    binarize, rating_matrix: a 1 where the reconstruction (of clicks, of ratings) is above the threshold;
    binarize_and_keep: a 1 where that of clicks is, and every original interaction;
    weights: the original interactions with their reconstructed values, from 0 to 1, as ratings that scale WRMF's weight;
    dense: every value of the reconstruction as a rating, to be WRMF's target (`WRMFConfig.feedback`).
    """
    if enter == "weights":
        values = np.asarray(rebuilt[data.train_users, data.train_items]).ravel()
        return replace(
            data,
            name=f"{data.name}-low-rank",
            train_ratings=np.clip(values, 0, 1).astype(np.float32),
            train_timestamps=None,
        )
    if enter == "dense":
        return _with_train(data, rebuilt, ratings=True)
    kept = rebuilt > threshold
    return _with_train(
        data,
        kept.maximum(data.matrix() > 0) if enter == "binarize_and_keep" else kept,
        ratings=False,
    )


def entered_ratings(
    data: Interactions,
    rebuilt: sparse.csr_matrix,
    share: float = 100,
    choose: str = "magnitude",
    keep_originals: bool = False,
    seed: int = 0,
) -> Interactions:
    """The data with ratings from a reconstruction: clipped to the scale, and of the new ones `share` percent.

    New are the reconstructed values from half of the lowest rating up where there was none; those of largest magnitude are taken, or random ones.
    The ratings that were there are the reconstructed ones, or stay as they are (`keep_originals`).
    """
    if not 0 <= share <= 100 or choose not in CHOICES:
        raise UserError(
            f"the share of new ratings must lie in 0 ... 100 and be chosen by {' or '.join(CHOICES)}, not {share}, {choose}"
        )
    low, high = data.rating_scale
    original = data.matrix(ratings=True)
    found = rebuilt.tocoo()
    is_new = ~np.isin(
        data.pairs(found.row, found.col), data.pairs(data.train_users, data.train_items)
    ) & (found.data >= low / 2)
    places = np.flatnonzero(is_new)
    count = round(len(places) * share / 100)
    by = (
        found.data[places]
        if choose == "magnitude"
        else np.random.default_rng(seed).random(len(places))
    )
    places = places[np.argsort(-by, kind="stable")[:count]]
    here = (
        original.data
        if keep_originals
        else np.asarray(rebuilt[data.train_users, data.train_items]).ravel()
    )
    users, items = (
        np.concatenate([data.train_users, found.row[places]]),
        np.concatenate([data.train_items, found.col[places]]),
    )
    values = np.clip(np.concatenate([here, found.data[places]]), low, high).astype(np.float32)
    return _with_train(
        data, sparse.csr_matrix((values, (users, items)), shape=original.shape), ratings=True
    )


def _with_train(data: Interactions, matrix: sparse.csr_matrix, ratings: bool) -> Interactions:
    matrix = matrix.tocsr()
    matrix.sort_indices()
    users, items = matrix.nonzero() if not ratings else matrix.tocoo().coords
    values = matrix.tocoo().data.astype(np.float32) if ratings else None
    parts = {
        "train_users": users.astype(np.int32),
        "train_items": items.astype(np.int32),
        "train_ratings": values,
        "train_timestamps": None,
    }
    return replace(data, name=f"{data.name}-low-rank", **parts)
