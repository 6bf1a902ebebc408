"""Published users' ranks: exact, small, and enough to repeat the tests."""

import numpy as np
import pandas as pd
import pytest

from advrec_tf.errors import UserError
from advrec_tf.execution import storage
from advrec_tf.execution.storage import write_csv
from advrec_tf.leaderboard import comparison, protection, user_ranks, worst_case
from advrec_tf.leaderboard.entries import COMPARED
from advrec_tf.leaderboard.user_ranks import read_board
from advrec_tf.leaderboard.worst_case import GROUPS
from advrec_tf.reporting import read_results
from published_runs import publish

from boards import ENTRIES, LEFT, USERS

QUARTERS = {by: np.repeat([1, 2, 3, 4], USERS // 4)[::step] for by, step in zip(GROUPS, (1, -1))}


def ranked(seeds=3) -> pd.DataFrame:
    """A board whose users have one test item each: ranks from 1 to 10, or beyond the list."""
    rng, rows = np.random.default_rng(0), []
    for entry in ENTRIES:
        for seed in range(seeds):
            shared = {**entry.columns, "seed": seed, "k": 10, "warnings": "", "unit": "relative"}
            shared |= {"factors": "f", "ICov": 100.0, "EFD": 0.1, "SE": 8.0, "HR": 0.5}
            for condition in (comparison.CLEAN, *comparison.GOALS):
                hit = rng.random(USERS) < LEFT[entry.label]
                users = _ndcg(np.where(hit, rng.integers(1, 11, USERS), 0))
                row = shared | dict(zip(("threat_model", "ball", "epsilon"), condition))
                row |= {"users": users, "nDCG": users.mean(), "certified_nDCG": np.nan}
                row["certified_users"] = None
                if condition != comparison.CLEAN:
                    certified = np.where(rng.random(USERS) < 0.5, users, 0)
                    row |= {"certified_users": certified, "certified_nDCG": certified.mean()}
                rows.append(row)
    return pd.DataFrame(rows).reindex(columns=[*worst_case.DETAILS, *worst_case.USERS])


def _ndcg(ranks) -> np.ndarray:
    return np.float32(user_ranks.ndcg_of(ranks))


def test_a_rank_comes_back_from_ndcg_by_hand():
    ranks = user_ranks.ranks_of(np.float32([1, 0.63092975, 0.5, 0, 1 / np.log2(256)]))
    assert ranks.tolist() == [1, 2, 3, 0, 255] and ranks.dtype == np.uint8
    assert user_ranks.ndcg_of([1, 3, 0]).tolist() == [1, 0.5, 0]
    every = np.arange(user_ranks.MAX_RANK + 1)
    np.testing.assert_array_equal(user_ranks.ranks_of(np.float32(user_ranks.ndcg_of(every))), every)
    for wrong in (0.9, 1 / np.log2(257), 1.5):  # of several items, beyond a byte, of nothing
        with pytest.raises(ValueError, match="not the nDCG of one test item"):
            user_ranks.ranks_of(np.array([1, wrong]))


def test_what_is_read_is_what_was_written(tmp_path):
    rows = ranked(seeds=1)
    rows.loc[3, "users"] = None  # that no job has kept
    rows.at[4, "users"] = np.zeros(USERS, np.float32)
    write_csv(tmp_path / "worst.csv", rows[list(worst_case.DETAILS)])
    assert read_board(tmp_path).rows["users"].isna().all() and read_board(tmp_path).quarters == {}
    user_ranks.write_users(tmp_path, user_ranks.Board(rows, QUARTERS))
    read, quarters = read_board(tmp_path)
    assert read["users"].isna().tolist() == rows["users"].isna().tolist()
    for row in range(len(rows)):
        if row != 3:
            np.testing.assert_array_equal(
                np.float32(read.loc[row, "users"]), rows.loc[row, "users"]
            )
        if rows.loc[row, "threat_model"] == "test":
            np.testing.assert_array_equal(
                np.float32(read.loc[row, "certified_users"]), rows.loc[row, "certified_users"]
            )
        else:
            assert read.loc[row, "certified_users"] is None
    assert {by: quarter.tolist() for by, quarter in quarters.items()} == {
        by: quarter.tolist() for by, quarter in QUARTERS.items()
    }
    with np.load(tmp_path / "users.npz") as plain:  # any other reader
        assert plain["ranks"].shape == (USERS, len(rows) - 1) and plain["ranks"].dtype == np.uint8
    content = bytearray((tmp_path / "users.npz").read_bytes())
    content[100] ^= 1
    (tmp_path / "users.npz").write_bytes(content)
    with pytest.raises(UserError, match="users.npz: its content is not what was written"):
        read_board(tmp_path)


def test_tests_and_groups_can_be_made_again_from_what_ships(tmp_path):
    """Of any entry, from worst.csv.gz and users.npz alone."""
    target = tmp_path / "published" / "shop"
    board = user_ranks.Board(ranked(), QUARTERS)
    publish.write_board(board, target)
    shipped = {name: read_results(target, f"{name}.csv") for name in ("tests", "groups")}
    for path in (target / "tests.csv", target / "groups.csv"):
        path.unlink()
    again = read_board(target)
    assert sorted(path.name for path in target.iterdir()) == ["users.npz", "worst.csv.gz"]
    for name, made in (
        ("tests", comparison.compared(again.rows, COMPARED.label)),
        ("groups", protection.protected(*again)),
    ):
        pd.testing.assert_frame_equal(
            shipped[name].drop(columns="dataset"), made, rtol=1e-4, atol=1e-12, check_dtype=False
        )
    assert not comparison.compared(again.rows, "AMF").empty


def test_published_entries_stay_beside_new_ones(tmp_path):
    board = user_ranks.Board(ranked(), QUARTERS)
    of_amf = board.rows["entry"] == "AMF"
    parts = [board._replace(rows=board.rows[chosen]) for chosen in (of_amf, ~of_amf)]
    joined = publish._joined(*parts)
    keys = ["entry", "seed", "threat_model", "ball", "epsilon"]
    expected = board.rows.sort_values(keys, ignore_index=True)
    pd.testing.assert_frame_equal(joined.rows, expected, check_dtype=False)
    again = publish._joined(board, parts[0])
    assert len(again.rows) == len(board.rows)  # a new row replaces the published one


def test_a_board_of_real_size_is_small(tmp_path):
    """Most users keep their rank from epsilon to epsilon, so ranks take less than a byte each."""
    rng = np.random.default_rng(0)
    base = np.where(rng.random(2000) < 0.1, rng.integers(1, 11, 2000), 0)
    rows = [np.where(rng.random(2000) < 0.95, base, 0) for _ in range(200)]
    frame = pd.DataFrame(
        {
            "users": [user_ranks.ndcg_of(row) for row in rows],
            "certified_users": None,
            "threat_model": "test",
        }
    )
    user_ranks.write_users(tmp_path, user_ranks.Board(frame, {}))
    assert (tmp_path / "users.npz").stat().st_size < 0.06 * 2000 * 200
    assert set(storage.load(tmp_path / "users.npz")) == {
        "ranks",
        "certified",
        "rows of ranks",
        "rows of certified",
    }
