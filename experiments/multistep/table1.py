"""Table 1 of the multi-step perturbations paper: six metrics before and after FGSM, BIM and PGD."""

from pathlib import Path

from advrec_tf.execution.results import Job, read_users
from advrec_tf.execution.runner import Experiment
from advrec_tf.files import write_text
from advrec_tf.reporting import page, read_results

from . import perturbed, table1_plots, table1_tables, trainings, uncertainty
from .perturbed import Study


def jobs(study: Study) -> list[Job]:
    """PGD in the paper's ball comes with an FGSM whose gradient is taken where PGD ended, which is the order of the authors' script.

    Models of the first selection are attacked again with other negatives and other starts of PGD, so that the attack's own variance is seen.
    """
    paper = [
        study.points("fgsm"),
        study.points("bim"),
        study.points("pgd") + study.points("fgsm", start="after_pgd"),
    ]
    more = [
        [{}],
        study.points("noise"),
        study.points("bim", "l2"),
        study.points("pgd", "l2"),
        *map(study.points, study.more_attacks),
    ]
    found = perturbed.baselines(study, resample=True) + perturbed.jobs(
        study, paper + more, resample=True
    )
    return found + perturbed.further_draws(study, paper, resample=True)


def report(folders: list[Path]) -> None:
    """Takes cells.csv and tests.csv from the results of each data set, and renders its page."""
    for folder in folders:
        cells, tests = uncertainty.measured(
            table1_tables.cells(read_results(folder)), read_users(folder)
        )
        for name, frame in (("cells", cells), ("tests", tests)):
            write_text(folder / f"{name}.csv", frame.to_csv(index=False))
        render(folder)
    if len(folders) > 1:
        write_text(
            folders[0].parent / "report.md",
            "\n".join((folder / "report.md").read_text() for folder in folders),
        )


def render(folder: Path) -> None:
    """Renders report.md and table1.png from cells.csv, tests.csv and the rows without iterations or of the last, and prints the report."""
    rows, cells, tests = (
        read_results(folder),
        read_results(folder, "cells.csv"),
        read_results(folder, "tests.csv"),
    )
    table = table1_tables.table1(cells)
    parts = [table1_tables.table1_report(cells, rows), uncertainty.report(cells, tests)]
    differences = table1_plots.difference_figure(table)
    pictures = {
        "table1.png": table1_plots.table1_figure(table, cells),
        **({"differences.png": differences} if differences else {}),
    }
    page(folder, "\n".join(parts), pictures, "cells.csv", "tests.csv")


EXPERIMENT = Experiment(
    perturbed.DRAWN,
    perturbed.single("epsilon"),
    jobs,
    report,
    trainings.train,
    split=trainings.by_seed,
)
