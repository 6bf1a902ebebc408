"""The uncertainty of Table 1, on values made by hand, and end to end."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from advrec_tf.evaluation import NAMES
from advrec_tf.execution.results import read_users
from advrec_tf.reporting import read_results
from experiments.multistep import table1_tables, uncertainty

from running import SHORT, advrec

ATTACKS = {"initial": ("", "", ""), "fgsm": ("fgsm", "", "clean"), "bim": ("bim", "linf", "zero")}
LESS = {"initial": {None: 0}, "fgsm": {1: 1}, "bim": {1: 2, 3: 3}}  # by iterations


def kept_and_rows(seeds=(0, 1, 2), draws=2, resamples=40):
    """Values of two models: 4 + seed / 10 when clean, LESS under attacks; a draw adds .01."""
    rng, rows, kept = np.random.default_rng(0), [], []
    for model, seed, column in product(("BPR-MF", "AMF"), seeds, ATTACKS):
        attack, ball, start = ATTACKS[column]
        key = {"dataset": "d", "model": model, "selection": "best", "epoch": 5, "seed": seed}
        key |= {"k": 10, "attack": attack, "ball": ball, "start": start}
        for draw, (n, less) in product(range(draws if attack else 1), LESS[column].items()):
            value = 4 + seed / 10 - less + 0.01 * draw
            row = key | {"iterations": n} | ({"draw": draw} if draw else {})
            rows.append(row | dict.fromkeys(NAMES, value))
            kept.append((rows[-1], {"resampled": value + rng.normal(0, 0.1, (resamples, 6))}))
    return kept, pd.DataFrame(rows)


def test_variance_over_trainings_draws_and_users():
    kept, rows = kept_and_rows()
    cells, _ = uncertainty.measured(table1_tables.cells(rows), kept)
    part = cells[
        (cells["model"] == "AMF") & (cells["column"] == "fgsm") & (cells["metric"] == "SE")
    ]
    trained, drawn, users = uncertainty.variances(part)
    assert drawn == pytest.approx(np.var([0, 0.01], ddof=1)) and trained == pytest.approx(
        0.01 - drawn / 2
    )
    own = [
        users["resampled"][:, 4].var(ddof=1)
        for row, users in kept
        if row["model"] == "AMF" and row["attack"] == "fgsm"
    ]
    assert users == pytest.approx(np.mean(own), rel=1e-6)
    alone = uncertainty.variances(part[(part["seed"] == 0) & (part["draw"] == 0)])
    assert np.isnan(alone[:2]).all() and alone[2] > 0


def test_users_of_a_cell_over_iterations_are_accumulated_as_the_cell_is():
    kept, rows = kept_and_rows(seeds=(0,), draws=1)
    cells, _ = uncertainty.measured(table1_tables.cells(rows), kept)
    cell = cells[(cells["model"] == "AMF") & (cells["column"] == "bim")].iloc[0]
    one, three = (
        users["resampled"][:, 0]
        for row, users in kept
        if row["model"] == "AMF" and row["attack"] == "bim"
    )
    assert cell["value"] == 1.5 and cell["over_users"] == pytest.approx(
        ((one + three) / 2).std(ddof=1)
    )


def test_paired_tests_by_hand():
    kept, rows = kept_and_rows()
    rows.loc[(rows["attack"] == "fgsm") & (rows["seed"] == 1), "PR"] += 0.5
    cells, tests = uncertainty.measured(table1_tables.cells(rows), kept)
    tests = tests.set_index(["first", "second", "metric"])
    assert len(tests) == (2 * 2 + 3) * 6  # no noise, no PGD, no l2 ball
    found = tests.loc["AMF initial", "AMF fgsm", "PR"]
    each = np.array([1, 0.5, 1])
    assert found["difference"] == pytest.approx(each.mean())
    reach = stats.t.ppf(0.975, 2) * each.std(ddof=1) / np.sqrt(3)
    assert (found["low"], found["high"]) == pytest.approx(
        (each.mean() - reach, each.mean() + reach)
    )
    single = stats.ttest_1samp(each, 0).pvalue
    assert single < found["p_seeds"] <= 1  # corrected
    drawn = {
        attack: [
            u["resampled"][:, 0]
            for r, u in kept
            if (r["model"], r["attack"]) == ("AMF", attack) and "draw" not in r
        ]
        for attack in ("", "fgsm")
    }
    spread = np.subtract(drawn[""], drawn["fgsm"]).mean(axis=0).std(ddof=1)
    assert found["p_users"] >= 2 * stats.norm.sf(each.mean() / spread) and found["p_users"] < 1e-20
    assert tests.loc["AMF initial", "BPR-MF initial", "SE"]["p_users"] > 0.5
    text = uncertainty.report(cells, tests.reset_index())
    assert (
        "| AMF initial | AMF fgsm | +0.8333 (" in text
        and "3 seed(s)" in text
        and "2 draw(s)" in text
    )


def test_p_over_users_is_two_sided_and_corrected_over_all_tests():
    kept, rows = kept_and_rows(draws=1)
    shift = {"AMF": 0.3, "BPR-MF": 0.0}  # nearly four deviations: no p is 0 or 1, corrected or not
    rows[list(NAMES)] = rows[list(NAMES)].add(rows["model"].map(shift), axis=0)
    cells, tests = uncertainty.measured(table1_tables.cells(rows), kept)
    drawn = {}
    for row, users in kept:
        drawn.setdefault((row["model"], row["attack"], row["seed"]), []).append(users["resampled"])
    raw = []
    for _, test in tests.iterrows():
        sides = []
        for name in (test["first"], test["second"]):
            model, column = name.split(" ", 1)
            sides.append(
                [np.mean(drawn[model, ATTACKS[column][0], seed], axis=0) for seed in (0, 1, 2)]
            )
        spread = np.mean([a - b for a, b in zip(*sides)], axis=0)[
            :, NAMES.index(test["metric"])
        ].std(ddof=1)
        raw.append(2 * (1 - stats.norm.cdf(abs(test["difference"]) / spread)))
    between = tests["first"].str.startswith("AMF") & tests["second"].str.startswith("BPR-MF")
    assert tests.loc[between, "p_users"].between(1e-9, 0.5).all()
    assert tests["p_users"].to_numpy() == pytest.approx(
        stats.false_discovery_control(raw, method="by"), rel=1e-6, abs=1e-12
    )


def test_without_what_jobs_keep_of_users_their_part_is_blank():
    _, rows = kept_and_rows()
    cells, tests = uncertainty.measured(table1_tables.cells(rows), [])
    assert (
        cells["over_users"].isna().all()
        and tests["p_users"].isna().all()
        and tests["p_seeds"].notna().any()
    )
    assert " / -" in uncertainty.report(cells, tests)


def test_table1_end_to_end(tmp_path):
    result = advrec(
        "--experiment=table1", f"--output_dir={tmp_path}", *SHORT, "--seed=0,1", "--attack_draws=2"
    )
    assert result.status == 0, result.err
    (folder,) = (path.parent for path in tmp_path.glob("table1/*/results.csv"))
    rows, cells, tests = (
        read_results(folder, name) for name in ("results.csv", "cells.csv", "tests.csv")
    )
    assert (
        set(rows["draw"].dropna()) == {1}
        and cells["over_users"].notna().all()
        and tests["p_users"].between(0, 1).all()
    )
    key, users = next(
        (row, users) for row, users in read_users(folder) if row.get("attack") == "fgsm"
    )
    assert (
        users["resampled"].shape == (200, 6)
        and abs(users["resampled"][:, 0].mean() - key["PR"]) < 0.05
    )
    drawn = cells.pivot_table(
        index=["model", "selection", "seed", "column", "metric"], columns="draw", values="value"
    ).dropna()
    assert (drawn[0] != drawn[1]).any()  # other negatives
