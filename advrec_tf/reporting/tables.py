"""Tables from results: pure functions of data frames."""

import numpy as np
import pandas as pd

from advrec_tf.evaluation import NAMES
from advrec_tf.reporting import published
from advrec_tf.reporting.vocabulary import BALLS, MEASURES, cell, label_of, markdown, number

# Columns of Table 1, as (attack, ball, start); the multi-step ones are accumulated over their iterations.
TABLE1_COLUMNS = {
    "initial": ("", "", ""),
    "fgsm": ("fgsm", "", "clean"),
    "bim": ("bim", "linf", "zero"),
    "pgd": ("pgd", "linf", "uniform"),
    "fgsm after pgd": ("fgsm", "", "after_pgd"),
    "bim l2": ("bim", "l2", "zero"),
    "pgd l2": ("pgd", "l2", "uniform"),
    "noise": ("noise", "", ""),
}


PAPER_COLUMNS = ["initial", "fgsm", "bim", "pgd"]


def columns_of(rows: pd.DataFrame) -> dict[str, tuple[str, str, str]]:
    """The columns that there are rows of: those of Table 1, and one for each further attack."""
    there = list(rows.loc[rows["selection"] != "", ["attack", "ball", "start"]].drop_duplicates().itertuples(index=False, name=None))
    more = {label_of(attack).lower(): attack for attack in there if attack not in TABLE1_COLUMNS.values()}
    return {name: attack for name, attack in (TABLE1_COLUMNS | more).items() if attack in there}


def accumulate(iterations: np.ndarray, values: np.ndarray) -> float:
    """Mean of a metric over the iterations by the trapezoid rule: the "accumulated normalised" cells of Table 1."""
    x, y = np.asarray(iterations, np.float64), np.asarray(values, np.float64)
    if len(x) == 1:
        return float(y[0])
    order = np.argsort(x)
    x, y = x[order], y[order]
    return float(np.sum((y[1:] + y[:-1]) / 2 * np.diff(x)) / (x[-1] - x[0]))


def table1(rows: pd.DataFrame) -> pd.DataFrame:
    """Table 1 in long form: dataset, model, selection, metric, column -> mean, sd, seeds, epochs, published, difference.

    The difference is (measured - published) / published in percent; sd is over seeds, empty for one seed.
    """
    named, cells = rows[rows["selection"] != ""], []
    for column, (attack, ball, start) in columns_of(rows).items():
        part = named[(named["attack"] == attack) & (named["ball"] == ball) & (named["start"] == start)]
        for key, group in part.groupby(["dataset", "model", "selection", "seed", "epoch"]):
            for metric in NAMES:
                value = accumulate(group["iterations"], group[metric]) if len(group) > 1 else group[metric].iloc[0]
                cells.append((*key, metric, column, value))
    points = pd.DataFrame(cells, columns=["dataset", "model", "selection", "seed", "epoch", "metric", "column", "value"])
    summary = points.groupby(["dataset", "model", "selection", "metric", "column"], sort=False).agg(
        mean=("value", "mean"), sd=("value", "std"), seeds=("seed", "nunique"), epochs=("epoch", lambda e: sorted(set(e.astype(int))))
    )
    printed = published.table1()
    if not rows.attrs.get("statistics", {}).get("published") or set(rows["k"]) != {10}:
        printed = printed[:0]  # the paper's table is of other data or another setting
    # The authors' script takes FGSM's gradient after PGD, so that is what the printed column may show as well.
    contaminated = printed[printed["column"] == "fgsm"].assign(column="fgsm after pgd")
    printed = pd.concat([printed, contaminated])
    table = summary.reset_index().merge(printed, how="left", on=["dataset", "model", "metric", "column"])
    # BPR-MF before AMF and best before last, as printed.
    table = table.sort_values(["dataset", "model", "selection"], key=lambda c: c.map({"AMF": "Z", "best": ""}).fillna(c), kind="stable")
    return table.assign(difference=100 * (table["mean"] - table["published"]) / table["published"])


def table1_report(rows: pd.DataFrame) -> str:
    """report.md of Table 1 from its rows alone: published beside measured, and what the paper does not print."""
    table = table1(rows)
    models = rows[rows["epoch"].notna()]
    parts = [
        "# Table 1: initial, single-step and multi-step performance\n",
        f"Top-{rows['k'].iloc[0]:.0f} lists, epsilon {', '.join(f'{e:g}' for e in sorted(rows['epsilon'].dropna().unique()))}. Cells: "
        "published / measured ± deviation over seeds (difference in percent of the published), or measured alone where nothing is published.\n",
        "BIM and PGD are accumulated over their iterations (trapezoid rule, divided by the range), as in the paper. `best` is the epoch "
        "of highest HR@10 on the TEST set among all that were evaluated, which is what the published table shows; `last` needs no look "
        "at the test set.\n",
    ]
    for (dataset, model, selection), part in table.groupby(["dataset", "model", "selection"], sort=False):
        epochs = ", ".join(map(str, sorted({e for found in part["epochs"] for e in found})))
        parts.append(f"\n## {dataset}: {model}, {selection} (epoch {epochs}; {part['seeds'].max()} seed(s))\n")
        for columns in (PAPER_COLUMNS, [name for name in columns_of(rows) if name not in PAPER_COLUMNS]):
            cells = part[part["column"].isin(columns)].assign(cell=lambda frame: frame.apply(cell, axis=1))
            wide = cells.pivot(index="metric", columns="column", values="cell").reindex(index=NAMES, columns=columns).astype(object).fillna("")
            parts.append(markdown([f"@{rows['k'].iloc[0]:.0f}", *columns], [[metric, *wide.loc[metric]] for metric in NAMES]))
    parts += [MEASURES, BALLS, "\n## Recommenders without factors to perturb\n", _baselines(rows), "\n## Budgets\n", _budgets(models)]
    return "\n".join(parts)


def _baselines(rows: pd.DataFrame) -> str:
    means = rows[rows["epoch"].isna()].groupby(["dataset", "model"])[list(NAMES)].mean()
    return markdown(["data", "model", *NAMES], [[*key, *(number(row[m], m) for m in NAMES)] for key, row in means.iterrows()])


def _budgets(models: pd.DataFrame) -> str:
    """The mean l2 norm that rows were moved by, in percent of the mean row norm of the embeddings that were hit."""
    furthest = models[models["attack"] != ""].sort_values("iterations", na_position="first")
    keys = ["dataset", "model", "attack", "ball", "start", "epsilon"]
    means = furthest.groupby([*keys, "epoch", "seed"], dropna=False).last().groupby(keys, sort=False).mean(numeric_only=True)
    lines = []
    for (*names, epsilon), row in means.iterrows():
        budget = [f"{100 * epsilon / row[f'{side}_norm']:.0f}%" for side in ("user", "item")]
        moved = [f"{row[f'{side}_shift']:.3f} ({100 * row[f'{side}_shift'] / row[f'{side}_norm']:.0f}%)" for side in ("user", "item")]
        lines.append([*names, f"{epsilon:g}", *budget, *moved])
    text = (
        "Epsilon in percent of the mean l2 norm of the rows it hits, and the mean norm that rows were moved by at the last iteration "
        "(means over the epochs and seeds above): a row in the element-wise (linf) ball may move by up to epsilon times the root of "
        "the dimension, one of FGSM or in the l2 ball by epsilon.\n\n"
    )
    header = ["data", "model", "attack", "ball", "start", "epsilon", "of user norm", "of item norm", "users moved", "items moved"]
    return text + markdown(header, lines)
