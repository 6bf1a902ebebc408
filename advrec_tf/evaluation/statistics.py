"""Every statistical test and interval that a page uses."""

import numpy as np
import numpy.typing as npt
from scipy import stats


def bootstrap_interval(
    values: npt.ArrayLike,
    beside: npt.ArrayLike | None = None,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of a per-user metric's mean.

    With `beside`, the interval is of the ratio of the mean of `values` to the mean of `beside`.

    values, beside: [users], the same users in the same order -> (low, high)
    """
    values = np.asarray(values, np.float64)
    weights = np.ones(len(values)) if beside is None else np.asarray(beside, np.float64)
    rng = np.random.default_rng(seed)
    means = []
    for _ in range(resamples):
        counts = np.bincount(rng.integers(0, len(values), len(values)), minlength=len(values))
        if total := counts @ weights:  # the ratio to a sum of 0 is undefined
            means.append(counts @ values / total)
    low, high = np.percentile(means, [50 * (1 - confidence), 50 * (1 + confidence)])
    return float(low), float(high)


def paired_test(
    first: npt.ArrayLike, second: npt.ArrayLike, resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Return the mean difference of a per-user metric between two runs and its p-value.

    The test is two-sided, with random flips of the differences' signs.

    first, second: [users], the same users in the same order -> (mean of first - second, p)
    """
    difference = np.asarray(first, np.float64) - np.asarray(second)
    if not difference.any():
        return 0.0, 1.0
    result = stats.permutation_test(
        (difference,),
        np.mean,
        permutation_type="samples",
        n_resamples=resamples,
        batch=50,
        rng=np.random.default_rng(seed),
    )
    return float(difference.mean()), float(result.pvalue)


def mean_interval(values: npt.ArrayLike, confidence: float = 0.95) -> tuple[float, float]:
    """Return Student's interval of a mean as (low, high); NaN for fewer than two values."""
    values = np.asarray(values, np.float64)
    count = len(values)
    if count < 2:
        return float("nan"), float("nan")
    reach = stats.t.ppf((1 + confidence) / 2, count - 1) * values.std(ddof=1) / np.sqrt(count)
    return float(values.mean() - reach), float(values.mean() + reach)


def mean_test(values: npt.ArrayLike) -> float:
    """Return the two-sided p of Student's test that a mean is 0; NaN for fewer than two values."""
    values = np.asarray(values, np.float64)
    if len(values) < 2:
        return float("nan")
    return float(stats.ttest_1samp(values, 0).pvalue) if values.std() else float(not values.any())


def corrected(p_values: npt.ArrayLike) -> np.ndarray:
    """Return p-values corrected for the false discovery rate (Benjamini and Yekutieli 2001).

    NaN stays and does not count.
    """
    result = np.array(p_values, np.float64)
    known = ~np.isnan(result)
    if known.any():
        result[known] = stats.false_discovery_control(result[known], method="by")
    return result


def holm(p_values: npt.ArrayLike) -> np.ndarray:
    """Return p-values corrected so that the chance of any false rejection is bounded (Holm 1979).

    NaN stays and does not count.
    """
    result = np.array(p_values, np.float64)
    known = np.flatnonzero(~np.isnan(result))
    order = known[np.argsort(result[known], kind="stable")]
    steps = result[order] * np.arange(len(order), 0, -1)
    result[order] = np.minimum(1, np.maximum.accumulate(steps))
    return result


def equal_harm(epsilons: np.ndarray, values: npt.ArrayLike, target: float) -> float:
    """Return the epsilon at which a curve first falls to `target`; NaN where it does not.

    The interpolation is linear in log epsilon.

    epsilons, values: [N], epsilons increasing and positive
    """
    values = np.asarray(values, np.float64)
    below = np.flatnonzero(values <= target)
    if not len(below):
        return float("nan")
    first = below[0]
    if first == 0:
        return float(epsilons[0])
    share = (values[first - 1] - target) / (values[first - 1] - values[first])
    low, high = np.log(epsilons[first - 1]), np.log(epsilons[first])
    return float(np.exp(low + share * (high - low)))
