"""Curves over iterations and budgets, on rows made by hand."""

import numpy as np
import pytest

from advrec_tf.reporting import read_results
from experiments.multistep import curve_plots, curves, labels
from experiments.multistep.perturbed import LAYOUT

from rows import write

METRICS = {"PR": 0.01, "RE": 0.1, "nDCG": 0.05, "EFD": 0.1, "SE": 9.0, "ICov": 2000}


def row(model="BPR-MF", scale=1.0, **values):
    return (
        {
            "dataset": "synthetic",
            "model": model,
            "selection": "best",
            "epoch": 5,
            "seed": 0,
            "k": 10,
        }
        | {n: v * scale for n, v in METRICS.items()}
        | values
    )


def measured_rows():
    """nDCG .05, FGSM .04, multi-step .05 / (1 + L); the l2 ball leaves FGSM's; budgets in proportion."""
    rows = [row("Random", 0.02, epoch=None, selection="")]
    for model in labels.MODELS:
        rows.append(row(model))
        rows += [
            row(model, 0.8, attack="fgsm", start=start, epsilon=0.5, iterations=1)
            for start in ("clean", "after_pgd")
        ]
        for (attack, ball, start), _ in labels.MULTI_STEP.items():
            for n in (1, 10, 20, 25, 30, 40, 50, 80):
                scale = 0.8 if ball == "l2" else 1 / (1 + n)
                rows.append(
                    row(
                        model,
                        scale,
                        attack=attack,
                        ball=ball,
                        start=start,
                        epsilon=0.5,
                        iterations=n,
                    )
                )
    return rows


def budget_rows():
    rows = []
    for model in labels.MODELS:
        rows.append(row(model))
        for epsilon in (0.05, 0.1, 0.5, 1.0):
            rows.append(
                row(
                    model,
                    1 - 0.4 * epsilon,
                    attack="fgsm",
                    start="clean",
                    epsilon=epsilon,
                    iterations=1,
                )
            )
            for attack, ball, start in labels.MULTI_STEP:
                scale = 1 - 0.4 * min(2, epsilon * (1 if ball == "l2" else 5))
                rows.append(
                    row(
                        model,
                        scale,
                        attack=attack,
                        ball=ball,
                        start=start,
                        epsilon=epsilon,
                        iterations=25,
                    )
                )
            rows += [
                row(model, 0.5, attack="certificate", ball=ball, epsilon=epsilon)
                for ball in ("l2", "linf")
            ]
    return rows


@pytest.fixture
def output(tmp_path):
    """Results of two experiments."""
    for name, rows in (("iterations", measured_rows()), ("budget", budget_rows())):
        write(tmp_path / name / "synthetic", LAYOUT, rows)
    return tmp_path


def test_equal_harm_interpolates_in_log_epsilon():
    assert curves.equal_harm([0.1, 1.0, 10.0], [5, 3, 1], 3) == pytest.approx(1.0)
    assert curves.equal_harm([0.1, 1.0, 10.0], [5, 3, 1], 4) == pytest.approx(10**-0.5)
    assert curves.equal_harm([0.1, 1.0], [2, 1], 3) == 0.1
    assert np.isnan(curves.equal_harm([0.1, 1.0], [5, 4], 3))


def test_equal_harm_of_rows(output):
    table = curves.equal_harm_table(read_results(output / "budget" / "synthetic")).set_index(
        ["model", "attack"]
    )
    assert table.loc[("AMF", "BIM"), "epsilon"] == pytest.approx(0.1)
    assert table.loc[("AMF", "BIM, l2 ball"), "times less"] == pytest.approx(1)


def test_reports_and_figures_of_curves(output, tmp_path):
    iterations, budget = (
        read_results(output / "iterations" / "synthetic"),
        read_results(output / "budget" / "synthetic"),
    )
    assert "| 25 | 0.0019 | 0.0019 | 0.0400 | 0.0019 |" in curves.iterations_report(iterations)
    report = curves.budget_report(budget)
    assert "| BPR-MF | PGD | 0.100 | 5.0 |" in report and "certified, l2" in report
    figure = curve_plots.iterations_figure(iterations, ("nDCG", "ICov"))
    assert len(figure.axes) == 4 and figure.axes[0].get_title() == "BPR-MF on synthetic"
    assert curve_plots.budget_figure(budget).axes[1].get_xscale() == "log"
