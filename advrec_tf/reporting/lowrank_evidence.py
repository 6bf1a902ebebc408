"""What the checks of the low-rank defences paper's claims look at: everything measured on its tables and figures, or the printed tables."""

import math
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from scipy import stats

from advrec_tf.reporting import parts, poisoning, published
from advrec_tf.results import read_results


class Measured(float):
    """A mean with the half width of its 95% interval over victim seeds, NaN where there is none."""

    reach: float = math.nan

    @classmethod
    def of(cls, row: pd.Series) -> "Measured":
        """From a row of `poisoning.summary`, or of the paper's printed table."""
        found, seeds = cls(row["mean"]), row.get("seeds", 1)
        found.reach = stats.t.ppf(0.975, seeds - 1) * row["sd"] / math.sqrt(seeds) if seeds > 1 else math.nan
        return found

    def __str__(self) -> str:
        return f"{float(self):.4f}" + ("" if math.isnan(self.reach) else f" ± {self.reach:.4f}")


TABLES = ("table1", "table2", "table3", "figure3", "figure5", "figure6")


@dataclass(frozen=True)
class LowRankEvidence:
    """Means over victim seeds by table or figure, and the detectors' cross-validation; what was not run is not there."""

    tables: dict[str, pd.DataFrame]
    detectors: pd.DataFrame | None
    controls: dict[str, pd.DataFrame] = field(default_factory=dict)  # rows of lowrank_controls, by data set
    parts: pd.DataFrame | None = None  # `parts.compared` of lowrank_recsys19

    @classmethod
    def of(cls, output_dir: Path) -> "LowRankEvidence":
        """Gathers the results on the data of each table and figure, Gowalla or ML-100K, or else on synthetic data."""
        found = {name: _rows(output_dir, name) for name in (*TABLES, "figure2")}
        detectors = found.pop("figure2")
        asked = (sorted((Path(output_dir) / name).glob("*/results.csv")) for name in ("lowrank_controls", "lowrank_recsys19"))
        controlled, taken_apart = ({path.parent.name: read_results(path.parent) for path in paths} for paths in asked)
        pieces = next((parts.compared(taken_apart[name]) for name in ("ml-100k", "synthetic") if name in taken_apart), None)
        return cls({name: poisoning.summary(rows) for name, rows in found.items() if rows is not None}, detectors, controlled, pieces)

    def value(self, table: str, metric: str, attack: str, defense: str = "none", **point) -> "Measured | None":
        """A mean over victim seeds, of the targets of the paper's group or of the only one there is; None where it was not measured.

        attack: "attacked" is any one that is not none
        """
        rows = of_one_group(self.tables.get(table))
        if rows is None:
            return None
        chosen = (rows["metric"] == metric) & (rows["defense"] == defense)
        chosen &= rows["attack"] != "none" if attack == "attacked" else rows["attack"] == attack
        for name, value in point.items():
            chosen &= rows[name] == value
        return Measured.of(rows[chosen].iloc[0]) if chosen.any() else None


def of_one_group(rows: pd.DataFrame | None) -> pd.DataFrame | None:
    """The rows on the head's targets, as in the paper, or on those of the only group there is."""
    if rows is None or rows["group"].nunique() == 1:
        return rows
    return rows[rows["group"] == "head"] if (rows["group"] == "head").any() else None


def _rows(output_dir: Path, name: str) -> pd.DataFrame | None:
    folder = Path(output_dir) / f"lowrank_{name}"
    own = "ml-100k" if name in ("table3", "figure3", "figure5", "figure6") else "gowalla"
    for dataset in (own, "synthetic"):
        if (folder / dataset / "results.csv").exists():
            return read_results(folder / dataset)
    return None


def printed_evidence() -> LowRankEvidence:
    """The paper's own Tables I to III as evidence."""
    rows = published.lowrank().rename(columns={"published": "mean"})
    of_gowalla, svm = rows["dataset"] == "gowalla", rows["defense"] == "svm"
    undefended = rows["defense"] == "none"
    tables = {"table1": rows[of_gowalla & (svm | undefended)], "table2": rows[of_gowalla & ~svm], "table3": rows[~of_gowalla]}
    return LowRankEvidence(tables, None)
