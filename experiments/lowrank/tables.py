"""Tables of poisoned and defended recommenders: published beside measured."""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from advrec_tf.evaluation import TARGET_NAMES, paired_test
from advrec_tf.execution.results import read_users
from advrec_tf.poisoning import LIKENESS
from advrec_tf.reporting.vocabulary import cell, markdown, plain

from . import paper

_SETTING = ["defense", "patch", "rank", "share", "kernel", "components"]
POINT = ["dataset", "model", "group", *_SETTING, "attack", "profiles", "k"]
MAIN = ("Recall", "HR", "target_Recall", "target_HR")


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean and deviation over victim seeds of every metric, and the published value where there is one, in long form.

    One row for a point of `POINT` and a metric: mean, sd, seeds, published, difference (percent of the published).
    """
    rows = victims(rows)
    names = [name for name in (*TARGET_NAMES, "RMSE") if rows[name].notna().any()]
    long = rows.melt([*POINT, "seed"], names, "metric", "value")
    table = (
        long.groupby([*POINT, "metric"], sort=False, dropna=False)["value"]
        .agg(mean="mean", sd="std", seeds="count")
        .reset_index()
    )
    printed = (
        paper.tables() if rows.attrs.get("statistics", {}).get("published") else paper.tables()[:0]
    )
    keys = [name for name in printed.columns if name != "published"]
    table = table.merge(printed, how="left", on=keys)
    table = table.sort_values(["model", "group", *_SETTING, "attack"], key=in_order, kind="stable")
    return table.assign(difference=100 * (table["mean"] - table["published"]) / table["published"])


def victims(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of trained recommenders, among them those of detectors and of likeness."""
    return rows[rows["model"] != ""]


def in_order(column: pd.Series) -> pd.Series:
    """What was not done comes first, patches by size."""
    if pd.api.types.is_numeric_dtype(column):
        return column
    return column.astype(object).map(
        lambda text: {"none": "", "full": "~"}.get(text, text.zfill(12))
    )


def lines(table: pd.DataFrame, names: list[str], metrics: tuple[str, ...]) -> str:
    """A Markdown table with a line a point (told by the columns `names`) and a column a metric."""
    body = []
    for _, part in table.groupby(POINT, sort=False, dropna=False):
        cells = {row["metric"]: cell(row) for _, row in part.iterrows()}
        first = part.iloc[0]
        body.append(
            [plain(first[name]) for name in names] + [cells.get(metric, "") for metric in metrics]
        )
    return markdown([*names, *metrics], body)


def before_and_after(rows: pd.DataFrame, folder: Path) -> str:
    """For each attack on each group: how target_HR and HR changed, with a paired test over users whose values are means over victim seeds."""
    undefended = victims(rows)[victims(rows)["defense"] == "none"]
    kept = read_users(folder)
    body = []
    for (dataset, model, group, attack), _ in undefended[undefended["attack"] != "none"].groupby(
        ["dataset", "model", "group", "attack"], sort=False
    ):
        cells = []
        for metric in ("target_HR", "HR"):
            means = []
            for name in ("none", attack):
                at = {"model": model, "group": group, "attack": name, "defense": "none"}
                found = [
                    np.float64(users[metric])
                    for row, users in kept
                    if all(row.get(key) == value for key, value in at.items())
                ]
                means += [np.mean(found, axis=0)] if found else []
            if len(means) < 2:
                break
            difference, p = paired_test(means[1], means[0])
            change = 100 * difference / max(means[0].mean(), 1e-12)
            cells += [
                f"{means[0].mean():.4f} -> {means[1].mean():.4f} ({change:+.1f}%)",
                f"{p:.4f}",
            ]
        if cells:
            body.append([dataset, model, group, attack, *cells])
    return (
        markdown(["data", "victim", "targets", "attack", "target_HR", "p", "HR", "p"], body)
        if body
        else ""
    )


def likenesses(rows: pd.DataFrame) -> str:
    """How close each attack's profiles are to real ones, as a table."""
    own = (
        rows[(rows["model"] == "") & rows[list(LIKENESS)].notna().any(axis=1)]
        if set(LIKENESS) <= set(rows.columns)
        else rows[:0]
    )
    if own.empty:
        return ""
    lines = [
        [row["group"], row["attack"], *(f"{row[name]:.4f}" for name in LIKENESS)]
        for _, row in own.iterrows()
    ]
    return "\n## How close the fake profiles are to real ones\n\n" + markdown(
        ["targets", "attack", *LIKENESS], lines
    )


def poison_report(rows: pd.DataFrame, folder: Path) -> str:
    """report.md of the poison experiment."""
    parts = ["# Poisoned recommenders\n"]
    parts.append(
        f"Real users with test items, top-{rows['k'].max():.0f} lists; {rows['seed'].nunique()} victim seed(s) on one set of profiles an attack. "
        "Cells: published / mean ± deviation over victim seeds (difference), or measured alone. A target that a user knows counts as not shown.\n"
    )
    table = summary(rows)
    for model, part in table.groupby("model", sort=False):
        parts.append(f"\n## {model}\n")
        parts.append(lines(part, ["group", "attack"], MAIN))
        rest = [
            name
            for name in (
                "Precision",
                "nDCG",
                "target_rank",
                "target_score",
                "EFD",
                "SE",
                "ICov",
                "RMSE",
            )
            if (part["metric"] == name).any()
        ]
        parts.append(lines(part, ["group", "attack"], tuple(rest)))
    tested = before_and_after(rows, folder)
    parts += [
        paper.TARGET_MEASURES,
        f"\n## Before and after, over users\n\n{tested}" if tested else "",
        _contradiction(table),
    ]
    return "\n".join([*parts, likenesses(rows)])


def defense_report(rows: pd.DataFrame, title: str, metrics: tuple[str, ...] = MAIN) -> str:
    """report.md of a table or figure of defences: published beside measured, and what a defence costs beyond accuracy."""
    table = summary(rows)
    shown = [
        name
        for name in ("model", *_SETTING, "attack")
        if table[name].nunique(dropna=False) > 1 or name in ("defense", "attack")
    ]
    rest = [
        name
        for name in (*TARGET_NAMES, "RMSE")
        if name not in metrics and (table["metric"] == name).any()
    ]
    parts = [
        f"# {title}\n",
        f"{table['dataset'].iloc[0]}, top-{table['k'].iloc[0]:.0f} lists of real users, {rows['seed'].nunique()} victim seed(s). "
        "Cells: published / mean ± deviation over victim seeds (difference), or measured alone.\n",
        lines(table, shown, metrics),
        paper.TARGET_MEASURES,
        "\n## Beyond\n",
        lines(table, shown, tuple(rest)),
    ]
    return "\n".join(parts) + noise(table) + _contradiction(table)


def printed_changes(table: pd.DataFrame) -> pd.DataFrame:
    """The printed changes of target HR by each attack and defence (by, attack, change), beside the noise of one run: what two victims on the same
    undefended data that differ in their seed alone differ by, 19 times of 20, at the target HR p that is printed before the change.  The deviation
    over seeds is measured at our own p, and taken to go with the root of p (1 - p), as that of a share of users does.

    table: what `summary` returns; only what has several seeds is there
    """
    own, found = table[(table["metric"] == "target_HR") & table["published"].notna()], []
    undefended = own[own["defense"] == "none"].set_index("attack")
    for _, row in own.iterrows():
        before = "none" if row["defense"] == "none" else row["attack"]
        if (
            row["defense"] == row["attack"] == "none"
            or before not in undefended.index
            or not undefended.loc[before, "seeds"] > 1
        ):
            continue
        base = undefended.loc[before]
        at_print, at_ours = (share * (1 - share) for share in (base["published"], base["mean"]))
        reach = stats.t.ppf(0.975, base["seeds"] - 1) * np.sqrt(2 * at_print / at_ours) * base["sd"]
        by = (
            " ".join(plain(row[name]) for name in ("defense", "patch", "rank") if plain(row[name]))
            if row["defense"] != "none"
            else "the attack"
        )
        found.append(
            {
                "by": by,
                "attack": row["attack"],
                "change": row["published"] - base["published"],
                "noise": reach,
            }
        )
    table = pd.DataFrame(found, columns=["by", "attack", "change", "noise"])
    return table.assign(
        verdict=np.where(table["change"].abs() < table["noise"], "within", "beyond")
    )


def noise(table: pd.DataFrame) -> str:
    """`printed_changes` in words, "" where there are none."""
    lines = [
        [row["by"], row["attack"], f"{row['change']:+.4f}", f"{row['noise']:.4f}", row["verdict"]]
        for _, row in printed_changes(table).iterrows()
    ]
    told = "\n## Printed changes of target HR beside the noise of one run\n\nTwo single runs on the same undefended data that differ in the "
    told += "victim's seed alone differ by less than the noise with 95% probability. The deviation over our victim seeds is scaled to "
    told += "the printed target HR by the root of p (1 - p).\n\n"
    return (
        told + markdown(["by", "attack", "printed change", "noise", "the change is"], lines)
        if lines
        else ""
    )


def _contradiction(table: pd.DataFrame) -> str:
    """What is to be said where the printed attacked row stands beside ours."""
    printed = table[
        table["published"].notna() & (table["attack"] == "recsys20") & (table["k"] == 50)
    ]
    return "" if printed.empty else paper.CONTRADICTION
