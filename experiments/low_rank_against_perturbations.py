"""Both papers together: does the low-rank transformation of the factors protect BPR-MF and AMF against FGSM, BIM and PGD?"""

from pathlib import Path

from advrec_tf.cli import perturbed, trainings
from advrec_tf.cli.perturbed import AWARE, Study
from advrec_tf.cli.runner import Experiment
from advrec_tf.defenses import Transformation
from advrec_tf.evaluation import NAMES
from advrec_tf.reporting import page, plots, projected, read_results
from advrec_tf.results import Job, Layout

LAYOUT = Layout((*perturbed.KEYS, "defense", "rank"), NAMES)


def jobs(study: Study) -> list[Job]:
    """Every attack without the projection, and at each rank by an attacker who does not know of it and by one who does."""
    ranks = sorted({min(rank, study.data.n_users, study.data.n_items) for rank in study.ranks})
    attacks = []
    for base in ({}, *(study.points(name)[0] for name in ("fgsm", "bim", "pgd"))):
        knowing = ("projected, unaware", AWARE) if base else ("projected",)
        attacks.append([{**base, "defense": "none"}, *({**base, "defense": name, "rank": rank} for name in knowing for rank in ranks)])
    widest = Transformation(ranks[-1], clicks=True, widest=ranks[-1])
    return perturbed.jobs(study, attacks, "defend", defense=widest, cache_dir=study.output_dir / "cache")


def report(folders: list[Path]) -> None:
    """Renders report.md and ranks.png from the results of each data set."""
    for folder in folders:
        rows = read_results(folder)
        page(folder, projected.report(rows), {"ranks.png": plots.projected_figure(rows)})


EXPERIMENT = Experiment(LAYOUT, perturbed.single("epsilon", "iterations", "model_selection"), jobs, report, trainings.train, split=trainings.by_seed)
