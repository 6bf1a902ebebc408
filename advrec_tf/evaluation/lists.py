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
    """Write lists as TSV: ids of the data file, ranks from 1, and scores p_u . q_i.

    The scores are blank without factors.
    """
    users, slots = np.nonzero(lists >= 0)
    items = lists[users, slots]
    scores = np.full(len(users), np.nan)
    if P is not None and Q is not None:
        scores = np.einsum("nd,nd->n", P[users], Q[items])
    columns = (data.user_ids[users], data.item_ids[items], slots + 1, scores)
    with replacing(path) as temporary:
        pd.DataFrame(dict(zip(_COLUMNS, columns))).to_csv(temporary, sep="\t", index=False)


def read_lists(path: Path, data: Interactions, k: int | None = None) -> np.ndarray:
    """Return the lists of a file of `save_lists`: int32 [U, k], -1 for an empty slot.

    k is the largest rank in the file unless given; the last slots may be empty for all users.
    Raises UserError for another table, and for ids that the data do not have.
    """
    frame = _read_table(path, data)
    users = pd.Index(data.user_ids).get_indexer(frame["user"])
    items = pd.Index(data.item_ids).get_indexer(frame["item"])
    unknown = (users < 0) | (items < 0)
    if unknown.any():
        line = int(np.argmax(unknown)) + 2
        raise UserError(f"{path}, line {line}: the user or item is not in {data.name}")
    lists = np.full((data.n_users, k or int(frame["rank"].max())), -1, np.int32)
    lists[users, frame["rank"] - 1] = items
    return lists


def _read_table(path: Path, data: Interactions) -> pd.DataFrame:
    """Return the file's table with ids of the types that the data have."""
    types = {"user": data.user_ids.dtype, "item": data.item_ids.dtype}
    text = {name: str for name, kind in types.items() if kind.kind not in "iu"}
    try:
        frame = pd.read_csv(
            path,
            sep="\t",
            dtype={**types, **text, "rank": np.int64},
            keep_default_na=False,
            na_values={"score": [""]},
        )
        if list(frame.columns) != _COLUMNS:
            raise ValueError(f"its columns are not {', '.join(_COLUMNS)}")
        if frame.empty or not frame["rank"].between(1, data.n_items).all():
            raise ValueError("a rank is missing or out of range")
    except (ValueError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: not lists of {data.name} ({reason})") from None
    return frame
