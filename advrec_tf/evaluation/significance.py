"""How sure a mean over users is: confidence intervals and paired tests."""

import numpy as np
from scipy import stats


def bootstrap_interval(values: np.ndarray, confidence: float = 0.95, resamples: int = 2000, seed: int = 0) -> tuple[float, float]:
    """Percentile bootstrap interval of a per-user metric's mean, resampling users.  values: [users] -> (low, high)"""
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    result = stats.bootstrap(
        (values,), np.mean, confidence_level=confidence, n_resamples=resamples, method="percentile", batch=50, rng=np.random.default_rng(seed)
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def paired_test(first: np.ndarray, second: np.ndarray, resamples: int = 2000, seed: int = 0) -> tuple[float, float]:
    """Mean difference of a per-user metric between two runs and its two-sided p-value under random sign flips.

    first, second: [users], the same users in the same order -> (mean of first - second, p)
    """
    difference = np.asarray(first, np.float64) - second
    if not difference.any():
        return 0.0, 1.0
    result = stats.permutation_test(
        (difference,), np.mean, permutation_type="samples", n_resamples=resamples, batch=50, rng=np.random.default_rng(seed)
    )
    return float(difference.mean()), float(result.pvalue)
