"""What reconstruction does to the targets and to accuracy, for every reading of it."""

import pandas as pd

from advrec_tf.evaluation.verdicts import Estimate
from advrec_tf.reporting.verdict_table import estimate
from advrec_tf.reporting.vocabulary import markdown

from . import controls_report, recsys19_report
from .evidence import LowRankEvidence, of_one_group, values_of
from .tables import in_order

SHOWN = {
    "table2": "Table II",
    "table3": "Table III",
    "figure3": "Figure 3",
    "figure5": "Figure 5",
    "figure6": "Figure 6",
}
COLUMNS = (
    "of",
    "data",
    "victim",
    "defence",
    "attack",
    "victims",
    "target HR clean",
    "attacked",
    "difference",
    "overall HR clean",
    "attacked",
    "change of attacked target HR",
    "change of attacked overall HR",
)


def report(evidence: LowRankEvidence) -> str:
    """A line for each defence and attack, and where the published effects come from."""
    lines = [line for name, rows in _shown(evidence) for line in effects(name, rows)]
    text = []
    if lines:
        text += [
            "## What the defences do to the targets\n",
            "Means over victim seeds, users in the order as made [95% over victim seeds, paired, "
            "not corrected]. Each attack was made once, so no interval is over the attack's own "
            "seed. Changes are from no defence. A reconstruction [patch, rank] enters WRMF as 1 "
            "where it is above the threshold, unless another way is named: `dense`, "
            "`rating_matrix`, `weights`. The controls may have other fakes than the tables; every "
            "line is compared with undefended victims of the same fakes.\n",
            markdown(list(COLUMNS), lines),
        ]
    text += [controls_report.report_of_changes(rows) for rows in evidence.controls.values()]
    taken_apart = evidence.tables.get("recsys19")
    text += [] if taken_apart is None else [recsys19_report.target_changes(taken_apart)]
    return "\n".join(text)


def _shown(evidence: LowRankEvidence) -> list[tuple[str, pd.DataFrame]]:
    found = [(SHOWN[name], evidence.tables[name]) for name in SHOWN if name in evidence.tables]
    return found + [("controls", rows) for rows in evidence.controls.values()]


def effects(name: str, rows: pd.DataFrame) -> list[list[str]]:
    """The lines of one experiment; Figure 6 has all new ratings, and its changes are from none."""
    own = of_one_group(rows)
    points = own[["defense", "patch", "rank", "share"]].drop_duplicates()
    points = points[points["share"].isna() | (points["share"] == 100)]  # the ends of Figure 6
    points = points.sort_values(list(points), key=in_order)
    attacks = [attack for attack in dict.fromkeys(own["attack"]) if attack != "none"]
    lines = []
    for attack in attacks:
        for _, point in points.iterrows():
            lines += [[name, *line] for line in _line(rows, attack, point)]
    return lines


def _line(rows: pd.DataFrame, attack: str, point: pd.Series) -> list[list[str]]:
    known = {name: point[name] for name in ("patch", "rank", "share") if not _empty(point[name])}
    before_share = {"rank": point["rank"], "share": 0} if (rows["defense"] != "none").all() else {}
    before = "new ratings" if before_share else "none"
    series = {
        (metric, kind): (
            values_of(rows, metric, kind, point["defense"], **known),
            values_of(rows, metric, kind, before, **before_share),
        )
        for metric in ("target_HR", "HR")
        for kind in ("none", attack)
    }
    clean, attacked = series["target_HR", "none"][0], series["target_HR", attack][0]
    if attacked.empty:
        return []
    first = of_one_group(rows).iloc[0]
    cells = [estimate("", clean), estimate("", attacked), estimate("", attacked, clean)]
    cells += [estimate("", series["HR", kind][0]) for kind in ("none", attack)]
    changes = [_text(estimate("", *series[m, attack]), True) for m in ("target_HR", "HR")]
    changes = ["", ""] if point["defense"] == "none" else changes
    shown = [_text(cells[0]), _text(cells[1]), _text(cells[2], True), *map(_text, cells[3:])]
    named = [first["dataset"], first["model"], controls_report.name_of(point), attack]
    return [[*named, str(len(attacked)), *shown, *changes]]


def _empty(value: object) -> bool:
    return value == "" or bool(pd.isna(value))


def _text(found: Estimate, signed: bool = False) -> str:
    low, high = found.interval
    sign = "+" if signed else ""
    if pd.isna(found.mean):
        return ""
    text = f"{found.mean:{sign}.4f}"
    return text if pd.isna(low) else f"{text} [{low:{sign}.4f}, {high:{sign}.4f}]"
