"""What the multi-step paper's claims look at: all that was measured on one data set, or printed.

Every quantity is a series by training seed; what was not measured is an empty series.
"""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from advrec_tf.data import K_CORES
from advrec_tf.execution.results import read_results
from advrec_tf.reporting.vocabulary import BASELINES

from . import loss_slopes, paper
from .labels import FGSM, INITIAL, MULTI_STEP, first_selection, select

BIM, PGD = (attack for attack in MULTI_STEP if attack[1] == "linf")
Attack = tuple[str, str, str]  # name, ball, start
NOTHING = pd.Series(dtype=float)
TABLES = {"table1": "cells.csv"}  # where it is not results.csv


@dataclass(frozen=True)
class Evidence:
    """Rows of the experiments on one data set; one that was not run is None."""

    dataset: str
    table1: pd.DataFrame | None = None  # its cells
    iterations: pd.DataFrame | None = None
    budget: pd.DataFrame | None = None
    losses: pd.DataFrame | None = None

    @classmethod
    def of(cls, output_dir: Path, dataset: str) -> "Evidence":
        """Gather the results of all experiments on a data set."""
        frames = {}
        for name in ("table1", "iterations", "budget"):
            folder, table = Path(output_dir) / name / dataset, TABLES.get(name, "results.csv")
            if (folder / table).exists():
                frames[name] = read_results(folder, table)
        parent = Path(output_dir) / "characteristics"
        for protocol in reversed(K_CORES):  # the first one that was measured
            name = f"{dataset}-{protocol}"
            if any(parent.glob(f"{name}-*/results.csv")):
                frames["losses"] = loss_slopes.losses_of(parent / name)
        return cls(dataset, **frames)

    def cell(self, model: str, metric: str, column: str) -> pd.Series:
        """A cell of Table 1, models at their best epoch (or the first selection there is)."""
        if self.table1 is None:
            return NOTHING
        rows = self.table1[self.table1["draw"] == 0]
        rows = rows[rows["selection"] == ""] if model in BASELINES else first_selection(rows)
        chosen = (rows["model"] == model) & (rows["metric"] == metric) & (rows["column"] == column)
        return rows[chosen].set_index("seed")["value"].sort_index()

    def curve(self, model: str, attack: Attack, metric: str = "nDCG") -> pd.DataFrame:
        """A metric of Figure 1: a row for each seed, a column for each number of iterations."""
        if self.iterations is None:
            return pd.DataFrame()
        rows = select(self.iterations, model, attack)
        return rows.pivot_table(metric, "seed", "iterations")

    def at(self, model: str, attack: Attack, iterations: int, metric: str = "nDCG") -> pd.Series:
        """A metric of Figure 1 after so many iterations."""
        return self.curve(model, attack, metric).get(iterations, NOTHING)

    def clean(self, model: str, metric: str = "nDCG") -> pd.Series:
        """A metric of Figure 1 without perturbation."""
        if self.iterations is None:
            return NOTHING
        return select(self.iterations, model, INITIAL).groupby("seed")[metric].mean()


# nDCG under PGD at L iterations that the text prints of LastFM, and how many times stronger than
# FGSM it calls it.
PUBLISHED_PGD = {
    ("BPR-MF", 25): (0.0080, 15.1),
    ("BPR-MF", 40): (0.0060, 20.4),
    ("BPR-MF", 50): (0.0051, 23.8),
    ("AMF", 20): (0.1448, 1.48),
    ("AMF", 30): (0.1154, 1.86),
    ("AMF", 50): (0.1106, 1.94),
}
# ICov of BPR-MF under BIM.  The paper does not say after how many iterations it is lowest; any
# number between 25 and those that destroy coverage serves.
PUBLISHED_ICOV = {25: 10928, 26: 1948}


def published_evidence(dataset: str) -> Evidence:
    """The paper's own numbers of a data set: Table 1, and of LastFM what the text prints."""
    table = paper.table1()
    table = table[table["dataset"] == dataset].rename(columns={"published": "value"})
    cells = table.assign(selection="best", seed=0, draw=0)
    if dataset != "lastfm":
        return Evidence(dataset, cells)
    value = cells.set_index(["model", "metric", "column"])["value"].sort_index()
    rows = []
    for model in ("BPR-MF", "AMF"):
        nDCG, coverage = value[model, "nDCG"], value[model, "ICov"]
        rows.append((model, *INITIAL, 0, nDCG["initial"], coverage["initial"]))
        rows.append((model, *FGSM, 1, nDCG["fgsm"], coverage["fgsm"]))
    rows += [(model, *PGD, n, nDCG, None) for (model, n), (nDCG, _) in PUBLISHED_PGD.items()]
    rows += [("BPR-MF", *BIM, n, None, count) for n, count in PUBLISHED_ICOV.items()]
    columns = ["model", "attack", "ball", "start", "iterations", "nDCG", "ICov"]
    return Evidence(dataset, cells, pd.DataFrame(rows, columns=columns).assign(seed=0))
