"""One entry against all others: SciPy and cases computed by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from advrec_tf import evaluation
from advrec_tf.errors import UserError
from advrec_tf.execution.storage import write_csv
from advrec_tf.leaderboard import comparison, worst_case
from advrec_tf.leaderboard.board_page import render
from advrec_tf.leaderboard.protection import COLUMNS as GROUP_COLUMNS

from boards import FIRST, LEFT, NORMALIZED, board

PAIRS = len(LEFT) - 1
TESTS = PAIRS * len(comparison.CONDITIONS)


def one(tests, second, *condition) -> pd.Series:
    """Return the row of a pair under a condition."""
    return tests.set_index(comparison.KEYS[1:]).loc[(second, *condition)]


def test_holm_by_hand_and_no_test_stays():
    found = evaluation.holm([0.01, np.nan, 0.04, 0.03, 0.005, 0.9])
    np.testing.assert_allclose(found, [0.04, np.nan, 0.09, 0.09, 0.025, 0.9])
    assert evaluation.holm([0.6, 0.7]).tolist() == [1, 1] and evaluation.holm([]).size == 0


def test_a_pair_is_tested_over_users_and_over_trainings_as_scipy_does():
    rows = board(seeds=dict.fromkeys(LEFT, 3))
    tests = comparison.compared(rows, FIRST)
    assert len(tests) == TESTS and set(tests["first"]) == {FIRST} and (tests["seeds"] == 3).all()
    assert set(tests["second"]) == set(LEFT) - {FIRST}  # of every kind, and at another rank, too
    users = {
        entry: np.array(part["users"].tolist())
        for entry, part in comparison.at(rows, ("test", "l2", 0.02)).groupby("entry")
    }
    difference, row = users[FIRST] - users["AMF"], one(tests, "AMF", "test", "l2", 0.02)
    assert (
        row["difference"]
        == pytest.approx(difference.mean())
        == pytest.approx(row["first_nDCG"] - row["second_nDCG"])
    )
    level = 1 - 0.05 / TESTS
    for sample, low, high in (
        (difference.mean(axis=0), "low", "high"),
        (difference.mean(axis=1), "low_seeds", "high_seeds"),
    ):
        expected = stats.ttest_1samp(sample, 0).confidence_interval(level)
        assert (row[low], row[high]) == pytest.approx(tuple(expected))
    raw = {}
    for condition in comparison.CONDITIONS:
        users = {
            entry: np.array(part["users"].tolist())
            for entry, part in comparison.at(rows, condition).groupby("entry")
        }
        for second in set(LEFT) - {FIRST}:
            sample = (users[FIRST] - users[second]).mean(axis=0)
            raw[(second, *condition)] = stats.ttest_1samp(sample, 0).pvalue if sample.any() else 1
    found = tests.set_index(comparison.KEYS[1:])["p_users"]
    np.testing.assert_allclose(found, evaluation.holm([raw[key] for key in found.index]))


def test_verdicts_are_of_the_corrected_p_and_the_sign():
    left = {"AMF": 0.95, NORMALIZED: 0.9, FIRST: 0.9}
    tests = comparison.compared(board(left=left, seeds={"MostPopular": 1}), FIRST)
    assert one(tests, "AMF", "test", "l2", 0.05)["over_users"] == "worse"
    assert one(tests, "BPR-MF", "test", "l2", 0.05)["over_users"] == "better"
    assert one(tests, NORMALIZED, "test", "l2", 0.05)["over_users"] == "undecided"
    assert one(tests, "AMF", "", "", 0.0)["over_users"] == "undecided"  # equal for every user
    assert one(tests, "MostPopular", "", "", 0.0)["over_seeds"] == "not tested"
    between = tests[["p_users"]].assign(p_users=[0.05, 0.0499, *[np.nan] * (TESTS - 2)])["p_users"]
    assert comparison.directions(tests["difference"].abs() + 1, between)[:3].tolist() == [
        "undecided",
        "better",
        "not tested",
    ]


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
    assert row["nDCG"] == pytest.approx(
        comparison.at(rows, ("test", "l2", 0.05)).query("entry == @FIRST")["nDCG"].mean()
    )
    assert (row["rank"], row["entries"]) == (2, 5)
    assert [row[f"{verdict} over_users"] for verdict in comparison.DIRECTIONS] == [3, 1, 0, 0]
    assert row["not tested over_seeds"] == 1
    assert [found.loc["clean", f"{verdict} over_users"] for verdict in comparison.DIRECTIONS] == [
        0,
        0,
        4,
        0,
    ]
    assert (
        row["verdict over_users"] == "fails"
        and found.loc["clean", "verdict over_users"] == "not decidable"
    )
    text = comparison.summary(rows, comparison.compared(rows, FIRST))
    assert text == (
        f"{FIRST} fails under 8 of 9 conditions, where another entry keeps significantly more "
        "nDCG. It fails over users under 8, only over trainings under 0. It beats every other "
        "entry under 0, undecided are 1. Its rank lies between 1 and 2 of 5."
    )


def test_an_entry_holds_where_every_other_is_significantly_worse():
    rows = board(left=dict.fromkeys(set(LEFT) - {FIRST}, 0.5))
    tests = comparison.compared(rows, FIRST)
    found = comparison.standing(rows, tests).set_index("condition")
    assert found.loc["test, l2 0.05", "verdict over_users"] == "holds"
    undecided = tests.assign(
        over_users=tests["over_users"].where(tests["second"] != "AMF", "undecided")
    )
    assert set(comparison.standing(rows, undecided)["verdict over_users"]) == {"not decidable"}
    of_trainings = tests.assign(over_seeds="better")
    of_trainings.loc[
        (tests["threat_model"] == "train") & (tests["ball"] == "linf") & (tests["second"] == "AMF"),
        "over_seeds",
    ] = "worse"
    text = comparison.summary(rows, of_trainings)
    assert text.startswith(f"{FIRST} fails under 1 of 9 conditions")
    assert "It fails over users under 0, only over trainings under 1." in text
    assert "It beats every other entry under 7, undecided are 1." in text


def test_shares_of_other_entries_are_judged_over_trainings_as_scipy_does():
    rows = board(seeds=dict.fromkeys(LEFT, 3))
    for entry, values in {
        FIRST: [0.50, 0.52, 0.51],
        "BPR-MF": [0.5, 0.5, 0.5],
        "AMF": [0.3, 0.31, 0.33],
    }.items():
        rows.loc[(rows["entry"] == entry) & (rows["threat_model"] == ""), "nDCG"] = values
        rows.loc[(rows["entry"] == entry) & (rows["threat_model"] == "test"), "certified_nDCG"] = (
            np.tile(values, (3, 1)).T.ravel()
        )
    rows.loc[(rows["entry"] == FIRST) & (rows["threat_model"] == ""), "ICov"] = [40, 42, 41]
    clean, bound, coverage = comparison.goals(rows, FIRST)
    assert [each.claim.check for each in (clean, bound, coverage)] == [
        "clean nDCG over that of BPR-MF: greater than 0.97",
        "nDCG, certified, l2 0.01 over that of AMF: greater than 1.5",
        "ICov over that of BPR-MF: greater than 0.5",
    ]
    ratios = np.array([1.0, 1.04, 1.02])
    assert clean.parts[0].mean == pytest.approx(1.02)
    assert clean.parts[0].interval == pytest.approx(
        tuple(stats.ttest_1samp(ratios, 0).confidence_interval(0.95))
    )
    held = [stats.ttest_1samp(ratios, 0.97, alternative="greater").pvalue]
    held.append(
        stats.ttest_1samp(
            np.array([0.50, 0.52, 0.51]) / [0.3, 0.31, 0.33], 1.5, alternative="greater"
        ).pvalue
    )
    held.append(stats.ttest_1samp([0.4, 0.42, 0.41], 0.5, alternative="greater").pvalue)
    assert (
        clean.p == pytest.approx(evaluation.holm(held)[0]) and clean.word.value == "not decidable"
    )
    assert bound.word.value == "not decidable" and coverage.word.value == "fails"
    single = comparison.goals(board(seeds={"BPR-MF": 1}), FIRST)
    assert [each.word.value for each in single] == ["not decidable", "holds", "not decidable"]
    assert single[0].parts[0].count == 1 and single[0].parts[0].mean == pytest.approx(1)
    assert len(comparison.goals(rows, "AMF")) == 2 and comparison.goals(rows, "nobody") == []


@pytest.fixture
def board_of_amf(tmp_path):
    """A folder of results whose tests are about AMF, and not about today's default."""
    rows = board().reindex(columns=[*worst_case.DETAILS, *worst_case.USERS])
    folder = tmp_path / "robustness" / "shop"
    write_csv(folder / "worst.csv", rows[list(worst_case.DETAILS)])
    write_csv(folder / "tests.csv", comparison.compared(rows, "AMF"))
    write_csv(folder / "groups.csv", pd.DataFrame(columns=GROUP_COLUMNS))
    return folder, rows


def section(page: str, title: str) -> list[list[str]]:
    """Return the cells of a table below its title, without its head."""
    (part,) = (part for part in page.split("\n## ") if part.startswith(f"{title}\n"))
    lines = [line for line in part.splitlines() if line.startswith("| ")]
    return [line.removeprefix("| ").removesuffix(" |").split(" | ") for line in lines[2:]]


def test_a_board_whose_rows_are_about_another_entry_says_so_in_every_line(board_of_amf):
    folder, rows = board_of_amf
    render(folder)
    page = (folder / "report.md").read_text()
    sentences = [line for line in page.splitlines() if line.startswith("- ")]
    assert sentences[0] == "- " + comparison.summary(rows, comparison.compared(rows, "AMF"))
    assert [line for line in page.splitlines() if line.startswith("## AMF")] == [
        "## AMF: rank and tests",
        "## AMF: shares of other entries",
        "## AMF less each other entry",
    ]


def test_the_tables_of_a_page_are_of_the_entry_that_its_tests_are_about(board_of_amf):
    folder, rows = board_of_amf
    render(folder)
    page, tests = (folder / "report.md").read_text(), comparison.compared(rows, "AMF")
    standing = comparison.standing(rows, tests)
    expected = [[f"{row.nDCG:.4f}", f"{row.rank} of 5"] for row in standing.itertuples()]
    assert [cells[1:3] for cells in section(page, "AMF: rank and tests")] == expected
    less = section(page, "AMF less each other entry")
    assert {cells[0] for cells in less} == set(LEFT) - {"AMF"}
    for second, *cells in less:
        for condition, cell in zip(comparison.CONDITIONS, cells):
            row = one(tests, second, *condition)
            mark = " ?" if row["over_users"] == "undecided" else ""
            assert cell == f"{row['difference']:+.4f}{mark}".replace("-0.0000", "+0.0000")
    goal = "clean nDCG over that of BPR-MF: greater than 0.97"
    (shares, _) = section(page, "AMF: shares of other entries")
    assert shares == [goal, "1.00", "2", "-", "not decidable"]


def test_tests_of_another_entry_than_the_one_asked_for_are_refused(board_of_amf):
    folder, _ = board_of_amf
    with pytest.raises(UserError, match=f"tests.csv is about AMF, not about {FIRST}"):
        render(folder, FIRST)
    render(folder, "AMF")
    tests = pd.read_csv(folder / "tests.csv", keep_default_na=False)
    write_csv(folder / "tests.csv", pd.concat([tests, tests.assign(first="BPR-MF")]))
    with pytest.raises(UserError, match="about AMF, BPR-MF, not about one entry"):
        render(folder)


def test_the_mean_over_all_conditions_by_hand():
    """FIRST has .4 clean, .36 under each of seven attacks and .18 certified."""
    found = comparison.means(board(noise=0.0))
    assert found.index[0] == FIRST and found.iloc[0] == pytest.approx(
        (0.4 + 7 * 0.36 + 0.18) / 9, rel=0.02
    )
    assert found.is_monotonic_decreasing and set(found.index) == set(LEFT)
    # AMF has .9, .45 seven times and .225, though FIRST keeps the larger share.
    assert comparison.means(board(clean={"AMF": 0.9})).index[0] == "AMF"
