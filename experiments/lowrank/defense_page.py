"""The page that Tables II and III share: local low-rank reconstruction before a recommender."""

from collections.abc import Callable, Sequence
from functools import partial

from advrec_tf.execution.runner import Experiment

from . import pages, plots, profile_jobs, tables
from .poisoned_spec import LAYOUT, PoisonedSpec
from .victim_jobs import prepare_reconstructions, reconstructions, victim_jobs


def experiment(title: str, name: str, specs: Callable[..., Sequence[PoisonedSpec]]) -> Experiment:
    """Return the experiment that measures every [patch, rank] on clean and on attacked data."""
    text = partial(tables.defense_report, title=title)
    return Experiment(
        LAYOUT,
        specs,
        lambda spec: victim_jobs(spec, spec.conditions, reconstructions(spec)),
        pages.report(name, text, plots.defenses_of),
        profile_jobs.prepare,
        prepare_reconstructions,
    )
