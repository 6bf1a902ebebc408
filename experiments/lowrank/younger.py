"""Two younger defences on poisoned data: adversarial training with a strength for each user, and an ensemble with certified lists."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from advrec_tf.data import Interactions
from advrec_tf.execution.results import Job, Layout
from advrec_tf.execution.runner import Experiment
from advrec_tf.recommenders import EnsembleConfig
from advrec_tf.recommenders.ensemble_config import check_size
from advrec_tf.reporting import page, read_results

from . import plots, poisoned, tables, younger_report
from .poisoned import UNDEFENDED, Study

ATTACKS = ["recsys19", "recsys20", "recsys19+recsys20", "bandwagon"]
VICTIMS = ("wrmf", "wrmf_fit", "wrmf_norm", "ensemble")
CERTIFIED = (1, 2, 5, 10, 25, 125)  # fake users
LAYOUT = Layout(
    (*poisoned.LAYOUT.keys, "certified_fakes"),
    (*poisoned.LAYOUT.values, "certified_HR", "certified_target_HR"),
)


def studies(values: dict[str, Any], datasets: list[Interactions], output_dir: Path) -> list[Study]:
    """The attacks and the recommenders of this page are given."""
    for data in datasets:
        check_size(data.n_users, data.n_items)
    victims = poisoned.victims_of(values, *VICTIMS[:-1]) | poisoned.victims_of(
        {**values, "victim_dim": None}, VICTIMS[-1]
    )
    return [
        replace(study, victims=victims)
        for study in poisoned.studies({**values, "attack": ATTACKS}, datasets, output_dir)
    ]


def jobs(study: Study) -> list[Job]:
    """Each recommender on clean data and under every attack; and what is certain of the ensemble's lists."""
    found = poisoned.jobs(study, ["none", *study.all_attacks], [UNDEFENDED])
    ensemble = next(
        settings for settings in study.victims.values() if isinstance(settings, EnsembleConfig)
    )
    for group, plan in study.plans.items():
        common = {
            "data": study.data,
            "settings": ensemble,
            "targets": plan.targets,
            "cache_dir": study.cache_dir,
        }
        base = {
            "dataset": study.data.name,
            "model": ensemble.name,
            "epoch": study.epochs,
            "attack": "none",
            "k": study.k,
            "group": group,
        }
        for seed in study.seeds:
            points = [{**base, "seed": seed, "certified_fakes": fakes} for fakes in CERTIFIED]
            found.append(Job("advrec_tf.defenses.measuring:certify", points, common))
    return found


def report(folders: list[Path]) -> None:
    """Renders report.md and younger.png from the results of each data set."""
    for folder in folders:
        rows = read_results(folder)
        page(
            folder,
            younger_report.report(rows),
            {"younger.png": plots.poison_figure(tables.summary(younger_report.measured(rows)))},
        )


EXPERIMENT = Experiment(LAYOUT, studies, jobs, report, poisoned.prepare)
