"""Figure 1 of the multi-step perturbations paper: performance over the number of iterations at one budget."""

from pathlib import Path

from advrec_tf.evaluation import NAMES
from advrec_tf.files import write_text
from advrec_tf.reporting import curves, plots, read_results

ATTACKS = (("", ""), ("fgsm", ""), ("bim", "linf"), ("pgd", "linf"), ("bim", "l2"))


def report(folders: list[Path]) -> None:
    """Renders report.md, the published panels (iterations.png) and those of all metrics from the results of each data set."""
    for folder in folders:
        rows = read_results(folder)
        text = curves.iterations_report(rows)
        write_text(folder / "report.md", text)
        plots.save_figure(plots.iterations_figure(rows, ("nDCG", "ICov")), folder / "iterations.png")
        plots.save_figure(plots.iterations_figure(rows, NAMES), folder / "iterations_all_metrics.png")
        print(f"{text}\nKept in {folder}: results.csv, report.md, iterations.png, iterations_all_metrics.png")
