"""The page of one entry beside all others: tables, the front of accuracy and robustness, and whom factors protect."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

from advrec_tf.evaluation import holm
from advrec_tf.evaluation.verdicts import Verdict
from advrec_tf.leaderboard import comparison
from advrec_tf.leaderboard.board_page import levels
from advrec_tf.leaderboard.comparison import (
    CERTIFIED,
    CLEAN,
    CONDITIONS,
    COVERAGE,
    GOALS,
    LEVEL,
    at,
    title_of,
)
from advrec_tf.leaderboard.summary import GROUPS, VERDICT_AT
from advrec_tf.reporting.plots import legend, panels
from advrec_tf.reporting.vocabulary import BASELINES, markdown, number

TESTED = {"over_users": "over users", "over_seeds": "over trainings"}
MARKS = {"better": "", "worse": "", "undecided": " ?", "not tested": " -"}
RANKED = (
    "Rank by mean nDCG among all entries. Counts: how many entries it is better or worse than, "
    f"with a corrected p below {LEVEL}; it fails to be above all if one is better. Tests over users "
    "take each user's mean over trainings, so they hold for these trainings only. Tests over "
    "trainings take each seed's mean over users. Each kind is corrected (Holm) for all of its tests "
    "of this page."
)
SHARES = (
    "Ratio of both entries' values in each training: mean [95% over trainings, not corrected], and p "
    "of the verdict, corrected (Holm) over these goals."
)
LESS = (
    f"Difference of nDCG; ? where the corrected p over users is {LEVEL} or more. tests.csv has the "
    "intervals, which hold together for all tests of their kind, and the p over trainings."
)
FEW = 10  # users with a hit in a quartile, below which the variance of its share says nothing
ALT = (
    "Worst over clean nDCG, a panel for each condition, a point for each entry, the front as a line"
)


def protected(rows: pd.DataFrame, quarters: dict[str, np.ndarray]) -> pd.DataFrame:
    """Whom factors protect: of users' nDCG, the share that is left under `test` at VERDICT_AT, and that is certified, by quartile.

    A row for each entry, what users are grouped `by` and `of`; `difference` is the fourth less the first.  p, by the ratios' variance over users,
    is corrected for all of these tests (Holm), and their intervals (low, high) hold together (Bonferroni).

    rows: of `leaderboard.tidy`, with users' own nDCG; quarters: of `leaderboard.quarters`
    """
    lines = []
    still = _mean_users(at(rows, CLEAN))
    for place in (("test", "l2", VERDICT_AT), CERTIFIED):
        left = _mean_users(at(rows, place))
        for entry, by in ((entry, by) for entry in left for by in quarters):
            ratios = [
                _ratio(left[entry][quarters[by] == n], still[entry][quarters[by] == n])
                for n in range(1, 5)
            ]
            difference, deviation = (
                ratios[3][0] - ratios[0][0],
                np.hypot(ratios[0][1], ratios[3][1]),
            )
            shares = {f"quartile {n}": share for n, (share, _) in enumerate(ratios, 1)}
            named = {"entry": entry, "by": by, "of": title_of(place)}
            lines.append({**named, **shares, "difference": difference, "deviation": deviation})
    columns = [
        "entry",
        "by",
        "of",
        *(f"quartile {n}" for n in range(1, 5)),
        "difference",
        "deviation",
    ]
    return _tested(pd.DataFrame(lines, columns=columns))


def _tested(differences: pd.DataFrame) -> pd.DataFrame:
    """Replace normal deviations by intervals that hold together and by p corrected for all rows."""
    deviation, difference = differences.pop("deviation"), differences["difference"]
    reach = stats.norm.isf(LEVEL / 2 / max(1, deviation.notna().sum())) * deviation
    p = holm(2 * stats.norm.sf(difference.abs() / deviation))
    return differences.assign(low=difference - reach, high=difference + reach, p=p)


def _mean_users(rows: pd.DataFrame) -> dict[str, np.ndarray]:
    return {
        str(entry): np.array(part["users"].tolist(), np.float64).mean(axis=0)
        for entry, part in comparison.with_users(rows).groupby("entry")
    }


def _ratio(above: np.ndarray, below: np.ndarray) -> tuple[float, float]:
    """The ratio of two means over the same users, and its standard deviation, NaN where there is too little to say."""
    if not below.any():
        return np.nan, np.nan
    ratio = above.mean() / below.mean()
    deviation = np.std(above - ratio * below) / below.mean() / np.sqrt(len(below))
    return float(ratio), float(deviation) if np.count_nonzero(
        below
    ) >= FEW and deviation > 0 else np.nan


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return every entry's nDCG under CONDITIONS and its ICov as texts, means over seeds.

    A star marks an ICov below COVERAGE of BPR-MF's.
    """
    means = pd.DataFrame(
        {title_of(each): at(rows, each).groupby("entry")["nDCG"].mean() for each in CONDITIONS}
    )
    coverage = at(rows, CLEAN).groupby("entry")["ICov"].mean()
    marks = [" *" if value < COVERAGE * coverage.get("BPR-MF", 0) else "" for value in coverage]
    shown = means.sort_values(title_of(GOALS[2]), ascending=False).map(number)
    return shown.assign(
        ICov=pd.Series(
            [number(value, "ICov") + mark for value, mark in zip(coverage, marks)], coverage.index
        )
    )


def _signed(value: float) -> str:
    return f"{'-' if value < 0 else '+'}{number(abs(value))}"


class Table(NamedTuple):
    """A table of texts with what is said of it."""

    title: str
    note: str
    table: pd.DataFrame

    @property
    def markdown(self) -> str:
        """As a part of a page."""
        lines = [
            [str(name), *map(str, row)]
            for name, row in zip(self.table.index, self.table.to_numpy(object))
        ]
        return f"\n## {self.title}\n\n{self.note}\n\n" + markdown(
            [self.table.index.name or "", *self.table.columns], lines
        )


def tables(rows: pd.DataFrame, tests: pd.DataFrame) -> list[Table]:
    """Return the tables of a leaderboard's page on the entry that `tests` are about.

    rows: of `leaderboard.tidy`; tests: of `comparison.compared`
    """
    note = f"nDCG. * ICov below {COVERAGE} of BPR-MF's."
    found = [Table("Worst nDCG under each condition", note, table(rows))]
    if len(tests):
        first = comparison.entry_of(tests)
        found.append(Table(f"{first}: rank and tests", RANKED, _standing(rows, tests)))
        if shares := comparison.goals(rows, first):
            found.append(Table(f"{first}: shares of other entries", SHARES, _shares(shares)))
        found.append(Table(f"{first} less each other entry", LESS, _differences(tests)))
    return found


def _standing(rows: pd.DataFrame, tests: pd.DataFrame) -> pd.DataFrame:
    """Return `comparison.standing` as texts."""
    found = comparison.standing(rows, tests).set_index("condition")
    shown = pd.DataFrame({"nDCG": found["nDCG"].map(number)})
    shown["rank"] = found["rank"].astype(str) + " of " + found["entries"].astype(str)
    for kind, over in TESTED.items():
        counts = found[[f"{name} {kind}" for name in comparison.DIRECTIONS]].astype(str)
        shown[f"{over}: {' / '.join(comparison.DIRECTIONS)}"] = counts.agg(" / ".join, axis=1)
        shown[f"{over}: above all"] = found[f"verdict {kind}"]
    return shown


def _shares(verdicts: list[Verdict]) -> pd.DataFrame:
    """Return `comparison.goals` as texts."""
    lines = []
    for verdict in verdicts:
        (part,) = verdict.parts
        low, high = part.interval
        interval = "" if np.isnan(low) else f" [{low:.2f}, {high:.2f}]"
        p = "-" if np.isnan(verdict.p) else f"{verdict.p:.1g}"
        lines.append(
            (
                verdict.claim.check,
                f"{part.mean:.2f}{interval}",
                str(part.count),
                p,
                verdict.word.value,
            )
        )
    return pd.DataFrame(lines, columns=["goal", "mean", "trainings", "p", "verdict"]).set_index(
        "goal"
    )


def tables_of_groups(groups: pd.DataFrame) -> list[Table]:
    """Whom factors protect, a table for each of GROUPS.  groups: of `protected`"""
    found, note = (
        [],
        (
            "ResourceRequest of nDCG by quartile (1: least), fourth less first [interval over users], p. Both are for "
            f"all {groups['p'].notna().sum()} such tests of this page: p corrected (Holm), intervals that hold "
            f"together in {1 - LEVEL:.0%} of samples (Bonferroni)."
        ),
    )
    for by, part in groups.groupby("by", sort=False):
        shares = part[[f"quartile {n}" for n in range(1, 5)]].map(
            lambda share: "-" if np.isnan(share) else f"{share:.2f}"
        )
        shown = shares.assign(**{"4 less 1": part.apply(_spread, axis=1)}).set_index(
            part["entry"] + ", " + part["of"]
        )
        found.append(Table(f"Whom factors protect, by {by}", note, shown))
    return found


def _differences(tests: pd.DataFrame) -> pd.DataFrame:
    conditions = tests[["threat", "ball", "rho"]].itertuples(index=False, name=None)
    marks = tests["over_users"].map(MARKS)
    named = tests.assign(
        condition=[title_of(condition) for condition in conditions],
        text=tests["difference"].map(_signed) + marks,
    )
    wide = named.pivot(index="second", columns="condition", values="text").rename_axis("entry")
    titles = [title_of(condition) for condition in CONDITIONS]
    return wide[[title for title in titles if title in wide]].fillna("")


def _spread(row: pd.Series) -> str:
    if np.isnan(row["p"]):
        return "-"
    return f"{row['difference']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}], p {row['p']:.1g}"


def _style(rows: pd.DataFrame) -> dict[str, dict]:
    """Return colour and marker of each entry but baselines; open markers where users are normalised.

    Entries that differ in that alone share a colour.  rows: with `leaderboard.SPEC`
    """
    specs = (
        rows[~rows["entry"].isin(BASELINES)]
        .drop_duplicates("entry")
        .set_index("entry")
        .sort_index()
    )
    factors = list(zip(specs["source"], specs["truncated_to"].fillna(0)))
    distinct, found = list(dict.fromkeys(factors)), {}
    for entry, pair, normalized in zip(specs.index, factors, specs["normalized"]):
        index = distinct.index(pair)
        color = f"C{index % 10}"
        found[entry] = {
            "color": color,
            "marker": "osD^v*<>"[index % 8],
            "markerfacecolor": "white" if normalized else color,
        }
    return found


def front(points: pd.DataFrame) -> pd.DataFrame:
    """The points that no other point has both more accuracy and more robustness than, most accurate first.  points: x, y"""
    ordered = points.sort_values(["x", "y"], ascending=False)
    return ordered[ordered["y"] > ordered["y"].cummax().shift(fill_value=-np.inf)]


def front_figure(rows: pd.DataFrame) -> Figure:
    """Worst over clean nDCG, a panel for each of GOALS and the certificate, a point for each entry with bars over seeds, the front a line."""
    picture, axes = panels(2, 4)
    style, clean = _style(rows), at(rows, CLEAN).groupby("entry")["nDCG"]
    for axis, place in zip(axes.flat, (*GOALS, CERTIFIED)):
        left = at(rows, place).groupby("entry")["nDCG"]
        points = pd.DataFrame(
            {"x": clean.mean(), "y": left.mean(), "dx": clean.std(), "dy": left.std()}
        ).dropna(subset=["x", "y"])
        for entry in (each for each in style if each in points.index):
            x, y, dx, dy = points.loc[entry].fillna(0)
            axis.errorbar(
                x,
                y,
                dy,
                dx,
                linestyle="",
                markersize=5,
                elinewidth=0.8,
                label=entry,
                **style[entry],
            )
        line = front(points.drop(index=list(BASELINES), errors="ignore"))
        axis.step(line["x"], line["y"], where="post", color="#999999", linewidth=0.8, zorder=0)
        levels(axis, clean.mean())
        axis.set(title=title_of(place))
        axis.set_ylim(bottom=0)
    for axis in axes[1]:
        axis.set_xlabel("clean nDCG")
    for axis in axes[:, 0]:
        axis.set_ylabel("worst nDCG")
    legend(picture, axes, "outside lower center", columns=5)
    return picture


def groups_figure(groups: pd.DataFrame, rows: pd.DataFrame) -> Figure:
    """The share of nDCG that is left or certified over quartiles of users' activity and of test items' popularity, a line for each entry.

    groups: of `protected`; rows: with `leaderboard.SPEC`
    """
    kinds = list(dict.fromkeys(groups["of"]))
    picture, axes = panels(len(kinds), len(GROUPS))
    style = _style(rows)
    for row, kind in zip(axes, kinds):
        for axis, by in zip(row, GROUPS):
            own = groups[(groups["of"] == kind) & (groups["by"] == by)].set_index("entry")
            for entry in (each for each in style if each in own.index):
                axis.plot(
                    range(1, 5),
                    own.loc[entry, [f"quartile {n}" for n in range(1, 5)]],
                    markersize=4,
                    linewidth=1,
                    label=entry,
                    **style[entry],
                )
            axis.set(
                title=kind, xticks=range(1, 5), xlabel=f"quartile of {by}", ylabel="share of nDCG"
            )
            axis.set_ylim(bottom=0)
    legend(picture, axes, "outside lower center", columns=3)
    return picture
