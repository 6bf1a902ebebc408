"""The command line of the leaderboard: trained entries, your own factors, tables and pages."""

import json

import numpy as np
import pandas as pd
import pytest

from advrec_tf import data
from advrec_tf.leaderboard import COMPARED, measuring, worst_case
from advrec_tf.leaderboard.user_ranks import read_board
from advrec_tf.reporting import read_results
from published_runs import publish

from running import SHORT, advrec

ENTRIES = (
    *("BPR-MF", "rescaled BPR-MF", "iALS-8", "SVD-8", "MostPopular", "MarginMF"),
    *("AMF:normalised", "iALS-8:4:normalised", "SVD-16:normalised"),
)
LABELS = {
    *("BPR-MF", "rescaled BPR-MF", "iALS-8", "SVD-8", "MostPopular", "MarginMF"),
    *("AMF, user-normalised", "iALS-8→4, user-normalised", COMPARED.label),
}


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    """Return the folder of two runs, in which the name `mine` is given to different factors."""
    folder, rng, shop = tmp_path_factory.mktemp("board"), np.random.default_rng(0), data.synthetic()
    flags = [flag for flag in SHORT if not flag.startswith("--iterations")]
    flags += ["--experiment=robustness", f"--output_dir={folder}"]
    flags += [f"--entries={','.join(ENTRIES)}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measuring, "EPSILONS", {"l2": (0.05, 0.2), "linf": (0.05,)})
        for _ in range(2):
            np.save(folder / "P.npy", rng.standard_normal((shop.n_users, 3)))
            np.save(folder / "Q.npy", rng.standard_normal((shop.n_items, 3)))
            result = advrec(*flags, f"--factors=mine:{folder / 'P.npy'}:{folder / 'Q.npy'}")
            assert result.status == 0, result.err
    return folder


@pytest.fixture(scope="module")
def board(output):
    return output / "robustness" / "synthetic"


@pytest.fixture(scope="module")
def table(board):
    return pd.read_csv(board / "leaderboard.csv", keep_default_na=False)


def test_other_factors_of_a_name_stand_beside_the_earlier_ones(table):
    assert tuple(table.columns) == worst_case.COLUMNS
    mine = {name for name in table["entry"] if name.startswith("mine ")}
    assert len(mine) == 2 and set(table["entry"]) == mine | LABELS


def test_every_entry_is_measured_under_every_threat_model(table):
    assert (table.groupby("entry").size() == 1 + 4 * 3).all()
    assert set(table["threat_model"]) == {"", "train", "lists", "test", "user"}
    clean = table[table["threat_model"] == ""].set_index("entry")["nDCG"]
    assert (table["nDCG"] <= table["entry"].map(clean)).all()


def test_rescaled_factors_have_the_rows_of_the_originals(table):
    rows = table.set_index(["threat_model", "ball", "epsilon"])
    original, rescaled = (
        rows[rows["entry"] == name].drop(columns="entry") for name in ("BPR-MF", "rescaled BPR-MF")
    )
    pd.testing.assert_frame_equal(original, rescaled)


def test_each_entry_has_a_record(board):
    record = json.loads((board / "entries" / "BPR-MF 0.json").read_text())
    assert {"factors", "config", "figures", "flags", "versions"} <= set(record)
    assert len(record["figures"]) == 13 and len(list((board / "entries").iterdir())) == 11


def test_the_detailed_table_says_how_an_entry_was_made(board):
    worst = pd.read_csv(board / "worst.csv").groupby("entry").first()
    parts = list(measuring.ENTRY_COLUMNS)
    assert worst.loc["iALS-8→4, user-normalised", parts].tolist() == ["iALS", 8, 4, True]
    model, rank, truncated, normalized = worst.loc["BPR-MF", parts]
    assert (model, normalized) == ("BPR-MF", False) and np.isnan([rank, truncated]).all()


def test_all_entries_are_tested_and_seen_by_group(board, table):
    entries = set(table["entry"])
    assert set(pd.read_csv(board / "tests.csv")["second"]) == entries - {COMPARED.label}
    assert set(pd.read_csv(board / "groups.csv")["entry"]) == entries
    users = read_board(board)
    np.testing.assert_allclose(users.rows["users"].map(np.mean), users.rows["nDCG"], rtol=1e-5)
    assert set(users.quarters) == set(worst_case.GROUPS)


def test_the_page_shows_tables_and_pictures(board):
    page = (board / "leaderboard.html").read_text()
    assert "keeps most" in page and page.count("<table>") == 17
    assert 'aria-label="Worst nDCG' in page and (board / "leaderboard.png").exists()


def test_a_published_board_has_the_rows_of_the_measured_one(board, output):
    target = output / "published" / "synthetic"
    publish.take(board, target)
    measured, shipped = (read_results(folder, "worst.csv") for folder in (board, target))
    assert shipped[["nDCG", "epsilon"]].notna().all().all()
    assert (target / "users.npz").read_bytes() == (board / "users.npz").read_bytes()
    pd.testing.assert_frame_equal(
        shipped,
        measured[shipped.columns].where(shipped.notna()),
        rtol=1e-4,
        check_dtype=False,
    )
