"""The front, the tests of a defence against its rivals and whom factors protect: from rows made by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from advrec_tf import evaluation
from advrec_tf.cli import flags
from advrec_tf.reporting import front
from advrec_tf.reporting.leaderboard import GROUPS
from advrec_tf.reporting.vocabulary import DEFENDED

USERS = 40
WAVE = np.sin(np.arange(USERS))
LEFT = {DEFENDED: 0.9, "AMF": 0.5, "BPR-MF": 0.4, "iALS with equal users": 0.8, "MostPopular": 0.3}


def board(still=None, left=None, seeds=None, noise=0.02) -> pd.DataFrame:
    """Rows as of `leaderboard.tidy`: of each entry nDCG before, the share that is left at every budget, half of which is certified."""
    still, left, seeds = (
        {**dict.fromkeys(LEFT, default), **(own or {})} for default, own in ((0.4, still), (None, {**LEFT, **(left or {})}), (2, seeds))
    )
    rows = []
    for entry in LEFT:
        for seed in range(seeds[entry]):
            users = still[entry] + 0.1 * WAVE
            base = {"entry": entry, "seed": seed, "ICov": 100.0, "k": 10, "masked": ""}
            rows.append({**base, "threat": "", "ball": "", "rho": 0.0, "users": users, "certified_users": None})
            for threat, ball, rho in front.GOALS:
                own = left[entry] * users + noise * np.cos(np.arange(USERS) + seed + len(entry))
                rows.append({**base, "threat": threat, "ball": ball, "rho": rho, "users": own, "certified_users": own / 2})
    frame = pd.DataFrame(rows)
    means = {
        name: frame[users].map(lambda each: np.nan if each is None else each.mean())
        for name, users in (("nDCG", "users"), ("certified_nDCG", "certified_users"))
    }
    return frame.assign(**means)


def test_a_difference_is_of_each_users_mean_over_seeds_with_the_interval_of_students_test(monkeypatch):
    rows = board()
    corrected = front.compared(rows)
    monkeypatch.setattr(front, "corrected", lambda values: values)
    plain = front.compared(rows)
    assert len(plain) == (len(LEFT) - 1) * len(front.PLACES) and set(plain["first"]) == {DEFENDED} and (plain["seeds"] == 2).all()
    for name in ("p_users", "p_seeds"):
        np.testing.assert_allclose(corrected[name], evaluation.corrected(plain[name]))
        assert (corrected[name] > plain[name]).any()
    found = plain.set_index(["second", "threat", "ball", "rho"])
    of = {entry: np.array(part["users"].tolist()) for entry, part in front.at(rows, ("test", "l2", 0.02)).groupby("entry")}
    difference = of[DEFENDED] - of["AMF"]
    own, expected = found.loc["AMF", "test", "l2", 0.02], stats.ttest_1samp(difference.mean(axis=0), 0)
    assert own["difference"] == pytest.approx(difference.mean()) == own["first_nDCG"] - own["second_nDCG"]
    assert (own["low"], own["high"]) == pytest.approx(tuple(expected.confidence_interval()))
    assert own["p_users"] == pytest.approx(expected.pvalue)
    assert own["p_seeds"] == pytest.approx(stats.ttest_1samp(difference.mean(axis=1), 0).pvalue)
    assert found.loc["AMF", "certificate", "l2", 0.01]["difference"] == pytest.approx(difference.mean() / 2, rel=0.1)
    assert found.loc["AMF", "", "", 0.0]["difference"] == 0 and found.loc["AMF", "", "", 0.0]["p_users"] == 1


def test_what_has_one_seed_stands_beside_every_seed_and_tells_nothing_of_seeds():
    found = front.compared(board(seeds={"AMF": 1, "BPR-MF": 3})).set_index("second")
    assert (found["seeds"] == 2).all()  # of several on both sides those they share
    assert found["p_seeds"].isna().groupby("second").all().to_dict() == {name: name == "AMF" for name in set(LEFT) - {DEFENDED}}
    one = board(seeds={DEFENDED: 1, "AMF": 1})
    one.loc[one["entry"] == "AMF", "seed"] = 7
    found = front.compared(one).set_index("second")
    assert (found.loc["AMF", "seeds"] == 1).all() and (found.loc["BPR-MF", "seeds"] == 2).all() and found["p_seeds"].isna().all()
    assert len(front.compared(board()[lambda rows: rows["entry"] != DEFENDED])) == 0


def test_what_no_job_has_kept_and_the_defence_at_another_rank_are_no_rivals():
    rows = board()
    rows.loc[rows["entry"] == "AMF", ["users", "certified_users"]] = None
    rows = rows.replace({"entry": {"BPR-MF": "wide iALS at rank 8"}})
    assert set(front.compared(rows)["second"]) == {"iALS with equal users", "MostPopular"}
    quarters = {by: np.repeat([1, 2, 3, 4], USERS // 4) for by in GROUPS}
    assert "AMF" not in set(front.protected(rows, quarters)["entry"])
    assert len(front.protected(rows.assign(users=None, certified_users=None), quarters).columns) == 11


def test_p_is_corrected_for_all_tests_and_what_is_not_known_stays():
    values = pd.Series([0.01, np.nan, 0.04, 0.5])
    found = evaluation.corrected(values)
    assert np.isnan(found[1]) and found[[0, 2, 3]].tolist() == pytest.approx(list(stats.false_discovery_control([0.01, 0.04, 0.5], method="by")))
    assert np.isnan(evaluation.corrected(values[1:2])).all()


def test_goals_hold_fail_or_cannot_be_decided():
    rows = board(still={"BPR-MF": 0.5}, left={"iALS with equal users": 0.9})
    found = front.goals(rows, front.compared(rows)).set_index(["goal", "against"])["verdict"]
    assert found["unperturbed nDCG at least 0.97 times", "BPR-MF"] == "fails"
    assert found["test, l2 0.01: above all", "others as they are"] == "holds"
    assert found["test, l2 0.01: above all", "others with equal users"] == "not decidable"
    assert found["certified, l2 0.01: at least 1.5 times", "AMF"] == "holds" and found["ICov at least 0.5 times", "BPR-MF"] == "holds"
    rows = board(left={"AMF": 0.95})
    rows.loc[rows["entry"] == DEFENDED, "ICov"] = 49
    found = front.goals(rows, front.compared(rows)).set_index(["goal", "against"])
    assert found.loc[("train, linf 0.11: above all", "others as they are"), "verdict"] == "fails"
    assert found.loc[("ICov at least 0.5 times", "BPR-MF")].tolist() == ["49 of 100: 0.49 times", "fails"]


def test_a_sure_rival_decides_before_a_nearer_one_that_is_not():
    def rivals(*lines):
        frame = pd.DataFrame(lines, columns=["second", "difference", "p_users"])
        return frame.assign(first_nDCG=0.4, second_nDCG=0.4 - frame["difference"], low=-1.0, high=1.0)

    found = front._above_all(rivals(("A", -0.02, 1.0), ("B", -0.01, 1e-9), ("C", 0.1, 1e-9)))
    assert found == ("0.4000, B 0.4100: -0.0100 [-1.0000, +1.0000]", "fails")
    assert front._above_all(rivals(("A", 0.01, 1e-9), ("B", 0.02, 0.3)))[1] == "not decidable"
    assert front._above_all(rivals(("A", 0.01, 1e-9), ("B", 0.02, np.nan)))[1] == "not decidable"
    told, verdict = front._above_all(rivals(("A", 0.02, 1e-9), ("B", 0.01, 1e-9)))
    assert verdict == "holds" and told.startswith("0.4000, B ")


def test_whom_factors_protect_is_told_by_the_share_that_is_left():
    quarters = {by: np.repeat([1, 2, 3, 4], USERS // 4)[:: -1 if by == GROUPS[1] else 1] for by in GROUPS}
    rows = board(noise=1e-3)
    poor = (rows["entry"] == "AMF") & (rows["threat"] == "test")
    spoilt = rows.loc[poor, "users"].map(lambda users: np.where(quarters[GROUPS[0]] == 1, 0.1, 1) * users)
    rows.loc[poor, "users"] = spoilt
    found = front.protected(rows, quarters).set_index(["entry", "by", "of"])
    own = found.loc["AMF", GROUPS[0], "test, l2 0.05"]
    assert own[[f"quartile {n}" for n in range(1, 5)]].tolist() == pytest.approx([0.05, 0.5, 0.5, 0.5], abs=0.01)
    assert own["difference"] == pytest.approx(0.45, abs=0.01) and own["low"] < own["difference"] < own["high"]
    assert found.loc["AMF", GROUPS[1], "test, l2 0.05"]["difference"] == pytest.approx(-0.45, abs=0.01)
    assert found.loc[DEFENDED, GROUPS[0], "certified, l2 0.01"]["quartile 3"] == pytest.approx(0.45, abs=0.01)


def test_the_deviation_of_a_ratio_is_that_of_drawing_users_anew():
    rng = np.random.default_rng(0)
    below = rng.random(400)
    above = below * rng.random(400)
    drawn = [rng.integers(0, 400, 400) for _ in range(4000)]
    ratio, deviation = front._ratio(above, below)
    assert ratio == pytest.approx(above.sum() / below.sum())
    assert deviation == pytest.approx(np.std([above[each].sum() / below[each].sum() for each in drawn]), rel=0.05)
    assert np.isnan(front._ratio(above, np.zeros(400))).all()
    ratio, deviation = front._ratio(above, np.where(np.arange(400) < front.FEW - 1, below, 0))
    assert np.isfinite(ratio) and np.isnan(deviation)
    assert np.isnan(front._ratio(np.zeros(400), below)[1]) and np.isnan(front._ratio(below, below)[1])  # all of it is lost, or nothing


def test_the_front_is_what_nothing_beats_in_both():
    points = pd.DataFrame({"x": [1.0, 2, 3, 3, 2.5], "y": [5.0, 4, 1, 2, 1.5]}, index=list("abcde"))
    assert list(front.front(points).index) == ["d", "b", "a"]


def test_pictures_and_the_page_have_every_entry():
    rows = board()
    tests, groups = front.compared(rows), front.protected(rows, {by: np.repeat([1, 2, 3, 4], USERS // 4) for by in GROUPS})
    picture = front.front_figure(rows)
    picture.draw_without_rendering()  # with its layout
    titles = [axis.get_title() for axis in picture.axes]
    assert titles == [front.title_of(place) for place in (*front.GOALS, front.CERTIFIED)]
    labels = {text.get_text() for text in picture.legends[0].get_texts()}
    assert labels == {*LEFT, "MostPopular, unperturbed"} - {"MostPopular"}
    assert len(front.groups_figure(groups).axes) == 4
    found = front.tables(rows, tests) + front.tables_of_groups(groups)
    assert [each.title.split(":")[0] for each in found] == [
        "What is left at the budgets of a defence", DEFENDED, f"{DEFENDED} less each other entry",
        "Whom factors protect, by user activity", "Whom factors protect, by item popularity",
    ]  # fmt: skip
    left, _, less, *_ = (each.table for each in found)
    assert left.loc[DEFENDED, "unperturbed"] == "0.4029" and left.loc[DEFENDED, "test, l2 0.05"].startswith("0.36") and set(left["ICov"]) == {"100"}
    assert less.loc["AMF", "unperturbed"] == "+0.0000 ?" and set(less.index) == set(LEFT) - {DEFENDED}
    assert "| AMF | +0.0000 ? |" in found[2].markdown and "| AMF, certified, l2 0.01 | " in found[3].markdown
    rows.loc[rows["entry"] == "AMF", "ICov"] = 49
    assert front.table(rows)["ICov"]["AMF"] == "49 *"
    assert len(front.tables(rows, tests[:0]) + front.tables_of_groups(groups[:0])) == 1


@pytest.mark.parametrize("preset", ("paper", "quick"))
def test_the_defence_stands_on_the_board_unless_it_is_left_out(preset):
    assert DEFENDED in flags.default(flags.FLAGS["entries"], "robustness", preset)
