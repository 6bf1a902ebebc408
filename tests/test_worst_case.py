"""The worst case of all attacks at every epsilon, and the warnings about it."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from advrec_tf.leaderboard import Entry, summary, worst_case
from advrec_tf.leaderboard.worst_case import worst_cases

X = Entry("x")
UP, DOWN = 0.45 + 0.1 * np.sin(np.arange(40)), 0.3 + 0.1 * np.sin(np.arange(40))
VALUES = {"HR": 0.5, "ICov": 3, "EFD": 0.1, "SE": 1.0, "idle": 0.0}


def points(*values, threat_model="train"):
    """Return the rows of attacks at epsilon 1, 2, ... and what was kept.

    values: for each epsilon the users' nDCG by attack
    """
    clean = {**X.columns, "factors": "f", "unit": "relative", "k": 10}
    clean |= {"threat_model": "", "ball": "", "epsilon": 0.0, "attack": ""}
    groups = {"user activity": np.arange(40), "item popularity": np.arange(40)[::-1]}
    kept = [(clean, {"nDCG": np.full(40, 0.5), **groups})]
    for epsilon, attacks in enumerate(values, 1):
        for attack, users in attacks.items():
            condition = {"threat_model": threat_model, "ball": "l2", "epsilon": float(epsilon)}
            kept.append(({**clean, **condition, "attack": attack}, {"nDCG": users}))
    rows = [row | {"nDCG": users["nDCG"].mean()} | VALUES for row, users in kept]
    return pd.DataFrame(rows), kept


def test_noise_that_does_more_harm_than_every_attack_raises_a_warning():
    for noise, flag in ((DOWN, "noise does more harm"), (UP, "")):
        found = worst_cases(*points({"noise": noise, "bim": UP}))
        assert found["warnings"].tolist() == ["", flag] and found["attack"].tolist() == ["", "bim"]
        assert summary.warnings(found) == ([f"x: {flag} (train, l2 1)"] if flag else [])


@pytest.mark.parametrize("shift, flag", [(-0.0121, "noise does more harm"), (-0.0112, "")])
def test_noise_does_more_harm_where_a_paired_test_says_so_at_one_percent(shift, flag):
    """One-sided p is .0074 and .0117: the differences have mean `shift` and deviation .03."""
    spread = np.sin(np.arange(40))
    noise = UP + shift + 0.03 * (spread - spread.mean()) / spread.std(ddof=1)
    p = stats.ttest_1samp(noise - UP, 0, alternative="less").pvalue
    assert (p < 0.01) == bool(flag) and 0.005 < p < 0.02
    assert worst_cases(*points({"noise": noise, "bim": UP}))["warnings"].tolist() == ["", flag]


@pytest.mark.parametrize("idle, flag", [(0.5, ""), (0.51, "most rows have no gradient")])
def test_most_rows_are_more_than_half_of_them(idle, flag):
    rows, kept = points({"bim": UP, "pgd": UP})
    rows.loc[rows["attack"] != "", "idle"] = idle
    assert worst_cases(rows, kept)["warnings"].tolist() == ["", flag]


def test_certificates_stand_beside_the_worst_case_of_their_epsilon():
    rows, kept = points({"bim": UP}, {"bim": DOWN})
    bounds = {1.0: UP / 2, 2.0: DOWN / 4}
    for epsilon, users in bounds.items():
        condition = {"threat_model": "certificate", "ball": "l2", "epsilon": epsilon, "attack": ""}
        kept.append((kept[0][0] | condition, {"nDCG": users}))
        row = kept[-1][0] | VALUES | {"nDCG": users.mean(), "HR": 0.25 / epsilon}
        rows = pd.concat([rows, pd.DataFrame([row])], ignore_index=True)
    found = worst_cases(rows, kept).set_index("epsilon")
    assert found["certified_nDCG"].tolist()[1:] == pytest.approx([UP.mean() / 2, DOWN.mean() / 4])
    assert found["certified_HR"].tolist()[1:] == [0.25, 0.125]
    assert np.isnan(found.loc[0, ["certified_nDCG", "certified_HR"]].tolist()).all()
    for epsilon, users in bounds.items():
        np.testing.assert_array_equal(found.loc[epsilon, "certified_users"], users)


def test_an_attacker_with_the_training_pairs_has_the_attacks_on_lists_too():
    rows, kept = points({"bim": UP}, {"bim": DOWN})
    lists, also = points({"smooth DCG": DOWN}, {"smooth DCG": UP}, threat_model="lists")
    found = worst_cases(pd.concat([rows, lists[1:]]), kept + also[1:]).set_index(
        ["threat_model", "epsilon"]
    )
    assert found["attack"].to_dict() == {
        ("", 0): "",
        ("lists", 1): "smooth DCG",
        ("lists", 2): "smooth DCG",
        ("train", 1): "smooth DCG",
        ("train", 2): "bim",
    }
    assert found.loc["train", "nDCG"].tolist() == pytest.approx([DOWN.mean()] * 2)
    np.testing.assert_array_equal(found.loc[("train", 1), "users"], DOWN)
    np.testing.assert_array_equal(found.loc[("train", 2), "users"], DOWN)


def test_a_larger_epsilon_includes_the_smaller_ones_and_warns_where_it_does_less():
    found = worst_cases(*points({"bim": DOWN, "pgd": UP}, {"bim": UP, "pgd": UP}))
    assert found["nDCG"].tolist() == pytest.approx([0.5, DOWN.mean(), DOWN.mean()]) and found[
        "warnings"
    ].tolist()[1:] == [
        "",
        "a larger epsilon does less harm",
    ]
    chance = UP.copy()
    chance[0] += 1e-3  # of one user is none
    assert not worst_cases(*points({"bim": UP}, {"bim": chance}))["warnings"].any()


def test_an_attacker_can_always_do_nothing():
    """Where every attack raises nDCG, the metrics and users' values are the clean ones."""
    clean, better = np.full(40, 0.5), np.full(40, 0.6)
    rows, kept = points({"bim": better}, {"bim": UP}, {"bim": better})
    rows.loc[rows["epsilon"] == 0, ["HR", "ICov"]] = [0.8, 7]
    found = worst_cases(rows, kept)
    assert found["attack"].tolist() == ["", "none", "bim", "bim"] and found["epsilon"].tolist() == [
        0,
        1,
        2,
        3,
    ]
    assert found["nDCG"].tolist() == pytest.approx([0.5, 0.5, UP.mean(), UP.mean()])
    assert found[["HR", "ICov"]].values.tolist() == [[0.8, 7], [0.8, 7], [0.5, 3], [0.5, 3]]
    assert set(found["threat_model"]) == {"", "train"} and found.loc[1, "ball"] == "l2"
    np.testing.assert_array_equal(found.loc[1, "users"], clean)
    assert (
        found.loc[1, "user activity 1"] == 0.5
        and found.loc[1, "warnings"] == "a larger epsilon does less harm"
    )
    assert worst_case.halving_epsilon(found).loc["x"].isna().all()


def test_a_loss_without_gradient_raises_a_warning():
    rows, kept = points({"bim": UP, "pgd": UP})
    assert not worst_cases(rows, kept)["warnings"].any()
    rows.loc[rows["attack"] == "bim", "idle"] = 0.9
    assert not worst_cases(rows, kept)["warnings"].any()
    rows.loc[rows["attack"] == "pgd", "idle"] = 0.8
    assert worst_cases(rows, kept)["warnings"].tolist() == ["", "most rows have no gradient"]


def test_an_incompletely_measured_entry_is_left_out():
    rows, kept = points({"bim": UP})
    more, also = rows[:1].assign(entry="y"), [({**kept[0][0], "entry": "y"}, kept[0][1])]
    found, left_out = worst_case.complete(pd.concat([rows, more]))
    assert left_out == ["y"] and set(worst_cases(found, kept + also)["entry"]) == {"x"}


def test_half_is_not_the_mean_of_those_seeds_that_reach_it():
    rows, kept = points({"bim": np.full(40, 0.4)}, {"bim": np.full(40, 0.1)})
    other, also = points({"bim": np.full(40, 0.4)}, {"bim": np.full(40, 0.4)})
    second = [({**row, "seed": 1}, users) for row, users in also]
    assert np.isnan(
        worst_case.halving_epsilon(
            worst_cases(pd.concat([rows, other.assign(seed=1)]), kept + second)
        ).loc["x", "train"]
    )


def test_quartiles_are_equal_parts_of_the_users():
    rows, kept = points({"bim": np.repeat([0.1, 0.2, 0.3, 0.4], 10)})
    found = worst_case.quartiles(worst_cases(rows, kept))
    own = found[found["epsilon"] == 1].set_index(["by", "quartile"])["nDCG"]
    assert own["user activity"].tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4]) and own[
        "item popularity"
    ].tolist() == pytest.approx([0.4, 0.3, 0.2, 0.1])


def test_half_is_where_half_of_the_accuracy_is_left():
    found = worst_case.halving_epsilon(
        worst_cases(*points({"bim": np.full(40, 0.4)}, {"bim": np.full(40, 0.1)}))
    )
    assert found.loc["x", "train"] == pytest.approx(
        np.sqrt(2)
    )  # of .4 to .1 in log epsilon from 1 to 2
    assert np.isnan(
        worst_case.halving_epsilon(worst_cases(*points({"bim": np.full(40, 0.4)}))).loc[
            "x", "train"
        ]
    )
