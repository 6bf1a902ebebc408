"""What the low-rank paper's claims are tested on: rows of experiments, or the paper's numbers.

Every quantity is a series by victim seed, which is empty if nothing was measured.
"""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from advrec_tf.execution.results import read_results

from . import paper
from .controls_report import AS_MADE
from .tables import victims

# The data set of each experiment in the paper; synthetic data replace it.
DATASETS = {
    **dict.fromkeys(("table1", "table2", "figure2"), "gowalla"),
    **dict.fromkeys(("table3", "figure3", "figure4", "figure5", "figure6", "recsys19"), "ml-100k"),
}
CONTROLLED = ("gowalla", "ml-100k", "synthetic")
EMPTY = pd.Series(dtype=float)


@dataclass(frozen=True)
class LowRankEvidence:
    """Rows by experiment, and rows of the controls by data set, as far as they were measured."""

    tables: dict[str, pd.DataFrame]
    controls: dict[str, pd.DataFrame]

    @classmethod
    def of(cls, output_dir: Path) -> "LowRankEvidence":
        """Read the results of each table and figure, and of the controls."""
        tables, controls = {}, {}
        for name, dataset in DATASETS.items():
            rows = _read(output_dir, name, dataset)
            rows = _read(output_dir, name, "synthetic") if rows is None else rows
            if rows is not None:
                tables[name] = rows
        for dataset in CONTROLLED:
            rows = _read(output_dir, "controls", dataset)
            if rows is not None:
                controls[dataset] = rows
        return cls(tables, controls)

    def values(
        self, table: str, metric: str, attack: str, defense: str = "none", **point
    ) -> pd.Series:
        """Return `values_of` of an experiment."""
        rows = self.tables.get(table)
        return EMPTY if rows is None else values_of(rows, metric, attack, defense, **point)

    def controlled(self, dataset: str, metric: str, attack: str, defense: str) -> pd.Series:
        """Return `values_of` of the controls on a data set."""
        rows = self.controls.get(dataset)
        return EMPTY if rows is None else values_of(rows, metric, attack, defense)

    def points(
        self, table: str, defense: str = "low_rank", names: tuple[str, ...] = ("patch", "rank")
    ) -> list[dict]:
        """Return the measured settings of a defence in their order."""
        rows = self.tables.get(table)
        if rows is None:
            return []
        settings = rows.loc[rows["defense"] == defense, list(names)].drop_duplicates()
        return settings.sort_values(list(names)).to_dict("records")


def _read(output_dir: Path, experiment: str, dataset: str) -> pd.DataFrame | None:
    folder = Path(output_dir) / f"lowrank_{experiment}" / dataset
    return read_results(folder) if (folder / "results.csv").exists() else None


def values_of(
    rows: pd.DataFrame, metric: str, attack: str, defense: str = "none", **point
) -> pd.Series:
    """Return a metric by victim seed of one attack and one defence, users in the order as made.

    The series is empty if several settings fit, because the paper's sentences are about one.
    attack: "attacked" is the only one of the rows.
    """
    rows = of_one_group(victims(rows))
    chosen = rows["defense"] == defense
    chosen &= rows["attack"] != "none" if attack == "attacked" else rows["attack"] == attack
    if "order" in rows:
        point = {"order": AS_MADE, **point}
    for name, value in point.items():
        chosen &= rows[name] == value
    values = rows[chosen].set_index("seed")[metric].sort_index()
    return EMPTY if values.index.has_duplicates else values


def of_one_group(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows on the head's targets, as in the paper, or those on the only group."""
    return rows if rows["group"].nunique() == 1 else rows[rows["group"] == "head"]


def published_evidence() -> LowRankEvidence:
    """Return the paper's own Tables I to III as rows of one victim."""
    keys = ["dataset", "model", "group", "defense", "patch", "rank", "attack", "metric"]
    rows = paper.tables().groupby(keys, dropna=False)["published"].first().unstack("metric")
    rows = rows.reset_index().assign(seed=0)
    is_gowalla = rows["dataset"] == "gowalla"
    table1 = rows[is_gowalla & rows["defense"].isin(["svm", "none"])]
    table2 = rows[is_gowalla & (rows["defense"] != "svm")]
    return LowRankEvidence({"table1": table1, "table2": table2, "table3": rows[~is_gowalla]}, {})
