"""Controls of Tables II and III: the same reconstructions with other seeds and orders of users."""

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from advrec_tf.data import Interactions
from advrec_tf.defenses import PARTIAL, LowRank
from advrec_tf.defenses.measuring import ORDERS, order_of
from advrec_tf.execution.results import Job, Layout
from advrec_tf.execution.runner import Experiment

from . import controls_report, pages, poisoned_flags, poisoned_spec, profile_jobs
from .poisoned_spec import PoisonedSpec
from .victim_jobs import UNDEFENDED, victim_jobs

LAYOUT = Layout((*poisoned_spec.KEYS, "order", "draw"), poisoned_spec.LAYOUT.values)
ATTACKS = {"ml-100k": ["recsys20", "recsys19+recsys20"]}  # of the paper's largest effects
DEFAULT_ATTACKS = ["recsys20"]
PATCHES: dict[str, list[tuple[int | None, int]]] = {
    "ml-100k": [(200, 50)],
    "gowalla": [(100, 90), (300, 80), (150, 20)],
}
READINGS = ("weights", "dense", "rating_matrix")  # beside binarize
DRAWS = 5  # of each random order


def specs(
    values: dict[str, Any], datasets: list[Interactions], output_dir: Path
) -> list[PoisonedSpec]:
    """Return the spec of each data set, with `ATTACKS` if the flags name no attack."""
    made = poisoned_flags.specs(values, [], output_dir)  # checks the values before any data set
    for data in datasets:
        attacks = values["attack"]
        if not attacks and not values["profiles"]:
            attacks = ATTACKS.get(data.name, DEFAULT_ATTACKS)
        made += poisoned_flags.fixed_attacks(attacks or [], values, [data], output_dir)
    return made


def jobs(spec: PoisonedSpec) -> list[Job]:
    """Return the jobs of no defence and each reconstruction, on clean and attacked data.

    Reconstructions keep or drop incomplete patches.  Victims of all seeds get the users in the
    order as made.  Those of the first seed, which is the attack's own, also get them in other
    orders.  If there are ratings, the other readings of a reconstruction join.
    """
    patches = spec.values["patches"] or PATCHES.get(spec.data.name, [(50, 20)])
    defenses = [UNDEFENDED]
    for patch in patches:
        options = PARTIAL if patch[0] else PARTIAL[:1]
        defenses += [LowRank(*patch, partial=option) for option in options]
    made = _ordered(victim_jobs(spec, spec.conditions, defenses), ORDERS[0], 0)
    matched = replace(spec, seeds=spec.seeds[:1])
    for order in ORDERS[1:]:
        for draw in range(DRAWS if "permuted" in order else 1):
            made += _ordered(victim_jobs(matched, spec.conditions[1:], defenses), order, draw)
    if spec.data.train_ratings is not None:
        others = [LowRank(*patch, enter=reading) for patch, reading in product(patches, READINGS)]
        made += _ordered(victim_jobs(spec, spec.conditions, others), ORDERS[0], 0)
    return made


def _ordered(jobs: list[Job], name: str, draw: int) -> list[Job]:
    """Return the jobs with the users in another order."""
    made = []
    for job in jobs:
        victim_spec, n_real = job.arguments["spec"], job.arguments["data"].n_users
        order = order_of(name, n_real, victim_spec.poisoned.n_users - n_real, draw)
        points = [{**point, "order": name, "draw": draw} for point in job.points]
        arguments = {**job.arguments, "spec": replace(victim_spec, order=order)}
        made.append(Job(job.function, points, arguments))
    return made


report = pages.report("controls", controls_report.page_text, controls_report.controls_figure)
EXPERIMENT = Experiment(LAYOUT, specs, jobs, report, profile_jobs.prepare)
