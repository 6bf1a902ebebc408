"""Tables of one entry against all others, and of the users whom factors protect, as texts."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from advrec_tf.evaluation.verdicts import Verdict
from advrec_tf.leaderboard import comparison, protection
from advrec_tf.leaderboard.comparison import (
    CLEAN,
    CONDITIONS,
    COVERAGE,
    DIRECTIONS,
    GOALS,
    LEVEL,
    at,
    title_of,
)
from advrec_tf.reporting.vocabulary import markdown, number

TESTED = {"over_users": "over users", "over_seeds": "over trainings"}
MARKS = {"better": "", "worse": "", "undecided": " ?", "not tested": " -"}
RANKED = (
    "Rank by mean nDCG among all entries. Counts: how many entries it is better or worse than, "
    f"with a corrected p below {LEVEL}. It fails to be above all if one is better. Tests over "
    "users take each user's mean over trainings, so they hold for these trainings only. Tests over "
    "trainings take each seed's mean over users. Each kind is corrected (Holm) for all of its "
    "tests of this page."
)
SHARES = (
    "Ratio of both entries' values in each training: mean [95% over trainings, not corrected], and "
    "p of the verdict, corrected (Holm) over these goals."
)
LESS = (
    f"Difference of nDCG; ? where the corrected p over users is {LEVEL} or more. tests.csv has the "
    "intervals, which hold together for all tests of their kind, and the p over trainings."
)


class Table(NamedTuple):
    """A table of texts, and a note on it."""

    title: str
    note: str
    table: pd.DataFrame

    @property
    def markdown(self) -> str:
        """Return a section of a page."""
        header = [self.table.index.name or "", *self.table.columns]
        lines = [[str(name), *map(str, row)] for name, row in self.table.iterrows()]
        return f"\n## {self.title}\n\n{self.note}\n\n{markdown(header, lines)}"


def tables(rows: pd.DataFrame, tests: pd.DataFrame) -> list[Table]:
    """Return a table of all entries and, given tests, those of the entry that they are about.

    These are its rank, its values over those of reference entries (`goals`), and its difference to
    every other entry.  rows: of `worst_cases`; tests: of `comparison.compared`, may be empty
    """
    note = f"nDCG. * ICov below {COVERAGE} of BPR-MF's."
    parts = [Table("Worst nDCG under each condition", note, by_condition(rows))]
    if len(tests):
        first = comparison.entry_of(tests)
        parts.append(Table(f"{first}: rank and tests", RANKED, _standing(rows, tests)))
        if goals := comparison.goals(rows, first):
            parts.append(Table(f"{first}: shares of other entries", SHARES, _goals(goals)))
        parts.append(Table(f"{first} less each other entry", LESS, _differences(tests)))
    return parts


def by_condition(rows: pd.DataFrame) -> pd.DataFrame:
    """Return every entry's nDCG under CONDITIONS and its ICov as texts, means over seeds.

    ICov is without attack. A star marks an ICov below COVERAGE of BPR-MF's, if that is an entry.
    Sorted by nDCG under `test`, l2 .05.
    """
    columns = {
        title_of(each): at(rows, each).groupby("entry")["nDCG"].mean() for each in CONDITIONS
    }
    shown = pd.DataFrame(columns).sort_values(title_of(GOALS[2]), ascending=False).map(number)
    coverage = at(rows, CLEAN).groupby("entry")["ICov"].mean()
    low = coverage < COVERAGE * coverage.get("BPR-MF", 0)
    texts = coverage.map(lambda value: number(value, "ICov"))
    return shown.assign(ICov=texts + low.map({True: " *", False: ""}))


def _standing(rows: pd.DataFrame, tests: pd.DataFrame) -> pd.DataFrame:
    """Return the table of `comparison.standing` with its counts of tests as texts."""
    table = comparison.standing(rows, tests).set_index("condition")
    shown = pd.DataFrame({"nDCG": table["nDCG"].map(number)})
    shown["rank"] = table["rank"].astype(str) + " of " + table["entries"].astype(str)
    for kind, over in TESTED.items():
        counts = table[[f"{name} {kind}" for name in DIRECTIONS]].astype(str)
        shown[f"{over}: {' / '.join(DIRECTIONS)}"] = counts.agg(" / ".join, axis=1)
        shown[f"{over}: above all"] = table[f"verdict {kind}"]
    return shown


def _goals(verdicts: list[Verdict]) -> pd.DataFrame:
    """Return `comparison.goals` as texts."""
    lines = []
    for verdict in verdicts:
        (part,) = verdict.parts
        low, high = part.interval
        mean = f"{part.mean:.2f}" + ("" if np.isnan(low) else f" [{low:.2f}, {high:.2f}]")
        p = "-" if np.isnan(verdict.p) else f"{verdict.p:.1g}"
        lines.append((verdict.claim.check, mean, str(part.count), p, verdict.word.value))
    columns = ["goal", "mean", "trainings", "p", "verdict"]
    return pd.DataFrame(lines, columns=columns).set_index("goal")


def _differences(tests: pd.DataFrame) -> pd.DataFrame:
    """Return the nDCG of the tested entry less that of each other entry, a column a condition.

    A mark says whether the test over users found a difference significant.
    """
    conditions = tests[["threat_model", "ball", "epsilon"]].itertuples(index=False, name=None)
    titles = [title_of(condition) for condition in conditions]
    texts = tests["difference"].map(_signed) + tests["over_users"].map(MARKS)
    named = tests.assign(condition=titles, text=texts)
    wide = named.pivot(index="second", columns="condition", values="text").rename_axis("entry")
    return wide[[title for title in map(title_of, CONDITIONS) if title in wide]].fillna("")


def _signed(value: float) -> str:
    """Return a number with its sign as text."""
    return f"{'-' if value < 0 else '+'}{number(abs(value))}"


def tables_of_groups(groups: pd.DataFrame) -> list[Table]:
    """Return a table of protected users for each of GROUPS.  groups: of `protection.protected`"""
    note = (
        "Share of nDCG by quartile (1: least), fourth less first [interval over users], p. Both "
        f"are for all {groups['p'].notna().sum()} such tests of this page: p corrected (Holm), "
        f"intervals that hold together in {1 - LEVEL:.0%} of samples (Bonferroni)."
    )
    parts = []
    for by, part in groups.groupby("by", sort=False):
        shown = part[protection.SHARES].map(
            lambda share: "-" if np.isnan(share) else f"{share:.2f}"
        )
        shown["4 less 1"] = part.apply(_spread, axis=1)
        shown.index = pd.Index(part["entry"] + ", " + part["of"])
        parts.append(Table(f"Whom factors protect, by {by}", note, shown))
    return parts


def _spread(row: pd.Series) -> str:
    """Return the difference between quartiles, its interval and p as text, "-" without a test."""
    if np.isnan(row["p"]):
        return "-"
    return f"{row['difference']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}], p {row['p']:.1g}"
