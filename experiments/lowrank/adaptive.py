"""What is left of the low-rank defences paper's defences when RecSys20 knows of them."""

from pathlib import Path
from typing import Any

from advrec_tf.data import Interactions
from advrec_tf.defenses import Svm
from advrec_tf.execution.results import Job, Layout
from advrec_tf.execution.runner import Experiment
from advrec_tf.poisoning import LIKENESS
from advrec_tf.reporting import page, read_results

from . import adaptive_report, plots, poisoned, tables
from .poisoned import UNDEFENDED, Study

UNAWARE = "recsys20"
ATTACKS = [UNAWARE, "recsys20_disguised", "recsys20_aware"]
LAYOUT = Layout(poisoned.LAYOUT.keys, (*poisoned.LAYOUT.values, *LIKENESS))


def studies(values: dict[str, Any], datasets: list[Interactions], output_dir: Path) -> list[Study]:
    """The attacks of this page are given."""
    return poisoned.studies({**values, "attack": ATTACKS}, datasets, output_dir)


def jobs(study: Study) -> list[Job]:
    """No defence, the reconstruction that the aware attack knows of, and the detector, trained on the unaware attack's fakes, under every attack."""
    found = poisoned.resemblance(study)
    for group, plan in study.plans.items():
        known = study.profiles[group, UNAWARE]
        detector = Svm(
            known,
            components=min(20, known.n_users, len(known.item_ids) - 1),
            folds=study.values["folds"],
        )
        defenses = [UNDEFENDED, plan.learned["recsys20_aware"]["defense"], detector]
        found += poisoned.jobs(study.of_group(group), ["none", *study.all_attacks], defenses)
    return found


def report(folders: list[Path]) -> None:
    """Renders report.md and adaptive.png from the results of each data set."""
    for folder in folders:
        rows = read_results(folder)
        page(
            folder,
            adaptive_report.report(rows),
            {"adaptive.png": plots.defense_figure(tables.summary(rows))},
        )


EXPERIMENT = Experiment(LAYOUT, studies, jobs, report, poisoned.prepare)
