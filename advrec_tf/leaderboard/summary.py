"""From the members of every ensemble to a leaderboard: the worst of them, whether they can be trusted, who pays, and one sentence on top."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from advrec_tf.evaluation import equal_harm, mean_interval
from advrec_tf.leaderboard import CERTIFICATE, VERSION
from advrec_tf.perturbations.ensemble import ALSO, NOISE
from advrec_tf.reporting.vocabulary import BASELINES, markdown, number

COLUMNS = (
    "entry",
    "seed",
    "threat",
    "budget",
    "ball",
    "rho",
    "member",
    "nDCG",
    "HR",
    "certified_nDCG",
    "certified_HR",
    "ICov",
    "EFD",
    "SE",
)
KEYS = ["entry", "seed", "threat", "ball", "rho"]  # of a row of `tidy`
THREATS = {
    "train": "knows the training pairs",
    "lists": "knows the lists that are shown",
    "test": "knows the held-out item",
    "alone": "knows one user's held-out item and cares for no other user",
}
VERDICT_AT = 0.05  # rho, l2
SURE = 0.01  # p of a paired test over users
IDLE = 0.5  # share of users' rows that all members leave where they are, above which a loss is flat
NONE = "none"  # the member that leaves factors as they are: no attacker does less harm than that
_RUN = ["entry", "factors", "seed", "budget", "threat", "ball"]
_CLEAN = _RUN[:4]
GROUPS = ("user activity", "item popularity")
DETAILS = (
    *COLUMNS,
    "factors",
    "k",
    "masked",
    *(f"{by} {quarter}" for by in GROUPS for quarter in range(1, 5)),
)
SPEC = (
    "source",
    "truncated_to",
    "normalized",
)  # of an entry: whose factors, their rank where truncated, users of equal norm
USERS = ("users", "certified_users")  # arrays of tested users' nDCG, which no file has

Kept = Iterable[tuple[dict[str, Any], dict[str, np.ndarray]]]


def complete(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The rows of entries that were measured at every point, and the names of the others, which an interrupted run has left."""
    counts = rows.groupby(["entry", "factors", "seed"])["nDCG"].transform("size")
    return rows[counts == counts.max()], sorted(rows.loc[counts < counts.max(), "entry"].unique())


def tidy(rows: pd.DataFrame, kept: Kept) -> pd.DataFrame:
    """The worst of the ensemble at every budget, with DETAILS and USERS: nDCG by quartile of users' activity and of test items' popularity, `masked`.

    What a smaller perturbation has done a larger one may do, so the worst of smaller budgets counts, and the smallest perturbation is none: the worst
    is never above the clean value, and its member is then NONE.  Who can make the attacks of another threat besides (ALSO) has them.

    `masked` says why the worst may be too good to be true (as Carlini et al. 2019 ask): noise of the same size did more harm, a larger budget less,
    or most users' rows were left where they are.
    rows, kept: of `read_results` and `read_users`, of `robustness.jobs`.  A name that stood for several factors is told apart by what they hold.
    """
    users = {_key(row): values for row, values in kept}
    groups = quarters(kept)
    bounds = rows[rows["threat"] == CERTIFICATE].set_index(
        ["entry", "factors", "seed", "budget", "ball", "rho"]
    )[["nDCG", "HR"]]
    clean = {
        tuple(row[name] for name in _CLEAN): row
        for row in rows[rows["threat"] == ""].to_dict("records")
    }
    found = []
    for name, part in _all_attacks(rows[rows["threat"] != CERTIFICATE]).groupby(_RUN, sort=False):
        for row in _worst(part, _nothing(clean.get(name[:4]), part, users), users, groups):
            bound = (
                bounds.loc[(*name[:4], name[5], row["rho"])]
                if (*name[:4], name[5], row["rho"]) in bounds.index
                else {}
            )
            certified = users.get(_key(row | {"made_for": CERTIFICATE, "member": ""}), {}).get(
                "nDCG"
            )
            found.append(
                row
                | {f"certified_{metric}": bound.get(metric, np.nan) for metric in ("nDCG", "HR")}
                | {"certified_users": certified}
            )
    frame = pd.DataFrame(found)
    several = frame.groupby(["entry", "seed"])["factors"].transform("nunique") > 1
    named = frame.assign(
        entry=frame["entry"].where(~several, frame["entry"] + " " + frame["factors"])
    )
    return named.sort_values(KEYS, ignore_index=True).reindex(columns=[*DETAILS, *USERS])


def _all_attacks(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of every threat, and beside them those of ALSO; the column `made_for` has the threat that each attack was made for."""
    found = [rows.assign(made_for=rows["threat"])]
    for threat in (each for each in ALSO if each in set(rows["threat"])):
        found += [
            rows[rows["threat"] == other].assign(threat=threat, made_for=other)
            for other in ALSO[threat]
        ]
    return pd.concat(found, ignore_index=True)


def _key(row: dict[str, Any]) -> tuple:
    names = ("entry", "factors", "seed", "budget", "ball", "member")
    # Whose last digit a reader of CSV may not keep.
    return *(row[name] for name in names), row.get("made_for", row["threat"]), f"{row['rho']:.12g}"


def _nothing(
    clean: dict[str, Any] | None, part: pd.DataFrame, users: dict[tuple, dict]
) -> dict[str, Any] | None:
    """The member NONE of a run, made of the clean row; None of the clean run itself, and where the row is lost."""
    threat, ball = part[["threat", "ball"]].iloc[0]
    if clean is None or not threat:
        return None
    return _with_users(clean, users) | {"threat": threat, "ball": ball, "member": NONE}


def _with_users(row: dict[str, Any], users: dict[tuple, dict]) -> dict[str, Any]:
    return row | {"users": users.get(_key(row), {}).get("nDCG")}


def _worst(
    part: pd.DataFrame,
    nothing: dict[str, Any] | None,
    users: dict[tuple, dict],
    groups: dict[str, np.ndarray],
) -> Iterable[dict[str, Any]]:
    """One row for each budget of a run, the smallest first.  nothing: the member NONE"""
    before = nothing
    for rho, members in part.groupby("rho"):
        rows = {row["member"]: _with_users(row, users) for row in members.to_dict("records")}
        noise = rows.pop(NOISE, None)
        own = min(rows.values(), key=lambda row: row["nDCG"])
        worst = own if before is None or own["nDCG"] <= before["nDCG"] else before | {"rho": rho}
        doubts = {
            "noise does more harm": noise is not None and _less(noise["users"], worst["users"]),
            "a larger budget does less harm": before is not None
            and _less(before["users"], own["users"]),
            "most rows have no gradient": min(row["idle"] for row in rows.values()) > IDLE,
        }
        before = worst
        shown = {name: value for name, value in worst.items() if name not in ("idle", "made_for")}
        yield (
            shown
            | {"masked": ", ".join(doubt for doubt, holds in doubts.items() if holds)}
            | _means(worst["users"], groups)
        )


def _less(first: np.ndarray | None, second: np.ndarray | None) -> bool:
    """Whether users' nDCG is smaller in the one than in the other, in the mean and beyond chance."""
    if first is None or second is None or np.array_equal(first, second):
        return False
    return bool(stats.ttest_rel(first, second, alternative="less").pvalue < SURE)


def quarters(kept: Kept) -> dict[str, np.ndarray]:
    """Which quarter each tested user belongs to, 1 to 4, by each of GROUPS, the same for all factors; equal values are parted by their order."""
    values = next((users for row, users in kept if not row["threat"]), {})
    return {
        by: 1 + 4 * np.argsort(np.argsort(values[by], kind="stable")) // len(values[by])
        for by in GROUPS
        if by in values
    }


def _means(users: np.ndarray | None, groups: dict[str, np.ndarray]) -> dict[str, float]:
    if users is None:
        return {}
    return {
        f"{by} {n}": float(np.mean(users[quarter == n]))
        for by, quarter in groups.items()
        for n in range(1, 5)
        if np.any(quarter == n)
    }


def quartiles(rows: pd.DataFrame) -> pd.DataFrame:
    """nDCG by quartile (1: least) of users' activity and of their test items' popularity, for every row of `tidy`, long."""
    groups = [name for name in DETAILS if name.startswith(GROUPS)]
    long = rows[[*KEYS, *groups]].melt(KEYS, groups, "group", "nDCG")
    parts = long.pop("group").str.rsplit(" ", n=1, expand=True)
    return long.assign(by=parts[0], quartile=parts[1].astype(int))


def half(rows: pd.DataFrame) -> pd.DataFrame:
    """The rho of the l2 ball at which half of an entry's nDCG is gone under each threat, mean over seeds, NaN where one stands it."""
    found = []
    for (entry, seed), part in rows.groupby(["entry", "seed"]):
        still = part.loc[part["threat"] == "", "nDCG"].iloc[0]
        for threat, own in part[part["ball"] == "l2"].groupby("threat"):
            found.append(
                (
                    entry,
                    seed,
                    threat,
                    equal_harm(own["rho"].to_numpy(), own["nDCG"].to_numpy(), still / 2),
                )
            )
    frame = pd.DataFrame(found, columns=["entry", "seed", "threat", "rho"])
    wide = (
        frame.groupby(["entry", "threat"])["rho"]
        .agg(lambda seeds: seeds.mean(skipna=False))
        .unstack()
    )
    return wide[[threat for threat in THREATS if threat in wide]]


def table(rows: pd.DataFrame, threat: str, value: str = "nDCG") -> pd.DataFrame:
    """Entries by what is left of them, a column for clean and one for each budget, mean over seeds; the best under attack first."""
    still = rows[rows["threat"] == ""].groupby("entry")[value.removeprefix("certified_")].mean()
    wide = rows[rows["threat"] == threat].pivot_table(
        index="entry", columns=["ball", "rho"], values=value
    )
    wide.columns = [f"{ball} {rho:.4g}" for ball, rho in wide.columns]
    return wide.assign(clean=still)[["clean", *wide.columns]].sort_values(
        verdict_column(wide), ascending=False
    )


def verdict_column(wide: pd.DataFrame) -> str:
    """The budget of a `table` by which entries are ordered."""
    wanted, there = f"l2 {VERDICT_AT:g}", [name for name in wide.columns if name != "clean"]
    return wanted if wanted in there else there[0]


def threats(rows: pd.DataFrame) -> dict[str, str]:
    """Those of THREATS that there are rows of."""
    return {threat: knows for threat, knows in THREATS.items() if threat in set(rows["threat"])}


def verdicts(rows: pd.DataFrame) -> list[str]:
    """One sentence for each threat, the worst case of a shared table first: who keeps most, beside the most accurate and what learns nothing."""
    found, everything = [], rows
    rows = rows if set(rows["entry"]) <= set(BASELINES) else rows[~rows["entry"].isin(BASELINES)]
    for threat, knows in sorted(threats(rows).items(), key=lambda item: item[0] != "test"):
        wide = table(rows, threat)
        column, winner, accurate = (
            verdict_column(wide),
            wide.index[0],
            wide.sort_index()["clean"].idxmax(),
        )  # of the same lists the plain name
        text = f"{winner} keeps most ({number(wide.loc[winner, column])} of {number(wide.loc[winner, 'clean'])})"
        if winner != accurate:
            text += f"; the most accurate, {accurate}, {number(wide.loc[accurate, column])} of {number(wide.loc[accurate, 'clean'])}"
        found.append(
            f"Against an attacker who {knows}, at {column}: {text}{_baseline(everything, threat, column, wide.loc[winner, column])}."
        )
    return found


def _baseline(rows: pd.DataFrame, threat: str, column: str, winner: float) -> str:
    """Name the recommender that learns next to nothing and has more nDCG than the winner.

    Its value is that under the same attack, or the clean one where it was not attacked.
    """
    baselines = rows[rows["entry"].isin(BASELINES)]
    clean = baselines[baselines["threat"] == ""].groupby("entry")["nDCG"].mean()
    attacked = (
        table(baselines, threat)[column]
        if threat in set(baselines["threat"])
        else pd.Series(dtype=float)
    )
    values = attacked.reindex(clean.index).fillna(clean)
    if values.empty or values.max() <= winner:
        return ""
    best = values.idxmax()
    how = "under the same attack" if best in attacked.index else "clean"
    return f"; {best}, which learns next to nothing, has {number(values[best])} {how}"


class Section(NamedTuple):
    """A table of a report, and the metric in its cells."""

    title: str
    table: pd.DataFrame
    metric: str = "nDCG"

    def shown(self, value: float) -> str:
        """A cell as text."""
        return number(value, self.metric)


def sections(rows: pd.DataFrame) -> list[Section]:
    """The tables of a report."""
    k = f"@{rows['k'].iloc[0]:.0f}"
    found = [
        Section(f"{threat}: worst nDCG{k} against an attacker who {knows}", table(rows, threat))
        for threat, knows in threats(rows).items()
    ]
    if rows["certified_nDCG"].notna().any():
        found.append(
            Section(
                f"Certified nDCG{k}: what no attack can take", table(rows, "test", "certified_nDCG")
            )
        )
    found.append(Section("Epsilon in the l2 ball at which half of nDCG is lost", half(rows)))
    least = f"where an attacker who {THREATS['train']} leaves least nDCG"
    found += [
        Section(f"{name} {least}", table(rows, "train", name), name)
        for name in ("ICov", "EFD", "SE")
    ]
    paying = ((by, _paying(rows, by)) for by in GROUPS)
    return found + [
        Section(
            f"Who pays: nDCG by quartile of {by} (1: least), clean and under test at {_shown(rows)}",
            wide,
        )
        for by, wide in paying
    ]


def _shown(rows: pd.DataFrame) -> str:
    return verdict_column(table(rows, "test"))


def _paying(rows: pd.DataFrame, by: str) -> pd.DataFrame:
    own = quartiles(rows)
    own = own[
        (own["by"] == by)
        & ((own["threat"] == "") | ((own["threat"] == "test") & (_budget(own) == _shown(rows))))
    ]
    wide = own.pivot_table(index="entry", columns=["threat", "quartile"], values="nDCG")
    wide.columns = [f"{quartile}, {threat or 'clean'}" for threat, quartile in wide.columns]
    return wide


def _budget(rows: pd.DataFrame) -> pd.Series:
    return (
        rows["ball"] + " " + rows["rho"].map("{:.4g}".format).astype(str)
    )  # which mapping leaves numbers where there are no rows


def doubts(rows: pd.DataFrame) -> list[str]:
    """Where an ensemble may be too weak, and why, a line each."""
    masked = rows[rows["masked"] != ""]
    places = masked.assign(at=masked["threat"] + ", " + _budget(masked))
    return [
        f"{entry}: {why} ({'; '.join(dict.fromkeys(part['at']))})"
        for (entry, why), part in places.groupby(["entry", "masked"])
    ]


EXPLAINED = (
    "Epsilon bounds each row of a perturbation (l2) or each of its elements (linf). It is relative: a share of the "
    "root mean square of the table's row norms, for normalised factors, so no scale, basis or shift of the factors "
    "changes a figure. Each cell is the worst of an ensemble of attacks, and never above the clean value, because an "
    "attacker can do nothing. The true worst case lies between this cell and the certificate, where there is one."
)


def older(record: dict[str, Any] | None) -> str:
    """Say that a board was measured with an earlier version of the ensemble, or return "".  record: of `read_record`"""
    version = ((record or {}).get("config") or {}).get("versions", {}).get("robustness", VERSION)
    if version == VERSION:
        return ""
    return (
        f"This board was measured with version {version} of the ensemble. Version {VERSION} is stronger: it leaves less, so no figure here can be "
        "compared with one of a board of that version."
    )


def report(rows: pd.DataFrame, dataset: str, first: Sequence[str] = ()) -> str:
    """Return report.md.  first: sentences that stand above all others"""
    sentences = [f"- {each}" for each in (*first, *verdicts(rows))]
    parts = [f"# Robustness of factors on {dataset}\n", *sentences, f"\n{EXPLAINED}\n"]
    for each in sections(rows):
        cells = [[str(name), *map(each.shown, row)] for name, row in each.table.iterrows()]
        parts.append(
            f"\n## {each.title}\n\n" + markdown(["entry", *map(str, each.table.columns)], cells)
        )
    parts.append(
        f"\n## Clean and worst nDCG: mean over trainings [95% over trainings, not corrected]\n\n{_seeds(rows)}"
    )
    if told := doubts(rows):
        parts.append(
            "\n## Where the ensemble may be too weak\n\n"
            + "\n".join(f"- {line}" for line in told)
            + "\n"
        )
    return "\n".join(parts)


def _seeds(rows: pd.DataFrame) -> str:
    own = rows[
        (rows["threat"] == "") | ((rows["ball"] == "l2") & np.isclose(rows["rho"], VERDICT_AT))
    ]
    lines, there = [], threats(rows)
    for entry, part in own.groupby("entry"):
        cells = [_interval(part[part["threat"] == threat]["nDCG"]) for threat in ("", *there)]
        lines.append([str(entry), str(part["seed"].nunique()), *cells])
    return markdown(
        ["entry", "trainings", "clean", *(f"{threat}, l2 {VERDICT_AT:g}" for threat in there)],
        lines,
    )


def _interval(values: pd.Series) -> str:
    if len(values) < 2:
        return "" if values.empty else number(values.iloc[0])
    low, high = mean_interval(values.to_numpy())
    return f"{number(values.mean())} [{number(low)}, {number(high)}]"
