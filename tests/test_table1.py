"""Table 1 from rows made by hand."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from advrec_tf.evaluation import NAMES
from advrec_tf.reporting import plots
from experiments.multistep import paper, table1_page, table1_plots, table1_tables
from experiments.multistep.labels import PGD
from experiments.multistep.perturbed import LAYOUT

from rows import write


def row(**values):
    metrics = dict.fromkeys(NAMES, 0.1) | {"ICov": 7}
    norms = {"user_norm": 2.0, "item_norm": 1.0, "user_shift": 0.25, "item_shift": 0.75}
    base = {"dataset": "ml-1m", "model": "BPR-MF", "selection": "", "epoch": 3}
    base |= {"attack": "", "ball": "", "start": "", "seed": 0, "k": 10}
    return base | metrics | norms | values


def attacked_rows(RE, **key):
    """A model's clean row, RE / L under multi-step attacks, and RE / 2 under FGSM."""
    rows = [row(**key, RE=RE)]
    key |= {"epsilon": 0.5}
    for attack, ball, start in (("bim", "linf", "zero"), PGD, ("bim", "l2", "zero")):
        point = key | {"attack": attack, "ball": ball, "start": start}
        rows += [row(**point, iterations=n, RE=RE / n) for n in (1, 2, 4)]
    for start in ("clean", "after_pgd"):
        rows.append(row(**key, attack="fgsm", start=start, iterations=1, RE=RE / 2))
    return rows


def table_rows():
    rows = [row(model="Random", epoch=None, RE=0.01)]
    for model, seed in product(("BPR-MF", "AMF"), (0, 1)):
        key = {"model": model, "seed": seed}
        rows += attacked_rows(0.05, **key, epoch=3, selection="published")
        rows += attacked_rows(0.09 + 0.02 * seed, **key, epoch=5, selection="best")
        rows += attacked_rows(0.07, **key, epoch=9, selection="last")
    return rows


@pytest.fixture
def frame(tmp_path):
    return write(tmp_path, LAYOUT, table_rows(), {}, statistics={"published": True})


def test_accumulation_is_the_trapezoid_mean():
    assert table1_tables.accumulate([1], [4.0]) == 4
    assert table1_tables.accumulate([10, 1, 20], [1.0, 3.0, 2.0]) == pytest.approx(
        (9 * 2 + 10 * 1.5) / 19
    )
    grid = np.array([1, *range(10, 301, 10)])
    assert table1_tables.accumulate(grid, 2.0 * grid + 1) == pytest.approx(2 * 150.5 + 1)


def test_table1_beside_the_published_one(frame):
    table = table1_tables.table1(table1_tables.cells(frame)).set_index(
        ["model", "selection", "metric", "column"]
    )
    cell = table.loc["BPR-MF", "best", "RE", "bim"]
    wanted = [re * ((1 + 1 / 2) / 2 + (1 / 2 + 1 / 4)) / 3 for re in (0.09, 0.11)]
    assert cell["mean"] == pytest.approx(np.mean(wanted)) and cell["seeds"] == 2
    assert cell["sd"] == pytest.approx(np.std(wanted, ddof=1)) and cell["published"] == 0.0353
    assert cell["difference"] == pytest.approx(100 * (np.mean(wanted) - 0.0353) / 0.0353)
    assert pd.isna(table.loc["BPR-MF", "best", "RE", "bim l2"]["published"])


def test_published_cells_stand_beside_their_own_setting_only(frame):
    cells = table1_tables.cells(frame)
    assert table1_tables.table1(cells)["published"].notna().any()
    assert table1_tables.table1(cells.assign(k=20))["published"].isna().all()
    cells.attrs["statistics"] = {"published": False}
    assert table1_tables.table1(cells)["published"].isna().all()


def test_a_cell_is_inside_by_its_difference_or_by_the_interval_over_seeds(frame):
    cells = table1_tables.cells(frame)
    initial = (cells["column"] == "initial") & (cells["metric"] == "RE")
    chosen = initial & (cells["model"] == "BPR-MF") & (cells["selection"] == "best")
    for values, inside in (
        ((0.0926, 0.0927), True),
        ((0.09, 0.0982), True),
        ((0.0929, 0.0930), False),
        ((0.084, 0.0841), True),
    ):
        cells.loc[chosen, "value"] = values  # .0884 is published
        table = table1_tables.table1(cells).set_index(["model", "selection", "metric", "column"])
        cell = table.loc["BPR-MF", "best", "RE", "initial"]
        assert cell["inside"] == inside, values
        reach = 12.7062 * abs(values[1] - values[0]) / 2  # Student's t of one degree of freedom
        assert cell["high"] - cell["mean"] == pytest.approx(reach, rel=1e-4)
        assert cell["mean"] - cell["low"] == pytest.approx(reach, rel=1e-4)
    text = table1_page.table1_report(cells, frame)
    assert text.count("FGSM after PGD): BPR-MF, RE, initial: ") == 1  # of the published epoch
    cells.loc[chosen, "value"] = (0.09305, 0.09315)
    text = table1_page.table1_report(cells, frame)  # +5.1%
    assert (
        "- outside (best, FGSM after PGD): BPR-MF, RE, initial: 0.0884 / 0.0930, 0.0931 (+5.3%)"
        in text
    )


def test_agreement_counts_what_is_near_inside_or_either():
    """Of 4 cells 1 is near alone, 1 inside alone, 1 both and 1 neither.

    FGSM's cell differs by its gradient.
    """
    columns = {
        "initial": (104, 103, 105),
        "bim": (110, 99, 121),
        "pgd": (100, 99, 101),
        "fgsm": (110, 109, 111),
        "fgsm after pgd": (95, 90, 101),
    }
    table = pd.DataFrame.from_dict(columns, "index", columns=["mean", "low", "high"])
    table = table.rename_axis("column").reset_index()
    table = table.assign(dataset="ml-1m", model="AMF", selection="best", metric="RE", sd=1.0)
    table = table.assign(published=100.0, difference=table["mean"] - 100.0)
    table["inside"] = table["column"] != "fgsm"
    text = table1_tables.agreement(table)
    assert "| ml-1m | best | of Eq. 4 | 2 of 4 | 2 of 4 | 3 of 4 |" in text
    assert "| ml-1m | best | after PGD | 3 of 4 | 3 of 4 | 4 of 4 |" in text
    assert "outside (" not in text
    text = table1_tables.agreement(table.assign(selection="last"))
    assert "| ml-1m | last | of Eq. 4 | 2 of 4 | 2 of 4 | 3 of 4 |" in text
    assert table1_tables.agreement(table.assign(published=np.nan)) == ""


def test_a_further_draw_of_an_attack_is_a_cell_of_its_own_and_no_part_of_the_table(frame):
    again = frame[(frame["attack"] == "bim") & (frame["selection"] == "best")]
    both = pd.concat([frame, again.assign(draw=1.0, RE=0.5)]).reset_index(drop=True)
    cells = table1_tables.cells(both)
    drawn = cells[cells["draw"] == 1]
    assert set(drawn["column"]) == {"bim", "bim l2"} and drawn["value"].max() == 7
    before = table1_tables.table1(table1_tables.cells(frame))
    cells.attrs.update(frame.attrs)
    pd.testing.assert_frame_equal(table1_tables.table1(cells), before)


def test_the_report_shows_published_measured_and_difference(frame):
    report = table1_page.table1_report(table1_tables.cells(frame), frame)
    assert "## ml-1m: BPR-MF, best (epoch 5; 2 seed(s))" in report
    assert "0.0884 / 0.0900, 0.1100 (+13.1%)" in report
    assert "| @10 | fgsm after pgd | bim l2 | MostPopular | Random |" in report
    assert report.count("| 0.0100 |") == 6  # Random's RE beside every selection of both models
    norms = "| ml-1m | AMF | fgsm |  | clean | 0.5 | 25% | 50% | 0.250 (12%) | 0.750 (75%) |"
    assert norms in report
    assert report.index("BPR-MF, best") < report.index("BPR-MF, last") < report.index("AMF, best")
    assert "ICov (distinct items in all lists)" in report and "linf: each element" in report


def test_the_figure_has_a_panel_a_model(frame, tmp_path):
    cells = table1_tables.cells(frame)
    figure = table1_plots.table1_figure(table1_tables.table1(cells), cells)
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == ["BPR-MF on ml-1m, best", "AMF on ml-1m, best"]
    figure.draw_without_rendering()  # with its layout
    plots.save_figure(figure, tmp_path / "table1.png")
    assert (tmp_path / "table1.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_shows_the_difference_to_every_published_cell(frame):
    cells = table1_tables.cells(frame)
    axes = table1_plots.difference_figure(table1_tables.table1(cells)).axes
    assert [axis.get_title() for axis in axes[:2]] == ["BPR-MF, best", "AMF, best"]
    texts = [text.get_text() for text in axes[0].texts]
    assert len(texts) == 6 * 5 and "+13.1%\n0.0884 / 0.1000" in texts
    cells.attrs["statistics"] = {"published": False}
    assert table1_plots.difference_figure(table1_tables.table1(cells)) is None


def test_the_published_table_is_complete():
    table = paper.table1()
    assert len(table) == 2 * 6 * 2 * 4 and not table["published"].isna().any()
    values = table.set_index(["model", "metric", "dataset", "column"])["published"]
    assert values["AMF", "nDCG", "lastfm", "pgd"] == 0.1030
    assert values["BPR-MF", "ICov", "ml-1m", "fgsm"] == 2433


def test_a_sample_that_chose_the_best_epoch_is_named_with_its_interval():
    """HR@10 .1 of 400 of 1,600: 1.96 sqrt(.1 .9 / 400 (1 - 1/4)) = .0255."""
    frame = pd.DataFrame(
        {
            "selection": ["best", "best", "last"],
            "attack": ["", "bim", ""],
            "RE": [0.1, 0.02, 0.3],
            "k": 10,
        }
    )
    known = "400 of 1600 users, who tell an HR@10 of 0.1000 to within 0.0255"
    for sample, users, tested, rows, text in (
        (400, 1600, 1600, frame, known),
        (400, 1700, 1600, frame, known),
        (400, 1600, 3000, frame, "chosen on 400 users;"),  # several items a user
        (400, 1600, 1600, frame.assign(k=20), "chosen on 400 users;"),
        (400, 1600, 1600, frame[frame["selection"] == "last"], ""),
        (None, 1600, 1600, frame, ""),
        (1600, 1700, 1600, frame, ""),
    ):
        rows.attrs.update(
            config={"BPR-MF": {"eval_users": sample} if sample else {}},
            statistics={"test": tested, "users": users},
        )
        sentence = table1_page.chosen_on(rows)
        assert text in sentence and bool(text) == bool(sentence)
