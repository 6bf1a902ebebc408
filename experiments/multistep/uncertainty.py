"""The uncertainty of Table 1: variances over trainings, attacks and users, and paired tests."""

from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from advrec_tf.evaluation import NAMES, corrected, mean_interval, mean_test
from advrec_tf.reporting.vocabulary import markdown, number

from .labels import MODELS, first_selection, numbered_draws
from .table1_tables import PAPER_COLUMNS, accumulate, columns_of

# Columns that are compared within a model. The second one is expected to harm more.
WITHIN = (
    ("initial", "fgsm"),
    ("noise", "fgsm"),
    ("fgsm", "bim"),
    ("bim", "pgd"),
    ("fgsm", "bim l2"),
)
KEYS = ["model", "selection", "seed", "draw", "column"]
Kept = list[tuple[dict, dict[str, np.ndarray]]]  # what jobs keep of users: (row, arrays)


def measured(cells: pd.DataFrame, kept: Kept) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the cells with a column `over_users`, and the paired tests between cells.

    over_users: the standard deviation of a cell over users drawn with replacement. A test is about
    models at the first selection: first, second, metric; difference (first - second, the mean over
    seeds); its 95% interval over seeds (low, high); and p over seeds (paired t) and over users
    (bootstrap, mean over seeds). Both p are corrected for all tests together (Benjamini and
    Yekutieli 2001).  cells: of `table1_tables.cells`.  kept: of `read_users`.
    """
    resampled = _resampled(kept)
    spread = {}
    for key, values in resampled.items():
        for index, metric in enumerate(NAMES):
            spread[(*key, metric)] = values[:, index].std(ddof=1)
    keys = cells[[*KEYS, "metric"]].itertuples(index=False, name=None)
    over_users = [spread.get(key, np.nan) for key in keys]
    return cells.assign(over_users=over_users), _tests(cells, resampled)


def _resampled(kept: Kept) -> dict[tuple, np.ndarray]:
    """Return the six metrics of resampled users for each cell of Table 1: [resamples, 6].

    They are accumulated over iterations as the cell is. kept: of `read_users`
    """
    kept = [(row, users) for row, users in kept if "resampled" in users]
    attack_columns = ["attack", "ball", "start"]
    frame = pd.DataFrame(
        [row for row, _ in kept], columns=[*KEYS[:4], *attack_columns, "iterations"]
    )
    texts = frame[["selection", *attack_columns]].fillna("")
    frame = numbered_draws(frame.assign(**texts))
    names = {attack: column for column, attack in columns_of(frame).items()}
    resampled = {}
    for key, group in frame.groupby([*KEYS[:4], *attack_columns], sort=False):
        model, selection, seed, draw, *attack = key
        column = names[tuple(attack)] if selection else "initial"
        values = [kept[index][1]["resampled"] for index in group.index]
        resampled[model, selection, seed, draw, column] = accumulate(group["iterations"], values)
    return resampled


def _tests(cells: pd.DataFrame, resampled: dict[tuple, np.ndarray]) -> pd.DataFrame:
    """Return the paired tests of Table 1: columns within a model, and models in a column.

    cells: of `measured`; resampled: by cell, the metrics [resamples, metrics] of users drawn with
    replacement. p_seeds is of a paired t-test over seeds. p_users is of a normal test with the
    spread over resamples. Both are corrected for the number of tests.
    """
    rows = first_selection(cells[cells["draw"] == 0])
    values = rows.set_index(["model", "column", "seed", "metric"])["value"].unstack("metric")
    selections = dict(zip(rows["model"], rows["selection"]))
    pairs = [((model, a), (model, b)) for model in MODELS for a, b in WITHIN]
    pairs += [(("AMF", column), ("BPR-MF", column)) for column in PAPER_COLUMNS]
    known = set(values.index.droplevel("seed"))
    lines = []
    for pair in pairs:
        if not known.issuperset(pair):
            continue
        first, second = pair
        differences = (values.loc[first] - values.loc[second]).dropna()
        keys = []
        for model, column in pair:
            keys.append([(model, selections[model], seed, 0, column) for seed in differences.index])
        resamples = _mean_difference(*keys, resampled)
        for index, metric in enumerate(NAMES):
            by_seed, spread = differences[metric].to_numpy(), resamples[:, index].std(ddof=1)
            mean = by_seed.mean()
            p_users = 2 * stats.norm.sf(abs(mean) / spread) if spread else float(not by_seed.any())
            line = [" ".join(first), " ".join(second), metric, mean, *mean_interval(by_seed)]
            lines.append([*line, mean_test(by_seed), p_users])
    names = ["first", "second", "metric", "difference", "low", "high", "p_seeds", "p_users"]
    tests = pd.DataFrame(lines, columns=names)
    for name in ("p_seeds", "p_users"):
        tests[name] = corrected(tests[name])
    return tests


def _mean_difference(
    first: list[tuple], second: list[tuple], resampled: dict[tuple, np.ndarray]
) -> np.ndarray:
    """Return the mean difference between cells [resamples, 6], of NaN if one was not resampled."""
    if not all(key in resampled for key in (*first, *second)):
        return np.full((2, len(NAMES)), np.nan)
    return np.mean([resampled[a] - resampled[b] for a, b in zip(first, second)], axis=0)


def report(cells: pd.DataFrame, tests: pd.DataFrame) -> str:
    """Return the sections of Table 1's page on its uncertainty.

    cells and tests: of `measured`.
    """
    drawn = cells.loc[cells["draw"] > 0, "selection"].unique()
    # The selection whose models were attacked again, if there is one.
    rows = cells[cells["selection"].isin(drawn)] if len(drawn) else first_selection(cells)
    rows = rows[rows["column"].isin(PAPER_COLUMNS)]
    lines: list[list[Any]] = []
    for (model, metric), part in rows.groupby(["model", "metric"], sort=False):
        columns = [part[part["column"] == column] for column in PAPER_COLUMNS]
        lines.append([model, metric, *(_deviations(column, metric) for column in columns)])
    lines.sort(key=lambda line: (MODELS.index(line[0]), NAMES.index(line[1])))
    pairs = tests.groupby(["first", "second"], sort=False)
    texts = [[*pair, *(_tested(row) for _, row in part.iterrows())] for pair, part in pairs]
    return "\n".join(
        [
            "## How sure the cells are\n",
            f"Models at their {rows['selection'].iloc[0]} epochs. Deviation over trainings "
            f"({rows['seed'].nunique()} seed(s)) / over draws of the same model's attack, that is "
            f"other negatives and another start of PGD ({rows['draw'].nunique()} draw(s)) / over "
            "users drawn with replacement. That over trainings is without the part that draws have "
            "in it.\n",
            markdown(["model", "metric", *PAPER_COLUMNS], lines),
            "## Paired tests\n",
            "Difference, first less second, mean over seeds (p over seeds by a paired t-test; p "
            "over users by the bootstrap), corrected for all tests of this table together "
            "(Benjamini and Yekutieli).\n",
            markdown(["first", "second", *NAMES], texts),
        ]
    )


def _deviations(part: pd.DataFrame, metric: str) -> str:
    """Return the standard deviations of a metric by source of variance, as text."""
    digits = 1 if metric == "ICov" else 4
    deviations = np.sqrt(variances(part))
    return " / ".join("-" if np.isnan(value) else f"{value:.{digits}f}" for value in deviations)


def variances(part: pd.DataFrame) -> tuple[float, float, float]:
    """Return the variances of one cell over trainings, over draws and over users.

    NaN for what was not repeated.  part: the cell's rows of `measured`.
    """
    by_seed, draws = part.groupby("seed")["value"], part["draw"].nunique()
    trained, drawn = by_seed.mean().var(ddof=1), np.nan
    if draws > 1:
        drawn = by_seed.var(ddof=1).mean()
    if not np.isnan(drawn):
        trained -= drawn / draws
    trained = trained if np.isnan(trained) else max(trained, 0.0)
    return trained, drawn, float((part["over_users"] ** 2).mean())


def _tested(row: pd.Series) -> str:
    """Return the sign and size of a difference with both of its p values, as text."""
    sure = "; ".join("-" if np.isnan(p) else f"{p:.1g}" for p in (row["p_seeds"], row["p_users"]))
    sign = "+" if row["difference"] >= 0 else "-"
    return f"{sign}{number(abs(row['difference']), row['metric'])} ({sure})"
