"""What the low-rank paper's claims look at: rows of its tables and figures, or its own numbers.

Every quantity is a series by victim seed; what was not measured is an empty series.
"""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from advrec_tf.execution.results import read_results

from . import paper
from .tables import victims

# The data set of each experiment: the paper's, or else synthetic data.
DATA_OF = {
    **dict.fromkeys(("table1", "table2", "figure2"), "gowalla"),
    **dict.fromkeys(("table3", "figure3", "figure4", "figure5", "figure6", "recsys19"), "ml-100k"),
}
CONTROLLED = ("gowalla", "ml-100k", "synthetic")
NOTHING = pd.Series(dtype=float)


@dataclass(frozen=True)
class LowRankEvidence:
    """Rows by experiment, and of the controls by data set; what was not run is not there."""

    tables: dict[str, pd.DataFrame]
    controls: dict[str, pd.DataFrame]

    @classmethod
    def of(cls, output_dir: Path) -> "LowRankEvidence":
        """Gather the results on the data of each table and figure, or else on synthetic data."""
        tables = {}
        for name, dataset in DATA_OF.items():
            for each in (dataset, "synthetic"):
                folder = Path(output_dir) / f"lowrank_{name}" / each
                if name not in tables and (folder / "results.csv").exists():
                    tables[name] = read_results(folder)
        folders = {name: Path(output_dir) / "lowrank_controls" / name for name in CONTROLLED}
        there = {name: path for name, path in folders.items() if (path / "results.csv").exists()}
        return cls(tables, {name: read_results(path) for name, path in there.items()})

    def values(
        self,
        table: str,
        metric: str,
        attack: str,
        defense: str = "none",
        **point,
    ) -> pd.Series:
        """A metric by victim seed, of the targets of the paper's group or of the only one.

        attack: "attacked" is the only one there is.
        """
        rows = self.tables.get(table)
        return NOTHING if rows is None else values_of(rows, metric, attack, defense, **point)

    def controlled(self, dataset: str, metric: str, attack: str, defense: str) -> pd.Series:
        """The same of the controls of a data set, users in the order as made."""
        rows = self.controls.get(dataset)
        return NOTHING if rows is None else values_of(rows, metric, attack, defense)

    def points(
        self,
        table: str,
        defense: str = "low_rank",
        names: tuple[str, ...] = ("patch", "rank"),
    ) -> list[dict]:
        """The settings of a defence that there are rows of, in their order."""
        rows = self.tables.get(table)
        if rows is None:
            return []
        own = rows.loc[rows["defense"] == defense, list(names)].drop_duplicates()
        return own.sort_values(list(names)).to_dict("records")


def values_of(
    rows: pd.DataFrame,
    metric: str,
    attack: str,
    defense: str = "none",
    **point,
) -> pd.Series:
    """A metric by victim seed of one attack and one defence, users in the order as made.

    Nothing where several settings fit, because the paper's sentences are of one.
    """
    rows = of_one_group(victims(rows))
    chosen = rows["defense"] == defense
    chosen &= rows["attack"] != "none" if attack == "attacked" else rows["attack"] == attack
    for name, value in (({"order": "as made"} if "order" in rows else {}) | point).items():
        chosen &= rows[name] == value
    found = rows[chosen].set_index("seed")[metric].sort_index()
    return NOTHING if found.index.has_duplicates else found


def of_one_group(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows on the head's targets, as in the paper, or on those of the only group there is."""
    return rows if rows["group"].nunique() == 1 else rows[rows["group"] == "head"]


def published_evidence() -> LowRankEvidence:
    """The paper's own Tables I to III, as one victim's."""
    keys = ["dataset", "model", "group", "defense", "patch", "rank", "attack", "metric"]
    rows = paper.tables().groupby(keys, dropna=False)["published"].first().unstack("metric")
    rows = rows.reset_index().assign(seed=0)
    gowalla, rest = rows[rows["dataset"] == "gowalla"], rows[rows["dataset"] != "gowalla"]
    detected = gowalla["defense"] == "svm"
    first = gowalla[detected | (gowalla["defense"] == "none")]
    return LowRankEvidence({"table1": first, "table2": gowalla[~detected], "table3": rest}, {})
