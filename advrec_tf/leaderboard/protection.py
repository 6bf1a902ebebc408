"""Which users factors protect: the share of nDCG that is left, by group of users."""

import numpy as np
import pandas as pd
from scipy import stats

from advrec_tf.evaluation import holm
from advrec_tf.leaderboard.comparison import CERTIFIED, CLEAN, LEVEL, at, title_of, with_users
from advrec_tf.leaderboard.summary import VERDICT_EPSILON
from advrec_tf.leaderboard.worst_case import UserValues

MIN_HITS = 10  # users with a hit in a quartile, below which the variance of its share is unknown
SHARES = [f"quartile {n}" for n in range(1, 5)]
COLUMNS = ["entry", "by", "of", *SHARES, "difference", "low", "high", "p"]


def protected(rows: pd.DataFrame, quarters: UserValues) -> pd.DataFrame:
    """Return the share of users' nDCG that is left or certified, by quartile of users; COLUMNS.

    A row for each entry, what users are grouped `by`, and `of` (the condition): `test` at
    VERDICT_EPSILON, and CERTIFIED. `difference` is the fourth quartile less the first. p uses the
    ratios' variance over users and is corrected for all rows (Holm). The intervals (low, high) hold
    together (Bonferroni).

    rows: of `worst_cases`, with nDCG by user; quarters: of `worst_case.quarters`
    """
    lines, clean = [], _mean_users(at(rows, CLEAN))
    for condition in (("test", "l2", VERDICT_EPSILON), CERTIFIED):
        for entry, left in _mean_users(at(rows, condition)).items():
            for by, quarter in quarters.items():
                line = {"entry": entry, "by": by, "of": title_of(condition)}
                lines.append(line | _shares(left, clean[entry], quarter))
    frame = pd.DataFrame(lines, columns=[*COLUMNS[:-3], "deviation"])
    deviation, difference = frame.pop("deviation"), frame["difference"]
    reach = stats.norm.isf(LEVEL / 2 / max(1, deviation.notna().sum())) * deviation
    p = holm(2 * stats.norm.sf(difference.abs() / deviation))
    return frame.assign(low=difference - reach, high=difference + reach, p=p)


def _mean_users(rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return each entry's nDCG by user, mean over seeds."""
    means = {}
    for entry, part in with_users(rows).groupby("entry"):
        means[str(entry)] = np.array(part["users"].tolist(), np.float64).mean(axis=0)
    return means


def _shares(left: np.ndarray, clean: np.ndarray, quarter: np.ndarray) -> dict[str, float]:
    """Return the share of nDCG that is left in each quartile, and the 4th's share less the 1st's.

    left, clean: tested users' nDCG [U] with and without attack; quarter: [U], 1 to 4. `deviation`
    is the standard error of the difference.
    """
    ratios = [ratio_of_means(left[quarter == n], clean[quarter == n]) for n in range(1, 5)]
    shares, deviations = zip(*ratios)
    line = dict(zip(SHARES, shares))
    line["difference"] = shares[3] - shares[0]
    return line | {"deviation": np.hypot(deviations[0], deviations[3])}


def ratio_of_means(above: np.ndarray, below: np.ndarray) -> tuple[float, float]:
    """Return the ratio of two means over the same users, and its standard deviation.

    The deviation is NaN where fewer than MIN_HITS users have a value or no user differs.
    """
    if not below.any():
        return np.nan, np.nan
    ratio = above.mean() / below.mean()
    deviation = np.std(above - ratio * below) / below.mean() / np.sqrt(len(below))
    known = np.count_nonzero(below) >= MIN_HITS and deviation > 0
    return float(ratio), float(deviation) if known else np.nan
