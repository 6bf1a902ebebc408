"""One row of each table of a leaderboard's page, computed by hand or by SciPy."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from advrec_tf.leaderboard import board_page, summary, worst_case
from advrec_tf.reporting import web
from advrec_tf.reporting.vocabulary import markdown

SEEDS, EPSILONS = (0, 1, 2), (0.05, 0.2)
CLEAN = {"A": (0.50, 0.52, 0.54), "B": (0.40, 0.40, 0.40), "MostPopular": (0.2, 0.2, 0.2)}
# nDCG that is left of A at both epsilons, by threat model and seed.  B keeps .9 of its nDCG,
# MostPopular all of it.
LEFT = {
    "train": ((0.40, 0.41, 0.45), (0.20, 0.21, 0.22)),
    "lists": ((0.39, 0.39, 0.39), (0.30, 0.30, 0.30)),
    "test": ((0.30, 0.33, 0.36), (0.10, 0.12, 0.20)),
    "user": ((0.28, 0.28, 0.28), (0.05, 0.05, 0.05)),
}


def row(entry, seed, threat, ball, epsilon, ndcg) -> dict:
    """Return a row of `worst_cases` whose other values are made of nDCG.

    Half of it is certified, HR is twice as much, and the quartiles are n tenths.
    """
    base = {"entry": entry, "seed": seed, "threat_model": threat, "unit": "relative"}
    base |= {"ball": ball, "epsilon": epsilon, "k": 10, "warnings": "", "nDCG": ndcg}
    base |= {"HR": 2 * ndcg, "certified_nDCG": ndcg / 2 if threat else np.nan}
    base |= {"ICov": 100 * ndcg, "EFD": ndcg / 4, "SE": 10 * ndcg}
    return base | {name: ndcg * n / 10 for n, name in enumerate(worst_case.QUARTILES, 1)}


def board(**clean_values) -> pd.DataFrame:
    """Return the rows of a leaderboard.  clean_values: other clean nDCG by entry and seed"""
    rows = []
    for entry, clean in (CLEAN | clean_values).items():
        for seed in SEEDS:
            rows.append(row(entry, seed, "", "", 0.0, clean[seed]))
            for threat, left in LEFT.items():
                for index, epsilon in enumerate(EPSILONS):
                    kept = {"A": left[index][seed], "B": 0.9 * clean[seed]}
                    ndcg = kept.get(entry, clean[seed])
                    rows.append(row(entry, seed, threat, "l2", epsilon, ndcg))
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def page() -> dict[str, dict[str, list[str]]]:
    """The cells of each row by its name, of each table by its title."""
    text = summary.report(board(), "shop")
    tables: dict[str, dict[str, list[str]]] = {}
    for part in text.split("\n## ")[1:]:
        title, *lines = part.splitlines()
        tables[title] = {}
        for line in lines:
            if line.startswith("| ") and "---" not in line:
                name, *cells = (cell.strip() for cell in line.split("|")[1:-1])
                tables[title][name] = cells
    return tables


def table(page, start: str) -> dict[str, list[str]]:
    """Return the only table whose title begins with `start`."""
    (cells,) = (cells for title, cells in page.items() if title.startswith(start))
    return cells


@pytest.mark.parametrize("threat", LEFT)
def test_what_is_left_is_a_mean_over_trainings(page, threat):
    cells = table(page, f"{threat}: worst nDCG@10")
    assert cells["entry"] == ["clean", "l2 0.05", "l2 0.2"]
    low, high = LEFT[threat]
    assert cells["A"] == ["0.5200", f"{sum(low) / 3:.4f}", f"{sum(high) / 3:.4f}"] and cells[
        "B"
    ] == [
        "0.4000",
        "0.3600",
        "0.3600",
    ]
    order = sorted(CLEAN, key=lambda entry: -float(cells[entry][1]))  # the best at .05 first
    assert list(cells)[1:] == order


def test_certified_and_half(page):
    assert table(page, "Certified nDCG@10")["A"] == ["0.5200", f"{0.33 / 2:.4f}", f"{0.14 / 2:.4f}"]
    half = table(page, "Epsilon in the l2 ball at which half of nDCG is lost")
    assert half["entry"] == ["train", "lists", "test", "user"]
    crossed = []  # linear in log epsilon between .05 and .2, of each seed's cells clean half
    for clean, low, high in zip(CLEAN["A"], *LEFT["test"]):
        share = (low - clean / 2) / (low - high)
        crossed.append(0.05 * (0.2 / 0.05) ** share)
    assert (
        half["A"][2] == f"{np.mean(crossed):.4f}" and half["A"][1] == "" and half["B"] == [""] * 4
    )


@pytest.mark.parametrize(
    ("metric", "shown"),
    [
        ("ICov", ["52", "42", "21"]),
        ("EFD", ["0.1300", "0.1050", "0.0525"]),
        ("SE", ["5.2000", "4.2000", "2.1000"]),
    ],
)
def test_lists_beyond_accuracy_are_those_of_the_worst_nDCG(page, metric, shown):
    assert table(page, f"{metric} where")["A"] == shown


def test_who_pays(page):
    cells = table(page, "Who pays: nDCG by quartile of item popularity")
    clean, attacked = 0.52, np.mean(LEFT["test"][0])
    assert cells["A"] == [
        f"{value * (5 + n) / 10:.4f}" for value in (clean, attacked) for n in range(4)
    ]
    assert table(page, "Who pays: nDCG by quartile of user activity")["A"][0] == f"{0.52 / 10:.4f}"


def test_intervals_over_trainings_are_students(page):
    cells = table(page, "Clean and worst nDCG")
    assert cells["entry"][:2] == ["trainings", "clean"]
    for index, values in enumerate((CLEAN["A"], *(LEFT[threat][0] for threat in LEFT))):
        mean = np.mean(values)
        low, high = (
            stats.t.interval(0.95, 2, mean, stats.sem(values)) if np.ptp(values) else (mean, mean)
        )
        assert cells["A"][1 + index] == f"{mean:.4f} [{low:.4f}, {high:.4f}]"


def test_a_sentence_names_who_keeps_most_the_most_accurate_and_a_better_baseline():
    knows = "Against an attacker who knows"
    first, *_, last = summary.verdicts(board())
    text = "B keeps most (0.3600 of 0.4000). The most accurate entry, A, keeps 0.3300 of 0.5200."
    assert first == f"{knows} the held-out item, at l2 0.05, {text}"
    assert last.startswith(f"{knows} one user's held-out item and cares for no other user, at")
    train = summary.verdicts(board())[1]
    assert train == f"{knows} the training pairs, at l2 0.05, A keeps most (0.4200 of 0.5200)."
    popular = board(MostPopular=(0.5, 0.5, 0.5))
    better = " MostPopular, which learns next to nothing, has 0.5000 under the same attack."
    assert all(sentence.endswith(better) for sentence in summary.verdicts(popular))
    baseline = popular["entry"] == "MostPopular"
    unattacked = popular[~baseline | (popular["threat_model"] == "")]
    assert summary.verdicts(unattacked)[0].endswith("has 0.5000 clean.")


def test_each_entry_and_seed_has_a_record_of_its_figures_and_of_the_last_run():
    rows = board().assign(factors="f").reindex(columns=[*worst_case.DETAILS])
    runs = [{"commit": name, "versions": {"v": name}, "flags": {}} for name in ("old", "new")]
    records = board_page.records(rows, {"runs": runs, "config": {"k": 10}, "statistics": {"u": 1}})
    assert set(records) == {f"{entry} {seed}" for entry in CLEAN for seed in SEEDS}
    record = records["A 1"]
    about = {"entry": "A", "seed": 1, "factors": "f", "commit": "new", "versions": {"v": "new"}}
    assert record.items() >= (about | {"config": {"k": 10}, "statistics": {"u": 1}}).items()
    assert [figures["nDCG"] for figures in record["figures"]][:3] == [0.52, 0.41, 0.21]
    assert record["figures"][0]["certified_nDCG"] is None and len(record["figures"]) == 9
    alone = board_page.records(rows, None)["B 0"]
    assert alone["commit"] is None and alone["figures"][0]["HR"] == 0.8


@pytest.mark.parametrize("version, known", [(6, True), (5, False), (7, False)])
def test_a_board_of_another_version_of_the_ensemble_says_so(version, known):
    text = summary.older({"config": {"versions": {"robustness": version}}})
    assert (text == "") == known and (known or f"version {version} of the ensemble" in text)
    assert summary.older(None) == summary.older({"config": None}) == ""


def test_names_cannot_be_part_of_a_page():
    frame = pd.DataFrame({"<i>": ["<b>1"]}, index=["<u>x|y"])
    page = web.section("<s>", frame, str, "<p>")
    assert not {"<i>", "<b>", "<u>", "<s>", "<p>"} & set(re.findall(r"<[a-z]>", page))
    assert "&lt;u&gt;x|y" in page
    assert markdown(["a|b"], [["c|d"]]).splitlines() == [r"| a\|b |", "| --- |", r"| c\|d |"]
