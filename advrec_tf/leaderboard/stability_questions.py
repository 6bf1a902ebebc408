"""The questions of docs/stability.md, answered from the rows of one data set."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from advrec_tf.evaluation import holm
from advrec_tf.leaderboard.stability import (
    AS_TRAINED,
    ATTACK,
    CERTIFICATE,
    CHANGE,
    LAYOUT,
    NOISE,
    NORMALIZED,
    OTHER_SEED,
    UNIFORM,
)

DRAWS = 10_000  # of trainings, with replacement
ALPHA = 0.05
ROBUST_AT, CERTIFIED_AT = 0.05, 0.01  # epsilons
STABILITY = ("int4 row", "PQ16 items", "last 1%", "random 1%", OTHER_SEED)
LEAST_TRAININGS = 5  # of a correlation
RANK = 64  # of the entries among which rank explains nothing


class Correlation(NamedTuple):
    """A Spearman correlation over entries, with its interval at the corrected level.

    low, high: of a percentile bootstrap over trainings, which several entries share; p: of the same
    bootstrap, two-sided, corrected by Holm over the data set
    """

    robustness: str
    stability: str
    among: str
    entries: int
    trainings: int
    rho: float
    low: float
    high: float
    p: float


def means(rows: pd.DataFrame) -> pd.DataFrame:
    """Return all values by entry, change and direction, means over seeds."""
    keys = ["entry", "model", "model_rank", "truncated_rank", "change", "uniform", "direction"]
    groups = rows.groupby(keys, dropna=False, sort=False)
    return groups[list(LAYOUT.values)].mean().reset_index()


def shares(table: pd.DataFrame) -> pd.DataFrame:
    """Return what each entry is in all correlations: a row an entry.

    Columns: worst and certified, the shares of nDCG that are left; STABILITY's overlaps; rank; and
    training, a name that entries from one training share. Of twins one is left.
    """
    clean = at_epsilon(table, 0, CHANGE)
    frame = pd.DataFrame(
        {
            "worst": at_epsilon(table, ROBUST_AT, ATTACK) / clean,
            "certified": at_epsilon(table, CERTIFIED_AT, CERTIFICATE) / clean,
        }
    )
    for change in STABILITY:
        frame[change] = _column(table, change, CHANGE, "overlap")
    by_entry = table.groupby("entry")
    frame["rank"] = by_entry["rank"].first()
    ranks = by_entry["model_rank"].first().map("-{:g}".format)
    frame["training"] = by_entry["model"].first() + ranks
    return frame.drop_duplicates([*frame.columns.drop(["training"])])


def _column(table: pd.DataFrame, change: str, direction: str, value: str) -> pd.Series:
    """Return a value of every entry under one change."""
    part = table[(table["change"] == change) & (table["direction"] == direction)]
    return part.set_index("entry")[value]


def at_epsilon(table: pd.DataFrame, epsilon: float, direction: str) -> pd.Series:
    """Return the nDCG of every entry where all rows move by one epsilon; 0 leaves them."""
    part = table[(table["change"] == UNIFORM) & (table["uniform"] == epsilon)]
    return part[part["direction"] == direction].set_index("entry")["nDCG"]


def correlations(rows: pd.DataFrame, seed: int = 0) -> list[Correlation]:
    """Return question 1: robustness against stability, over all entries and those of one rank."""
    frame = shares(means(rows))
    raw = []
    for among, part in (("all", frame), (f"rank {RANK}", frame[frame["rank"] == RANK])):
        for robustness in ("worst", "certified"):
            for stability in STABILITY:
                pairs = part[[robustness, stability, "training"]].dropna()
                enough = pairs["training"].nunique() >= LEAST_TRAININGS
                if enough and pairs[[robustness, stability]].nunique().min() > 1:
                    raw.append((robustness, stability, among, pairs))
    drawn = [_bootstrap(pairs, seed) for *_, pairs in raw]
    p_values = holm([_p_value(rhos) for rhos in drawn])
    measured = []
    for (robustness, stability, among, pairs), rhos, p in zip(raw, drawn, p_values):
        alpha = ALPHA / len(raw)
        low, high = (float(each) for each in np.quantile(rhos, (alpha / 2, 1 - alpha / 2)))
        rho = float(stats.spearmanr(pairs[robustness], pairs[stability]).statistic)
        counts = len(pairs), pairs["training"].nunique()
        measured.append(
            Correlation(robustness, stability, among, *counts, rho, low, high, float(p))
        )
    return measured


def _bootstrap(pairs: pd.DataFrame, seed: int) -> np.ndarray:
    """Return Spearman correlations over trainings that are drawn with replacement.

    pairs: two columns of numbers, and the training. Draws without variance are left out.
    """
    rng = np.random.default_rng(seed)
    names, training = np.unique(pairs["training"], return_inverse=True)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=DRAWS)
    times = drawn[:, training]  # how often each entry is drawn, [DRAWS, entries]
    deviations = []
    for column in pairs.iloc[:, :2].to_numpy().T:
        below = column[:, None] > column
        equal = column[:, None] == column
        ranks = times @ below.T + (times @ equal.T + 1) / 2  # of ties the mean
        means = np.sum(times * ranks, axis=1) / times.sum(axis=1)
        deviations.append(ranks - means[:, None])
    x, y = deviations
    squares = np.sum(times * x**2, axis=1) * np.sum(times * y**2, axis=1)
    varied = squares > 0
    return np.sum(times * x * y, axis=1)[varied] / np.sqrt(squares[varied])


def _p_value(rhos: np.ndarray) -> float:
    """Return twice the smaller share of draws on one side of 0."""
    least = min(np.sum(rhos <= 0), np.sum(rhos >= 0))
    return float(min(1, 2 * (least + 1) / (len(rhos) + 1)))


def forms(rows: pd.DataFrame, seed: int = 0) -> dict[str, tuple[float, float, float]]:
    """Return question 2: the gain in overlap of each form over that as trained.

    Mean over models and its 95% interval, a bootstrap over models. Entries that are changed
    already are left out.
    """
    plain = rows[~rows["user_normalized"] & rows["truncated_rank"].isna()]
    table = means(plain)
    overlaps = pd.DataFrame(
        {
            "as trained": _column(table, AS_TRAINED, CHANGE, "overlap"),
            "canonical": _column(table, "int4 table", CHANGE, "overlap"),
            "user-normalised": _column(table, NORMALIZED, CHANGE, "overlap"),
        }
    )
    overlaps = overlaps.dropna().drop_duplicates()  # of twins one is left
    gains = {}
    for name in ("canonical", "user-normalised") if len(overlaps) else ():
        gain = (overlaps[name] - overlaps["as trained"]).to_numpy()
        drawn = np.random.default_rng(seed).integers(len(gain), size=(DRAWS, len(gain)))
        low, high = np.quantile(gain[drawn].mean(axis=1), (0.025, 0.975))
        gains[name] = float(gain.mean()), float(low), float(high)
    return gains


def directions(rows: pd.DataFrame, change: str = OTHER_SEED) -> pd.DataFrame:
    """Return question 3: what a change and its companions do to each entry, and their cosines.

    Columns: epsilon; change, noise, attack: percent of the lists' items that are replaced;
    lost_noise, lost_attack: percent of nDCG that is lost; cos_noise, cos_attack.  Seeds follow each
    other in a circle, so the mean nDCG of other seeds is that of the seeds, and says nothing.
    """
    table = means(rows)
    clean = at_epsilon(table, 0, CHANGE)
    frame = pd.DataFrame({"epsilon": _column(table, change, CHANGE, "epsilon")})
    for direction in (CHANGE, NOISE, ATTACK):
        frame[direction] = 100 * (1 - _column(table, change, direction, "overlap"))
    for direction in (NOISE, ATTACK):
        left = _column(table, change, direction, "nDCG")
        frame[f"lost_{direction}"] = 100 * (1 - left / clean.reindex(left.index))
        frame[f"cos_{direction}"] = _column(table, change, direction, "cosine")
    return frame


def covered(rows: pd.DataFrame, change: str = "int8 row") -> pd.Series:
    """Return question 4: the share of listed held-out items that are certified to stay."""
    return _column(means(rows), change, CHANGE, "certified")
