"""Figure 3 of the multi-step perturbations paper: how density, size and shape of the data change what perturbations cost."""

import sys
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from advrec_tf.cli import perturbed
from advrec_tf.cli.perturbed import Study
from advrec_tf.cli.runner import Experiment
from advrec_tf.data import Interactions, k_core
from advrec_tf.errors import UserError
from advrec_tf.files import locked
from advrec_tf.reporting import characteristics, page, plots
from advrec_tf.results import Job
from advrec_tf.storage import write_csv


def sub_samples(values: dict[str, Any], data: Interactions) -> tuple[list[Interactions], int]:
    """The sub-samples that are not empty, and how many are."""
    cores = []
    for k in sorted(values["cores"]):
        try:
            cores.append(replace(k_core(data, k, values["k_core"], values["split_seed"]), registered=data.registered))
        except UserError as error:
            print(f"advrec: k = {k} is skipped: {error}", file=sys.stderr)
    return cores, len(values["cores"]) - len(cores)


def jobs(study: Study) -> list[Job]:
    """The paper's attacks."""
    return perturbed.baselines(study) + perturbed.jobs(study, [[{}], *map(study.points, ("fgsm", "bim", "pgd"))])


def report(folders: list[Path]) -> None:
    """Renders report.md, losses.csv and characteristics.png over the sub-samples of each data set, into <data set>-<protocol>."""
    for name, own in groupby(sorted(folders), key=lambda folder: folder.with_name(folder.name.rpartition("-")[0])):
        losses = characteristics.losses_of(list(own))
        with locked(name):
            write_csv(name / "losses.csv", losses)
            page(name, characteristics.report(losses), {"characteristics.png": plots.characteristics_figure(losses)}, "losses.csv")


EXPERIMENT = Experiment(perturbed.LAYOUT, perturbed.single("epsilon", "model_selection"), jobs, report, perturbed.train, parts=sub_samples)
