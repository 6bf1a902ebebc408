"""Every tested user's rank on a leaderboard, so that tests over users can be made from what ships."""

from pathlib import Path
from typing import NamedTuple
from zipfile import ZIP_LZMA

import numpy as np
import pandas as pd

from advrec_tf.execution import storage
from advrec_tf.execution.results import read_results

NAME = "users.npz"
MOST = np.iinfo(np.uint8).max  # the longest list whose ranks fit into a byte
_OF = {"ranks": "users", "certified": "certified_users"}  # array -> column of `leaderboard.tidy`


class Board(NamedTuple):
    """Rows as of `leaderboard.tidy`, and the quarter of each tested user by each of its GROUPS."""

    rows: pd.DataFrame
    quarters: dict[str, np.ndarray]


def ranks_of(ndcg: np.ndarray) -> np.ndarray:
    """Return the rank of each user's only test item, uint8, 0 beyond the list.  ndcg: [U], of float32 or more

    Raises ValueError for values that are not 0 or 1 / log2(rank + 1) of a rank up to MOST.
    """
    values = np.asarray(ndcg, np.float64)
    hit = values > 0
    found = np.zeros(values.shape)
    found[hit] = np.rint(2 ** (1 / values[hit]) - 1)
    if found.max(initial=0) > MOST or not np.allclose(ndcg_of(found), values, rtol=1e-5, atol=0):
        raise ValueError(f"not the nDCG of one test item a user, at a rank up to {MOST}")
    return found.astype(np.uint8)


def ndcg_of(ranks: np.ndarray) -> np.ndarray:
    """Return the nDCG of one test item a user at each rank, float64; rank 0 is beyond the list."""
    ranks = np.asarray(ranks, np.float64)
    return np.divide(1, np.log2(ranks + 1), out=np.zeros(ranks.shape), where=ranks > 0)


def write_users(folder: Path, board: Board) -> None:
    """Write users.npz beside the worst.csv of the same rows.

    `ranks` and `certified`, uint8 [users, rows]; `rows of ...` says which rows of worst.csv these
    are; certified ranks stand once, with the rows of `test`.  A byte for each user's quarter by
    each group.  Raises ValueError as `ranks_of` does.
    """
    arrays: dict[str, np.ndarray] = {}
    for name, column in _OF.items():
        known = board.rows[column].notna()
        if name == "certified":
            known &= board.rows["threat"] == "test"
        ranks = [ranks_of(values) for values in board.rows.loc[known, column]]
        arrays[name] = np.array(ranks, np.uint8).T
        arrays[f"rows of {name}"] = np.flatnonzero(known)
    arrays |= {name: quarter.astype(np.uint8) for name, quarter in board.quarters.items()}
    storage.save(folder / NAME, arrays, ZIP_LZMA)


def read_board(folder: Path | str) -> Board:
    """Return a leaderboard from worst.csv (or worst.csv.gz) and users.npz, own or published.

    Without users.npz the columns of users are empty.  Raises UserError for damaged files.
    """
    folder = Path(folder)
    rows = read_results(folder, "worst.csv")
    columns = {column: pd.Series([None] * len(rows), dtype=object) for column in _OF.values()}
    if not (folder / NAME).exists():
        return Board(rows.assign(**columns), {})
    arrays = storage.load(folder / NAME)
    for name, column in _OF.items():
        for row, ranks in zip(arrays.pop(f"rows of {name}"), arrays.pop(name).T):
            columns[column][row] = ndcg_of(ranks)
    return Board(rows.assign(**columns), arrays)
