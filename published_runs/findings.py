"""Quantities that the pages quote and that take more than one row to compute, by paper."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from advrec_tf.evaluation import NAMES
from experiments.lowrank import attack_seeds
from experiments.multistep import claims, curves, loss_slopes, paper, table1_tables
from experiments.multistep.evidence import Evidence
from experiments.multistep.labels import MODELS
from published_runs.measured import Published, clear_sign


class Readings(NamedTuple):
    """Readings of Figure 3, and those that give both published slopes as points or intervals."""

    total: int
    equal: int
    inside: int


class MultiStep:
    """Quantities of the multi-step paper."""

    def __init__(self, published: Published):
        self.published = published

    def cells(
        self,
        dataset: str,
        model: str,
        column: str,
        metric: str = "nDCG",
        selection: str | None = "best",
    ) -> pd.Series:
        """Return a cell of Table 1 for each seed, of the first draw of its attack."""
        where = {"model": model, "column": column, "metric": metric, "selection": selection}
        run = f"multi_step/table1/{dataset}"
        return self.published.values(run, "value", "cells.csv", draw=0, **where)

    def table1(self, dataset: str) -> pd.DataFrame:
        """Return `table1_tables.table1` of a data set."""
        return table1_tables.table1(
            self.published.rows(f"multi_step/table1/{dataset}", "cells.csv")
        )

    def agreements(self, dataset: str) -> pd.DataFrame:
        """Return `table1_tables.agreements` of a data set, by selection and FGSM's gradient."""
        return table1_tables.agreements(self.table1(dataset)).set_index(
            ["selection", "fgsm"], drop=False
        )

    def multi_step_wins(self, dataset: str) -> int:
        """Return in how many cells (model, BIM or PGD, metric) less is left than under FGSM."""
        won = 0
        for model in MODELS:
            for metric in NAMES:
                fgsm = self.cells(dataset, model, "fgsm", metric).mean()
                left = [self.cells(dataset, model, name, metric).mean() for name in ("bim", "pgd")]
                won += sum(value < fgsm for value in left)
        return won

    def l2_share(self, dataset: str, model: str) -> pd.Series:
        """Return the percentage of BIM's advantage over FGSM that is left in FGSM's l2 ball."""
        fgsm = self.cells(dataset, model, "fgsm")
        advantage = fgsm - self.cells(dataset, model, "bim")
        return 100 * (fgsm - self.cells(dataset, model, "bim l2")) / advantage

    def other_epochs(self, dataset: str) -> str:
        """Return `claims.epochs`: where Figure 1 attacks other epochs than Table 1."""
        self.published.folders(f"multi_step/*/{dataset}")
        return claims.epochs(Evidence.of(self.published.folder / "multi_step", dataset)).strip()

    def times_less(self, dataset: str, model: str, attack: str) -> pd.Series:
        """Return .5 over the epsilon that does as much harm as FGSM at .5, for each seed."""
        table = curves.equal_harm_table(self.published.rows(f"multi_step/budget/{dataset}"))
        table = table[(table["model"] == model) & (table["attack"] == attack)]
        return table.set_index("seed")["times less"]

    def losses(self, name: str) -> pd.DataFrame:
        """Return `loss_slopes.losses` of the sub-samples <data set>-<protocol>."""
        run = f"multi_step/characteristics/{name}"
        self.published.folders(f"{run}-*")
        return loss_slopes.losses_of(self.published.folder / run)

    def slopes(self, name: str) -> dict[str, pd.Series]:
        """Return each model's slope (slope, low, high) of PGD's loss over density."""
        table = loss_slopes.slopes(loss_slopes.shown(self.losses(name)))
        table = table[(table["attack"] == "PGD") & (table["characteristic"] == "density")]
        return {model: row for model, row in table.set_index("model").iterrows()}

    def two_point_slopes(self, name: str) -> dict[str, float]:
        """Return each model's slope of PGD's loss between the sparsest and densest sub-sample."""
        table = loss_slopes.ends(self.losses(name))
        return table[table["attack"] == "PGD"].set_index("model")["slope"].to_dict()

    def readings(self, name: str) -> Readings:
        """Return how many readings of Figure 3 give both published slopes."""
        table = loss_slopes.readings(self.losses(name))
        published = table["model"].map(paper.SLOPES)
        equal = (table["slope"] / published - 1).abs() <= table1_tables.NEAR / 100
        inside = (table["low"] <= published) & (published <= table["high"])
        keys = [table[key] for key in ("selection", "epsilon", "metric", "iterations")]
        both = pd.DataFrame({"equal": equal, "inside": inside}).groupby(keys).all()
        return Readings(len(both), int(both["equal"].sum()), int(both["inside"].sum()))


class LowRank:
    """Quantities of the low-rank paper."""

    CONTROLS, PARTS, LATER = (
        "lowrank_controls",
        "lowrank_recsys19/ml-100k",
        "lowrank_younger/ml-100k",
    )
    # How reconstructed values enter the recommender -> the column `defense` of the controls.
    READINGS = {
        "binarize": "low_rank",
        "weights": "low_rank:weights",
        "dense": "low_rank:dense",
        "rating matrix": "low_rank:rating_matrix",
        "binarize, incomplete patches dropped": "low_rank:drop",
    }

    def __init__(self, published: Published):
        self.published = published

    def values(self, run: str, metric: str, **where) -> pd.Series:
        """Return a metric for each victim seed of lowrank/<run>."""
        return self.published.values(f"lowrank/{run}", metric, **where)

    def effect(self, dataset: str, defense: str, attack: str, metric: str, **where) -> pd.Series:
        """Return what a defence adds to a metric by victim seed, users in the attack's order."""
        run, same = f"{self.CONTROLS}/{dataset}", {"attack": attack, "order": "as made"}
        with_it = self.values(run, metric, defense=defense, **same, **where)
        return with_it - self.values(run, metric, defense="none", **same)

    def falls(self, dataset: str, attack: str, metric: str) -> list[str]:
        """Return those of READINGS whose `effect` has an interval below zero."""
        names = []
        for name, defense in self.READINGS.items():
            if clear_sign(self.effect(dataset, defense, attack, metric)) < 0:
                names.append(name)
        return names

    def beside_matched(self, dataset: str, attack: str) -> pd.Series:
        """Return mean undefended target HR over that of the matched victim, by what differs.

        The matched victim has the first seed and the attack's order of users.
        """
        run = f"lowrank/{self.CONTROLS}/{dataset}"
        rows = self.published.rows(run, attack=attack, defense="none")
        matched = (rows["order"] == "as made") & (rows["seed"] == rows["seed"].min())
        others = rows[~matched].groupby("order")["target_HR"].mean()
        return others / rows[matched]["target_HR"].mean()

    def change(self, metric: str, model: str, before: str, after: str) -> pd.Series:
        """Return the change between two sets of RecSys19's profiles in percent, by victim seed.

        Percent of the mean before, as the hit ratio of a single seed may be 0.
        """
        first = self.values(self.PARTS, metric, model=model, attack=before)
        second = self.values(self.PARTS, metric, model=model, attack=after)
        return 100 * (second - first) / first.mean()

    def later(self, model: str, attack: str, metric: str) -> pd.Series:
        """Return a metric of a later defence for each victim seed."""
        where = {"model": model, "attack": attack, "defense": "none", "certified_fakes": None}
        return self.values(self.LATER, metric, **where)

    def rise(self, model: str, attack: str) -> pd.Series:
        """Return the rise of target HR above the recommender's own on clean data."""
        return self.later(model, attack, "target_HR") - self.later(model, "none", "target_HR")

    def attack_seeds(self) -> pd.DataFrame:
        """Return `attack_seeds.spreads` of all data sets, empty if no rows of `poison` ship."""
        folders = self.published.folders("lowrank/poison/*")
        tables = [self.published.rows(f"lowrank/poison/{folder.name}") for folder in folders]
        return attack_seeds.spreads(pd.concat(tables)) if tables else pd.DataFrame()

    def certified(self, fakes: int) -> float:
        """Return the hit ratio that the ensemble keeps against so many fake users."""
        rows = self.published.rows(f"lowrank/{self.LATER}", certified_fakes=fakes)
        return float(np.mean(rows["certified_HR"]))
