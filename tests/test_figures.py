"""Figures 1 and 2, on rows made by hand."""

import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.container import BarContainer
from matplotlib.image import imread

from advrec_tf.reporting import plots, web
from experiments.multistep import budget, curves, iterations, labels
from experiments.multistep.perturbed import LAYOUT

from rows import write

METRICS = {"PR": 0.01, "RE": 0.1, "nDCG": 0.05, "EFD": 0.1, "SE": 9.0, "ICov": 2000}


def row(model="BPR-MF", scale=1.0, **values):
    base = {"dataset": "synthetic", "model": model, "selection": "best"}
    base |= {"epoch": 5, "seed": 0, "k": 10}
    return base | {name: value * scale for name, value in METRICS.items()} | values


def measured_rows():
    """nDCG is .05, under FGSM and in the l2 ball .04, and otherwise .05 / (1 + L)."""
    rows = [row("Random", 0.02, epoch=None, selection="")]
    for model in labels.MODELS:
        rows.append(row(model))
        for start in ("clean", "after_pgd"):
            rows.append(row(model, 0.8, attack="fgsm", start=start, epsilon=0.5, iterations=1))
        for attack, ball, start in labels.MULTI_STEP:
            key = {"attack": attack, "ball": ball, "start": start, "epsilon": 0.5}
            for n in (1, 10, 20, 25, 30, 40, 50, 80):
                scale = 0.8 if ball == "l2" else 1 / (1 + n)
                rows.append(row(model, scale, **key, iterations=n))
    return rows


def budget_rows():
    """FGSM takes 40% of epsilon from all metrics, linf attacks 5 times and l2 ones as much."""
    rows = []
    for model in labels.MODELS:
        rows.append(row(model))
        for epsilon in (0.05, 0.1, 0.5, 1.0):
            fgsm = {"attack": "fgsm", "start": "clean", "iterations": 1}
            rows.append(row(model, 1 - 0.4 * epsilon, **fgsm, epsilon=epsilon))
            for attack, ball, start in labels.MULTI_STEP:
                scale = 1 - 0.4 * min(2, epsilon * (1 if ball == "l2" else 5))
                key = {"attack": attack, "ball": ball, "start": start, "iterations": 25}
                rows.append(row(model, scale, **key, epsilon=epsilon))
            for ball in ("l2", "linf"):
                rows.append(row(model, 0.5, attack="certificate", ball=ball, epsilon=epsilon))
    return rows


@pytest.fixture
def iterations_rows(tmp_path):
    return write(tmp_path / "iterations/synthetic", LAYOUT, measured_rows())


@pytest.fixture
def epsilon_rows(tmp_path):
    return write(tmp_path / "budget/synthetic", LAYOUT, budget_rows())


def test_equal_harm_interpolates_in_log_epsilon():
    assert curves.equal_harm([0.1, 1.0, 10.0], [5, 3, 1], 3) == pytest.approx(1.0)
    assert curves.equal_harm([0.1, 1.0, 10.0], [5, 3, 1], 4) == pytest.approx(10**-0.5)
    assert curves.equal_harm([0.1, 1.0], [2, 1], 3) == 0.1
    assert np.isnan(curves.equal_harm([0.1, 1.0], [5, 4], 3))
    assert curves.equal_harm([0.1, 1.0], [5, 3], 3) == pytest.approx(1.0)  # just reached


def test_a_curve_is_the_mean_over_seeds_with_their_deviation():
    values = {1: [0.1, 0.2, 0.6], 5: [0.3, 0.3, 0.0]}
    rows = [{"L": n, "nDCG": value} for n, each in values.items() for value in each]
    curve = curves.over(pd.DataFrame(rows), "L", "nDCG")
    assert curve["mean"].tolist() == pytest.approx([0.3, 0.2])
    assert curve["std"].tolist() == pytest.approx([np.std(v, ddof=1) for v in values.values()])
    single = curves.over(pd.DataFrame(rows[:1]), "L", "nDCG")
    assert single.loc[1].tolist() == [0.1, 0]


def test_baselines_are_levels_at_their_means():
    _, ((axis,),) = plots.panels(1, 1)
    rows = pd.DataFrame({"model": ["Random", "Random", "MostPopular"], "nDCG": [0.1, 0.3, 0.5]})
    plots.baselines(axis, rows, "nDCG")
    levels = {line.get_label(): line.get_ydata()[0] for line in axis.lines}
    assert levels == {"most popular": 0.5, "random": pytest.approx(0.2)}


def test_bars_have_their_deviations_and_published_marks():
    _, ((axis,),) = plots.panels(1, 1)
    part = pd.DataFrame({"mean": [1.0, 2.0], "sd": [0.1, np.nan], "published": [np.nan, 1.5]})
    plots.bars(axis, [0, 1], part, "measured")
    (bars,) = [each for each in axis.containers if isinstance(each, BarContainer)]
    assert [bar.get_height() for bar in bars] == [1, 2]
    ends = [np.ptp(segment[:, 1]) for segment in bars.errorbar.lines[2][0].get_segments()]
    assert ends == pytest.approx([0.2, 0])
    (marks,) = [line for line in axis.lines if line.get_label() == "published"]
    assert marks.get_xydata().tolist() == [[1, 1.5]]


def test_equal_harm_is_a_mean_over_seeds(epsilon_rows):
    """BIM does FGSM's harm of .5 at .1 and .4: on average with 3.125 times less epsilon."""
    second = epsilon_rows.assign(seed=1)
    bim = (second["attack"] == "bim") & (second["ball"] == "linf")
    second.loc[bim, "epsilon"] *= 4
    text = budget.budget_report(pd.concat([epsilon_rows, second], ignore_index=True))
    assert "| BPR-MF | BIM | 0.250 | 3.1 |" in text and "| BPR-MF | PGD | 0.100 | 5.0 |" in text


def test_equal_harm_of_rows(epsilon_rows):
    table = curves.equal_harm_table(epsilon_rows).set_index(["model", "attack"])
    assert table.loc[("AMF", "BIM"), "epsilon"] == pytest.approx(0.1)
    assert table.loc[("AMF", "BIM, l2 ball"), "times less"] == pytest.approx(1)


def test_figure_1_has_a_column_for_each_attack(iterations_rows):
    text = iterations.iterations_report(iterations_rows)
    assert "## nDCG@10 at epsilon 0.5 (mean over 1 seed(s))" in text
    header = "| L | BPR-MF, BIM | BPR-MF, PGD | BPR-MF, BIM, l2 ball | AMF, BIM |"
    assert header in text and "| 25 | 0.0019 | 0.0019 | 0.0400 | 0.0019 |" in text
    assert (
        "Without iterations: Random 0.0010; BPR-MF 0.0500; AMF 0.0500; BPR-MF, FGSM 0.0400" in text
    )
    figure = iterations.iterations_figure(iterations_rows, ("nDCG", "ICov"))
    assert len(figure.axes) == 4 and figure.axes[0].get_title() == "BPR-MF on synthetic"
    labels_shown = [line.get_label() for line in figure.axes[0].lines]
    assert labels_shown == ["BIM", "PGD", "BIM, l2 ball", "clean", "FGSM", "random"]


def test_figure_2_has_the_epsilon_of_equal_harm_and_certificates(epsilon_rows):
    text = budget.budget_report(epsilon_rows)
    assert "# Figure 2: nDCG@10 over epsilon on synthetic, 25 iterations" in text
    assert "| epsilon | FGSM | BIM | PGD | BIM, l2 ball | certified, linf | certified, l2 |" in text
    assert "| 0.1 | 0.0480 | 0.0400 | 0.0400 | 0.0480 | 0.0250 | 0.0250 |" in text
    assert "| BPR-MF | PGD | 0.100 | 5.0 |" in text
    uncertified = epsilon_rows[epsilon_rows["attack"] != "certificate"]
    assert "certified, l2" not in budget.budget_report(uncertified)
    assert budget.budget_figure(epsilon_rows).axes[1].get_xscale() == "log"


def test_pieces_are_panels_and_a_legend_without_anything_of_each_other():
    figure, axes = plots.panels(2, 2)
    inks = [(200, 0, 0), (0, 200, 0), (0, 0, 200), (200, 0, 200)]
    for axis, ink in zip(axes.flat, inks):
        axis.fill_between([0, 1], [1, 1], color=np.array(ink) / 255)
        axis.set(xlabel="epsilon", title="a title")
    axes[0, 0].set_ylabel("nDCG")
    axes[0, 0].plot([0, 1], [0, 0], color="orange", linewidth=0, marker="s", label="a line")
    plots.legend(figure, axes, "outside lower center")
    made = plots.pieces(figure)
    assert len(made) == 5
    for n, piece in enumerate(made[:4]):
        pixels = (imread(io.BytesIO(piece.png), format="png")[..., :3] * 255).round().astype(int)
        seen = [(pixels == ink).all(axis=2).any() for ink in inks]
        assert seen == [number == n for number in range(4)]
        assert piece.inches < figure.get_figwidth() / 2 + 0.5
    assert {axis.get_ylabel() for axis in figure.axes} == {"nDCG"}
    page = web.picture(figure, "<alt>")
    assert page.count("<img") == 5 and "&lt;alt&gt;" in page
