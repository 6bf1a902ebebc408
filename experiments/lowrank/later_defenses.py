"""Two later defences on poisoned data: adversarial training and a certified ensemble."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from advrec_tf.data import Interactions
from advrec_tf.evaluation import holm, mean_interval, mean_test
from advrec_tf.execution.results import Job, Layout
from advrec_tf.execution.runner import Experiment
from advrec_tf.recommenders import EnsembleConfig
from advrec_tf.recommenders.ensemble_config import check_size
from advrec_tf.reporting.vocabulary import markdown

from . import pages, plots, poisoned_flags, poisoned_spec, profile_jobs, tables
from .poisoned_spec import PoisonedSpec
from .victim_jobs import UNDEFENDED, victim_jobs

ATTACKS = ["recsys19", "recsys20", "recsys19+recsys20", "bandwagon"]
VICTIMS = ("wrmf", "wrmf_fit", "wrmf_norm")  # and the ensemble
PLAIN = "WRMF"  # the recommender that the others are compared with
CERTIFIED = (1, 2, 5, 10, 25, 125)  # fake users
LAYOUT = Layout(
    (*poisoned_spec.KEYS, "certified_fakes"),
    (*poisoned_spec.LAYOUT.values, "certified_HR", "certified_target_HR"),
)


def specs(
    values: dict[str, Any], datasets: list[Interactions], output_dir: Path
) -> list[PoisonedSpec]:
    """Return the spec of each data set with the attacks and recommenders of this page."""
    for data in datasets:
        check_size(data.n_users, data.n_items)
    victims = poisoned_flags.victims_of(values, *VICTIMS)
    victims |= poisoned_flags.victims_of({**values, "victim_dim": None}, "ensemble")
    made = poisoned_flags.fixed_attacks(ATTACKS, values, datasets, output_dir)
    return [replace(spec, victims=victims) for spec in made]


def jobs(spec: PoisonedSpec) -> list[Job]:
    """Return the jobs of each recommender under each attack, and those of the certificates."""
    made = victim_jobs(spec, spec.conditions, [UNDEFENDED])
    configs = spec.victims.values()
    ensemble = next(config for config in configs if isinstance(config, EnsembleConfig))
    for (group, plan), seed in product(spec.plans.items(), spec.seeds):
        arguments = {
            "data": spec.data,
            "settings": ensemble,
            "targets": plan.targets,
            "cache_dir": spec.cache_dir,
        }
        key = {
            "dataset": spec.data.name,
            "model": ensemble.name,
            "epoch": spec.epochs,
            "attack": "none",
            "k": spec.k,
            "group": group,
            "seed": seed,
        }
        points = [{**key, "certified_fakes": fakes} for fakes in CERTIFIED]
        made.append(Job("advrec_tf.defenses.measuring:certify", points, arguments))
    return made


def measured(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of recommenders, without those of certificates."""
    return rows[rows["certified_fakes"].isna()]


def compared(rows: pd.DataFrame) -> pd.DataFrame:
    """Return each recommender under each attack beside WRMF, paired over victim seeds.

    Columns: the mean of HR and of target_HR, the difference to WRMF (beside) and its 95% interval
    (low, high); the same of `raised`, by how much an attack raises target HR over its clean value.
    p: of a paired t-test that an attack raises target HR by as much as of WRMF, corrected over all
    of them (Holm).
    """
    lines, rows = [], measured(rows)
    clean = {
        key: part.set_index("seed")["target_HR"]
        for key, part in rows[rows["attack"] == "none"].groupby(["group", "model"])
    }
    for (group, attack), part in rows.groupby(["group", "attack"], sort=False):
        by_seed = {}
        for model, victims in part.groupby("model", sort=False):
            values = victims.set_index("seed")[["HR", "target_HR"]]
            raised = values["target_HR"] - clean[group, model]
            by_seed[model] = values.assign(raised=raised)
        for model in sorted(by_seed, key=lambda name: name != PLAIN):
            key = {"group": group, "attack": attack, "model": model, "seeds": len(by_seed[model])}
            lines.append(key | dict(_comparison(by_seed[model], by_seed[PLAIN])))
    table = pd.DataFrame(lines)
    tested = (table["model"] != PLAIN) & (table["attack"] != "none")
    return table.assign(p=holm(table["p"].where(tested)))


def _comparison(victims: pd.DataFrame, plain: pd.DataFrame) -> Iterator[tuple[str, float]]:
    """Yield the columns of `compared`.  victims, plain: rows by seed"""
    for name in victims:
        difference = victims[name] - plain[name]
        low, high = mean_interval(difference)
        yield name, victims[name].mean()
        yield f"{name} beside", difference.mean()
        yield f"{name} low", low
        yield f"{name} high", high
    yield "p", mean_test(victims["raised"] - plain["raised"])


def page_text(rows: pd.DataFrame) -> str:
    """Return report.md."""
    lines = []
    for _, row in compared(rows).iterrows():
        cells = [f"{row[name]:.4f} ({_difference(row, name)})" for name in ("HR", "target_HR")]
        raised = f"{row['raised']:+.4f}"
        if not pd.isna(row["p"]):
            raised += f" ({_difference(row, 'raised')}, p {row['p']:.2g})"
        lines.append([row["group"], row["attack"], row["model"], *cells, raised])
    bounds = []
    certified = rows[rows["certified_fakes"].notna()].groupby(["group", "certified_fakes"])
    for (group, fakes), row in certified[["certified_HR", "certified_target_HR"]].mean().iterrows():
        bounds.append([group, f"{fakes:.0f}", *(f"{value:.4f}" for value in row)])
    parts = [
        tables.defense_report(measured(rows), "Younger defences"),
        "\n## Beside WRMF\n\nMean over victim seeds (difference to WRMF under the same attack, its "
        "95% interval over victim seeds, not corrected); raised: target HR above the recommender's "
        "own on clean data (difference to WRMF's, p of a paired t-test, corrected over the table "
        "by Holm).\n",
        markdown(["targets", "attack", "recommender", "HR", "target HR", "raised"], lines),
        "\n## What is certain of the ensemble\n\nOf the one of all bases there can be, whatever so "
        "many fake users do, with 99.9% confidence.\n",
        markdown(["targets", "fake users", "HR at least", "target HR at most"], bounds),
    ]
    return "\n".join(parts)


def _difference(row: pd.Series, name: str) -> str:
    low, high = row[f"{name} low"], row[f"{name} high"]
    return f"{row[f'{name} beside']:+.4f} [{low:+.4f}, {high:+.4f}]"


def attacks_figure(rows: pd.DataFrame) -> Figure:
    """Draw target HR and HR of each recommender under each attack."""
    return plots.poison_figure(tables.summary(measured(rows)))


report = pages.report("younger", page_text, attacks_figure)
EXPERIMENT = Experiment(LAYOUT, specs, jobs, report, profile_jobs.prepare)
