"""Table 1 of the multi-step perturbations paper: six metrics before and after FGSM, BIM and PGD."""

from pathlib import Path

from advrec_tf.cli import perturbed
from advrec_tf.cli.perturbed import Study
from advrec_tf.cli.runner import Experiment
from advrec_tf.files import write_text
from advrec_tf.reporting import Evidence, claims, page, plots, read_results, tables
from advrec_tf.results import Job


def jobs(study: Study) -> list[Job]:
    """PGD in the paper's ball comes with an FGSM whose gradient is taken where PGD ended, which is the order of the authors' script."""
    attacks = [[{}], study.points("noise"), study.points("fgsm"), study.points("bim")]
    attacks += [study.points("pgd") + study.points("fgsm", start="after_pgd"), study.points("bim", "l2"), study.points("pgd", "l2")]
    return perturbed.baselines(study) + perturbed.jobs(study, attacks + [study.points(name) for name in study.more_attacks])


def report(folders: list[Path]) -> None:
    """Renders report.md and table1.png from the results of each data set, and prints the report."""
    for folder in folders:
        rows = read_results(folder)
        text = f"{tables.table1_report(rows)}\n{claims.report(Evidence.of(folder.parent.parent, folder.name))}"
        page(folder, text, {"table1.png": plots.table1_figure(tables.table1(rows))})
    if len(folders) > 1:
        write_text(folders[0].parent / "report.md", "\n".join((folder / "report.md").read_text() for folder in folders))


EXPERIMENT = Experiment(perturbed.LAYOUT, perturbed.single("epsilon"), jobs, report, perturbed.train)
