"""Figure 3 of the multi-step perturbations paper: how density, size and shape of the data change what perturbations cost."""

import sys
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from advrec_tf.cli import perturbed
from advrec_tf.cli.perturbed import Study
from advrec_tf.cli.runner import Experiment, Running
from advrec_tf.data import Interactions, k_core
from advrec_tf.errors import UserError
from advrec_tf.reporting import characteristics, page, plots
from advrec_tf.results import Job
from advrec_tf.storage import write_csv


def studies(values: dict[str, Any], datasets: list[Interactions], output_dir: Path) -> list[Study]:
    """A study of each sub-sample that is not empty."""
    cores = []
    for data in datasets:
        for k in sorted(values["cores"]):
            try:
                cores.append(replace(k_core(data, k, values["k_core"], values["split_seed"]), registered=data.registered))
            except UserError as error:
                print(f"advrec: k = {k} is skipped: {error}", file=sys.stderr)
    if not cores:
        raise UserError("no sub-sample is left: lower --cores")
    return perturbed.single("epsilon", "model_selection")(values, cores, output_dir)


def jobs(study: Study, how: Running) -> list[Job]:
    """The paper's attacks."""
    return perturbed.baselines(study) + perturbed.jobs(study, [[{}], *map(study.points, ("fgsm", "bim", "pgd"))])


def report(folders: list[Path]) -> None:
    """Renders report.md, losses.csv and characteristics.png over the sub-samples of each data set, into <data set>-<protocol>."""
    for name, own in groupby(sorted(folders), key=lambda folder: folder.with_name(folder.name.rpartition("-")[0])):
        losses = characteristics.losses_of(list(own))
        write_csv(name / "losses.csv", losses)
        page(name, characteristics.report(losses), {"characteristics.png": plots.characteristics_figure(losses)}, "losses.csv")


EXPERIMENT = Experiment(perturbed.LAYOUT, studies, perturbed.train, jobs, report)
