"""Numbering and ordering of many rows, beside the plain way."""

import numpy as np
import pytest

from advrec_tf.data import frames


@pytest.mark.parametrize("top", [3, 1000, 2**40, 2**62])
def test_integers_are_ordered_as_a_stable_sort_does(top):
    rng = np.random.default_rng(top % 97)
    for count in (0, 1, 2, 500):
        values = rng.integers(0, top, count)
        order, ordered = frames._sorted(values)
        expected = np.argsort(values, kind="stable")
        np.testing.assert_array_equal(order, expected)
        np.testing.assert_array_equal(ordered, values[expected])


@pytest.mark.parametrize("low, high", [(0, 50), (-9, 50), (0, 2**62)])
def test_integers_are_ranked_as_unique_does(low, high):
    values = np.random.default_rng(0).integers(low, high, 300)
    ranks, ids = frames._ranked(values)
    expected_ids, expected = np.unique(values, return_inverse=True)
    np.testing.assert_array_equal(ids, expected_ids)
    np.testing.assert_array_equal(ranks, expected)


def test_the_first_occurrences_are_in_order():
    indices = np.array([2, 0, 2, 1, 0, 3])
    assert frames._first_seen(indices, 4).tolist() == [2, 0, 1, 3]
