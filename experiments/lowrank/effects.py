"""What each defence does to the targets and to accuracy."""

from collections.abc import Iterator
from functools import partial

import pandas as pd

from advrec_tf.evaluation.verdicts import Estimate
from advrec_tf.reporting.verdict_table import estimate
from advrec_tf.reporting.vocabulary import markdown

from . import controls_report, recsys19
from .evidence import LowRankEvidence, of_one_group, values_of
from .tables import sort_key

SHOWN = {
    "table2": "Table II",
    "table3": "Table III",
    "figure3": "Figure 3",
    "figure5": "Figure 5",
    "figure6": "Figure 6",
}
COLUMNS = (
    *("of", "data", "victim", "defence", "attack", "victims"),
    *("target HR clean", "attacked", "difference", "overall HR clean", "attacked"),
    *("change of attacked target HR", "change of attacked overall HR"),
)
NOTE = (
    "Means over victim seeds, users in the order as made [95% over victim seeds, paired, "
    "not corrected]. Each attack was made once, so no interval is over the attack's own "
    "seed. Changes are from no defence. A reconstruction [patch, rank] enters WRMF as 1 "
    "where it is above the threshold, unless another way is named: `dense`, "
    "`rating_matrix`, `weights`. The controls may have other fakes than the tables; every "
    "line is compared with undefended victims of the same fakes.\n"
)


def report(evidence: LowRankEvidence) -> str:
    """Return a line for each defence and attack, and where the published effects come from."""
    lines, parts = [], []
    for title, rows in _shown(evidence):
        lines += [[title, *line] for line in effects(rows)]
    if lines:
        parts = ["## What the defences do to the targets\n", NOTE, markdown(list(COLUMNS), lines)]
    parts += [controls_report.changes_text(rows) for rows in evidence.controls.values()]
    if "recsys19" in evidence.tables:
        parts.append(recsys19.target_changes(evidence.tables["recsys19"]))
    return "\n".join(parts)


def _shown(evidence: LowRankEvidence) -> Iterator[tuple[str, pd.DataFrame]]:
    for name, title in SHOWN.items():
        if name in evidence.tables:
            yield title, evidence.tables[name]
    for rows in evidence.controls.values():
        yield "controls", rows


def effects(rows: pd.DataFrame) -> list[list[str]]:
    """Return the lines of one experiment.

    Figure 6 has a line for all new ratings, and its changes are from none of them.
    """
    group = of_one_group(rows)
    points = group[["defense", "patch", "rank", "share"]].drop_duplicates()
    points = points[points["share"].isna() | (points["share"] == 100)]  # the ends of Figure 6
    points = points.sort_values(list(points), key=sort_key)
    lines = []
    for attack in group.loc[group["attack"] != "none", "attack"].unique():
        lines += [_line(rows, attack, point) for _, point in points.iterrows()]
    return [line for line in lines if line]


def _line(rows: pd.DataFrame, attack: str, point: pd.Series) -> list[str]:
    """Return a defence under an attack, [] if it was not measured."""
    setting = {name: point[name] for name in ("patch", "rank", "share")}
    setting = {name: value for name, value in setting.items() if not _is_empty(value)}
    before = {"defense": "none"}
    if (rows["defense"] != "none").all():
        before = {"defense": "new ratings", "rank": point["rank"], "share": 0}
    after = partial(values_of, rows, defense=point["defense"], **setting)
    clean, attacked = after("target_HR", "none"), after("target_HR", attack)
    if attacked.empty:
        return []
    changes = ["", ""]
    if point["defense"] != "none":
        undefended = partial(values_of, rows, **before)
        changes = [
            _text(estimate("", after(metric, attack), undefended(metric, attack)), "+")
            for metric in ("target_HR", "HR")
        ]
    first = of_one_group(rows).iloc[0]
    return [
        *(first["dataset"], first["model"], controls_report.name_of(point), attack),
        str(len(attacked)),
        _text(estimate("", clean)),
        _text(estimate("", attacked)),
        _text(estimate("", attacked, clean), "+"),
        _text(estimate("", after("HR", "none"))),
        _text(estimate("", after("HR", attack))),
        *changes,
    ]


def _is_empty(value: object) -> bool:
    return value == "" or bool(pd.isna(value))


def _text(mean: Estimate, sign: str = "") -> str:
    """Return a mean with its interval.  sign: "+" shows it also of positive numbers"""
    if pd.isna(mean.mean):
        return ""
    low, high = mean.interval
    text = f"{mean.mean:{sign}.4f}"
    return text if pd.isna(low) else f"{text} [{low:{sign}.4f}, {high:{sign}.4f}]"
