"""Figure 1 of the low-rank defences paper: real and fake users on the first two principal components."""

from pathlib import Path

from advrec_tf.execution.results import Job, Layout
from advrec_tf.execution.runner import Experiment
from advrec_tf.execution.storage import write_csv
from advrec_tf.reporting import page, read_results

from . import detection, plots, poisoned
from .poisoned import Study

LAYOUT = Layout(("dataset", "attack", "profiles", "component"), ("variance", "AUROC"))


def jobs(study: Study) -> list[Job]:
    """One: every user's coordinates, how much of the variance a component holds, and how far it keeps fakes and real users apart."""
    fakes = study.profiles[next(iter(study.plans)), study.attack]
    base = {"dataset": study.data.name, "attack": study.attack, "profiles": fakes.digest()[:12]}
    points = [{**base, "component": number} for number in (1, 2)]
    return [
        Job(
            "advrec_tf.defenses.detection:component_separation",
            points,
            {"data": study.data, "fakes": fakes},
        )
    ]


def report(folders: list[Path]) -> None:
    """Renders report.md, figure1.png and points.csv, every user's coordinates, from the results of each data set."""
    for folder in folders:
        points = detection.coordinates(folder)
        write_csv(folder / "points.csv", points)
        page(
            folder,
            detection.components_report(read_results(folder), points),
            {"figure1.png": plots.components_figure(points)},
            "points.csv",
        )


EXPERIMENT = Experiment(LAYOUT, poisoned.of_one, jobs, report, poisoned.prepare)
