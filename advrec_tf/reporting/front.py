"""What a defence reaches that no other factors do: the front of accuracy and robustness, paired tests against every rival, and whom it protects."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

from advrec_tf.evaluation import corrected, mean_interval, mean_test
from advrec_tf.reporting.leaderboard import GROUPS, VERDICT_AT
from advrec_tf.reporting.leaderboard_page import levels
from advrec_tf.reporting.plots import legend, panels
from advrec_tf.reporting.vocabulary import BASELINES, DEFENDED, DEFENDED_FACTORS, EQUAL, markdown, number
from advrec_tf.robustness import CERTIFICATE

Place = tuple[str, str, float]  # threat, ball, rho
GOALS: tuple[Place, ...] = (
    *(("test", "l2", rho) for rho in (0.01, 0.02, 0.05)), *(("train", "l2", rho) for rho in (0.1, 0.2, 0.4)), ("train", "linf", 0.11),
)  # fmt: skip
STILL: Place = ("", "", 0.0)
CERTIFIED: Place = (CERTIFICATE, "l2", 0.01)
PLACES = (STILL, *GOALS, CERTIFIED)
# Of BPR-MF's accuracy, of AMF's certified nDCG and of BPR-MF's coverage, what a defence is to have.
ACCURACY, BOUND, COVERAGE = 0.97, 1.5, 0.5
LEVEL = 0.05  # p after correction
FEW = 10  # users with a hit in a quartile, below which the variance of its share says nothing
ALT = "Worst over unperturbed nDCG, a panel for each budget of a defence, a point for each entry, the front as a line"


def title_of(place: Place) -> str:
    """What a column or panel is called."""
    return "unperturbed" if place == STILL else f"{'certified' if place[0] == CERTIFICATE else place[0]}, {place[1]} {place[2]:g}"


def at(rows: pd.DataFrame, place: Place) -> pd.DataFrame:
    """The rows of `leaderboard.tidy` at a place, as nDCG (and users' own, where `rows` has them); of the certificate, what is certified."""
    threat, ball, rho = ("test", *place[1:]) if place[0] == CERTIFICATE else place
    own = rows[(rows["threat"] == threat) & (rows["ball"] == ball) & np.isclose(rows["rho"], rho)]
    if place[0] != CERTIFICATE:
        return own
    own = own.drop(columns=["nDCG", "users"], errors="ignore")
    return own.rename(columns={"certified_nDCG": "nDCG", "certified_users": "users"}).dropna(subset="nDCG")


def compared(rows: pd.DataFrame) -> pd.DataFrame:
    """The defence less every other entry at each of PLACES: first, second, threat, ball, rho, seeds, the nDCG of both in them, difference, its 95%
    interval over users (low, high; each user's mean over seeds), p over users (paired t) and over seeds, each corrected for all tests of its kind.

    An entry of one seed stands beside every seed of the other, and tells nothing of seeds.  rows: of `leaderboard.tidy`, with users' own nDCG
    """
    lines = [line for place in PLACES for line in _beside_rivals(at(rows, place), place)]
    columns = ["first", "second", "threat", "ball", "rho", "seeds", "first_nDCG", "second_nDCG", "difference", "low", "high", "p_users", "p_seeds"]
    found = pd.DataFrame(lines, columns=columns)
    return found.assign(**{name: corrected(found[name]) for name in ("p_users", "p_seeds")})


def _beside_rivals(rows: pd.DataFrame, place: Place) -> Iterator[tuple]:
    users = {str(entry): dict(zip(part["seed"], part["users"])) for entry, part in _with_users(rows).groupby("entry")}
    own = users.get(DEFENDED, {})
    for rival, other in users.items():
        several = min(len(own), len(other)) > 1
        pairs = [(seed, seed) for seed in sorted(set(own) & set(other))] if several else [(a, b) for a in own for b in other]
        if rival.startswith(DEFENDED_FACTORS) or not pairs:  # of its own factors at another rank, say
            continue
        first, second = (np.array([of[pair[side]] for pair in pairs], np.float64) for side, of in enumerate((own, other)))
        each = (first - second).mean(axis=0)
        p = float(stats.ttest_1samp(each, 0).pvalue) if each.std() else float(not each.any())
        p_seeds = mean_test((first - second).mean(axis=1)) if several else np.nan
        yield DEFENDED, rival, *place, len(pairs), first.mean(), second.mean(), each.mean(), *mean_interval(each), p, p_seeds


def _with_users(rows: pd.DataFrame) -> pd.DataFrame:
    """Without rows whose users no job has kept, as of a folder that has lost some."""
    return rows[rows["users"].notna()]


def protected(rows: pd.DataFrame, quarters: dict[str, np.ndarray]) -> pd.DataFrame:
    """Whom factors protect: of users' nDCG, the share that is left under `test` at VERDICT_AT, and that is certified, by quartile.

    A row for each entry, what users are grouped `by` and `of`; `difference` is the fourth less the first, with its 95% interval (low, high) and p by
    the ratios' variance over users, corrected for all of these tests together.

    rows: of `leaderboard.tidy`, with users' own nDCG; quarters: of `leaderboard.quarters`
    """
    lines = []
    still = _mean_users(at(rows, STILL))
    for place in (("test", "l2", VERDICT_AT), CERTIFIED):
        left = _mean_users(at(rows, place))
        for entry, by in ((entry, by) for entry in left for by in quarters):
            ratios = [_ratio(left[entry][quarters[by] == n], still[entry][quarters[by] == n]) for n in range(1, 5)]
            difference, deviation = ratios[3][0] - ratios[0][0], np.hypot(ratios[0][1], ratios[3][1])
            p = 2 * stats.norm.sf(abs(difference) / deviation)
            shares = {f"quartile {n}": share for n, (share, _) in enumerate(ratios, 1)}
            ends = {"low": difference - 1.96 * deviation, "high": difference + 1.96 * deviation}
            lines.append({"entry": entry, "by": by, "of": title_of(place), **shares, "difference": difference, **ends, "p": p})
    columns = ["entry", "by", "of", *(f"quartile {n}" for n in range(1, 5)), "difference", "low", "high", "p"]
    found = pd.DataFrame(lines, columns=columns)
    return found.assign(p=corrected(found["p"]))


def _mean_users(rows: pd.DataFrame) -> dict[str, np.ndarray]:
    return {str(entry): np.array(part["users"].tolist(), np.float64).mean(axis=0) for entry, part in _with_users(rows).groupby("entry")}


def _ratio(above: np.ndarray, below: np.ndarray) -> tuple[float, float]:
    """The ratio of two means over the same users, and its standard deviation, NaN where there is too little to say."""
    if not below.any():
        return np.nan, np.nan
    ratio = above.mean() / below.mean()
    deviation = np.std(above - ratio * below) / below.mean() / np.sqrt(len(below))
    return float(ratio), float(deviation) if np.count_nonzero(below) >= FEW and deviation > 0 else np.nan


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """Every entry's nDCG at PLACES and ICov as texts, means over seeds; * where ICov is below COVERAGE of BPR-MF's, as of lists that collapse."""
    means = pd.DataFrame({title_of(place): at(rows, place).groupby("entry")["nDCG"].mean() for place in PLACES})
    coverage = at(rows, STILL).groupby("entry")["ICov"].mean()
    marks = [" *" if value < COVERAGE * coverage.get("BPR-MF", 0) else "" for value in coverage]
    shown = means.sort_values(title_of(GOALS[2]), ascending=False).map(number)
    return shown.assign(ICov=pd.Series([number(value, "ICov") + mark for value, mark in zip(coverage, marks)], coverage.index))


def goals(rows: pd.DataFrame, tests: pd.DataFrame) -> pd.DataFrame:
    """What a defence should reach, and what it has: goal, against, measured, verdict.  rows: of `leaderboard.tidy`; tests: of `compared`"""
    still, bound, lines = at(rows, STILL).groupby("entry")[["nDCG", "ICov"]].mean(), at(rows, CERTIFIED).groupby("entry")["nDCG"].mean(), []

    def share(goal: str, of: str, table: pd.Series, wanted: float, metric: str) -> None:
        if {of, DEFENDED} <= set(table.index) and table[of] > 0:
            reached = table[DEFENDED] / table[of]
            text = f"{number(table[DEFENDED], metric)} of {number(table[of], metric)}: {reached:.2f} times"
            lines.append((goal, of, text, "holds" if reached >= wanted else "fails"))

    share(f"unperturbed nDCG at least {ACCURACY} times", "BPR-MF", still["nDCG"], ACCURACY, "nDCG")
    for place in GOALS:
        here = tests[(tests["threat"] == place[0]) & (tests["ball"] == place[1]) & np.isclose(tests["rho"], place[2])]
        equal = here["second"].str.contains(EQUAL)
        for kind, rivals in (("as they are", here[~equal]), ("with equal users", here[equal])):
            if len(rivals):
                lines.append((f"{title_of(place)}: above all", f"others {kind}", *_above_all(rivals)))
    share(f"{title_of(CERTIFIED)}: at least {BOUND} times", "AMF", bound, BOUND, "nDCG")
    share(f"ICov at least {COVERAGE} times", "BPR-MF", still["ICov"], COVERAGE, "ICov")
    return pd.DataFrame(lines, columns=["goal", "against", "measured", "verdict"])


def _above_all(tests: pd.DataFrame) -> tuple[str, str]:
    """The rival that decides, and the verdict: who is above beyond chance, else the nearest of those whom the defence is not above beyond chance."""
    sure = tests["p_users"] < LEVEL
    above, open_ = tests[sure & (tests["difference"] < 0)], tests[~sure]
    deciding = above if len(above) else open_ if len(open_) else tests
    row = deciding.loc[deciding["difference"].idxmin()]
    told = f"{number(row['first_nDCG'])}, {row['second']} {number(row['second_nDCG'])}: "
    told += f"{_signed(row['difference'])} [{_signed(row['low'])}, {_signed(row['high'])}]"
    return told, "fails" if len(above) else "not decidable" if len(open_) else "holds"


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
        lines = [[str(name), *map(str, row)] for name, row in zip(self.table.index, self.table.to_numpy(object))]
        return f"\n## {self.title}\n\n{self.note}\n\n" + markdown([self.table.index.name or "", *self.table.columns], lines)


def tables(rows: pd.DataFrame, tests: pd.DataFrame) -> list[Table]:
    """What a leaderboard's page has on its defence.  rows: of `leaderboard.tidy`; tests: of `compared`"""
    found = [Table("What is left at the budgets of a defence", f"nDCG. * ICov below {COVERAGE} of BPR-MF's.", table(rows))]
    if len(tests):
        reached = goals(rows, tests)
        told = ", ".join(f"{count} {verdict}" for verdict, count in reached["verdict"].value_counts().items())
        note = f"Beside the rival that decides, difference of nDCG [95% over users]; beyond chance: p over users below {LEVEL}, corrected. {told}."
        found.append(Table(f"{DEFENDED}: what a defence should reach", note, reached.set_index("goal")))
        note = f"nDCG; ? where p over users is {LEVEL} or more, corrected for all of these tests (tests.csv has intervals, and p over seeds)."
        found.append(Table(f"{DEFENDED} less each other entry", note, _differences(tests)))
    return found


def tables_of_groups(groups: pd.DataFrame) -> list[Table]:
    """Whom factors protect, a table for each of GROUPS.  groups: of `protected`"""
    note, found = "Share of nDCG by quartile (1: least), fourth less first [95% over users], p corrected for all of these tests.", []
    for by, part in groups.groupby("by", sort=False):
        shares = part[[f"quartile {n}" for n in range(1, 5)]].map(lambda share: "-" if np.isnan(share) else f"{share:.2f}")
        shown = shares.assign(**{"4 less 1": part.apply(_spread, axis=1)}).set_index(part["entry"] + ", " + part["of"])
        found.append(Table(f"Whom factors protect, by {by}", note, shown))
    return found


def _differences(tests: pd.DataFrame) -> pd.DataFrame:
    places = [title_of(place) for place in tests[["threat", "ball", "rho"]].itertuples(index=False, name=None)]
    texts = [_signed(difference) + ("" if p < LEVEL else " ?") for difference, p in zip(tests["difference"], tests["p_users"])]
    wide = tests.assign(place=places, text=texts).pivot(index="second", columns="place", values="text").rename_axis("entry")
    return wide[[title_of(place) for place in PLACES if title_of(place) in wide]].fillna("")


def _spread(row: pd.Series) -> str:
    if np.isnan(row["p"]):
        return "-"
    return f"{row['difference']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}], p {row['p']:.1g}"


def _style(entries: list[str]) -> dict[str, dict]:
    """Of each entry the colour and marker; open for the same factors with equal users."""
    names = list(dict.fromkeys(entry.removesuffix(EQUAL) for entry in entries))
    found = {}
    for entry in entries:
        place = names.index(entry.removesuffix(EQUAL))
        color = f"C{place % 10}"
        found[entry] = {"color": color, "marker": "osD^v*<>"[place % 8], "markerfacecolor": "white" if EQUAL in entry else color}
    return found


def front(points: pd.DataFrame) -> pd.DataFrame:
    """The points that no other point has both more accuracy and more robustness than, most accurate first.  points: x, y"""
    ordered = points.sort_values(["x", "y"], ascending=False)
    return ordered[ordered["y"] > ordered["y"].cummax().shift(fill_value=-np.inf)]


def front_figure(rows: pd.DataFrame) -> Figure:
    """Worst over unperturbed nDCG, a panel for each of GOALS and the certificate, a point for each entry with bars over seeds, the front a line."""
    picture, axes = panels(2, 4)
    entries = [entry for entry in sorted(rows["entry"].unique()) if entry not in BASELINES]
    style, still = _style(entries), at(rows, STILL).groupby("entry")["nDCG"]
    for axis, place in zip(axes.flat, (*GOALS, CERTIFIED)):
        left = at(rows, place).groupby("entry")["nDCG"]
        points = pd.DataFrame({"x": still.mean(), "y": left.mean(), "dx": still.std(), "dy": left.std()}).dropna(subset=["x", "y"])
        for entry in (each for each in entries if each in points.index):
            x, y, dx, dy = points.loc[entry].fillna(0)
            axis.errorbar(x, y, dy, dx, linestyle="", markersize=5, elinewidth=0.8, label=entry, **style[entry])
        line = front(points.drop(index=list(BASELINES), errors="ignore"))
        axis.step(line["x"], line["y"], where="post", color="#999999", linewidth=0.8, zorder=0)
        levels(axis, still.mean())
        axis.set(title=title_of(place))
        axis.set_ylim(bottom=0)
    for axis in axes[1]:
        axis.set_xlabel("unperturbed nDCG")
    for axis in axes[:, 0]:
        axis.set_ylabel("worst nDCG")
    legend(picture, axes, "outside lower center", columns=5)
    return picture


def groups_figure(groups: pd.DataFrame) -> Figure:
    """The share of nDCG that is left or certified over quartiles of users' activity and of test items' popularity, a line for each entry."""
    kinds = list(dict.fromkeys(groups["of"]))
    picture, axes = panels(len(kinds), len(GROUPS))
    entries = [entry for entry in sorted(groups["entry"].unique()) if entry not in BASELINES]
    style = _style(entries)
    for row, kind in zip(axes, kinds):
        for axis, by in zip(row, GROUPS):
            own = groups[(groups["of"] == kind) & (groups["by"] == by)].set_index("entry")
            for entry in (each for each in entries if each in own.index):
                axis.plot(range(1, 5), own.loc[entry, [f"quartile {n}" for n in range(1, 5)]], markersize=4, linewidth=1, label=entry, **style[entry])
            axis.set(title=kind, xticks=range(1, 5), xlabel=f"quartile of {by}", ylabel="share of nDCG")
            axis.set_ylim(bottom=0)
    legend(picture, axes, "outside lower center", columns=3)
    return picture
