"""What explains Tables II and III of the low-rank defences paper: the same reconstructions with users in other orders and victims of other seeds."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from advrec_tf.data import Interactions
from advrec_tf.defenses import PARTIAL, LowRank
from advrec_tf.defenses.measuring import ORDERS, order_of
from advrec_tf.execution.results import Job, Layout
from advrec_tf.execution.runner import Experiment
from advrec_tf.reporting import page, read_results

from . import control_plots, controls_report, poisoned
from .poisoned import UNDEFENDED, Study

LAYOUT = Layout((*poisoned.LAYOUT.keys, "order", "draw"), poisoned.LAYOUT.values)
ATTACKS = {
    "ml-100k": ["recsys20", "recsys19+recsys20"]
}  # those that the data set's table has the print's largest effects on
PATCHES: dict[str, list[tuple[int | None, int]]] = {
    "ml-100k": [(200, 50)],
    "gowalla": [(100, 90), (300, 80), (150, 20)],
}
READINGS = (
    "weights",
    "dense",
    "rating_matrix",
)  # of what a reconstruction is to WRMF, beside binarize
DRAWS = 5  # of each random order


def studies(values: dict[str, Any], datasets: list[Interactions], output_dir: Path) -> list[Study]:
    """Where no attack is named, those of `ATTACKS`."""
    found = poisoned.studies(values, [], output_dir)  # the values alone are checked first
    for data in datasets:
        attacks = values["attack"] or (
            [] if values["profiles"] else ATTACKS.get(data.name, ["recsys20"])
        )
        found += poisoned.studies({**values, "attack": attacks}, [data], output_dir)
    return found


def jobs(study: Study) -> list[Job]:
    """No defence and each reconstruction, with incomplete patches kept and dropped, on clean and attacked data.

    Victims of all seeds get the users as they are; those of the first seed, which is the attack's own, also in other orders.  Where there are
    ratings, the other readings of a reconstruction join.
    """
    patches = study.values["patches"] or PATCHES.get(study.data.name, [(50, 20)])
    rebuilt = [
        LowRank(*patch, partial=partial)
        for patch in patches
        for partial in (PARTIAL if patch[0] else PARTIAL[:1])
    ]
    attacked = [attack for attack in study.all_attacks if attack != "none"]
    attacks, found = ["none", *attacked], []
    found += _ordered(poisoned.jobs(study, attacks, [UNDEFENDED, *rebuilt]), study, ORDERS[0], 0)
    matched = study.of_seeds(study.seeds[:1])
    for name in ORDERS[1:]:
        for draw in range(DRAWS if "permuted" in name else 1):
            found += _ordered(
                poisoned.jobs(matched, attacked, [UNDEFENDED, *rebuilt]), study, name, draw
            )
    if study.data.train_ratings is not None:
        others = [LowRank(*patch, enter=enter) for patch in patches for enter in READINGS]
        found += _ordered(poisoned.jobs(study, attacks, others), study, ORDERS[0], 0)
    return found


def _ordered(jobs: list[Job], study: Study, name: str, draw: int) -> list[Job]:
    """The same with the users in another order."""
    found = []
    for job in jobs:
        spec = job.arguments["spec"]
        fakes = spec.poisoned.n_users - study.data.n_users
        order = order_of(name, study.data.n_users, fakes, draw)
        points = [{**point, "order": name, "draw": draw} for point in job.points]
        arguments = {**job.arguments, "spec": replace(spec, order=order)}
        found.append(Job(job.function, points, arguments))
    return found


def report(folders: list[Path]) -> None:
    """Renders report.md and controls.png from the results of each data set."""
    for folder in folders:
        rows = read_results(folder)
        first = controls_report.parts_of(rows)[0][
            2
        ]  # of several attacks or groups the picture shows one
        page(
            folder,
            controls_report.report(rows),
            {"controls.png": control_plots.controls_figure(controls_report.table(first))},
        )


EXPERIMENT = Experiment(LAYOUT, studies, jobs, report, poisoned.prepare)
