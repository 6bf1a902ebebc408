"""The Pareto front, protected users, and the tables of one entry, from rows made by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from advrec_tf import evaluation
from advrec_tf.cli import flags
from advrec_tf.leaderboard import (
    COMPARED,
    comparison,
    comparison_tables,
    plots,
    protection,
)
from advrec_tf.leaderboard.entries import parse_entry
from advrec_tf.leaderboard.worst_case import GROUPS
from experiments.board_factors import MODELS, RANKED_MODELS

from boards import FIRST, LEFT, NORMALIZED, USERS, board


def test_whom_factors_protect_is_told_by_the_share_that_is_left():
    quarters = {
        by: np.repeat([1, 2, 3, 4], USERS // 4)[:: -1 if by == GROUPS[1] else 1] for by in GROUPS
    }
    rows = board(noise=1e-3)
    poor = (rows["entry"] == "AMF") & (rows["threat_model"] == "test")
    spoilt = rows.loc[poor, "users"].map(
        lambda users: np.where(quarters[GROUPS[0]] == 1, 0.1, 1) * users
    )
    rows.loc[poor, "users"] = spoilt
    found = protection.protected(rows, quarters).set_index(["entry", "by", "of"])
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


def users_of(rows, condition) -> dict[str, np.ndarray]:
    """Return each entry's nDCG by user under a condition, mean over seeds."""
    parts = comparison.at(rows, condition).groupby("entry")["users"]
    return {entry: np.mean(users.tolist(), axis=0) for entry, users in parts}


def test_a_row_of_the_groups_by_hand():
    """Compute ratios and their deviations as sums over users.

    The interval is Bonferroni's, p is Holm's, and the deviation of a difference is the hypotenuse.
    """
    quarters = {GROUPS[0]: np.repeat([1, 2, 3, 4], USERS // 4)}
    rows = board()
    poor = (rows["entry"] == "AMF") & (rows["threat_model"] == "test")
    for column in ("users", "certified_users"):  # the first quarter loses a little more
        rows.loc[poor, column] = rows.loc[poor, column].map(
            lambda users: np.where(np.arange(USERS) < USERS // 4, 0.93, 1) * users
        )
    found = protection.protected(rows, quarters)
    assert ((found["p"] > 0.1) & (found["p"] < 0.9)).any()
    p, lines, clean = [], {}, users_of(rows, comparison.CLEAN)
    for condition in (("test", "l2", 0.05), comparison.CERTIFIED):
        for entry, above in sorted(users_of(rows, condition).items()):
            below = clean[entry]
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
    ratio, deviation = protection.ratio_of_means(above, below)
    assert ratio == pytest.approx(above.sum() / below.sum())
    assert deviation == pytest.approx(
        np.std([above[each].sum() / below[each].sum() for each in drawn]), rel=0.05
    )
    assert np.isnan(protection.ratio_of_means(above, np.zeros(400))).all()
    ratio, deviation = protection.ratio_of_means(
        above, np.where(np.arange(400) < protection.MIN_HITS - 1, below, 0)
    )
    assert np.isfinite(ratio) and np.isnan(deviation)
    assert np.isnan(protection.ratio_of_means(np.zeros(400), below)[1]) and np.isnan(
        protection.ratio_of_means(below, below)[1]
    )  # all of it is lost, or nothing


def test_the_front_is_what_nothing_beats_in_both():
    points = pd.DataFrame({"x": [1.0, 2, 3, 3, 2.5], "y": [5.0, 4, 1, 2, 1.5]}, index=list("abcde"))
    assert list(plots.front(points).index) == ["d", "b", "a"]


def test_every_entry_has_a_colour_and_user_normalised_ones_open_markers():
    left, *_ = plots.front_figure(board()).axes
    marks = {container.get_label(): container.lines[0] for container in left.containers}
    assert set(marks) == set(LEFT) - {"MostPopular"}
    assert len({mark.get_color() for mark in marks.values()}) == len(marks)
    open_marks = {label for label, mark in marks.items() if mark.get_markerfacecolor() == "white"}
    assert open_marks == {label for label in marks if label.endswith("user-normalised")}


def test_of_many_entries_five_have_a_colour_and_the_others_are_grey():
    rows = board(clean={NORMALIZED: 0.42})
    spare = rows[rows["entry"] == "AMF"]
    more = [spare.assign(entry=name, model=name) for name in ("a", "b", "c", "mine", "z")]
    rows = pd.concat([rows, *more], ignore_index=True)
    reached = {"mine", FIRST, NORMALIZED, "BPR-MF", "AMF"}  # the best, the most accurate
    assert set(plots.highlighted(rows, own={"mine"})) == reached
    picture = plots.curves_figure(rows, own={"mine"})
    labels = {text.get_text() for text in picture.legends[0].get_texts()}
    assert labels == {*reached, "other entries", "MostPopular, clean"}
    lines = {line.get_label(): line.get_color() for line in picture.axes[0].lines}
    assert len({lines[name] for name in reached}) == 5 and lines["other entries"] == "0.8"


def test_points_of_the_front_are_means_with_bars_over_seeds():
    """Clean nDCG is the same in all trainings, what attacks leave is not."""
    rows = board(seeds=dict.fromkeys(LEFT, 3))
    values = comparison.at(rows, comparison.GOALS[0]).groupby("entry")["nDCG"]
    left, *_ = plots.front_figure(rows).axes
    clean = comparison.at(rows, comparison.CLEAN).groupby("entry")["nDCG"].mean()
    for container in left.containers:
        entry, (point, _, (across, upright)) = container.get_label(), container.lines
        assert point.get_xydata()[0] == pytest.approx((clean[entry], values.mean()[entry]))
        (wide,), (high,) = across.get_segments(), upright.get_segments()
        assert np.ptp(wide[:, 0]) == pytest.approx(0)
        assert np.ptp(high[:, 1]) == pytest.approx(2 * values.std()[entry]) != 0


QUARTERS = {by: np.repeat([1, 2, 3, 4], USERS // 4) for by in GROUPS}


def test_pictures_have_every_entry():
    rows = board()
    picture = plots.front_figure(rows)
    picture.draw_without_rendering()  # with its layout
    titles = [axis.get_title() for axis in picture.axes]
    conditions = (*comparison.GOALS, comparison.CERTIFIED)
    assert titles == [comparison.title_of(each) for each in conditions]
    labels = {text.get_text() for text in picture.legends[0].get_texts()}
    assert labels == {*LEFT, "MostPopular, clean"} - {"MostPopular"}
    groups = plots.groups_figure(protection.protected(rows, QUARTERS), rows)
    assert len(groups.axes) == 4
    labels = {text.get_text() for text in groups.legends[0].get_texts()}
    assert labels == set(LEFT) - {"MostPopular"}


def test_the_tables_of_the_compared_entry_by_hand():
    rows = board()
    tests = comparison.compared(rows, FIRST)
    tables = comparison_tables.tables(rows, tests)
    assert [each.title for each in tables] == [
        "Worst nDCG under each condition",
        f"{FIRST}: rank and tests",
        f"{FIRST}: shares of other entries",
        f"{FIRST} less each other entry",
    ]
    left, ranked, _, less = (each.table for each in tables)
    assert left.loc[FIRST, "clean"] == "0.4029" and set(left["ICov"]) == {"100"}
    assert left.loc[FIRST, "test, l2 0.05"].startswith("0.36")
    assert ranked.loc["test, l2 0.05"].tolist()[1:4] == ["1 of 5", "4 / 0 / 0 / 0", "holds"]
    assert less.loc["AMF", "clean"] == "+0.0000 ?" and set(less.index) == set(LEFT) - {FIRST}
    assert "| AMF | +0.0000 ? |" in tables[3].markdown
    rows.loc[rows["entry"] == "AMF", "ICov"] = 49
    assert comparison_tables.by_condition(rows)["ICov"]["AMF"] == "49 *"
    rows.loc[rows["entry"] == "AMF", "ICov"] = 50  # half of BPR-MF's is enough
    assert comparison_tables.by_condition(rows)["ICov"]["AMF"] == "50"
    assert len(comparison_tables.tables(rows, tests[:0])) == 1


def test_the_tables_of_protected_users():
    groups = protection.protected(board(), QUARTERS)
    tables = comparison_tables.tables_of_groups(groups)
    assert [each.title for each in tables] == [
        "Whom factors protect, by user activity",
        "Whom factors protect, by item popularity",
    ]
    assert "| AMF, certified, l2 0.01 | " in tables[0].markdown
    assert "Share of nDCG by quartile" in tables[0].note
    assert comparison_tables.tables_of_groups(groups[:0]) == []


@pytest.mark.parametrize("preset", ("paper", "quick"))
def test_the_defence_stands_on_the_board_unless_it_is_left_out(preset):
    texts = flags.default(flags.FLAGS["entries"], "robustness", preset)
    assert COMPARED in [parse_entry(text, MODELS, RANKED_MODELS) for text in texts]
