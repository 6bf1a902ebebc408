"""Training interactions from a reconstruction."""

from dataclasses import replace

import numpy as np
from scipy import sparse

from advrec_tf.data import Interactions
from advrec_tf.defenses.choices import CHOICES
from advrec_tf.errors import UserError


def training_interactions(
    data: Interactions, rebuilt: sparse.csr_matrix, conversion: str, threshold: float
) -> Interactions:
    """Return the data with the train interactions that a conversion makes of a reconstruction.

    rebuilt: [users, items]. The conversions are: "binarize" and "rating_matrix", a click where the
    reconstruction (of clicks, of ratings) exceeds the threshold; "binarize_and_keep", the same of
    clicks, and every original interaction; "weights", the original interactions, with reconstructed
    values in [0, 1] as ratings that scale WRMF's weight; "dense", all values of the reconstruction
    as ratings, which are WRMF's targets (`WRMFConfig.feedback`).
    """
    if conversion == "weights":
        values = np.asarray(rebuilt[data.train_users, data.train_items]).ravel()
        return replace(
            data,
            name=f"{data.name}-low-rank",
            train_ratings=np.clip(values, 0, 1).astype(np.float32),
            train_timestamps=None,
        )
    if conversion == "dense":
        return _with_train(data, rebuilt, ratings=True)
    kept = rebuilt > threshold
    if conversion == "binarize_and_keep":
        kept = kept.maximum(data.matrix() > 0)
    return _with_train(data, kept, ratings=False)


def training_ratings(
    data: Interactions,
    rebuilt: sparse.csr_matrix,
    share: float = 100,
    choose: str = "magnitude",
    keep_originals: bool = False,
) -> Interactions:
    """Return the data with reconstructed ratings, clipped to the scale.

    New ratings are reconstructed values of at least half the lowest rating where there was none.
    `share` percent of them are taken: the largest, or random ones.  The existing ratings are
    replaced by the reconstructed ones, or stay the same with `keep_originals`.

    Raises UserError for a share outside of 0 ... 100 and an unknown choice.
    """
    if not 0 <= share <= 100 or choose not in CHOICES:
        raise UserError(
            "the share of new ratings must lie in 0 ... 100 and be chosen by"
            f" {' or '.join(CHOICES)}, not {share}, {choose}"
        )
    low, high = data.rating_scale
    original, values = data.matrix(ratings=True), rebuilt.tocoo()
    rated = data.pairs(data.train_users, data.train_items)
    is_new = ~np.isin(data.pairs(values.row, values.col), rated) & (values.data >= low / 2)
    new = np.flatnonzero(is_new)
    random = np.random.default_rng(0).random(len(new))
    priority = values.data[new] if choose == "magnitude" else random
    new = new[np.argsort(-priority, kind="stable")[: round(len(new) * share / 100)]]
    if keep_originals:
        existing = original.data
    else:
        existing = np.asarray(rebuilt[data.train_users, data.train_items]).ravel()
    users = np.concatenate([data.train_users, values.row[new]])
    items = np.concatenate([data.train_items, values.col[new]])
    ratings = np.clip(np.concatenate([existing, values.data[new]]), low, high).astype(np.float32)
    matrix = sparse.csr_matrix((ratings, (users, items)), shape=original.shape)
    return _with_train(data, matrix, ratings=True)


def _with_train(data: Interactions, matrix: sparse.csr_matrix, ratings: bool) -> Interactions:
    """Return the data with the non-zero values of a matrix as train set, as ratings or as clicks.

    matrix: [users, items]
    """
    matrix = matrix.tocsr()
    matrix.sort_indices()
    users, items = matrix.tocoo().coords if ratings else matrix.nonzero()
    return replace(
        data,
        name=f"{data.name}-low-rank",
        train_users=users.astype(np.int32),
        train_items=items.astype(np.int32),
        train_ratings=matrix.tocoo().data.astype(np.float32) if ratings else None,
        train_timestamps=None,
    )
