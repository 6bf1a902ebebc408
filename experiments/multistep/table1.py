"""Table 1: six metrics before and after FGSM, BIM and PGD."""

from pathlib import Path

from advrec_tf.execution.results import Job, read_users
from advrec_tf.execution.runner import Experiment
from advrec_tf.files import write_text
from advrec_tf.reporting import page, read_results

from . import perturbed, table1_plots, table1_tables, trainings, uncertainty
from .perturbed import MultistepSpec
from .table1_page import answer, overview, table1_report


def jobs(spec: MultistepSpec) -> list[Job]:
    """Return the jobs of the paper's attacks and of further ones.

    PGD in the paper's ball shares a job with an FGSM whose gradient is taken where PGD ended, as
    the authors' script does. Models of the first selection are attacked again with other negatives
    and other starts of PGD, which shows the variance of the attack.
    """
    pgd = spec.points("pgd") + spec.points("fgsm", start="after_pgd")
    paper = [spec.points("fgsm"), spec.points("bim"), pgd]
    further = [spec.points("noise"), spec.points("bim", "l2"), spec.points("pgd", "l2")]
    further += map(spec.points, spec.more_attacks)
    return [
        *perturbed.baselines(spec, resample=True),
        *perturbed.jobs(spec, [*paper, [{}], *further], resample=True),
        *perturbed.further_draws(spec, paper, resample=True),
    ]


def report(folders: list[Path]) -> None:
    """Write cells.csv, tests.csv and the page of each data set."""
    for folder in folders:
        cells = table1_tables.cells(read_results(folder))
        cells, tests = uncertainty.measured(cells, read_users(folder))
        for name, frame in (("cells", cells), ("tests", tests)):
            write_text(folder / f"{name}.csv", frame.to_csv(index=False))
        render(folder)
    if len(folders) > 1:
        pages = "\n".join((folder / "report.md").read_text() for folder in folders)
        write_text(folders[0].parent / "report.md", pages)


def render(folder: Path) -> None:
    """Write and print the page from cells.csv, tests.csv and results.csv.

    Of the rows over iterations results.csv needs the last ones only.
    """
    names = ("results.csv", "cells.csv", "tests.csv")
    rows, cells, tests = (read_results(folder, name) for name in names)
    table = table1_tables.table1(cells)
    pictures = {"table1.png": table1_plots.table1_figure(table, cells)}
    differences = table1_plots.difference_figure(table)
    if differences:
        pictures["differences.png"] = differences
    text = "\n".join([table1_report(cells, rows), uncertainty.report(cells, tests)])
    page(folder, text, pictures, answer=answer(cells), table=overview(cells))


EXPERIMENT = Experiment(
    perturbed.DRAWN_LAYOUT,
    perturbed.single("epsilon"),
    jobs,
    report,
    trainings.train,
    split=trainings.by_seed,
)
