"""Intervals and tests by hand."""

import numpy as np
import pytest

from advrec_tf import evaluation


def test_the_bootstrap_by_hand():
    """Of two users drawn twice the mean of 0 and 1 is 0, 1/2, 1 with chances 1/4, 1/2, 1/4."""
    assert evaluation.bootstrap_interval([0, 1], confidence=0.4) == (0.5, 0.5)
    assert evaluation.bootstrap_interval([0, 1], confidence=0.6) == (0, 1)
    assert evaluation.bootstrap_interval([0, 1]) == (0, 1)
    assert evaluation.bootstrap_interval(np.ones(5)) == (1.0, 1.0)


def test_the_bootstrap_of_a_ratio_draws_both_from_the_same_users():
    """1 beside 1 and 3: the ratio of means is 1, 1/2, 1/3 with probabilities 1/4, 1/2, 1/4."""
    ends = [evaluation.bootstrap_interval([1, 1], [1, 3], confidence) for confidence in (0.4, 0.6)]
    assert ends[0] == (0.5, 0.5) and ends[1] == pytest.approx((1 / 3, 1))
    values = np.arange(1.0, 30)
    assert evaluation.bootstrap_interval(values, beside=2 * values) == (0.5, 0.5)


def test_the_bootstrap_of_many_users_is_the_normal_interval():
    values = np.random.default_rng(0).random(400)
    low, high = evaluation.bootstrap_interval(values)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.15)


def test_both_follow_their_seed_and_the_bootstrap_its_number_of_resamples():
    values = np.random.default_rng(0).random(50)
    first = evaluation.bootstrap_interval(values)
    assert first == evaluation.bootstrap_interval(values, seed=0)
    assert first != evaluation.bootstrap_interval(values, seed=1)
    low, high = evaluation.bootstrap_interval(values, resamples=1)
    assert low == high
    p = [evaluation.paired_test(values, values[::-1] + 0.05, seed=seed)[1] for seed in (0, 0, 1)]
    assert p[0] == p[1] != p[2]


def test_the_paired_test_by_hand():
    """Of the 32 ways to flip five signs two are as extreme: none flipped and all flipped."""
    first, second = np.array([2.0, 3, 4, 5, 6]), np.array([1.0, 2, 3, 4, 5])
    assert evaluation.paired_test(first, second) == pytest.approx((1, 2 / 32))
    assert evaluation.paired_test(second, first) == pytest.approx((-1, 2 / 32))
    # 3, -1 and 0 under any signs are as far from 0.
    assert evaluation.paired_test([3, 0, 1], [0, 1, 1]) == pytest.approx((2 / 3, 1))
    assert evaluation.paired_test(first, first) == (0.0, 1.0)


def test_the_paired_test_tells_a_difference_from_chance():
    rng = np.random.default_rng(0)
    worse = rng.random(400)
    better = worse + 0.05 + 0.1 * rng.normal(size=400)
    difference, p = evaluation.paired_test(better, worse)
    assert difference == pytest.approx((better - worse).mean()) and p < 0.01
    assert evaluation.paired_test(worse, rng.permutation(worse))[1] > 0.05


def test_an_interval_over_seeds_by_hand():
    low, high = evaluation.mean_interval([1.0, 2.0, 3.0])
    assert (low + high) / 2 == pytest.approx(2)
    assert high - 2 == pytest.approx(4.302653 / np.sqrt(3), rel=1e-5)
    assert np.isnan(evaluation.mean_interval([1.0])).all()
