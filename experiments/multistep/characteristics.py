"""Figure 3 of the multi-step perturbations paper: how density, size and shape of the data change what perturbations cost."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from advrec_tf.data import Interactions, k_core
from advrec_tf.errors import UserError
from advrec_tf.execution.results import Job
from advrec_tf.execution.runner import Experiment
from advrec_tf.execution.storage import write_csv
from advrec_tf.files import locked
from advrec_tf.reporting import page

from . import characteristics_plots, loss_slopes, perturbed, trainings
from .perturbed import Study


def sub_samples(values: dict[str, Any], data: Interactions) -> tuple[list[Interactions], int]:
    """The sub-samples that are not empty, and how many are."""
    cores = []
    for k in sorted(values["cores"]):
        try:
            cores.append(
                replace(
                    k_core(data, k, values["k_core"], values["split_seed"]),
                    registered=data.registered,
                )
            )
        except UserError as error:
            print(f"advrec: k = {k} is skipped: {error}", file=sys.stderr)
    return cores, len(values["cores"]) - len(cores)


def jobs(study: Study) -> list[Job]:
    """The paper's attacks: at every budget on the first selection, and at the paper's on the others, as other readings of what it leaves open; there
    models of the first selection are attacked again with other negatives, which move a loss more than training does."""
    own = replace(study, epsilons=[loss_slopes.paper_epsilon(study.epsilons)])
    first, others = (
        replace(study, selections=study.selections[:1]),
        replace(own, selections=study.selections[1:]),
    )
    found = [
        job for part in (first, others) for job in perturbed.jobs(part, [[{}], *attacks(part)])
    ]
    return perturbed.baselines(study) + found + perturbed.further_draws(own, attacks(own))


def attacks(study: Study) -> list[list[dict]]:
    """FGSM, BIM and PGD."""
    return [study.points(name) for name in ("fgsm", "bim", "pgd")]


def report(folders: list[Path]) -> None:
    """Renders the page of <data set>-<protocol> over all measured sub-samples of each data set: report.md, losses.csv, readings.csv and pictures."""
    for folder in dict.fromkeys(
        each.with_name(each.name.rpartition("-")[0]) for each in sorted(folders)
    ):
        losses = loss_slopes.losses_of(folder)
        readings = loss_slopes.readings(losses)
        pictures = {
            "characteristics.png": characteristics_plots.losses_figure(losses),
            "readings.png": characteristics_plots.readings_figure(readings),
        }
        with locked(folder):
            write_csv(folder / "losses.csv", losses)
            write_csv(folder / "readings.csv", readings)
            text = loss_slopes.report(losses, readings)
            sources = sorted(folder.parent.glob(f"{folder.name}-*"))
            page(folder, text, pictures, "losses.csv", "readings.csv", sources=sources)


EXPERIMENT = Experiment(
    perturbed.DRAWN,
    perturbed.studies,
    jobs,
    report,
    trainings.train,
    parts=sub_samples,
    split=trainings.by_seed,
)
