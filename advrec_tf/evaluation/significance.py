"""How sure a mean over users is: confidence intervals and paired tests."""

import numpy as np
from scipy import stats


def bootstrap_interval(
    values: np.ndarray,
    beside: np.ndarray | None = None,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap interval, over users, of a per-user metric's mean, or of its ratio to the mean of another.

    values, beside: [users], the same users in the same order -> (low, high)
    """
    values = np.asarray(values, np.float64)
    rng, ends = np.random.default_rng(seed), [50 * (1 - confidence), 50 * (1 + confidence)]
    below = np.ones(len(values)) if beside is None else np.asarray(beside, np.float64)
    samples = []
    for _ in range(resamples):
        counts = np.bincount(rng.integers(0, len(values), len(values)), minlength=len(values))
        if whole := counts @ below:  # without it there is no ratio
            samples.append(counts @ values / whole)
    low, high = np.percentile(samples, ends)
    return float(low), float(high)


def paired_test(
    first: np.ndarray, second: np.ndarray, resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Mean difference of a per-user metric between two runs and its two-sided p-value under random sign flips.

    first, second: [users], the same users in the same order -> (mean of first - second, p)
    """
    difference = np.asarray(first, np.float64) - second
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


def mean_interval(values, confidence: float = 0.95) -> tuple[float, float]:
    """Student's interval of a mean, over seeds, say; NaN for fewer than two values.  -> (low, high)"""
    values = np.asarray(values, np.float64)
    if len(values) < 2:
        return float("nan"), float("nan")
    reach = (
        stats.t.ppf((1 + confidence) / 2, len(values) - 1)
        * values.std(ddof=1)
        / np.sqrt(len(values))
    )
    return float(values.mean() - reach), float(values.mean() + reach)


def corrected(values) -> np.ndarray:
    """p values for all tests together (Benjamini and Yekutieli 2001); NaN stays."""
    found = np.array(values, np.float64)
    known = ~np.isnan(found)
    if known.any():
        found[known] = stats.false_discovery_control(found[known], method="by")
    return found


def holm(values) -> np.ndarray:
    """p values corrected so that the chance of any false rejection is bounded (Holm 1979).

    NaN stays and does not count.
    """
    found = np.array(values, np.float64)
    known = np.flatnonzero(~np.isnan(found))
    order = known[np.argsort(found[known], kind="stable")]
    steps = found[order] * np.arange(len(order), 0, -1)
    found[order] = np.minimum(1, np.maximum.accumulate(steps))
    return found


def mean_test(values) -> float:
    """Two-sided p of Student's test that a mean, over seeds, say, is 0; NaN for fewer than two values."""
    values = np.asarray(values, np.float64)
    if len(values) < 2:
        return float("nan")
    return float(stats.ttest_1samp(values, 0).pvalue) if values.std() else float(not values.any())


def equal_harm(epsilons: np.ndarray, values: np.ndarray, target: float) -> float:
    """The budget at which a curve first falls to `target`, by interpolation linear in log epsilon; NaN where it does not.

    epsilons, values: [N], epsilons increasing and positive.
    """
    values = np.asarray(values, np.float64)
    below = np.flatnonzero(values <= target)
    if not len(below):
        return float("nan")
    at = below[0]
    if at == 0:
        return float(epsilons[0])
    share = (values[at - 1] - target) / (values[at - 1] - values[at])
    low, high = np.log(epsilons[at - 1]), np.log(epsilons[at])
    return float(np.exp(low + share * (high - low)))
