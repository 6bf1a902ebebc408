"""Every tested user's rank, published so that tests over users can be repeated."""

from pathlib import Path
from typing import NamedTuple
from zipfile import ZIP_LZMA

import numpy as np
import pandas as pd

from advrec_tf.errors import UserError
from advrec_tf.execution import storage
from advrec_tf.execution.results import read_results

NAME = "users.npz"
MAX_RANK = np.iinfo(np.uint8).max  # a rank is a byte
_COLUMNS = {"ranks": "users", "certified": "certified_users"}  # array -> column of `worst_cases`


class Board(NamedTuple):
    """Rows of `worst_cases`, and the quarter of each tested user by each of GROUPS."""

    rows: pd.DataFrame
    quarters: storage.Arrays


def ranks_of(ndcg: np.ndarray) -> np.ndarray:
    """Return the rank of each user's only test item, uint8, 0 beyond the list.

    ndcg: [U], of float32 or more.  Raises ValueError for values that are not 0 or
    1 / log2(rank + 1) of a rank up to MAX_RANK.
    """
    values = np.asarray(ndcg, np.float64)
    hit = values > 0
    ranks = np.zeros(values.shape)
    ranks[hit] = np.rint(2 ** (1 / values[hit]) - 1)
    if ranks.max(initial=0) > MAX_RANK or not np.allclose(
        ndcg_of(ranks), values, rtol=1e-5, atol=0
    ):
        raise ValueError(f"not the nDCG of one test item a user, at a rank up to {MAX_RANK}")
    return ranks.astype(np.uint8)


def ndcg_of(ranks: np.ndarray) -> np.ndarray:
    """Return the nDCG of one test item a user at each rank, float64; rank 0 is beyond the list."""
    ranks = np.asarray(ranks, np.float64)
    return np.divide(1, np.log2(ranks + 1), out=np.zeros(ranks.shape), where=ranks > 0)


def write_users(folder: Path, board: Board) -> None:
    """Write users.npz beside the worst.csv of the same rows.

    `ranks` and `certified` are uint8 [users, rows]. `rows of ...` says which rows of worst.csv they
    belong to. Certified ranks are stored once, with the rows of `test`. Each user's quarter by each
    group is a byte.  Raises ValueError as `ranks_of` does.
    """
    arrays: storage.Arrays = {}
    for name, column in _COLUMNS.items():
        known = board.rows[column].notna()
        if name == "certified":
            known &= board.rows["threat_model"] == "test"
        ranks = [ranks_of(values) for values in board.rows.loc[known, column]]
        arrays[name] = np.array(ranks, np.uint8).T
        arrays[f"rows of {name}"] = np.flatnonzero(known)
    arrays |= {name: quarter.astype(np.uint8) for name, quarter in board.quarters.items()}
    storage.save(folder / NAME, arrays, ZIP_LZMA)


def read_board(folder: Path | str) -> Board:
    """Read a leaderboard, also a published one, from worst.csv (or worst.csv.gz) and users.npz.

    Without users.npz the columns of users are empty.  Raises UserError for damaged files, and for
    files of an earlier version.
    """
    folder = Path(folder)
    rows = read_results(folder, "worst.csv")
    columns = {column: pd.Series([None] * len(rows), dtype=object) for column in _COLUMNS.values()}
    if not (folder / NAME).exists():
        return Board(rows.assign(**columns), {})
    arrays = storage.load(folder / NAME)
    try:
        for name, column in _COLUMNS.items():
            for row, ranks in zip(arrays.pop(f"rows of {name}"), arrays.pop(name).T):
                columns[column][row] = ndcg_of(ranks)
    except KeyError as error:
        raise UserError(
            f"{folder / NAME}: not the ranks of users in this version, without {error}: "
            "measure again in another --output_dir"
        ) from None
    return Board(rows.assign(**columns), arrays)
