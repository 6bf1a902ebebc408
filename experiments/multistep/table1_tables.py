"""Tables from results: pure functions of data frames."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from advrec_tf.evaluation import NAMES, mean_interval
from advrec_tf.reporting.vocabulary import BASELINES, MEASURES, cell, markdown, number

from . import paper
from .labels import BALLS, label_of

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


NEAR = 5  # percent of a printed value
PAPER_COLUMNS = ["initial", "fgsm", "bim", "pgd"]


def columns_of(rows: pd.DataFrame) -> dict[str, tuple[str, str, str]]:
    """The columns that there are rows of: those of Table 1, and one for each further attack."""
    there = list(
        rows.loc[rows["selection"] != "", ["attack", "ball", "start"]]
        .drop_duplicates()
        .itertuples(index=False, name=None)
    )
    more = {
        label_of(attack).lower(): attack
        for attack in there
        if attack not in TABLE1_COLUMNS.values()
    }
    return {name: attack for name, attack in (TABLE1_COLUMNS | more).items() if attack in there}


def accumulate(iterations: npt.ArrayLike, values: npt.ArrayLike) -> np.ndarray:
    """Mean of a metric over the iterations by the trapezoid rule: the "accumulated normalised" cells of Table 1.

    values: [iterations, ...] -> [...]
    """
    x, y = np.asarray(iterations, np.float64), np.asarray(values, np.float64)
    if len(x) == 1:
        return y[0]
    order = np.argsort(x)
    x, y = x[order], y[order]
    steps = np.diff(x).reshape(-1, *(1,) * (y.ndim - 1))
    return np.sum((y[1:] + y[:-1]) / 2 * steps, axis=0) / (x[-1] - x[0])


def cells(rows: pd.DataFrame) -> pd.DataFrame:
    """Table 1 cell by cell: dataset, model, selection, epoch, seed, draw, k, column, metric -> value.

    BIM and PGD are accumulated over their iterations.  draw: 0, or of the further draws of an attack on the same model
    """
    keys, found = ["dataset", "model", "selection", "epoch", "seed", "draw", "k"], []
    rows = rows.assign(draw=rows["draw"].fillna(0).astype(int) if "draw" in rows else 0)
    for column, attack in columns_of(rows).items():
        part = rows[(rows[["attack", "ball", "start"]] == list(attack)).all(axis=1)]
        for key, group in part.groupby(keys, dropna=False):
            found += [
                (*key, column, metric, accumulate(group["iterations"], group[metric]))
                for metric in NAMES
            ]
    made = pd.DataFrame(found, columns=[*keys, "column", "metric", "value"])
    made.attrs.update(rows.attrs)
    return made


def table1(cells: pd.DataFrame) -> pd.DataFrame:
    """Table 1 in long form: dataset, model, selection, metric, column -> mean, sd, low, high, seeds, epochs, published, difference, inside.

    low, high: Student's 95% interval over seeds.  The difference is (measured - published) / published in percent; a cell is inside where that is
    within `NEAR` or the printed value within the interval.
    """
    own = cells[(cells["selection"] != "") & (cells["draw"] == 0)]
    groups = own.groupby(["dataset", "model", "selection", "metric", "column"], sort=False)
    summary = groups.agg(
        mean=("value", "mean"),
        sd=("value", "std"),
        seeds=("seed", "nunique"),
        epochs=("epoch", lambda e: sorted(set(e.astype(int)))),
    )
    summary[["low", "high"]] = [mean_interval(values) for _, values in groups["value"]]
    printed = paper.table1()
    if not cells.attrs.get("statistics", {}).get("published") or set(cells["k"]) != {10}:
        printed = printed[:0]  # the paper's table is of other data or another setting
    # The authors' script takes FGSM's gradient after PGD, so that is what the printed column may show as well.
    contaminated = printed[printed["column"] == "fgsm"].assign(column="fgsm after pgd")
    printed = pd.concat([printed, contaminated])
    table = summary.reset_index().merge(
        printed, how="left", on=["dataset", "model", "metric", "column"]
    )
    # BPR-MF before AMF and best before last, as printed.
    table = table.sort_values(
        ["dataset", "model", "selection"],
        key=lambda c: c.map({"AMF": "Z", "best": ""}).fillna(c),
        kind="stable",
    )
    difference = 100 * (table["mean"] - table["published"]) / table["published"]
    return table.assign(
        difference=difference,
        inside=(difference.abs() <= NEAR) | table["published"].between(table["low"], table["high"]),
    )


def table1_report(cells: pd.DataFrame, rows: pd.DataFrame) -> str:
    """report.md of Table 1: published beside measured, and what the paper does not print.  cells: of `cells`; rows: at least those of no or the
    last iteration"""
    table, k = table1(cells), f"@{cells['k'].iloc[0]:.0f}"
    more = [name for name in columns_of(rows) if name not in PAPER_COLUMNS]
    simple = cells[cells["selection"] == ""].groupby(["model", "metric"])["value"].mean()
    parts = [
        "# Table 1: initial, single-step and multi-step performance\n",
        f"Top-{k[1:]} lists, epsilon {', '.join(f'{e:g}' for e in sorted(rows['epsilon'].dropna().unique()))}. Cells: "
        "published / measured [95% interval over seeds] (difference in percent of the published), or measured alone where nothing is published.\n",
        "BIM and PGD are accumulated over their iterations (trapezoid rule, divided by the range), as in the paper. `best` is the epoch "
        "of highest HR@10 on the TEST set among all that were evaluated, which is what the published table shows; `last` needs no look "
        "at the test set.\n",
        *filter(None, [chosen_on(rows)]),
        agreement(table),
    ]
    for (dataset, model, selection), part in table.groupby(
        ["dataset", "model", "selection"], sort=False
    ):
        epochs = ", ".join(map(str, sorted({e for found in part["epochs"] for e in found})))
        parts.append(
            f"\n## {dataset}: {model}, {selection} (epoch {epochs}; {part['seeds'].max()} seed(s))\n"
        )
        texts = part.assign(cell=part.apply(cell, axis=1)).set_index(["metric", "column"])["cell"]
        parts.append(
            markdown(
                [k, *PAPER_COLUMNS],
                [
                    [metric, *(texts.get((metric, c), "") for c in PAPER_COLUMNS)]
                    for metric in NAMES
                ],
            )
        )
        lines = [
            [
                m,
                *(texts.get((m, c), "") for c in more),
                *(number(simple.get((b, m)), m) for b in BASELINES),
            ]
            for m in NAMES
        ]
        parts.append(markdown([k, *more, *BASELINES], lines))
    return "\n".join(
        [
            *parts,
            MEASURES,
            BALLS,
            "\n## Budgets\n",
            _budgets(rows[rows["epoch"].notna() & ~(rows.get("draw", 0) > 0)]),
        ]
    )


def chosen_on(rows: pd.DataFrame) -> str:
    """On how many users `best` was chosen, where that was a sample, and the normal 95% interval of their HR@10, where the rows tell it."""
    count, statistics = (
        rows.attrs["config"].get("BPR-MF", {}).get("eval_users"),
        rows.attrs["statistics"],
    )
    best = rows[(rows["selection"] == "best") & (rows["attack"] == "")]
    tested = statistics.get("test", 0)  # users, where each has one item
    if best.empty or count is None or count >= min(tested, statistics.get("users", 0)):
        return ""
    if tested > statistics["users"] or set(best["k"]) != {10}:
        return f"`best` was chosen on {count} users; all cells are of all.\n"
    hits = best["RE"].mean()
    width = 1.96 * np.sqrt(hits * (1 - hits) / count * (1 - count / tested))
    return f"`best` was chosen on {count} of {tested} users, who tell an HR@10 of {hits:.4f} to within {width:.4f}; all cells are of all users.\n"


FGSM_COLUMNS = {"of Eq. 4": "fgsm", "after PGD": "fgsm after pgd"}  # where its gradient is taken


def agreements(table: pd.DataFrame) -> pd.DataFrame:
    """Count the published cells that are met, for every selection and both readings of FGSM.

    Returns dataset, selection, fgsm (of FGSM_COLUMNS), cells, and how many are near (within NEAR
    percent), inside (the interval over seeds) and either.  table: what `table1` returns
    """
    lines = []
    judged = table[table["published"].notna()]
    for (dataset, selection), part in judged.groupby(["dataset", "selection"], sort=False):
        for name, column in FGSM_COLUMNS.items():
            own = part[part["column"].isin(["initial", column, "bim", "pgd"])]
            if column not in set(own["column"]):
                continue
            near = own["difference"].abs() <= NEAR
            covered = own["published"].between(own["low"], own["high"])
            counts = [int(each.sum()) for each in (near, covered, near | covered)]
            lines.append((dataset, selection, name, len(own), *counts))
    names = ["dataset", "selection", "fgsm", "cells", "near", "inside", "either"]
    return pd.DataFrame(lines, columns=names)


def agreement(table: pd.DataFrame) -> str:
    """How many published cells are met, for both readings of FGSM and all selections, and which
    are not, of the models that the paper may have measured; "" where nothing is published.

    table: what `table1` returns
    """
    found = agreements(table)
    if found.empty:
        return ""
    lines = [
        [
            row.dataset,
            row.selection,
            row.fgsm,
            *(f"{n} of {row.cells}" for n in (row.near, row.inside, row.either)),
        ]
        for row in found.itertuples()
    ]
    header = [
        "data",
        "epoch",
        "FGSM's gradient",
        f"within {NEAR}%",
        "inside the interval",
        "either",
    ]
    told = (
        "Published cells that are within 5% of what was measured, or inside its 95% interval over "
        "training seeds; a wider interval holds more of them. The paper's FGSM is that of Eq. 4; "
        "the authors' script takes its gradient after PGD. `last` never looks at the test set, and "
        "is not the epoch that is published.\n"
    )
    after_pgd = ["initial", FGSM_COLUMNS["after PGD"], "bim", "pgd"]
    shown = table["published"].notna() & (table["selection"] != "last")
    outside = _outside(table[shown & table["column"].isin(after_pgd)])
    return "\n".join([told, markdown(header, lines), *outside, ""])


def _outside(own: pd.DataFrame) -> list[str]:
    """The cells that are not met, a line each."""
    return [
        f"- outside ({row['selection']}, FGSM after PGD): {row['model']}, {row['metric']}, {row['column']}: {cell(row)}"
        for _, row in own[~own["inside"]].iterrows()
    ]


def _budgets(models: pd.DataFrame) -> str:
    """The mean l2 norm that rows were moved by, in percent of the mean row norm of the embeddings that were hit."""
    furthest = models[models["attack"] != ""].sort_values("iterations", na_position="first")
    keys = ["dataset", "model", "attack", "ball", "start", "epsilon"]
    means = (
        furthest.groupby([*keys, "epoch", "seed"], dropna=False)
        .last()
        .groupby(keys, sort=False)
        .mean(numeric_only=True)
    )
    lines = []
    for (*names, epsilon), row in means.iterrows():
        budget = [f"{100 * epsilon / row[f'{side}_norm']:.0f}%" for side in ("user", "item")]
        moved = [
            f"{row[f'{side}_shift']:.3f} ({100 * row[f'{side}_shift'] / row[f'{side}_norm']:.0f}%)"
            for side in ("user", "item")
        ]
        lines.append([*names, f"{epsilon:g}", *budget, *moved])
    text = (
        "Epsilon in percent of the mean l2 norm of the rows it hits, and the mean norm that rows were moved by at the last iteration "
        "(means over the epochs and seeds above): a row in the element-wise (linf) ball may move by up to epsilon times the root of "
        "the dimension, one of FGSM or in the l2 ball by epsilon.\n\n"
    )
    header = [
        "data",
        "model",
        "attack",
        "ball",
        "start",
        "epsilon",
        "of user norm",
        "of item norm",
        "users moved",
        "items moved",
    ]
    return text + markdown(header, lines)
