"""Values of the published rows for the templates of pages, and their texts."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from advrec_tf.evaluation import mean_interval
from advrec_tf.evaluation.verdicts import Verdict
from advrec_tf.execution.records import read_record
from advrec_tf.leaderboard import comparison, summary
from advrec_tf.reporting import origin, read_results


class Published:
    """The rows below a folder of published runs; `sources` are the folders that were read."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.sources: set[Path] = set()
        self._read = cache(read_results)

    def folders(self, pattern: str) -> list[Path]:
        """Return the folders of runs that match a pattern, and add them to `sources`."""
        folders = [path.parent for path in sorted(self.folder.glob(f"{pattern}/config.json"))]
        self.sources.update(folders)
        return folders

    def table(self, run: str, name: str) -> pd.DataFrame:
        """Return a table of a run, a folder such as multi_step/table1/ml-1m."""
        (folder,) = self.folders(run)
        return self._read(folder, name)

    def rows(self, run: str, /, table: str = "results.csv", **where: Any) -> pd.DataFrame:
        """Return the rows of a run's table whose columns have the given values.

        A value may be a list of alternatives; None selects blank fields. Raises ValueError where
        no row is left, so that a template cannot quote what was not measured.
        """
        rows = self.table(run, table)
        for column, value in where.items():
            rows = rows[_matches(rows[column], value)]
        if rows.empty:
            raise ValueError(f"{run}/{table} has no row with {where}")
        return rows

    def values(
        self,
        run: str,
        value: str,
        /,
        table: str = "results.csv",
        per: str = "seed",
        **where: Any,
    ) -> pd.Series:
        """Return a column's value for each replicate `per`, averaged over what else differs."""
        return self.rows(run, table, **where).groupby(per)[value].mean()

    def board(self, dataset: str) -> "Board":
        """Return the leaderboard of a data set."""
        run = f"scale_free/robustness/{dataset}"
        tables = (self.table(run, f"{name}.csv") for name in ("worst", "tests", "groups"))
        (folder,) = self.folders(run)
        return Board(*tables, summary.older(read_record(folder / "config.json")))

    def speed(self, name: str) -> pd.DataFrame:
        """Return a table of speed/, as one run of the benchmarks printed it."""
        return pd.read_csv(self.folder / "speed" / f"{name}.csv")

    def wall_time(self, run: str) -> str:
        """Return how long the runs took whose rows are published, as h:mm:ss."""
        (record,) = origin.records_of(self.folders(run))
        return origin.wall_time(record["runs"])

    def last_line(self) -> str:
        """Return the last line of a page: what the rows in `sources` were measured with."""
        return origin.line(origin.records_of(sorted(self.sources)))


def _matches(column: pd.Series, value: Any) -> pd.Series:
    if value is None:
        return column.isna() | (column == "")
    if isinstance(value, list):
        return pd.concat([_matches(column, each) for each in value], axis=1).any(axis=1)
    if isinstance(value, float):
        return pd.Series(np.isclose(column.astype(float), value), column.index)
    return column == value


class Board:
    """A leaderboard: worst nDCG, tests of one entry against the others, and whom each protects.

    older: `summary.older`, of a board of an earlier version of the ensemble.
    """

    def __init__(
        self, worst: pd.DataFrame, tests: pd.DataFrame, groups: pd.DataFrame, older: str = ""
    ):
        self.worst, self.tests, self.groups, self.older = worst, tests, groups, older
        self.compared = comparison.entry_of(tests)

    def ranking(self, condition: comparison.Condition, metric: str = "nDCG") -> pd.Series:
        """Return the entries' means over seeds under a condition, highest first."""
        means = comparison.at(self.worst, condition).groupby("entry")[metric].mean()
        return means.sort_values(ascending=False)

    @property
    def means(self) -> pd.Series:
        """Return `comparison.means`: each entry's nDCG over all conditions, highest first."""
        return comparison.means(self.worst)

    def has(self, *entries: str) -> bool:
        """Return whether all of these entries were measured."""
        return set(entries) <= set(self.worst["entry"])

    def gain(self, before: str, after: str, condition: comparison.Condition) -> pd.Series:
        """Return how much more nDCG one entry keeps than another, for each seed of both."""
        rows = comparison.at(self.worst, condition)
        values = rows.pivot_table(index="seed", columns="entry", values="nDCG")
        return (values[after] - values[before]).dropna()

    @property
    def standing(self) -> dict[str, dict[str, Any]]:
        """Return the row of `comparison.standing` for the title of each condition."""
        table = comparison.standing(self.worst, self.tests)
        return table.set_index("condition", drop=False).to_dict("index")

    @property
    def summary(self) -> str:
        """Return `comparison.summary`: where the compared entry fails, and its rank there."""
        return comparison.summary(self.worst, self.tests)

    @property
    def goals(self) -> list[Verdict]:
        """Return `comparison.goals`: verdicts on the shares that a defence should reach."""
        return comparison.goals(self.worst, self.compared)

    def spotlight(self, condition: comparison.Condition) -> list[str]:
        """Return the compared entry, those that keep most (clean, attacked), AMF and BPR-MF."""
        best = [self.ranking(each).index[0] for each in (comparison.CLEAN, condition)]
        return list(dict.fromkeys([self.compared, *best, "AMF", "BPR-MF"]))

    def protects(self, entry: str, by: str, condition: comparison.Condition) -> pd.Series:
        """Return the row of groups.csv of an entry: the share that is left by quartile."""
        rows = self.groups[(self.groups["entry"] == entry) & (self.groups["by"] == by)]
        return rows[rows["of"] == comparison.title_of(condition)].iloc[0]


def estimate(values: pd.Series, digits: int = 4, sign: str = "", unit: str = "") -> str:
    """Return `mean [95% interval]` of replicates (Student's t), or the mean of a single one."""
    low, high = mean_interval(values)
    texts = [f"{value:{sign}.{digits}f}{unit}" for value in (np.mean(values), low, high)]
    return texts[0] if np.isnan(low) else f"{texts[0]} [{texts[1]}, {texts[2]}]"


def fixed(value: float, digits: int = 4, sign: str = "") -> str:
    """Return a number with so many decimals; 4 decimals suit nDCG and hit ratios."""
    return f"{value:{sign}.{digits}f}"


def percent(value: float, digits: int = 0, sign: str = "") -> str:
    """Return a share as a percentage."""
    return f"{100 * value:{sign}.{digits}f}%"


def clear_sign(difference: pd.Series) -> int:
    """Return -1 or 1 where the 95% interval of a difference is below or above zero, else 0."""
    low, high = mean_interval(difference)
    return int(low > 0) - int(high < 0)


def paper(text: str) -> str:
    """Return a number as a paper prints it; the only decimals that a template may hold."""
    return text
