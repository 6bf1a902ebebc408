"""Figure 2 of the multi-step perturbations paper: performance over the budget at one number of iterations, and what no attack can do."""

from pathlib import Path

from advrec_tf.files import write_text
from advrec_tf.reporting import curves, plots, read_results

ATTACKS = (("", ""), ("fgsm", ""), ("bim", "linf"), ("pgd", "linf"), ("bim", "l2"), ("certificate", "linf"), ("certificate", "l2"))


def report(folders: list[Path]) -> None:
    """Renders report.md and budget.png from the results of each data set."""
    for folder in folders:
        rows = read_results(folder)
        text = curves.budget_report(rows)
        write_text(folder / "report.md", text)
        plots.save_figure(plots.budget_figure(rows), folder / "budget.png")
        print(f"{text}\nKept in {folder}: results.csv, report.md, budget.png")
