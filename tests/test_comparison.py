"""One entry beside all others: against SciPy and cases by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from advrec_tf import evaluation
from advrec_tf.errors import UserError
from advrec_tf.reporting import comparison, leaderboard
from advrec_tf.storage import write_csv
from experiments import robustness

from boards import FIRST, LEFT, board

PAIRS = len(LEFT) - 1
TESTS = PAIRS * len(comparison.CONDITIONS)


def one(tests, second, threat, ball, rho) -> pd.Series:
    """The row of a pair under a condition."""
    return tests.set_index(["second", "threat", "ball", "rho"]).loc[second, threat, ball, rho]


def test_holm_by_hand_and_no_test_stays():
    found = evaluation.holm([0.01, np.nan, 0.04, 0.03, 0.005, 0.9])
    np.testing.assert_allclose(found, [0.04, np.nan, 0.09, 0.09, 0.025, 0.9])
    assert evaluation.holm([0.6, 0.7]).tolist() == [1, 1] and evaluation.holm([]).size == 0


def test_a_pair_is_tested_over_users_and_over_trainings_as_scipy_does():
    rows = board(seeds=dict.fromkeys(LEFT, 3))
    tests = comparison.compared(rows, FIRST)
    assert len(tests) == TESTS and set(tests["first"]) == {FIRST} and (tests["seeds"] == 3).all()
    assert set(tests["second"]) == set(LEFT) - {FIRST}  # of every kind, and at another rank, too
    users = {entry: np.array(part["users"].tolist()) for entry, part in comparison.at(rows, ("test", "l2", 0.02)).groupby("entry")}
    difference, row = users[FIRST] - users["AMF"], one(tests, "AMF", "test", "l2", 0.02)
    assert row["difference"] == pytest.approx(difference.mean()) == pytest.approx(row["first_nDCG"] - row["second_nDCG"])
    level = 1 - 0.05 / TESTS
    for sample, low, high in ((difference.mean(axis=0), "low", "high"), (difference.mean(axis=1), "low_seeds", "high_seeds")):
        expected = stats.ttest_1samp(sample, 0).confidence_interval(level)
        assert (row[low], row[high]) == pytest.approx(tuple(expected))
    raw = {}
    for condition in comparison.CONDITIONS:
        users = {entry: np.array(part["users"].tolist()) for entry, part in comparison.at(rows, condition).groupby("entry")}
        for second in set(LEFT) - {FIRST}:
            sample = (users[FIRST] - users[second]).mean(axis=0)
            raw[(second, *condition)] = stats.ttest_1samp(sample, 0).pvalue if sample.any() else 1
    found = tests.set_index(["second", "threat", "ball", "rho"])["p_users"]
    np.testing.assert_allclose(found, evaluation.holm([raw[key] for key in found.index]))


def test_verdicts_are_of_the_corrected_p_and_the_sign():
    left = {"AMF": 0.95, "iALS with equal users": 0.9, FIRST: 0.9}
    tests = comparison.compared(board(left=left, seeds={"MostPopular": 1}), FIRST)
    assert one(tests, "AMF", "test", "l2", 0.05)["over_users"] == "worse"
    assert one(tests, "BPR-MF", "test", "l2", 0.05)["over_users"] == "better"
    assert one(tests, "iALS with equal users", "test", "l2", 0.05)["over_users"] == "undecided"
    assert one(tests, "AMF", "", "", 0.0)["over_users"] == "undecided"  # equal for every user
    assert one(tests, "MostPopular", "", "", 0.0)["over_seeds"] == "not tested"
    between = tests[["p_users"]].assign(p_users=[0.05, 0.0499, *[np.nan] * (TESTS - 2)])["p_users"]
    assert comparison._directions(tests["difference"].abs() + 1, between)[:3].tolist() == ["undecided", "better", "not tested"]


def test_what_has_one_seed_stands_beside_every_seed_and_is_not_tested_over_trainings():
    tests = comparison.compared(board(seeds={"AMF": 1, "BPR-MF": 3}), FIRST)
    assert (tests["seeds"] == 2).all()  # of several on both sides those they share
    untested = tests.groupby("second")["p_seeds"].apply(lambda p: p.isna().all())
    assert untested.to_dict() == {name: name == "AMF" for name in set(LEFT) - {FIRST}}
    single = board(seeds={FIRST: 1, "AMF": 1})
    single.loc[single["entry"] == "AMF", "seed"] = 7
    tests = comparison.compared(single, FIRST).set_index("second")
    assert (tests.loc["AMF", "seeds"] == 1).all() and (tests.loc["BPR-MF", "seeds"] == 2).all()
    assert tests["p_seeds"].isna().all()
    assert comparison.compared(board(), "nobody").empty


def test_an_entry_whose_users_no_job_has_kept_is_not_compared():
    rows = board()
    rows.loc[rows["entry"] == "AMF", ["users", "certified_users"]] = None
    assert set(comparison.compared(rows, FIRST)["second"]) == set(LEFT) - {FIRST, "AMF"}


def test_rank_and_counts_by_hand():
    rows = board(left={"AMF": 0.95}, seeds={"MostPopular": 1})
    found = comparison.standing(rows, comparison.compared(rows, FIRST)).set_index("condition")
    row = found.loc["test, l2 0.05"]
    assert row["nDCG"] == pytest.approx(comparison.at(rows, ("test", "l2", 0.05)).query("entry == @FIRST")["nDCG"].mean())
    assert (row["rank"], row["entries"]) == (2, 5)
    assert [row[f"{verdict} over_users"] for verdict in comparison.VERDICTS] == [3, 1, 0, 0]
    assert row["not tested over_seeds"] == 1
    assert [found.loc["clean", f"{verdict} over_users"] for verdict in comparison.VERDICTS] == [0, 0, 4, 0]
    text = comparison.summary(rows, comparison.compared(rows, FIRST))
    assert text.startswith(f"{FIRST} fails under 8 of 9 conditions") and "test, l2 0.05 (2 of 5)" in text
    assert text.endswith("No other entry keeps significantly more: clean (1 of 5).")


def test_shares_of_other_entries_by_hand():
    rows = board(clean={"BPR-MF": 0.5})
    rows.loc[rows["entry"] == FIRST, "ICov"] = 49
    found = comparison.goals(rows, FIRST).set_index("against")
    share = rows.query("entry == @FIRST and threat == ''")["nDCG"].mean() / rows.query("entry == 'BPR-MF' and threat == ''")["nDCG"].mean()
    assert 0.8 < share < 0.81 and f"{share:.2f} times" in found.loc["BPR-MF", "measured"].iloc[0]
    assert found.loc["BPR-MF", "verdict"].tolist() == ["fails", "fails"]
    assert found.loc["BPR-MF", "measured"].iloc[1] == "49 of 100: 0.49 times"
    assert found.loc["AMF", "verdict"] == "holds"  # .9 of .5


@pytest.fixture
def board_of_amf(tmp_path):
    """A folder of results whose tests are about AMF, and not about today's default."""
    rows = board().reindex(columns=[*leaderboard.DETAILS, *leaderboard.USERS])
    folder = tmp_path / "robustness" / "shop"
    write_csv(folder / "worst.csv", rows[list(leaderboard.DETAILS)])
    write_csv(folder / "tests.csv", comparison.compared(rows, "AMF"))
    write_csv(
        folder / "groups.csv", pd.DataFrame(columns=["entry", "by", "of", *(f"quartile {n}" for n in range(1, 5)), "difference", "low", "high", "p"])
    )
    return folder, rows


def test_a_board_whose_rows_are_about_another_entry_says_so_in_every_line(board_of_amf):
    folder, rows = board_of_amf
    robustness.render(folder)
    page = (folder / "report.md").read_text()
    sentences = [line for line in page.splitlines() if line.startswith("- ")]
    assert sentences[0] == "- " + comparison.summary(rows, comparison.compared(rows, "AMF"))
    assert [line for line in page.splitlines() if line.startswith("## AMF")] == [
        "## AMF: rank and tests", "## AMF: shares of other entries", "## AMF less each other entry",
    ]  # fmt: skip
    tests, parts = comparison.compared(rows, "AMF"), {part.split("\n")[0]: part for part in page.split("\n## ")}
    shown = [line.split(" | ") for line in parts["AMF: rank and tests"].splitlines() if line.startswith("| ")][2:]
    standing = comparison.standing(rows, tests)
    assert [line[1:3] for line in shown] == [[f"{row.nDCG:.4f}", f"{row.rank} of 5"] for row in standing.itertuples()]
    less = [line.strip("| ").split(" | ") for line in parts["AMF less each other entry"].splitlines() if line.startswith("| ")][2:]
    assert {line[0] for line in less} == set(LEFT) - {"AMF"}
    for second, *cells in less:
        for condition, cell in zip(comparison.CONDITIONS, cells):
            row = one(tests, second, *condition)
            mark = " ?" if row["over_users"] == "undecided" else ""
            assert cell == f"{row['difference']:+.4f}{mark}".replace("-0.0000", "+0.0000")
    clean, own = (rows[rows["entry"] == name].query("threat == ''")["nDCG"].mean() for name in ("BPR-MF", "AMF"))
    assert f"{own:.4f} of {clean:.4f}" in parts["AMF: shares of other entries"]


def test_tests_of_another_entry_than_the_one_asked_for_are_refused(board_of_amf):
    folder, _ = board_of_amf
    with pytest.raises(UserError, match=f"tests.csv is about AMF, not about {FIRST}"):
        robustness.render(folder, FIRST)
    robustness.render(folder, "AMF")
    tests = pd.read_csv(folder / "tests.csv", keep_default_na=False)
    write_csv(folder / "tests.csv", pd.concat([tests, tests.assign(first="BPR-MF")]))
    with pytest.raises(UserError, match="about AMF, BPR-MF, not about one entry"):
        robustness.render(folder)
