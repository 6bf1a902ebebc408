"""Tables of poisoned and defended recommenders: published beside measured."""

from collections.abc import Iterator
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
METRICS = (*TARGET_NAMES, "RMSE")
FURTHER = ("Precision", "nDCG", "target_rank", "target_score", "EFD", "SE", "ICov", "RMSE")
MOST_LINES = 6  # of an answer
CELLS = "Cells: published / mean ± deviation over victim seeds (difference), or measured alone."


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Return mean and deviation over victim seeds of every metric, in long form.

    There is a row for each point (`POINT`, and the attack seed if the rows name it) and metric:
    mean, sd, seeds, published, and the difference in percent of the published value.
    """
    rows = victims(rows)
    more_keys = ["attack_seed"] if "attack_seed" in rows else []
    point = [*POINT, *more_keys]
    names = [name for name in METRICS if rows[name].notna().any()]
    long = rows.melt([*point, "seed"], names, "metric", "value")
    groups = long.groupby([*point, "metric"], sort=False, dropna=False)["value"]
    table = groups.agg(mean="mean", sd="std", seeds="count").reset_index()
    published = paper.tables()
    if not rows.attrs.get("statistics", {}).get("published"):
        published = published[:0]
    keys = [name for name in published.columns if name != "published"]
    table = table.merge(published, how="left", on=keys)
    order = ["model", "group", *_SETTING, "attack", *more_keys]
    table = table.sort_values(order, key=sort_key, kind="stable")
    return table.assign(difference=100 * (table["mean"] - table["published"]) / table["published"])


def answer(rows: pd.DataFrame) -> str:
    """Return a line for each victim and attack: target HR before and after it, and defended.

    The defended range is over all defences and their settings. After MOST_LINES lines one line says
    how many more the report has.
    """
    texts = []
    for (model, group), part in victims(rows).groupby(["model", "group"], sort=False):
        clean = part[(part["attack"] == "none") & (part["defense"] == "none")]["target_HR"].mean()
        for attack, attacked in part[part["attack"] != "none"].groupby("attack", sort=False):
            values = attacked.groupby(_SETTING, dropna=False)["target_HR"].mean().reset_index()
            undefended = values["defense"] == "none"
            text = f"{model}, targets of the {group}: target HR@{part['k'].iloc[0]:.0f} {clean:.4f}"
            text += f", under {attack} {values[undefended]['target_HR'].mean():.4f}"
            if not undefended.all():
                defended = values[~undefended]["target_HR"]
                text += f", defended {defended.min():.4f} to {defended.max():.4f}"
            texts.append(f"- {text}")
    hidden = len(texts) - MOST_LINES
    if hidden > 0:
        texts[MOST_LINES:] = [f"- The report has {hidden} more."]
    return "\n".join(texts)


def victims(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of recommenders, without those of detectors and of profiles."""
    return rows[rows["model"] != ""]


def seed_column(table: pd.DataFrame) -> list[str]:
    """Return the name of the column of attack seeds in a list, [] unless there are several."""
    return ["attack_seed"] if "attack_seed" in table and table["attack_seed"].nunique() > 1 else []


def sort_key(column: pd.Series) -> pd.Series:
    """Return a key that puts "none" first and sorts patches by size."""
    if pd.api.types.is_numeric_dtype(column):
        return column
    ends = {"none": "", "full": "~"}
    return column.astype(object).map(lambda text: ends.get(text, text.zfill(12)))


def lines(table: pd.DataFrame, names: list[str], metrics: tuple[str, ...]) -> str:
    """Return a Markdown table with a line for each point and a column for each metric.

    names: the columns that are shown of a point.
    """
    body = []
    for _, part in table.groupby([*POINT, *seed_column(table)], sort=False, dropna=False):
        cells = {row["metric"]: cell(row) for _, row in part.iterrows()}
        point = [plain(part.iloc[0][name]) for name in names]
        body.append(point + [cells.get(metric, "") for metric in metrics])
    return markdown([*names, *metrics], body)


def before_and_after(rows: pd.DataFrame, folder: Path) -> str:
    """Return a table of how each attack changes target HR and HR, "" without attacks.

    The tests are paired over users, whose values are means over all seeds.
    """
    undefended = victims(rows).query("defense == 'none' and attack != 'none'")
    keys = ["dataset", "model", "group", "attack"]
    stored = [(row, users) for row, users in read_users(folder) if row.get("defense") == "none"]
    body = []
    for dataset, model, group, attack in undefended[keys].drop_duplicates().to_numpy():
        values: dict[str, list] = {"none": [], attack: []}
        for row, users in stored:
            if (row.get("model"), row.get("group")) == (model, group) and row["attack"] in values:
                values[row["attack"]].append(users)
        if values["none"] and values[attack]:
            changes = _changes_over_users(values["none"], values[attack])
            body.append([dataset, model, group, attack, *changes])
    header = ["data", "victim", "targets", "attack", "target_HR", "p", "HR", "p"]
    return markdown(header, body) if body else ""


def _changes_over_users(before: list, after: list) -> Iterator[str]:
    """Yield the change of target HR and of HR, each followed by its p."""
    for metric in ("target_HR", "HR"):
        first, second = (
            np.mean([np.float64(users[metric]) for users in runs], axis=0)
            for runs in (before, after)
        )
        difference, p = paired_test(second, first)
        percent = 100 * difference / max(first.mean(), 1e-12)
        yield f"{first.mean():.4f} -> {second.mean():.4f} ({percent:+.1f}%)"
        yield f"{p:.4f}"


def likenesses(rows: pd.DataFrame) -> str:
    """Return a section on how close each attack's profiles are to real ones, "" without any."""
    if not set(LIKENESS) <= set(rows.columns):
        return ""
    profiles = rows[(rows["model"] == "") & rows[list(LIKENESS)].notna().any(axis=1)]
    if profiles.empty:
        return ""
    keys = ["attack", *seed_column(profiles)]
    body = []
    for _, row in profiles.sort_values(keys, kind="stable").iterrows():
        names = [plain(row[key]) for key in ("group", *keys)]
        body.append([*names, *(f"{row[name]:.4f}" for name in LIKENESS)])
    table = markdown(["targets", *keys, *LIKENESS], body)
    return f"\n## How close the fake profiles are to real ones\n\n{table}"


def poison_report(rows: pd.DataFrame, folder: Path) -> str:
    """Return report.md of the experiment `poison`."""
    table, keys = summary(rows), ["group", "attack", *seed_column(rows)]
    sets = f"{rows['attack_seed'].nunique()} sets" if seed_column(rows) else "one set"
    parts = [
        "# Poisoned recommenders\n",
        f"Real users with test items, top-{rows['k'].max():.0f} lists; "
        f"{rows['seed'].nunique()} victim seed(s) on {sets} of profiles an attack. {CELLS} "
        "A target that a user knows counts as not shown.\n",
    ]
    for model, part in table.groupby("model", sort=False):
        measured = set(part["metric"])
        further = tuple(name for name in FURTHER if name in measured)
        parts += [f"\n## {model}\n", lines(part, keys, MAIN), lines(part, keys, further)]
    tested = before_and_after(rows, folder)
    parts += [
        paper.TARGET_MEASURES,
        f"\n## Before and after, over users\n\n{tested}" if tested else "",
        _contradiction(table),
    ]
    return "\n".join([*parts, likenesses(rows)])


def promoted(path: Path) -> str:
    """Return the section on the items that are promoted, "" without their list."""
    if not path.exists():
        return ""
    listed = pd.read_csv(path, dtype=str, keep_default_na=False)
    return "\n## What is promoted\n\n" + markdown(list(listed), listed.to_numpy().tolist())


def defense_report(rows: pd.DataFrame, title: str, metrics: tuple[str, ...] = MAIN) -> str:
    """Return report.md of defences: these metrics, then all others."""
    table = summary(rows)
    shown = [
        name
        for name in ("model", *_SETTING, "attack")
        if name in ("defense", "attack") or table[name].nunique(dropna=False) > 1
    ]
    measured = set(table["metric"])
    further = tuple(name for name in METRICS if name in measured and name not in metrics)
    parts = [
        f"# {title}\n",
        f"{table['dataset'].iloc[0]}, top-{table['k'].iloc[0]:.0f} lists of real users, "
        f"{rows['seed'].nunique()} victim seed(s). {CELLS}\n",
        lines(table, shown, metrics),
        paper.TARGET_MEASURES,
        "\n## Beyond\n",
        lines(table, shown, further),
    ]
    return "\n".join(parts) + noise(table) + _contradiction(table)


def published_changes(table: pd.DataFrame) -> pd.DataFrame:
    """Return the published changes of target HR beside the noise of one run.

    The noise is what two victims on the same undefended data that differ in their seed alone
    differ by, 19 times of 20, at the target HR p that is published before the change.  The
    deviation over seeds is measured at our own p, and scaled by the root of p (1 - p).  Columns:
    by (the attack or a defence), attack, change, noise, verdict.

    table: from `summary`; only what has several seeds is compared
    """
    changes = []
    table = table[(table["metric"] == "target_HR") & table["published"].notna()]
    undefended = table[table["defense"] == "none"].set_index("attack")
    for _, row in table.iterrows():
        is_defended = row["defense"] != "none"
        before = row["attack"] if is_defended else "none"
        is_base = not is_defended and row["attack"] == "none"
        if is_base or before not in undefended.index or undefended.loc[before, "seeds"] < 2:
            continue
        base = undefended.loc[before]
        setting = [plain(row[name]) for name in ("defense", "patch", "rank")]
        changes.append(
            {
                "by": " ".join(filter(None, setting)) if is_defended else "the attack",
                "attack": row["attack"],
                "change": row["published"] - base["published"],
                "noise": _noise_of_one_run(base),
            }
        )
    made = pd.DataFrame(changes, columns=["by", "attack", "change", "noise"])
    return made.assign(verdict=np.where(made["change"].abs() < made["noise"], "within", "beyond"))


def _noise_of_one_run(base: pd.Series) -> float:
    """Return the 95% bound on the difference of two runs at the published target HR."""
    published, measured = (share * (1 - share) for share in (base["published"], base["mean"]))
    t = stats.t.ppf(0.975, base["seeds"] - 1)
    return t * np.sqrt(2 * published / measured) * base["sd"]


def noise(table: pd.DataFrame) -> str:
    """Return `published_changes` as a section, "" without any."""
    body = []
    for _, row in published_changes(table).iterrows():
        cells = [f"{row['change']:+.4f}", f"{row['noise']:.4f}", row["verdict"]]
        body.append([row["by"], row["attack"], *cells])
    if not body:
        return ""
    text = (
        "\n## Printed changes of target HR beside the noise of one run\n\n"
        "Two single runs on the same undefended data that differ in the victim's seed alone differ "
        "by less than the noise with 95% probability. The deviation over our victim seeds is "
        "scaled to the printed target HR by the root of p (1 - p).\n\n"
    )
    return text + markdown(["by", "attack", "printed change", "noise", "the change is"], body)


def _contradiction(table: pd.DataFrame) -> str:
    """Return a note if the paper's attacked row of Tables I and II stands beside ours."""
    shown = table["published"].notna() & (table["attack"] == "recsys20") & (table["k"] == 50)
    return paper.CONTRADICTION if shown.any() else ""
