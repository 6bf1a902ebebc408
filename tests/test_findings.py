"""Quantities that the pages quote, from published rows and from rows made by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from advrec_tf.leaderboard import COMPARED
from experiments.multistep import loss_slopes, paper
from published_runs import findings, measured

from rows import write_run
from running import ROOT

SHIPPED = ROOT / "published_runs"


@pytest.fixture
def small(tmp_path):
    lines = "A,0,0.1,x,1", "A,1,0.1,x,2", "A,1,0.1,x,4", "A,0,,x,7", "B,0,0.1,y,9"
    write_run(tmp_path / "paper/table/data", "model,seed,epsilon,column,value", *lines)
    return measured.Published(tmp_path)


def test_values_are_means_by_replicate_of_the_selected_rows(small):
    place = "paper/table/data"
    assert small.values(place, "value", model="A", epsilon=0.1).to_dict() == {0: 1.0, 1: 3.0}
    assert small.values(place, "value", model="A", epsilon=None).to_dict() == {0: 7.0}
    either = small.values(place, "value", column=["x", "y"], per="model")
    assert either.to_dict() == {"A": 3.5, "B": 9.0}


def test_what_a_page_reads_are_its_sources(small):
    assert small.sources == set()
    small.values("paper/table/data", "value", model="A")
    assert small.sources == {small.folder / "paper/table/data"}


def test_a_value_that_was_not_measured_is_an_error(small):
    with pytest.raises(ValueError, match="no row with {'model': 'C'}"):
        small.values("paper/table/data", "value", model="C")


def test_an_estimate_has_student_s_interval():
    assert measured.estimate(pd.Series([1.0, 2.0, 3.0]), 2) == "2.00 [-0.48, 4.48]"  # t(2) = 4.303
    assert measured.estimate(pd.Series([0.5]), 1, "+", "%") == "+0.5%"


def test_a_sign_is_clear_where_the_interval_leaves_zero_out():
    values = pd.Series([1.0, 2.0, 3.0])  # the interval reaches 2.48 to either side of the mean
    assert [measured.clear_sign(values + shift) for shift in (1, 0, -4, -5)] == [1, 0, 0, -1]


CLEAN, TEST = ("", "", 0.0), ("test", "l2", 0.01)


def test_a_board_ranks_from_its_rows():
    values = {"A": (0.5, 0.1), "B": (0.4, 0.3), "C": (0.3, 0.2)}
    worst = [
        (entry, seed, *condition, nDCG + seed / 100)
        for seed in (0, 1)
        for entry, own in values.items()
        for condition, nDCG in zip((CLEAN, TEST), own)
    ]
    columns = ["entry", "seed", "threat_model", "ball", "epsilon", "nDCG"]
    shares = pd.DataFrame({"entry": ["A", "B"], "by": "user activity", "of": "test, l2 0.01"})
    board = measured.Board(
        pd.DataFrame(worst, columns=columns),
        pd.DataFrame({"first": ["B", "B"], "second": ["A", "C"]}),
        shares.assign(**{"quartile 1": [0.2, 0.7]}),
    )
    assert board.compared == "B" and board.has("A", "B") and not board.has("A", "D")
    assert board.ranking(CLEAN).to_dict() == pytest.approx({"A": 0.505, "B": 0.405, "C": 0.305})
    assert board.ranking(TEST).index.tolist() == ["B", "C", "A"]
    assert board.gain("C", "B", TEST).tolist() == pytest.approx([0.1, 0.1])
    assert board.protects("B", "user activity", TEST)["quartile 1"] == 0.7
    assert board.spotlight(TEST) == ["B", "A", "AMF", "BPR-MF"]


def test_agreement_counts_what_is_near_inside_and_either():
    multistep = findings.MultiStep(measured.Published(SHIPPED))
    cells = pd.read_csv(SHIPPED / "multi_step/table1/ml-1m/cells.csv")
    cells = cells[(cells["selection"] == "best") & (cells["draw"] == 0)]
    for name, fgsm in {"of Eq. 4": "fgsm", "after PGD": "fgsm after pgd"}.items():
        near, inside = set(), set()
        for row in paper.table1().itertuples():
            column = fgsm if row.column == "fgsm" else row.column
            own = cells[(cells["model"] == row.model) & (cells["metric"] == row.metric)]
            values = own[own["column"] == column]["value"]
            if row.dataset == "ml-1m":
                t = stats.ttest_1samp(values, row.published)
                near |= {row.Index} if abs(values.mean() / row.published - 1) <= 0.05 else set()
                inside |= {row.Index} if t.pvalue >= 0.05 else set()
        counts = len(near), len(inside), len(near | inside)
        found = multistep.agreements("ml-1m").loc[("best", name)]
        assert found[["cells", "near", "inside", "either"]].tolist() == [48, *counts]


def test_a_matched_victim_is_what_others_are_compared_with(tmp_path):
    lines = ["a,none,as made,0,0.4", "a,none,as made,1,0.3"]
    lines += ["a,none,permuted,0,0.1", "a,none,permuted,0,0.3"]
    lines += ["a,low_rank,as made,0,0.3", "a,low_rank,as made,1,0.1"]
    header = "attack,defense,order,seed,target_HR"
    write_run(tmp_path / "lowrank/lowrank_controls/data", header, *lines)
    lowrank = findings.LowRank(measured.Published(tmp_path))
    beside = lowrank.beside_matched("data", "a").to_dict()
    assert beside == pytest.approx({"as made": 0.75, "permuted": 0.5})
    assert np.allclose(lowrank.effect("data", "low_rank", "a", "target_HR"), [-0.1, -0.2])


def test_changes_and_rises_are_paired_over_victim_seeds(tmp_path):
    write_run(
        tmp_path / "lowrank/lowrank_recsys19/ml-100k",
        "model,attack,seed,target_HR",
        *("PMF,none,0,0.1", "PMF,none,1,0.3", "PMF,gan,0,0.2", "PMF,gan,1,0.2", "WRMF,gan,0,9"),
    )
    columns = "model,attack,seed,defense,certified_fakes,certified_HR,target_HR"
    certified = ("E,none,0,none,5,0.4,", "E,none,1,none,5,0.2,", "E,none,0,none,10,0,")
    write_run(
        tmp_path / "lowrank/lowrank_younger/ml-100k",
        columns,
        *("E,none,0,none,,,0.1", "E,none,1,none,,,0.2", "E,a,0,none,,,0.4", "E,a,1,none,,,0.3"),
        *("E,a,0,svm,,,0.9", *certified),
    )
    lowrank = findings.LowRank(measured.Published(tmp_path))
    assert np.allclose(lowrank.change("target_HR", "PMF", "none", "gan"), [50, -50])
    assert np.allclose(lowrank.rise("E", "a"), [0.3, 0.1])
    assert lowrank.certified(5) == pytest.approx(0.3) and lowrank.certified(10) == 0


def test_readings_that_fall_are_those_with_an_interval_below_zero(tmp_path):
    without = [f"a,none,as made,{seed},0.5" for seed in range(3)]
    after = {"low_rank": (0.4, 0.41, 0.42), "low_rank:weights": (0.4, 0.5, 0.56)}
    after |= {"low_rank:dense": (0.6, 0.61, 0.62), "low_rank:rating_matrix": (0.5, 0.5, 0.5)}
    after |= {"low_rank:drop": (0.1, 0.1, 0.11)}
    with_it = []
    for name, values in after.items():
        with_it += [f"a,{name},as made,{seed},{value}" for seed, value in enumerate(values)]
    permuted = ["a,low_rank:dense,permuted,0,0.1"]
    header = "attack,defense,order,seed,target_HR"
    write_run(tmp_path / "lowrank/lowrank_controls/data", header, *without, *with_it, *permuted)
    lowrank = findings.LowRank(measured.Published(tmp_path))
    falling = lowrank.falls("data", "a", "target_HR")
    assert falling == ["binarize", "binarize, incomplete patches dropped"]


def test_what_bim_keeps_in_the_l2_ball_and_where_multi_step_wins(tmp_path):
    left = {"fgsm": (0.8, 0.6), "bim": (0.4, 0.2), "bim l2": (0.7, 0.6), "pgd": (0.9, 0.7)}
    lines = [
        f"{model},best,{seed},0,{column},{metric},{value}"
        for model in ("BPR-MF", "AMF")
        for metric in ("PR", "RE", "nDCG", "EFD", "SE", "ICov")
        for column, values in left.items()
        for seed, value in enumerate(values)
    ]
    drawn_again = ["AMF,best,0,1,bim,nDCG,5"]
    folder = tmp_path / "multi_step/table1/data"
    write_run(folder, "model")
    header = "model,selection,seed,draw,column,metric,value"
    (folder / "cells.csv").write_text("\n".join([header, *lines, *drawn_again]))
    multistep = findings.MultiStep(measured.Published(tmp_path))
    assert np.allclose(multistep.l2_share("data", "AMF"), [25, 0])
    assert multistep.multi_step_wins("data") == 12  # BIM in every cell, PGD in none


def test_readings_of_figure_3_need_both_models():
    multistep = findings.MultiStep(measured.Published(SHIPPED))
    table = loss_slopes.readings(multistep.losses("ml-1m-single_pass"))
    wide = table.set_index(["selection", "epsilon", "metric", "iterations", "model"]).unstack()
    equal = inside = 0
    for _, row in wide.iterrows():
        pairs = [
            (row["slope", m], row["low", m], row["high", m], value)
            for m, value in {"BPR-MF": -96.10, "AMF": -3.65}.items()
        ]
        equal += all(abs(slope - value) <= 0.05 * abs(value) for slope, _, _, value in pairs)
        inside += all(low <= value <= high for _, low, high, value in pairs)
    assert multistep.readings("ml-1m-single_pass") == (len(wide), equal, inside)
    assert 0 < inside < len(wide)


def test_the_compared_entry_is_the_one_that_the_rule_chooses():
    """On the board of held-out training interactions that ships."""
    assert measured.Published(SHIPPED).board("ml-100k-validation").means.index[0] == COMPARED.label
