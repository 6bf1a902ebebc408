"""The controls of the low-rank paper: orders of users, and their page on rows made by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from advrec_tf.defenses.measuring import ORDERS, order_of
from experiments.lowrank import controls_report

from victim_rows import low_rank, row


def controlled():
    rows = [
        row(0.1, attack="none"),
        row(0.16),
        *(row(value, seed=seed) for seed, value in ((1, 0.12), (2, 0.14))),
    ]
    rows += [
        row(0.128, order="fakes first"),
        *(row(value, order="users permuted", draw=draw) for draw, value in enumerate((0.13, 0.15))),
    ]
    rows += [
        low_rank(
            each["target_HR"], **{key: each[key] for key in ("attack", "seed", "order", "draw")}
        )
        for each in rows
    ]
    dropped = [
        low_rank(
            each["target_HR"] - 0.02 - each["draw"] * 1e-3,
            defense="low_rank:drop",
            emptied_fakes=80,
            **{key: each[key] for key in ("attack", "seed", "order", "draw")},
        )
        for each in rows[:7]
    ]
    return pd.DataFrame(rows + dropped)


def test_controls_are_told_apart_and_stand_beside_the_matched_victim():
    table = controls_report.by_control(controlled())
    own = table[(table["defense"] == "none") & (table["attack"] == "recsys20")].set_index("control")
    assert own["mean"].round(4).to_dict() == {
        "matched": 0.16,
        "other seeds": 0.13,
        "fakes first": 0.128,
        "users permuted": 0.14,
    }
    assert (
        own.loc["other seeds", "ratio"] == pytest.approx(0.13 / 0.16)
        and own.loc["other seeds", "count"] == 2
    )
    assert own.loc["other seeds", "low"] < 0.13 < own.loc["other seeds", "high"] and np.isnan(
        own.loc["matched", "low"]
    )
    assert (table["defense"] == "none").tolist()[:1] == [True] and table["attack"].tolist()[
        0
    ] == "none"
    assert controls_report.published_ratios("gowalla", "recsys20")["[100, 90]"] == pytest.approx(
        0.1138 / 0.1415
    )


def test_changes_of_one_seed_are_not_taken_for_several():
    """Dropped patches lower each of three victim seeds by .02; three orders share the first."""
    frame = controlled()
    made = (
        (frame["defense"] == "low_rank:drop")
        & (frame["order"] == "as made")
        & (frame["attack"] != "none")
    )
    frame.loc[made, "target_HR"] += np.array([0.001, 0.0, -0.001])
    table = controls_report.changes(frame).set_index("name")
    line = table.loc["[100, 90] incomplete patches dropped"]
    each = np.array([-0.019, -0.02, -0.021])
    low, high = stats.t.interval(0.95, 2, each.mean(), stats.sem(each))
    assert line["seeds"] == 3 and (line["mean"], line["low"], line["high"]) == pytest.approx(
        (-0.02, low, high)
    )
    assert line["orders"] == 3 and line["clean"] == pytest.approx(-0.02) and line["fakes"] == 80
    assert (line["orders_mean"], line["least"], line["most"]) == pytest.approx(
        (-0.0203333, -0.021, -0.02), rel=1e-4
    )
    assert (table.loc["[100, 90]", ["mean", "clean", "orders_mean"]] == 0).all()
    text = controls_report.page_text(frame)
    assert (
        f"| -0.0200 [{low:+.4f}, {high:+.4f}], 3 | -0.0200 | 80 | -0.0203 (-0.0210 to -0.0200), 3 |"
        in text
    )
    left = "leaves a single victim 0.75 to 0.94 of the matched one's target HR (0.1600)"
    assert f"{left}. The paper has 0.80 for [100, 90]" in text


def test_a_defence_is_named_by_its_fields():
    named = {
        "low_rank:weights:drop": "[100, 90] weights, incomplete patches dropped",
        "none": "none",
        "low_rank": "[100, 90]",
    }
    for defense, name in named.items():
        where = (
            {"patch": "", "rank": np.nan} if defense == "none" else {"patch": "100", "rank": 90.0}
        )
        assert controls_report.name_of(pd.Series({"defense": defense} | where)) == name
    assert (
        controls_report.name_of(pd.Series({"defense": "transformation", "patch": "", "rank": 10.0}))
        == "transformation [10]"
    )


def test_each_group_and_attack_has_a_section_of_its_own():
    frame = controlled()
    text = controls_report.page_text(
        pd.concat(
            [
                frame,
                frame.assign(group="tail"),
                frame[frame["attack"] != "none"].assign(attack="bandwagon"),
            ]
        )
    )
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## recsys20, targets of the head",
        "## recsys20, targets of the tail",
        "## bandwagon, targets of the head",
    ]


def test_orders_hold_everybody_once_and_move_whom_they_say():
    found = {name: order_of(name, 20, 5, 0) for name in ORDERS}
    assert all(sorted(order) == list(range(25)) for order in found.values())
    assert found["as made"].tolist() == list(range(25)) and found["fakes first"].tolist() == [
        *range(20, 25),
        *range(20),
    ]
    assert (
        found["fakes permuted"][:20].tolist()
        == list(range(20))
        != found["real users permuted"][:20].tolist()
    )
    assert (
        found["real users permuted"][20:].tolist()
        == list(range(20, 25))
        != found["fakes permuted"][20:].tolist()
    )
    assert set(found["users permuted"][20:]) != set(range(20, 25)) and not np.array_equal(
        order_of("users permuted", 20, 5, 2), found["users permuted"]
    )
