"""The front, whom factors protect, and the page of one entry: from rows made by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from advrec_tf import evaluation
from advrec_tf.cli import flags
from advrec_tf.leaderboard import comparison, front, summary
from advrec_tf.leaderboard.summary import GROUPS
from advrec_tf.reporting.vocabulary import DEFENDED

from boards import FIRST, LEFT, USERS, board


def test_whom_factors_protect_is_told_by_the_share_that_is_left():
    quarters = {
        by: np.repeat([1, 2, 3, 4], USERS // 4)[:: -1 if by == GROUPS[1] else 1] for by in GROUPS
    }
    rows = board(noise=1e-3)
    poor = (rows["entry"] == "AMF") & (rows["threat"] == "test")
    spoilt = rows.loc[poor, "users"].map(
        lambda users: np.where(quarters[GROUPS[0]] == 1, 0.1, 1) * users
    )
    rows.loc[poor, "users"] = spoilt
    found = front.protected(rows, quarters).set_index(["entry", "by", "of"])
    own = found.loc["AMF", GROUPS[0], "test, l2 0.05"]
    assert own[[f"quartile {n}" for n in range(1, 5)]].tolist() == pytest.approx(
        [0.05, 0.5, 0.5, 0.5], abs=0.01
    )
    assert (
        own["difference"] == pytest.approx(0.45, abs=0.01)
        and own["low"] < own["difference"] < own["high"]
    )
    assert found.loc["AMF", GROUPS[1], "test, l2 0.05"]["difference"] == pytest.approx(
        -0.45, abs=0.01
    )
    assert found.loc[FIRST, GROUPS[0], "certified, l2 0.01"]["quartile 3"] == pytest.approx(
        0.45, abs=0.01
    )


def test_a_row_of_the_groups_by_hand():
    """Ratios and their deviations as sums over users; the interval is Bonferroni's, p Holm's, the deviation of a difference the hypotenuse."""
    quarters = {GROUPS[0]: np.repeat([1, 2, 3, 4], USERS // 4)}
    rows = board()
    poor = (rows["entry"] == "AMF") & (rows["threat"] == "test")
    for column in ("users", "certified_users"):  # the first quarter loses a little more
        rows.loc[poor, column] = rows.loc[poor, column].map(
            lambda users: np.where(np.arange(USERS) < USERS // 4, 0.93, 1) * users
        )
    found = front.protected(rows, quarters)
    assert ((found["p"] > 0.1) & (found["p"] < 0.9)).any()
    means = {
        condition: {
            entry: np.mean(part["users"].tolist(), axis=0)
            for entry, part in comparison.at(rows, condition).groupby("entry")
        }
        for condition in (comparison.CLEAN, ("test", "l2", 0.05), comparison.CERTIFIED)
    }
    p, lines = [], {}
    for condition in (("test", "l2", 0.05), comparison.CERTIFIED):
        for entry in sorted(LEFT):
            above, below = means[condition][entry], means[comparison.CLEAN][entry]
            ratio, variance = {}, {}
            for n in (1, 4):
                a, b = above[quarters[GROUPS[0]] == n], below[quarters[GROUPS[0]] == n]
                ratio[n] = a.sum() / b.sum()
                variance[n] = np.sum((a - ratio[n] * b) ** 2) / b.sum() ** 2  # of a ratio of sums
            deviation = np.sqrt(variance[1] + variance[4])
            p.append(2 * stats.norm.sf(abs(ratio[4] - ratio[1]) / deviation))
            lines[entry, comparison.title_of(condition)] = ratio[4] - ratio[1], deviation
    assert len(found) == len(lines) == 10
    reach = stats.norm.ppf(1 - 0.05 / 2 / 10)
    for row, corrected in zip(found.itertuples(), evaluation.holm(p)):
        difference, deviation = lines[row.entry, row.of]
        assert row.difference == pytest.approx(difference)
        assert (row.low, row.high) == pytest.approx(
            (difference - reach * deviation, difference + reach * deviation)
        )
        assert row.p == pytest.approx(corrected)


def test_the_deviation_of_a_ratio_is_that_of_drawing_users_anew():
    rng = np.random.default_rng(0)
    below = rng.random(400)
    above = below * rng.random(400)
    drawn = [rng.integers(0, 400, 400) for _ in range(4000)]
    ratio, deviation = front._ratio(above, below)
    assert ratio == pytest.approx(above.sum() / below.sum())
    assert deviation == pytest.approx(
        np.std([above[each].sum() / below[each].sum() for each in drawn]), rel=0.05
    )
    assert np.isnan(front._ratio(above, np.zeros(400))).all()
    ratio, deviation = front._ratio(above, np.where(np.arange(400) < front.FEW - 1, below, 0))
    assert np.isfinite(ratio) and np.isnan(deviation)
    assert np.isnan(front._ratio(np.zeros(400), below)[1]) and np.isnan(
        front._ratio(below, below)[1]
    )  # all of it is lost, or nothing


def test_the_front_is_what_nothing_beats_in_both():
    points = pd.DataFrame({"x": [1.0, 2, 3, 3, 2.5], "y": [5.0, 4, 1, 2, 1.5]}, index=list("abcde"))
    assert list(front.front(points).index) == ["d", "b", "a"]


def test_what_differs_in_users_norms_alone_shares_a_colour():
    rows = board()
    rows.loc[rows["entry"] == FIRST, list(summary.SPEC)] = ["iALS", None, False]
    left, *_ = front.front_figure(rows).axes
    marks = {container.get_label(): container.lines[0] for container in left.containers}
    assert set(marks) == set(LEFT) - {"MostPopular"}
    own, other = marks[FIRST], marks["iALS with equal users"]
    assert (
        own.get_color() == other.get_color() == own.get_markerfacecolor()
        and other.get_markerfacecolor() == "white"
    )
    assert marks["AMF"].get_color() != marks["BPR-MF"].get_color() != own.get_color()


def test_pictures_and_the_page_have_every_entry():
    rows = board()
    tests, groups = (
        comparison.compared(rows, FIRST),
        front.protected(rows, {by: np.repeat([1, 2, 3, 4], USERS // 4) for by in GROUPS}),
    )
    picture = front.front_figure(rows)
    picture.draw_without_rendering()  # with its layout
    titles = [axis.get_title() for axis in picture.axes]
    assert titles == [
        comparison.title_of(each) for each in (*comparison.GOALS, comparison.CERTIFIED)
    ]
    labels = {text.get_text() for text in picture.legends[0].get_texts()}
    assert labels == {*LEFT, "MostPopular, clean"} - {"MostPopular"}
    assert len(front.groups_figure(groups, rows).axes) == 4
    found = front.tables(rows, tests) + front.tables_of_groups(groups)
    assert [each.title for each in found] == [
        "Worst nDCG under each condition",
        f"{FIRST}: rank and tests",
        f"{FIRST}: shares of other entries",
        f"{FIRST} less each other entry",
        "Whom factors protect, by user activity",
        "Whom factors protect, by item popularity",
    ]
    left, ranked, _, less, *_ = (each.table for each in found)
    assert (
        left.loc[FIRST, "clean"] == "0.4029"
        and left.loc[FIRST, "test, l2 0.05"].startswith("0.36")
        and set(left["ICov"]) == {"100"}
    )
    assert ranked.loc["test, l2 0.05"].tolist()[1:4] == ["1 of 5", "4 / 0 / 0 / 0", "holds"]
    assert less.loc["AMF", "clean"] == "+0.0000 ?" and set(less.index) == set(LEFT) - {FIRST}
    assert (
        "| AMF | +0.0000 ? |" in found[3].markdown
        and "| AMF, certified, l2 0.01 | " in found[4].markdown
    )
    rows.loc[rows["entry"] == "AMF", "ICov"] = 49
    assert front.table(rows)["ICov"]["AMF"] == "49 *"
    assert len(front.tables(rows, tests[:0]) + front.tables_of_groups(groups[:0])) == 1


@pytest.mark.parametrize("preset", ("paper", "quick"))
def test_the_defence_stands_on_the_board_unless_it_is_left_out(preset):
    assert DEFENDED in flags.default(flags.FLAGS["entries"], "robustness", preset)
