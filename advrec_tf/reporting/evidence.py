"""What the checks of the paper's claims look at: everything measured on one data set, or the printed Table 1."""

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from advrec_tf.data import K_CORES
from advrec_tf.perturbations import ATTACKS
from advrec_tf.reporting import characteristics, curves, published, tables
from advrec_tf.reporting.vocabulary import INITIAL, first_selection, select
from advrec_tf.results import read_results, read_users

READ_FOR_TEXT = 25  # iterations


class NotMeasured(LookupError):
    """What a check asks for is not there."""


@dataclass(frozen=True)
class Evidence:
    """What was measured on one data set; an experiment that was not run is None."""

    dataset: str
    folder: Path | None
    table1: pd.DataFrame | None  # its cells
    iterations: pd.DataFrame | None
    budget: pd.DataFrame | None
    losses: pd.DataFrame | None
    seed: int | None = None  # of which alone it is

    @property
    def seeds(self) -> list[int]:
        """All that anything was measured with."""
        frames = [frame for frame in (self.table1, self.iterations, self.budget, self.losses) if frame is not None]
        return sorted({int(seed) for frame in frames for seed in frame["seed"]})

    def of_seed(self, seed: int) -> "Evidence":
        """What was measured with one seed."""

        def own(frame: pd.DataFrame | None) -> pd.DataFrame | None:
            part = None if frame is None else frame[frame["seed"] == seed]
            return None if part is None or part.empty else part

        found = Evidence(self.dataset, self.folder, own(self.table1), own(self.iterations), own(self.budget), own(self.losses), seed)
        found.__dict__["_kept"] = self._kept
        return found

    @classmethod
    def of(cls, output_dir: Path, dataset: str) -> "Evidence":
        """Gathers the results of all experiments on a data set."""
        frames = []
        for name, table in (("table1", "cells.csv"), ("iterations", "results.csv"), ("budget", "results.csv")):
            folder = Path(output_dir) / name / dataset
            frames.append(read_results(folder, table) if (folder / table).exists() else None)
        cores = (Path(output_dir) / "characteristics" / f"{dataset}-{protocol}" for protocol in K_CORES)
        there = next((each for each in cores if list(each.parent.glob(f"{each.name}-*/results.csv"))), None)
        losses = None if there is None else characteristics.losses_of(there)
        table1, iterations, budget = frames
        return cls(dataset, Path(output_dir), table1, iterations, budget, losses)

    @cached_property
    def cells(self) -> pd.Series:
        """Table 1: (model, metric, column) -> value, models at their best epoch (or the first selection there is)."""
        if self.table1 is None:
            return pd.Series(dtype=float)
        return first_selection(tables.table1(self.table1)).set_index(["model", "metric", "column"])["mean"]

    def cell(self, model: str, metric: str, column: str) -> float:
        """One cell of Table 1.  Raises NotMeasured."""
        value = self.cells.get((model, metric, column))
        if value is None:
            raise NotMeasured(f"{model}, {metric}, {column}")
        return float(value)

    def curve(self, model: str, attack: str, metric: str) -> pd.Series:
        """A metric over the iterations in the paper's ball, mean over seeds."""
        return curves.over(select(self.iterations, model, (attack, "linf", ATTACKS[attack].start)), "iterations", metric)["mean"]

    @cached_property
    def _kept(self) -> list[tuple[dict, dict[str, np.ndarray]]]:
        return read_users(self.folder / "iterations" / self.dataset) if self.folder and self.iterations is not None else []

    def mean(self, model: str, attack: tuple[str, str, str] = INITIAL, iterations: int | None = None) -> float:
        """nDCG in the iterations experiment, mean over seeds, after `iterations`.  Raises NotMeasured."""
        if self.iterations is None:
            raise NotMeasured("Figure 1")
        rows = select(self.iterations, model, attack)
        rows = rows if iterations is None else rows[rows["iterations"] == iterations]
        if not len(rows):
            raise NotMeasured(f"{model}, {attack}, {iterations} iterations")
        return float(rows["nDCG"].mean())

    def users(self, model: str, attack: tuple[str, str, str] = INITIAL, iterations: int | None = None) -> np.ndarray | None:
        """Users' own nDCG in the iterations experiment, mean over seeds: after `iterations`, or accumulated over all of Table 1's."""
        if self.iterations is None:
            return None
        runs: dict[tuple, dict[int, np.ndarray]] = {}
        for row, users in self._kept:
            by = tuple(row.get(name) or "" for name in ("attack", "ball", "start"))
            if (row["model"], by) == (model, attack) and self.seed in (None, row["seed"]) and "nDCG" in users:
                runs.setdefault((row["seed"], row.get("epoch")), {})[row.get("iterations") or 0] = np.asarray(users["nDCG"], np.float64)
        found = [values for run in runs.values() if (values := _at(run, iterations)) is not None]
        return np.mean(found, axis=0) if found and len(found) == len(runs) else None


def _at(run: dict[int, np.ndarray], iterations: int | None) -> np.ndarray | None:
    """The values at one number of iterations, if they are there, or accumulated over all; 25 is read for the text, no part of the integral."""
    if iterations is not None:
        return run.get(iterations)
    grid = sorted(n for n in run if n != READ_FOR_TEXT) or sorted(run)
    return tables.accumulate(grid, [run[n] for n in grid])


@cache
def printed_evidence(dataset: str) -> Evidence:
    """The paper's own Table 1 as evidence."""
    evidence = Evidence(f"printed, {dataset}", None, None, None, None, None)
    table = published.table1()
    evidence.__dict__["cells"] = table[table["dataset"] == dataset].set_index(["model", "metric", "column"])["published"]
    return evidence
