"""The answers of the stability experiment: correlations over entries, and gains of forms."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from advrec_tf.leaderboard import stability as measuring
from advrec_tf.leaderboard import stability_questions as questions
from advrec_tf.leaderboard.stability import LAYOUT


def board_rows(count=8, seed=0):
    """Return rows of entries whose attacked shares order their stability; six have rank 64."""
    rng, rows = np.random.default_rng(seed), []
    for n in range(count):
        base = {"dataset": "d", "entry": f"e{n}", "model": f"m{n}", "model_rank": 64.0, "seed": 0}
        base |= {"user_normalized": False, "factors": "x", "k": 10, "rank": 64 if n < 6 else 8}
        rows.append(base | {"change": "", "uniform": 0.0, "direction": "change", "nDCG": 0.5})
        for epsilon, direction, left in (
            (0.05, "attack", 0.1 + 0.05 * n),
            (0.01, "certificate", 0.4 - 0.02 * n),
        ):
            point = {"uniform": epsilon, "direction": direction, "nDCG": left}
            rows.append(base | {"change": "", **point})
        for change in ("int4 row", "other seed"):
            noise = rng.random() if change == "other seed" else 0
            changed = {"change": change, "direction": "change", "overlap": 0.5 + 0.05 * n + noise}
            rows.append(base | changed)
    return pd.DataFrame(rows, columns=LAYOUT.columns)


def test_correlations_against_scipy():
    measured = questions.correlations(board_rows())
    by_name = {(each.robustness, each.stability, each.among): each for each in measured}
    assert set(by_name) == {
        (robustness, stability, among)
        for robustness in ("worst", "certified")
        for stability in ("int4 row", "other seed")
        for among in ("all", "rank 64")
    }
    assert {(each.among, each.entries) for each in measured} == {("all", 8), ("rank 64", 6)}
    exact = by_name["worst", "int4 row", "all"]
    assert (exact.rho, exact.low, exact.high) == pytest.approx((1, 1, 1))
    assert exact.p == pytest.approx(8 * 2 / (questions.DRAWS + 1), rel=0.1)  # Holm over 8
    assert by_name["certified", "int4 row", "all"].rho == pytest.approx(-1)
    frame = questions.shares(questions.means(board_rows()))
    assert frame["worst"].tolist() == pytest.approx([0.2 + 0.1 * n for n in range(8)])
    other = by_name["worst", "other seed", "all"]
    rho = stats.spearmanr(frame["worst"], frame["other seed"]).statistic
    assert other.rho == pytest.approx(rho)
    drawn = np.random.default_rng(1).integers(8, size=(3000, 8))
    columns = frame[["worst", "other seed"]].to_numpy()
    rhos = [stats.spearmanr(*columns[rows].T).statistic for rows in drawn if len(set(rows)) > 1]
    low, high = np.nanquantile(rhos, (0.05 / 16, 1 - 0.05 / 16))  # Bonferroni over 8
    assert (other.low, other.high) == pytest.approx((low, high), abs=0.12)


def test_columns_without_variance_and_few_trainings_are_left_out():
    rows = board_rows()
    rows.loc[rows["change"] == "int4 row", "overlap"] = 1.0
    assert {each.stability for each in questions.correlations(rows)} == {"other seed"}
    assert questions.correlations(board_rows(4)) == []


def test_entries_from_one_training_are_drawn_together():
    alone = board_rows(6)
    twin = alone[alone["entry"] == "e5"].assign(entry="rescaled", model="r5")
    close = alone.assign(entry=alone["entry"] + "n", nDCG=alone["nDCG"] * 1.01)
    close["overlap"] += 0.001
    for rows, entries in ((pd.concat([alone, twin]), 6), (pd.concat([alone, close]), 12)):
        counts = {(each.entries, each.trainings) for each in questions.correlations(rows)}
        assert counts == {(entries, 6)}


def test_gains_of_forms():
    rows = []
    for entry, normalized, truncated, gain in (
        *(("a", False, np.nan, 0.1), ("b", False, np.nan, 0.3), ("twin of b", False, np.nan, 0.3)),
        *(("c", True, np.nan, 0.9), ("d", False, 8, 0.9)),
    ):
        for change, overlap in zip(
            (measuring.AS_TRAINED, "int4 table", measuring.NORMALIZED), (0.2, 0.2 + gain, 0.6)
        ):
            shared = {"entry": entry, "user_normalized": normalized, "truncated_rank": truncated}
            rows.append(shared | {"direction": "change", "change": change, "overlap": overlap})
    frame = pd.DataFrame(rows, columns=LAYOUT.columns)
    gains = questions.forms(frame)
    assert gains["canonical"] == pytest.approx((0.2, 0.1, 0.3))
    assert gains["user-normalised"] == pytest.approx((0.4, 0.4, 0.4))
    assert questions.forms(frame[frame["user_normalized"]]) == {}
