"""The low-rank paper's defences under RecSys20 when it knows of them."""

from functools import partial

import numpy as np
import pandas as pd

from advrec_tf.defenses import Svm
from advrec_tf.evaluation import mean_interval
from advrec_tf.execution.results import Job, Layout
from advrec_tf.execution.runner import Experiment
from advrec_tf.poisoning import LIKENESS
from advrec_tf.reporting.vocabulary import markdown

from . import pages, plots, poisoned_flags, poisoned_spec, profile_jobs, tables
from .poisoned_spec import PoisonedSpec
from .victim_jobs import UNDEFENDED, victim_jobs

UNAWARE = "recsys20"
ATTACKS = [UNAWARE, "recsys20_disguised", "recsys20_aware"]
LAYOUT = Layout(poisoned_spec.KEYS, (*poisoned_spec.LAYOUT.values, *LIKENESS))
POINT = ["model", "group", "defense", "patch", "rank", "attack"]
TITLE = "Defences under attackers who know of them"


def jobs(spec: PoisonedSpec) -> list[Job]:
    """Return the jobs of no defence, the known reconstruction and the detector.

    Each defends against every attack.  The detector learns from the fakes of the unaware one.
    """
    made = profile_jobs.similarity_jobs(spec)
    for group, plan in spec.plans.items():
        fakes = spec.profiles[group, UNAWARE]
        components = min(20, fakes.n_users, len(fakes.item_ids) - 1)
        detector = Svm(fakes, components=components, folds=spec.values["folds"])
        defenses = [UNDEFENDED, plan.learned["recsys20_aware"]["defense"], detector]
        made += victim_jobs(spec.of_group(group), spec.conditions, defenses)
    return made


def taken_away(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the part of each attack that each defence takes away, by target HR.

    The part is 1 - (defended - clean) / (undefended - clean), where clean is the undefended
    recommender on clean data.  Columns: `POINT`; clean, undefended and defended, means over victim
    seeds; taken, low and high, the part and its 95% interval by the delta method of a ratio of
    means.  They are NaN if the attack does no clear harm.
    """
    rows = rows[rows["model"] != ""]
    values = rows.pivot_table("target_HR", "seed", POINT, dropna=False, observed=True)
    by_point = {key: values[key] for key in values if values[key].notna().any()}
    plain = {
        (model, group, attack): series
        for (model, group, defense, *_, attack), series in by_point.items()
        if defense == "none"
    }
    lines = []
    for key, defended in by_point.items():
        model, group, defense, *_, attack = key
        if "none" in (defense, attack):
            continue
        clean, undefended = plain[model, group, "none"], plain[model, group, attack]
        means = {
            "clean": clean.mean(),
            "undefended": undefended.mean(),
            "defended": defended.mean(),
        }
        part = _part_taken(undefended - clean, undefended - defended)
        lines.append(dict(zip(POINT, key)) | means | part)
    return pd.DataFrame(lines)


def _part_taken(harm: pd.Series, taken: pd.Series) -> dict[str, float]:
    """Return taken / harm with its 95% interval."""
    is_clear = mean_interval(harm)[0] > 0
    ratio = taken.mean() / harm.mean() if is_clear else np.nan
    low, high = mean_interval((taken - ratio * harm) / harm.mean())
    return {"taken": ratio, "low": ratio + low, "high": ratio + high}


def page_text(rows: pd.DataFrame) -> str:
    """Return report.md: all metrics, and how much of each attack each defence takes away."""
    lines = []
    for _, row in taken_away(rows).iterrows():
        patch = f" [{row['patch']}, {row['rank']:.0f}]" if row["patch"] else ""
        taken, low, high = (100 * row[name] for name in ("taken", "low", "high"))
        part = "no clear harm" if np.isnan(low) else f"{taken:.0f}% [{low:.0f}%, {high:.0f}%]"
        values = [f"{row[name]:.4f}" for name in ("clean", "undefended", "defended")]
        names = [row["model"], row["group"], row["defense"] + patch, row["attack"]]
        lines.append([*names, *values, part])
    header = ["victim", "targets", "defence", "attack", "clean", "undefended", "defended"]
    parts = [
        tables.defense_report(rows[rows["model"] != ""], TITLE),
        "\n## How much of an attack a defence takes away\n\n"
        "Target HR; 100% is back at clean, below 0% the defence helps the attack.\n",
        markdown([*header, "taken away [95% over victim seeds]"], lines),
        tables.likenesses(rows),
    ]
    return "\n".join(parts)


report = pages.report("adaptive", page_text, plots.defenses_of)
SPECS = partial(poisoned_flags.fixed_attacks, ATTACKS)
EXPERIMENT = Experiment(LAYOUT, SPECS, jobs, report, profile_jobs.prepare)
