"""Recommendation lists as files."""

from pathlib import Path

import numpy as np
import pandas as pd

from advrec_tf.data import Interactions
from advrec_tf.errors import UserError
from advrec_tf.files import replacing

_COLUMNS = ["user", "item", "rank", "score"]


def save_lists(
    path: Path,
    lists: np.ndarray,
    data: Interactions,
    P: np.ndarray | None = None,
    Q: np.ndarray | None = None,
) -> None:
    """Writes lists as TSV: the ids of the data file, the rank from 1, and the score p_u . q_i (blank without factors)."""
    users, places = np.nonzero(lists >= 0)
    items = lists[users, places]
    score = (
        np.einsum("nd,nd->n", P[users], Q[items])
        if P is not None and Q is not None
        else np.full(len(users), np.nan)
    )
    frame = pd.DataFrame(
        dict(zip(_COLUMNS, (data.user_ids[users], data.item_ids[items], places + 1, score)))
    )
    with replacing(path) as temporary:
        frame.to_csv(temporary, sep="\t", index=False)


def read_lists(path: Path, data: Interactions, k: int | None = None) -> np.ndarray:
    """The inverse of `save_lists`: int32 [U, k], -1 for a place without an item; k: the largest rank in the file unless given, as last places may be
    empty for everybody.  Raises UserError for another table, and for ids the data do not have.
    """
    kinds = {
        name: ids.dtype if ids.dtype.kind in "iu" else str
        for name, ids in (("user", data.user_ids), ("item", data.item_ids))
    }
    try:
        frame = pd.read_csv(
            path,
            sep="\t",
            dtype={**kinds, "rank": np.int64},
            keep_default_na=False,
            na_values={"score": [""]},
        )
        if list(frame.columns) != _COLUMNS:
            raise ValueError(f"its columns are not {', '.join(_COLUMNS)}")
        if frame.empty or not frame["rank"].between(1, data.n_items).all():
            raise ValueError("a rank is missing or out of range")
    except (ValueError, KeyError) as error:  # another table, or none
        raise UserError(
            f"{path}: not lists of {data.name} ({' '.join(str(error).split())})"
        ) from None
    users, items = (
        pd.Index(ids).get_indexer(frame[column])
        for ids, column in ((data.user_ids, "user"), (data.item_ids, "item"))
    )
    unknown = (users < 0) | (items < 0)
    if unknown.any():
        raise UserError(
            f"{path}, line {int(np.argmax(unknown)) + 2}: the user or item is not in {data.name}"
        )
    lists = np.full((data.n_users, k or int(frame["rank"].max())), -1, np.int32)
    lists[users, frame["rank"] - 1] = items
    return lists
