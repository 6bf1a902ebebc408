"""The page of the threat model promote."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from advrec_tf.evaluation import mean_interval
from advrec_tf.leaderboard.promotion import ALL, EPSILONS, FAKES, OWN
from advrec_tf.reporting.vocabulary import BASELINES, markdown, number

SHARES = (0.01, 0.1, 0.5)  # of all lists
SHOWN_AT = (0.01, 0.02, 0.05, 0.1)  # epsilons
VERDICT = 0.01  # the share of lists in the answer, which is about unpopular items
UNPOPULAR = "tail"


def reaching(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the epsilon at which target HR reaches each of SHARES, mean over seeds.

    Between measured epsilons it is interpolated; NaN where no measured epsilon suffices.
    Columns: entry, group, rows, and the shares.
    """
    attacked = rows[rows["rows"] != FAKES]
    curves = attacked.groupby(["entry", "group", "rows", "epsilon"])["target_HR"].mean()
    table = []
    for key, curve in curves.groupby(level=[0, 1, 2], sort=False):
        epsilons = curve.index.get_level_values("epsilon").to_numpy()
        table.append((*key, *(_crossing(epsilons, curve.to_numpy(), share) for share in SHARES)))
    return pd.DataFrame(table, columns=["entry", "group", "rows", *SHARES])


def _crossing(epsilons: np.ndarray, values: np.ndarray, level: float) -> float:
    """Return the epsilon at which rising values reach a level, NaN where they do not."""
    above = np.flatnonzero(values >= level)
    if not len(above):
        return float("nan")
    n = above[0]
    if n == 0:
        return float(epsilons[0])
    return float(np.interp(level, values[n - 1 : n + 1], epsilons[n - 1 : n + 1]))


def _unpopular(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the epsilons of unpopular items' own rows: a row an entry, a column each of SHARES."""
    table = reaching(rows)
    part = table[(table["rows"] == OWN) & (table["group"] == UNPOPULAR)]
    return part.set_index("entry")[list(SHARES)]


def answer(rows: pd.DataFrame) -> str:
    """Say what user-normalising does to promotion, and between what epsilons entries lie."""
    epsilons = _unpopular(rows)[VERDICT]
    needed = epsilons.drop(list(BASELINES), errors="ignore").fillna(np.inf).sort_values()
    lines = []
    if easier := _easier(rows, epsilons):
        lines.append(easier)
    if len(needed):
        least, most = (_said(needed.iloc[n], needed.index[n]) for n in (0, -1))
        lines.append(
            f"An unpopular item enters {VERDICT:.0%} of all lists when its row alone moves by "
            f"{least} to {most} of the typical length."
        )
    return "\n".join(lines)


def _said(epsilon: float, entry: str) -> str:
    """Return an epsilon and its entry as text."""
    known = f"{epsilon:.2g}" if np.isfinite(epsilon) else f"more than {EPSILONS[-1]:g}"
    return f"{known} ({entry})"


def _easier(rows: pd.DataFrame, epsilons: pd.Series) -> str:
    """Say whether user-normalising makes promotion easier, over pairs of entries."""
    keys = ["model", "model_rank", "truncated_rank"]
    entries = rows.groupby("entry")[[*keys, "user_normalized"]].first()
    entries["epsilon"] = epsilons
    pairs = entries[~entries["user_normalized"]].merge(
        entries[entries["user_normalized"]], on=keys, suffixes=("", "_normalized")
    )
    pairs = pairs[["epsilon", "epsilon_normalized"]]
    known = pairs[(pairs > 0).all(axis=1)].dropna()  # pushed at all, and by a measured epsilon
    if len(known) < 3:
        return ""
    logs = np.log(known["epsilon_normalized"] / known["epsilon"])
    low, high = np.exp(mean_interval(logs.to_numpy()))
    says = "makes promotion easier" if high < 1 else "makes promotion harder"
    says = says if high < 1 or low > 1 else "does not change promotion clearly"
    left_out = f"; {len(pairs) - len(known)} have none" if len(pairs) > len(known) else ""
    return (
        f"User-normalising, a defence against degradation, {says}: the epsilon is "
        f"{np.exp(logs.mean()):.2f} [{low:.2f}, {high:.2f}] times as large (geometric mean, 95% "
        f"interval over {len(known)} pairs of entries{left_out})."
    )


def report(rows: pd.DataFrame, dataset: str) -> str:
    """Return report.md without the answer."""
    parts = [
        f"# How far rows must move to promote an item on {dataset}\n",
        "Epsilon is a share of the RMS row norm of the table, in canonical form. Five random items "
        "of each group are pushed, each alone; cells are means over items and seeds. `target`: the "
        "item's own row moves. `all`: all rows of users and items move. After the slash is the "
        "bound that no move of that epsilon exceeds. It takes each user alone, so it is exact for "
        "one user when the target's row moves.\n",
    ]
    means = rows.groupby(["entry", "group", "rows", "epsilon"])[["target_HR", "bound"]].mean()
    table = reaching(rows)
    for moved in (OWN, ALL):
        lines = []
        for key in table[table["rows"] == moved].itertuples(index=False):
            curve = means.loc[(key.entry, key.group, moved)]
            cells = [
                f"{number(row.target_HR)} / {number(row.bound)}"
                for row in curve.loc[[0.0, *SHOWN_AT]].itertuples()
            ]
            needed = [f"{value:.3f}" if np.isfinite(value) else "more" for value in key[3:]]
            lines.append([key.entry, key.group, *cells, *needed])
        header = ["entry", "targets", "clean", *(f"HR at {epsilon:g}" for epsilon in SHOWN_AT)]
        header += [f"epsilon for {share:.0%}" for share in SHARES]
        parts.append(f"\n## Rows that move: {moved}\n\n" + markdown(header, lines))
    return "\n".join([*parts, _fakes(rows)])


def _fakes(rows: pd.DataFrame) -> str:
    """Return what fake users reach, beside an attack of the epsilon by which they move targets."""
    keys = ["entry", "group"]
    fakes = rows[rows["rows"] == FAKES].groupby(keys, sort=False)[["moved", "target_HR"]].mean()
    attacks = rows[rows["rows"] == OWN].groupby([*keys, "epsilon"])["target_HR"].mean()
    lines = []
    for key, row in fakes.iterrows():
        curve = attacks.loc[key]
        same = number(np.interp(row["moved"], curve.index, curve))
        values = curve.loc[0.0], row["target_HR"], row["moved"]
        beyond = row["moved"] > curve.index[-1]
        cells = [*map(number, values), f"at least {same}" if beyond else same]
        lines.append([*map(str, key), *cells])
    if not lines:
        return ""
    header = ["entry", "targets", "clean HR", "HR with fakes", "epsilon of the targets' rows"]
    return f"\n## Fake users: {FAKES}\n\n" + markdown(
        [*header, "HR of an attack of that epsilon"], lines
    )


def figure(rows: pd.DataFrame) -> Figure:
    """Plot the epsilon of an unpopular item's row over the share of lists, by entry."""
    wide = _unpopular(rows).sort_values(VERDICT)
    made = Figure(figsize=(7, 1.2 + 0.28 * len(wide)), layout="constrained")
    axis = made.subplots()
    for color, share in zip(("C3", "C1", "C0"), SHARES):
        label = f"{share:.0%} of all lists"
        axis.plot(wide[share], range(len(wide)), "o", color=color, label=label, markersize=5)
    axis.set_yticks(range(len(wide)), wide.index)
    axis.set_xlabel("epsilon of the row of an unpopular item")
    axis.set_xlim(left=0)
    axis.legend(fontsize=8, frameon=False)
    return made
