"""What the checks of the paper's claims look at: everything measured on one data set, or the printed Table 1."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from advrec_tf.data import K_CORES
from advrec_tf.reporting import curves, published, tables
from advrec_tf.reporting.results import read_results, user_path


@dataclass(frozen=True)
class Evidence:
    """What was measured on one data set; an experiment that was not run is None."""

    dataset: str
    folder: Path | None
    table1: pd.DataFrame | None
    iterations: pd.DataFrame | None
    budget: pd.DataFrame | None
    losses: pd.DataFrame | None

    @classmethod
    def of(cls, output_dir: Path, dataset: str) -> "Evidence":
        """Gathers the results of all experiments on a data set."""
        frames = []
        for name in ("table1", "iterations", "budget"):
            folder = Path(output_dir) / name / dataset
            frames.append(read_results(folder) if (folder / "results.csv").exists() else None)
        files = [Path(output_dir) / "characteristics" / f"{dataset}-{protocol}" / "losses.csv" for protocol in K_CORES]
        losses = next((pd.read_csv(file) for file in files if file.exists()), None)
        return cls(dataset, Path(output_dir), *frames, losses)

    @cached_property
    def cells(self) -> pd.Series:
        """Table 1: (model, metric, column) -> value, models at their best epoch (or the first selection there is)."""
        if self.table1 is None:
            return pd.Series(dtype=float)
        table = tables.table1(self.table1)
        table = table[table["selection"] == table.groupby("model")["selection"].transform("first")]
        return table.set_index(["model", "metric", "column"])["mean"]

    def curve(self, model: str, attack: str, metric: str) -> pd.Series:
        """A metric over the iterations in the paper's ball, mean over seeds."""
        start = {"bim": "zero", "pgd": "uniform"}[attack]
        return curves.over(curves.select(self.iterations, model, (attack, "linf", start)), "iterations", metric)["mean"]

    def users(self, model: str, attack: str, ball: str = "", iterations: int | None = None) -> np.ndarray | None:
        """Users' own nDCG in the iterations experiment, mean over seeds: after `iterations`, or accumulated over all of Table 1's."""
        if self.iterations is None:
            return None
        rows = curves.select(self.iterations, model)
        found = []
        for epoch, seed in rows[["epoch", "seed"]].drop_duplicates().itertuples(index=False):
            path = user_path(self.folder / "iterations" / self.dataset, model, None if pd.isna(epoch) else int(epoch), attack, ball, int(seed))
            if not path.exists():
                return None
            with np.load(path, allow_pickle=False) as file:
                at, values = file["iterations"], file["nDCG"].astype(np.float64)
            if iterations is not None:
                values = values[at == iterations]
            elif len(at) > 1:
                kept = at != 25  # read for the text, no part of the integral
                values = np.trapezoid(values[kept], at[kept], axis=0)[None] / np.ptp(at[kept])
            if not len(values):
                return None
            found.append(values[0])
        return np.mean(found, axis=0) if found else None


def printed_evidence(dataset: str) -> Evidence:
    """The paper's own Table 1 as evidence."""
    evidence = Evidence(f"printed, {dataset}", None, None, None, None, None)
    table = published.table1()
    evidence.__dict__["cells"] = table[table["dataset"] == dataset].set_index(["model", "metric", "column"])["published"]
    return evidence
