"""Table 1 from rows: its cells, the table beside the published one, and their agreement."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from advrec_tf.evaluation import NAMES, mean_interval
from advrec_tf.reporting.vocabulary import cell, markdown

from . import paper
from .labels import BIM, FGSM, INITIAL, MODELS, PGD, Attack, attacks_in, label_of, numbered_draws

TABLE1_COLUMNS: dict[str, Attack] = {
    "initial": INITIAL,
    "fgsm": FGSM,
    "bim": BIM,
    "pgd": PGD,
    "fgsm after pgd": ("fgsm", "", "after_pgd"),
    "bim l2": ("bim", "l2", "zero"),
    "pgd l2": ("pgd", "l2", "uniform"),
    "noise": ("noise", "", ""),
}
PAPER_COLUMNS = ["initial", "fgsm", "bim", "pgd"]
FGSM_COLUMNS = {"of Eq. 4": "fgsm", "after PGD": "fgsm after pgd"}  # where its gradient is taken
NEAR = 5  # percent of a published value


def columns_of(rows: pd.DataFrame) -> dict[str, Attack]:
    """Return the columns of Table 1 that `rows` have, and one for each further attack."""
    measured = attacks_in(rows[rows["selection"] != ""])
    columns = {name: attack for name, attack in TABLE1_COLUMNS.items() if attack in measured}
    for attack in measured:
        if attack not in columns.values():
            columns[label_of(attack).lower()] = attack
    return columns


def accumulate(iterations: npt.ArrayLike, values: npt.ArrayLike) -> np.ndarray:
    """Return the mean over the iterations by the trapezoid rule, as in Table 1.

    The paper calls it "accumulated normalised".  values: [iterations, ...] -> [...]
    """
    x, y = np.asarray(iterations, np.float64), np.asarray(values, np.float64)
    if len(x) == 1:
        return y[0]
    order = np.argsort(x)
    x, y = x[order], y[order]
    steps = np.diff(x).reshape(-1, *(1,) * (y.ndim - 1))
    return np.sum((y[1:] + y[:-1]) / 2 * steps, axis=0) / (x[-1] - x[0])


def cells(rows: pd.DataFrame) -> pd.DataFrame:
    """Return Table 1 by cell; BIM and PGD are accumulated over their iterations.

    Columns: dataset, model, selection, epoch, seed, draw, k, column, metric, value. draw: 0, or
    the number of a further attack on the same model.
    """
    keys, lines = ["dataset", "model", "selection", "epoch", "seed", "draw", "k"], []
    rows = numbered_draws(rows)
    for column, attack in columns_of(rows).items():
        part = rows[(rows[["attack", "ball", "start"]] == list(attack)).all(axis=1)]
        for key, group in part.groupby(keys, dropna=False):
            for metric in NAMES:
                value = accumulate(group["iterations"], group[metric])
                lines.append((*key, column, metric, value))
    table = pd.DataFrame(lines, columns=[*keys, "column", "metric", "value"])
    table.attrs.update(rows.attrs)
    return table


def table1(cells: pd.DataFrame) -> pd.DataFrame:
    """Return Table 1 in long form, beside the published values.

    Columns: dataset, model, selection, metric, column; mean, values, sd, seeds, epochs; Student's
    95% interval over seeds (low, high); published; difference (of the mean, in percent of the
    published value); inside, whether the difference is within NEAR or the published value within
    the interval.
    """
    rows = cells[(cells["selection"] != "") & (cells["draw"] == 0)]
    groups = rows.groupby(["dataset", "model", "selection", "metric", "column"], sort=False)
    summary = groups.agg(
        mean=("value", "mean"),
        values=("value", list),
        sd=("value", "std"),
        seeds=("seed", "nunique"),
        epochs=("epoch", lambda epochs: sorted(set(epochs.astype(int)))),
    )
    summary[["low", "high"]] = [mean_interval(values) for _, values in groups["value"]]
    keys = ["dataset", "model", "metric", "column"]
    table = summary.reset_index().merge(_published(cells), how="left", on=keys)
    order = {"best": "", **{model: str(index) for index, model in enumerate(MODELS)}}
    table = table.sort_values(
        ["dataset", "model", "selection"],
        key=lambda column: column.map(order).fillna(column),
        kind="stable",
    )
    difference = 100 * (table["mean"] - table["published"]) / table["published"]
    covered = table["published"].between(table["low"], table["high"])
    return table.assign(difference=difference, inside=(difference.abs() <= NEAR) | covered)


def _published(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the published Table 1, empty if it is of other data or another setting.

    The authors' script takes FGSM's gradient after PGD, so that the published column may show
    either of FGSM_COLUMNS. It is returned for both.
    """
    table = paper.table1()
    if not cells.attrs.get("statistics", {}).get("published") or set(cells["k"]) != {10}:
        table = table[:0]
    after_pgd = table[table["column"] == "fgsm"].assign(column=FGSM_COLUMNS["after PGD"])
    return pd.concat([table, after_pgd])


def agreements(table: pd.DataFrame) -> pd.DataFrame:
    """Count the published cells that are met, for every selection and both readings of FGSM.

    Columns: dataset, selection, fgsm (of FGSM_COLUMNS), cells, and how many are near (within NEAR
    percent), inside (the interval over seeds) and either.  table: of `table1`.
    """
    lines = []
    published = table[table["published"].notna()]
    for (dataset, selection), part in published.groupby(["dataset", "selection"], sort=False):
        for name, column in FGSM_COLUMNS.items():
            cells = part[part["column"].isin(["initial", column, "bim", "pgd"])]
            if column not in set(cells["column"]):
                continue
            near = cells["difference"].abs() <= NEAR
            covered = cells["published"].between(cells["low"], cells["high"])
            counts = [int(met.sum()) for met in (near, covered, near | covered)]
            lines.append((dataset, selection, name, len(cells), *counts))
    names = ["dataset", "selection", "fgsm", "cells", "near", "inside", "either"]
    return pd.DataFrame(lines, columns=names)


def agreement(table: pd.DataFrame) -> str:
    """Return how many published cells are met, and a line for each that is not.

    A cell is met if it is within NEAR percent or its interval holds the published value (`inside`
    of `table1`). The lines leave out `last`, whose epoch is not the published one, and FGSM with
    the gradient at the clean model (Eq. 4), because the authors' script takes it after PGD.
    "" if nothing is published.  table: of `table1`.
    """
    counts = agreements(table)
    if counts.empty:
        return ""
    lines = []
    for row in counts.itertuples():
        met = [f"{count} of {row.cells}" for count in (row.near, row.inside, row.either)]
        lines.append([row.dataset, row.selection, row.fgsm, *met])
    header = ["data", "epoch", "FGSM's gradient"]
    header += [f"within {NEAR}%", "inside the interval", "either"]
    text = (
        "Published cells that are within 5% of what was measured, or inside its 95% interval over "
        "training seeds; a wider interval holds more of them. The paper's FGSM is that of Eq. 4; "
        "the authors' script takes its gradient after PGD. `last` never looks at the test set, and "
        "is not the epoch that is published.\n"
    )
    after_pgd = ["initial", FGSM_COLUMNS["after PGD"], "bim", "pgd"]
    shown = table["published"].notna() & (table["selection"] != "last") & ~table["inside"]
    outside = []
    for _, row in table[shown & table["column"].isin(after_pgd)].iterrows():
        where = f"({row['selection']}, FGSM after PGD): {row['model']}, {row['metric']}"
        outside.append(f"- outside {where}, {row['column']}: {cell(row)}")
    return "\n".join([text, markdown(header, lines), *outside, ""])
