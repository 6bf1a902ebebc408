"""Tables of poisoned and defended recommenders: published beside measured."""

from pathlib import Path

import numpy as np
import pandas as pd

from advrec_tf.evaluation import TARGET_NAMES, paired_test
from advrec_tf.reporting import published
from advrec_tf.reporting.results import victim_path
from advrec_tf.reporting.tables import markdown, number

POINT = ["dataset", "model", "group", "defense", "patch", "rank", "share", "attack", "profiles", "k"]
MAIN = ("Recall", "HR", "target_Recall", "target_HR")


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean and deviation over victim seeds of every metric, and the published value where there is one, in long form.

    One row for a point of `POINT` and a metric: mean, sd, seeds, published, difference (percent of the published).
    """
    names = [name for name in (*TARGET_NAMES, "RMSE") if rows[name].notna().any()]
    long = rows.melt([*POINT, "seed"], names, "metric", "value")
    table = long.groupby([*POINT, "metric"], sort=False, dropna=False)["value"].agg(mean="mean", sd="std", seeds="count").reset_index()
    table = table.merge(published.lowrank(), how="left", on=["dataset", "model", "group", "defense", "patch", "rank", "attack", "k", "metric"])
    table = table.sort_values(["model", "group", "defense", "patch", "rank", "share", "attack"], key=_in_order, kind="stable")
    return table.assign(difference=100 * (table["mean"] - table["published"]) / table["published"])


def _in_order(column: pd.Series) -> pd.Series:
    """What was not done comes first, patches by size."""
    if pd.api.types.is_numeric_dtype(column):
        return column
    return column.astype(object).map(lambda text: {"none": "", "full": "~"}.get(text, text.zfill(12)))


def cell(row: pd.Series) -> str:
    """published / mean ± sd (difference), or what there is of it."""
    measured = number(row["mean"], row["metric"]) + ("" if pd.isna(row["sd"]) else f" ± {number(row['sd'], row['metric'])}")
    if pd.isna(row["published"]):
        return measured
    return f"{number(row['published'], row['metric'])} / {measured} ({row['difference']:+.1f}%)"


def lines(table: pd.DataFrame, names: list[str], metrics: tuple[str, ...]) -> str:
    """A Markdown table with a line a point (told by the columns `names`) and a column a metric."""
    body = []
    for _, part in table.groupby(POINT, sort=False, dropna=False):
        cells = {row["metric"]: cell(row) for _, row in part.iterrows()}
        first = part.iloc[0]
        body.append([_name(first[name]) for name in names] + [cells.get(metric, "") for metric in metrics])
    return markdown([*names, *metrics], body)


def _name(value) -> str:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:g}"
    return str(value)


def before_and_after(rows: pd.DataFrame, folder: Path) -> str:
    """For each attack on each group: how target_HR and HR changed, with a paired test over users whose values are means over victim seeds."""
    undefended = rows[rows["defense"] == "none"]
    body = []
    for (dataset, model, group, attack), part in undefended[undefended["attack"] != "none"].groupby(
        ["dataset", "model", "group", "attack"], sort=False
    ):
        clean = undefended[(undefended["attack"] == "none") & (undefended["group"] == group) & (undefended["model"] == model)]
        if clean.empty:
            continue
        cells = []
        for metric in ("target_HR", "HR"):
            means = [_users(found, folder, metric) for found in (clean, part)]
            if any(values is None for values in means):
                cells += ["", ""]
                continue
            difference, p = paired_test(means[1], means[0])
            cells += [f"{means[0].mean():.4f} -> {means[1].mean():.4f} ({100 * difference / max(means[0].mean(), 1e-12):+.1f}%)", f"{p:.4f}"]
        body.append([dataset, model, group, attack, *cells])
    return markdown(["data", "victim", "targets", "attack", "target_HR", "p", "HR", "p"], body) if body else ""


def _users(rows: pd.DataFrame, folder: Path, metric: str) -> np.ndarray | None:
    """The users' own values of a metric, mean over victim seeds."""
    found = []
    for _, row in rows.iterrows():
        key = {name: (int(value) if isinstance(value, float) and value == int(value) else value) for name, value in row.items() if not pd.isna(value)}
        path = victim_path(folder, key)
        if not path.exists():
            return None
        with np.load(path, allow_pickle=False) as file:
            found.append(file[metric].astype(np.float64))
    return np.mean(found, axis=0)


def poison_report(rows: pd.DataFrame, folder: Path, likenesses: str) -> str:
    """report.md of the poison experiment."""
    parts = ["# Poisoned recommenders\n"]
    parts.append(
        f"Real users with test items, top-{rows['k'].iloc[0]:.0f} lists; {rows['seed'].nunique()} victim seed(s) on one set of profiles an attack. "
        "Cells: published / mean ± deviation over victim seeds (difference), or measured alone. A target that a user knows counts as not shown.\n"
    )
    table = summary(rows)
    for model, part in table.groupby("model", sort=False):
        parts.append(f"\n## {model}\n")
        parts.append(lines(part, ["group", "attack"], MAIN))
        rest = [name for name in ("Precision", "nDCG", "target_rank", "EFD", "SE", "ICov", "RMSE") if (part["metric"] == name).any()]
        parts.append(lines(part, ["group", "attack"], tuple(rest)))
    parts.append("\n## Before and after, over users\n\n" + before_and_after(rows, folder))
    if (table["published"].notna() & (table["attack"] == "recsys20") & (table["k"] == 50)).any():
        parts.append(published.CONTRADICTION)
    return "\n".join([*parts, likenesses])


def defense_report(rows: pd.DataFrame, title: str, metrics: tuple[str, ...] = MAIN) -> str:
    """report.md of a table or figure of defences: published beside measured, and what a defence costs beyond accuracy."""
    table = summary(rows)
    shown = [
        name
        for name in ("model", "defense", "patch", "rank", "share", "attack")
        if table[name].nunique(dropna=False) > 1 or name in ("defense", "attack")
    ]
    rest = [name for name in (*TARGET_NAMES, "RMSE") if name not in metrics and (table["metric"] == name).any()]
    parts = [
        f"# {title}\n",
        f"{table['dataset'].iloc[0]}, top-{rows['k'].iloc[0]:.0f} lists of real users, {rows['seed'].nunique()} victim seed(s). "
        "Cells: published / mean ± deviation over victim seeds (difference), or measured alone.\n",
        lines(table, shown, metrics),
        "\n## Beyond\n",
        lines(table, shown, tuple(rest)),
    ]
    return "\n".join(parts) + (published.CONTRADICTION if (table["dataset"] == "gowalla").any() else "")
