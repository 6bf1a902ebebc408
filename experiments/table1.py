"""Table 1 of the multi-step perturbations paper: six metrics before and after FGSM, BIM and PGD."""

from pathlib import Path

from advrec_tf.files import write_text
from advrec_tf.reporting import Evidence, claims, plots, read_results, tables

ATTACKS = (("", ""), ("noise", ""), ("fgsm", ""), ("bim", "linf"), ("pgd+fgsm", "linf"), ("bim", "l2"), ("pgd", "l2"))


def report(folders: list[Path]) -> None:
    """Renders report.md and table1.png from the results of each data set, and prints the report."""
    for folder in folders:
        rows = read_results(folder)
        text = f"{tables.table1_report(rows)}\n{claims.report(Evidence.of(folder.parent.parent, folder.name))}"
        write_text(folder / "report.md", text)
        plots.save_figure(plots.table1_figure(tables.table1(rows)), folder / "table1.png")
        print(f"{text}\nKept in {folder}: results.csv, report.md, table1.png")
    if len(folders) > 1:
        write_text(folders[0].parent / "report.md", "\n".join((folder / "report.md").read_text() for folder in folders))
