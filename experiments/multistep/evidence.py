"""What the claims are checked on: the results measured on one data set, or the published numbers.

Every quantity is a series by training seed. It is empty if it was not measured.
"""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from advrec_tf.data import K_CORES
from advrec_tf.execution.results import read_results
from advrec_tf.reporting.vocabulary import BASELINES

from . import loss_slopes, paper
from .labels import BIM, FGSM, INITIAL, MODELS, PGD, Attack, first_selection, select

EMPTY = pd.Series(dtype=float)
TABLES = {"table1": "cells.csv", "iterations": "results.csv", "budget": "results.csv"}


@dataclass(frozen=True)
class Evidence:
    """Rows of the experiments on one data set. The rows of an experiment without results are None.

    table1: of `table1_tables.cells`.  losses: of `loss_slopes.losses_of`.
    """

    dataset: str
    table1: pd.DataFrame | None = None
    iterations: pd.DataFrame | None = None
    budget: pd.DataFrame | None = None
    losses: pd.DataFrame | None = None

    @classmethod
    def of(cls, output_dir: Path, dataset: str) -> "Evidence":
        """Return the results of all experiments on a data set."""
        frames = {}
        for name, table in TABLES.items():
            folder = Path(output_dir) / name / dataset
            if (folder / table).exists():
                frames[name] = read_results(folder, table)
        parent = Path(output_dir) / "characteristics"
        for protocol in reversed(K_CORES):  # the first one that was measured
            name = f"{dataset}-{protocol}"
            if any(parent.glob(f"{name}-*/results.csv")):
                frames["losses"] = loss_slopes.losses_of(parent / name)
        return cls(dataset, **frames)

    def cell(self, model: str, metric: str, column: str) -> pd.Series:
        """Return a cell of Table 1, of the models that `first_selection` selects."""
        if self.table1 is None:
            return EMPTY
        rows = self.table1[self.table1["draw"] == 0]
        rows = rows[rows["selection"] == ""] if model in BASELINES else first_selection(rows)
        chosen = (rows["model"] == model) & (rows["metric"] == metric) & (rows["column"] == column)
        return rows[chosen].set_index("seed")["value"].sort_index()

    def curve(self, model: str, attack: Attack, metric: str = "nDCG") -> pd.DataFrame:
        """Return a metric of Figure 1: a row for each seed, a column for each iteration count."""
        if self.iterations is None:
            return pd.DataFrame()
        rows = select(self.iterations, model, attack)
        return rows.pivot_table(metric, "seed", "iterations")

    def lowest(self, model: str, attack: Attack) -> pd.Series:
        """Return the lowest nDCG of Figure 1 over the iterations."""
        curve = self.curve(model, attack)
        return curve.min(axis=1) if len(curve) else EMPTY

    def after(self, iterations: int, model: str, attack: Attack) -> pd.Series:
        """Return nDCG of Figure 1 after so many iterations."""
        return self.curve(model, attack).get(iterations, EMPTY)

    def clean(self, model: str, metric: str = "nDCG") -> pd.Series:
        """Return a metric of Figure 1 without perturbation."""
        if self.iterations is None:
            return EMPTY
        return select(self.iterations, model, INITIAL).groupby("seed")[metric].mean()


def published_evidence(dataset: str) -> Evidence:
    """Return the paper's own numbers: Table 1, and for LastFM those of the text as Figure 1."""
    table = paper.table1()
    table = table[table["dataset"] == dataset].rename(columns={"published": "value"})
    cells = table.assign(selection="best", seed=0, draw=0)
    if dataset != "lastfm":
        return Evidence(dataset, cells)
    value = cells.set_index(["model", "metric", "column"])["value"].sort_index()
    rows = []
    for model in MODELS:
        nDCG, coverage = value[model, "nDCG"], value[model, "ICov"]
        rows.append((model, *INITIAL, 0, nDCG["initial"], coverage["initial"]))
        rows.append((model, *FGSM, 1, nDCG["fgsm"], coverage["fgsm"]))
    rows += [(model, *PGD, n, nDCG, None) for (model, n), (nDCG, _) in paper.PGD.items()]
    rows += [("BPR-MF", *BIM, n, None, count) for n, count in paper.ICOV.items() if n]
    columns = ["model", "attack", "ball", "start", "iterations", "nDCG", "ICov"]
    return Evidence(dataset, cells, pd.DataFrame(rows, columns=columns).assign(seed=0))
