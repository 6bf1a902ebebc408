"""Figure 3: how density, size and shape of the data change what perturbations cost."""

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
from .characteristics_page import characteristics_report
from .perturbed import MultistepSpec


def sub_samples(values: dict[str, Any], data: Interactions) -> tuple[list[Interactions], int]:
    """Return the sub-samples that are not empty, and how many are."""
    cores = []
    for k in sorted(values["cores"]):
        try:
            core = k_core(data, k, values["k_core"], values["split_seed"])
        except UserError as error:
            print(f"advrec: k = {k} is skipped: {error}", file=sys.stderr)
        else:
            cores.append(replace(core, registered=data.registered))
    return cores, len(values["cores"]) - len(cores)


def jobs(spec: MultistepSpec) -> list[Job]:
    """Return the jobs of the paper's attacks.

    The first selection is attacked with every epsilon. The others are attacked with the paper's,
    as other readings of what it leaves open. With that epsilon, models of the first selection are
    attacked again with other negatives, because these move a loss more than training does.
    """
    at_paper = replace(spec, epsilons=[loss_slopes.paper_epsilon(spec.epsilons)])
    first = replace(spec, selections=spec.selections[:1])
    others = replace(at_paper, selections=spec.selections[1:])
    made = perturbed.baselines(spec)
    for part in (first, others):
        made += perturbed.jobs(part, [[{}], *_attacks(part)])
    return made + perturbed.further_draws(at_paper, _attacks(at_paper))


def _attacks(spec: MultistepSpec) -> list[list[dict]]:
    """Return the points of FGSM, BIM and PGD."""
    return [spec.points(name) for name in ("fgsm", "bim", "pgd")]


def report(folders: list[Path]) -> None:
    """Write the page of each <data set>-<protocol>, over all sub-samples that were measured.

    It has report.md, losses.csv, readings.csv and pictures.
    """
    parents = [path.with_name(path.name.rpartition("-")[0]) for path in sorted(folders)]
    for folder in dict.fromkeys(parents):
        losses = loss_slopes.losses_of(folder)
        readings = loss_slopes.readings(losses)
        pictures = {"characteristics.png": characteristics_plots.losses_figure(losses)}
        if curves := characteristics_plots.readings_figure(readings):
            pictures["readings.png"] = curves
        with locked(folder):
            write_csv(folder / "losses.csv", losses)
            write_csv(folder / "readings.csv", readings)
            text = characteristics_report(losses, readings)
            sources = sorted(folder.parent.glob(f"{folder.name}-*"))
            page(folder, text, pictures, sources=sources)


EXPERIMENT = Experiment(
    perturbed.DRAWN_LAYOUT,
    perturbed.specs,
    jobs,
    report,
    trainings.train,
    parts=sub_samples,
    split=trainings.by_seed,
)
