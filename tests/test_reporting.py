"""Table 1 from rows made by hand."""

import numpy as np
import pandas as pd
import pytest

from advrec_tf.cli.perturbed import LAYOUT
from advrec_tf.evaluation import NAMES
from advrec_tf.reporting import plots, published, tables

from rows import write


def row(**values):
    metrics = dict.fromkeys(NAMES, 0.1) | {"ICov": 7}
    norms = {"user_norm": 2.0, "item_norm": 1.0, "user_shift": 0.5, "item_shift": 0.5}
    base = {"dataset": "ml-1m", "model": "BPR-MF", "selection": "", "epoch": 3, "attack": "", "ball": "", "start": "", "seed": 0, "k": 10}
    return base | metrics | norms | values


def table_rows():
    rows = [row(model="Random", epoch=None, RE=0.01)]
    for model in ("BPR-MF", "AMF"):
        for seed in (0, 1):
            for epoch, selection, re in ((3, "published", 0.05), (5, "best", 0.09 + 0.02 * seed), (9, "last", 0.07)):
                own = {"model": model, "epoch": epoch, "selection": selection, "seed": seed}
                rows.append(row(**own, RE=re))
                for attack, ball, start in (("bim", "linf", "zero"), ("pgd", "linf", "uniform"), ("bim", "l2", "zero")):
                    rows += [row(**own, attack=attack, ball=ball, start=start, epsilon=0.5, iterations=n, RE=re / n) for n in (1, 2, 4)]
                for start in ("clean", "after_pgd"):
                    rows.append(row(**own, attack="fgsm", start=start, epsilon=0.5, iterations=1, RE=re / 2))
    return rows


@pytest.fixture
def frame(tmp_path):
    return write(tmp_path, LAYOUT, table_rows(), {}, statistics={"published": True})


def test_accumulation_is_the_trapezoid_mean():
    assert tables.accumulate([1], [4.0]) == 4
    assert tables.accumulate([10, 1, 20], [1.0, 3.0, 2.0]) == pytest.approx((9 * 2 + 10 * 1.5) / 19)
    grid = np.array([1, *range(10, 301, 10)])
    assert tables.accumulate(grid, 2.0 * grid + 1) == pytest.approx(2 * 150.5 + 1)


def test_table1_beside_the_published_one(frame):
    table = tables.table1(frame).set_index(["model", "selection", "metric", "column"])
    cell = table.loc["BPR-MF", "best", "RE", "bim"]
    wanted = [re * ((1 + 1 / 2) / 2 + (1 / 2 + 1 / 4)) / 3 for re in (0.09, 0.11)]
    assert cell["mean"] == pytest.approx(np.mean(wanted)) and cell["sd"] == pytest.approx(np.std(wanted, ddof=1)) and cell["seeds"] == 2
    assert cell["published"] == 0.0353 and cell["difference"] == pytest.approx(100 * (np.mean(wanted) - 0.0353) / 0.0353)
    assert pd.isna(table.loc["BPR-MF", "best", "RE", "bim l2"]["published"])


def test_published_cells_stand_beside_their_own_setting_only(frame):
    assert tables.table1(frame)["published"].notna().any()
    assert tables.table1(frame.assign(k=20))["published"].isna().all()
    frame.attrs["statistics"] = {"published": False}
    assert tables.table1(frame)["published"].isna().all()


def test_the_report_shows_published_measured_and_difference(frame):
    report = tables.table1_report(frame)
    assert "## ml-1m: BPR-MF, best (epoch 5; 2 seed(s))" in report
    assert "0.0884 / 0.1000 ± 0.0141 (+13.1%)" in report
    assert "| ml-1m | Random |" in report
    assert "| ml-1m | AMF | fgsm |  | clean | 0.5 | 25% | 50% | 0.500 (25%) | 0.500 (50%) |" in report
    assert report.index("BPR-MF, best") < report.index("BPR-MF, last") < report.index("AMF, best")
    assert "ICov: distinct items" in report and "linf: each element" in report


def test_the_figure_has_a_panel_a_model(frame, tmp_path):
    figure = plots.table1_figure(tables.table1(frame))
    assert [axis.get_title() for axis in figure.axes] == ["BPR-MF on ml-1m, best", "AMF on ml-1m, best"]
    plots.save_figure(figure, tmp_path / "table1.png")
    assert (tmp_path / "table1.png").read_bytes().startswith(b"\x89PNG")


def test_the_published_table_is_whole():
    table = published.table1()
    assert len(table) == 2 * 6 * 2 * 4 and not table["published"].isna().any()
    at = table.set_index(["model", "metric", "dataset", "column"])["published"]
    assert at["AMF", "nDCG", "lastfm", "pgd"] == 0.1030 and at["BPR-MF", "ICov", "ml-1m", "fgsm"] == 2433
