"""How sure Table 1 is: deviations over trainings, over draws of an attack and over users, and paired tests between attacks and between models."""

from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from advrec_tf.evaluation import NAMES, corrected, mean_interval, mean_test
from advrec_tf.reporting.vocabulary import markdown, number

from .labels import MODELS, first_selection
from .table1_tables import PAPER_COLUMNS, accumulate, columns_of

# What is compared within a model: the second column is expected to harm more.
WITHIN = (
    ("initial", "fgsm"),
    ("noise", "fgsm"),
    ("fgsm", "bim"),
    ("bim", "pgd"),
    ("fgsm", "bim l2"),
)
KEYS = ["model", "selection", "seed", "draw", "column"]


def measured(
    cells: pd.DataFrame, kept: list[tuple[dict, dict[str, np.ndarray]]]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The cells with `over_users`, their deviation over users drawn with replacement, and the tests.

    cells: of `tables.cells`; kept: what the jobs kept of users (`read_users`).  The tests are of models at the first selection (empty frame for data
    without): first, second, metric -> difference (first - second, mean over seeds), its 95% interval over seeds (low, high), and p over seeds (paired
    t) and over users (bootstrap, mean over seeds), each corrected for all tests together (Benjamini and Yekutieli 2001).
    """
    resampled = _resampled(kept)
    spread = {
        (*key, metric): values[:, place].std(ddof=1)
        for key, values in resampled.items()
        for place, metric in enumerate(NAMES)
    }
    over_users = [
        spread.get(key, np.nan)
        for key in cells[[*KEYS, "metric"]].itertuples(index=False, name=None)
    ]
    return cells.assign(over_users=over_users), _tests(cells, resampled)


def _resampled(kept: list[tuple[dict, dict[str, np.ndarray]]]) -> dict[tuple, np.ndarray]:
    """Cell -> the six metrics of resampled users [resamples, 6], accumulated over iterations as the cell is."""
    rows = [(row, users["resampled"]) for row, users in kept if "resampled" in users]
    frame = pd.DataFrame(
        [row for row, _ in rows],
        columns=["model", "selection", "seed", "draw", "attack", "ball", "start", "iterations"],
    )
    texts = frame[["selection", "attack", "ball", "start"]].fillna("")
    frame = frame.assign(
        **texts, draw=frame["draw"].astype(float).fillna(0).astype(int), place=range(len(frame))
    )
    names, found = {attack: column for column, attack in columns_of(frame).items()}, {}
    for (model, selection, seed, draw, *attack), group in frame.groupby(
        [*KEYS[:4], "attack", "ball", "start"], sort=False
    ):
        values = accumulate(group["iterations"], [rows[place][1] for place in group["place"]])
        found[model, selection, seed, draw, names[tuple(attack)] if selection else "initial"] = (
            values
        )
    return found


def _tests(cells: pd.DataFrame, resampled: dict[tuple, np.ndarray]) -> pd.DataFrame:
    own = first_selection(cells[cells["draw"] == 0])
    values = own.set_index(["model", "column", "seed", "metric"])["value"].unstack("metric")
    selections = dict(zip(own["model"], own["selection"]))
    there = set(values.index.droplevel("seed"))
    pairs = [((m, a), (m, b)) for m in MODELS for a, b in WITHIN] + [
        (("AMF", c), ("BPR-MF", c)) for c in PAPER_COLUMNS
    ]
    lines = []
    for first, second in (pair for pair in pairs if there.issuperset(pair)):
        differences = (values.loc[first] - values.loc[second]).dropna()
        keys = [
            [(model, selections[model], seed, 0, column) for seed in differences.index]
            for model, column in (first, second)
        ]
        known = all(key in resampled for key in (*keys[0], *keys[1]))
        drawn = (
            np.mean([resampled[a] - resampled[b] for a, b in zip(*keys)], axis=0)
            if known
            else np.full((2, len(NAMES)), np.nan)
        )
        for place, metric in enumerate(NAMES):
            each, spread = differences[metric].to_numpy(), drawn[:, place].std(ddof=1)
            p_users = (
                2 * stats.norm.sf(abs(each.mean()) / spread) if spread else float(not each.any())
            )
            lines.append(
                (
                    " ".join(first),
                    " ".join(second),
                    metric,
                    each.mean(),
                    *mean_interval(each),
                    mean_test(each),
                    p_users,
                )
            )
    tests = pd.DataFrame(
        lines,
        columns=["first", "second", "metric", "difference", "low", "high", "p_seeds", "p_users"],
    )
    for name in ("p_seeds", "p_users"):
        tests[name] = corrected(tests[name])
    return tests


def report(cells: pd.DataFrame, tests: pd.DataFrame) -> str:
    """The sections of Table 1's page on how sure it is."""
    drawn = cells.loc[
        cells["draw"] > 0, "selection"
    ].unique()  # the selection whose models were attacked again
    own = cells[cells["selection"].isin(drawn)] if len(drawn) else first_selection(cells)
    own = own[own["column"].isin(PAPER_COLUMNS)]
    seeds, draws = own["seed"].nunique(), own["draw"].nunique()
    lines: list[list[Any]] = []
    for (model, metric), part in own.groupby(["model", "metric"], sort=False):
        lines.append(
            [
                model,
                metric,
                *(_deviations(part[part["column"] == column], metric) for column in PAPER_COLUMNS),
            ]
        )
    lines.sort(key=lambda line: (MODELS.index(line[0]), NAMES.index(line[1])))
    parts = [
        "## How sure the cells are\n",
        f"Models at their {own['selection'].iloc[0]} epochs. "
        f"Deviation over trainings ({seeds} seed(s)) / over draws of the same model's attack, that is other negatives and another start of PGD "
        f"({draws} draw(s)) / over users drawn with replacement. That over trainings is without the part that draws have in it.\n",
        markdown(["model", "metric", *PAPER_COLUMNS], lines),
        "## Paired tests\n",
        "Difference, first less second, mean over seeds (p over seeds by a paired t-test; p over users by the bootstrap), corrected for all tests of "
        "this table together (Benjamini and Yekutieli).\n",
    ]
    pairs = tests.groupby(["first", "second"], sort=False)
    texts = [[*pair, *(_tested(row) for _, row in part.iterrows())] for pair, part in pairs]
    return "\n".join([*parts, markdown(["first", "second", *NAMES], texts)])


def _deviations(part: pd.DataFrame, metric: str) -> str:
    digits = 1 if metric == "ICov" else 4
    return " / ".join(
        "-" if np.isnan(each) else f"{np.sqrt(each):.{digits}f}" for each in variances(part)
    )


def variances(part: pd.DataFrame) -> tuple[float, float, float]:
    """Of one cell over trainings, over draws and over users; NaN for what was not repeated.  part: its rows of `measured`"""
    by_seed = part.groupby("seed")["value"]
    drawn = by_seed.var(ddof=1).mean() if part["draw"].nunique() > 1 else np.nan
    trained = by_seed.mean().var(ddof=1) - (
        0 if np.isnan(drawn) else drawn / part["draw"].nunique()
    )
    return (
        max(trained, 0.0) if not np.isnan(trained) else np.nan,
        drawn,
        float((part["over_users"] ** 2).mean()),
    )


def _tested(row: pd.Series) -> str:
    sure = "; ".join("-" if np.isnan(p) else f"{p:.1g}" for p in (row["p_seeds"], row["p_users"]))
    sign = "+" if row["difference"] >= 0 else "-"
    return f"{sign}{number(abs(row['difference']), row['metric'])} ({sure})"
