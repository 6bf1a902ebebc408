"""Low-rank reconstruction of a matrix in patches."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from advrec_tf.defenses import reconstruct, reconstruct_full
from advrec_tf.defenses.reconstruction import truncated
from advrec_tf.errors import UserError

from oracles import by_svd, random_matrix


def patches(matrix, size):
    """Yield the slices of every patch."""
    for row in range(0, matrix.shape[0], size):
        for column in range(0, matrix.shape[1], size):
            yield np.s_[row : row + size, column : column + size]


@st.composite
def matrices(draw):
    shape = draw(st.tuples(st.integers(3, 25), st.integers(3, 25)))
    density = draw(st.sampled_from([0.1, 0.4, 0.9]))
    return random_matrix(shape, density, draw(st.integers(0, 100)))


@given(matrix=matrices(), size=st.integers(2, 12), rank=st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_patches_are_truncated_svds_whether_or_not_empty_rows_are_skipped(matrix, size, rank):
    rank, dense = min(rank, size), matrix.toarray()
    low = reconstruct(matrix, size, rank).toarray()
    expected, unique = np.zeros(matrix.shape), True
    for part in patches(matrix, size):
        expected[part] = by_svd(dense[part], min(rank, *dense[part].shape))
        gaps = np.diff(np.linalg.svd(dense[part])[1])
        unique &= len(gaps) < rank or gaps[rank - 1] < -1e-3
    # Where two singular values tie, the best approximation is not unique, but its error is.
    errors = np.linalg.norm(low - matrix), np.linalg.norm(expected - matrix)
    np.testing.assert_allclose(*errors, atol=1e-5)
    if unique:
        np.testing.assert_allclose(low, expected, atol=1e-5)


@given(matrix=matrices(), size=st.integers(1, 30))
@settings(max_examples=30, deadline=None)
def test_full_rank_reproduces_the_matrix(matrix, size):
    low = reconstruct(matrix, size, size).toarray()
    np.testing.assert_allclose(low, matrix.toarray(), atol=1e-6)


def test_the_entire_matrix_is_one_patch():
    matrix = random_matrix()
    matrix[3] = 0
    matrix.eliminate_zeros()
    for turned in (matrix, matrix.T.tocsr()):
        for rank, low in zip((5, 12, 40), reconstruct_full(turned, (5, 12, 40))):
            expected = by_svd(turned.toarray(), min(rank, 31))
            np.testing.assert_allclose(low.toarray(), expected, atol=1e-5)
            patch = reconstruct(turned, 40, rank)
            np.testing.assert_allclose(low.toarray(), patch.toarray(), atol=1e-5)


def test_shuffled_patches_hold_other_rows_together():
    matrix = random_matrix()
    shuffled, plain = (reconstruct(matrix, 7, 3, seed=seed).toarray() for seed in (1, None))
    assert not np.allclose(shuffled, plain, atol=1e-3)
    shuffled, plain = (reconstruct(matrix, 40, 9, seed=seed).toarray() for seed in (1, None))
    np.testing.assert_allclose(shuffled, plain, atol=1e-5)


def test_the_order_of_the_patches_follows_the_seed_and_differs_for_rows_and_columns():
    matrix = random_matrix((28, 28))
    first, again, other = (reconstruct(matrix, 7, 2, seed=seed).toarray() for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other, atol=1e-3)
    symmetric = (matrix + matrix.T).tocsr()
    shuffled, plain = (reconstruct(symmetric, 7, 2, seed=seed).toarray() for seed in (1, None))
    assert not np.allclose(shuffled, shuffled.T, atol=1e-3)
    np.testing.assert_allclose(plain, plain.T, atol=1e-6)


def test_shuffled_rows_and_columns_come_back_in_order():
    matrix = random_matrix()
    low = reconstruct(matrix, 7, 7, seed=1).toarray()
    np.testing.assert_allclose(low, matrix.toarray(), atol=1e-6)


def test_values_not_above_the_threshold_in_magnitude_are_dropped():
    """The matrices have rank 1 and 3, so that every other value comes back unchanged."""
    matrix = sparse.csr_matrix(np.diag([0.5, -0.75, 0.25]))
    for low in (reconstruct(matrix, 3, 3, 0.5), next(reconstruct_full(matrix, (3,), 0.5))):
        assert low.nnz == 1 and low[1, 1] == -0.75
    rank_1 = sparse.csr_matrix(np.outer([1.0, 2.0, 4.0], [1.0, -1.0, 0.5]))
    for low in (reconstruct(rank_1, 3, 1, 1.5), next(reconstruct_full(rank_1, (1,), 1.5))):
        np.testing.assert_allclose(low.toarray(), [[0, 0, 0], [2, -2, 0], [4, -4, 2]], atol=1e-6)


def test_incomplete_patches_are_dropped_if_that_is_asked_for():
    """Of 7 x 9 in patches of 3 the last row is incomplete; 9 columns are 3 patches."""
    X = sparse.csr_matrix(np.random.default_rng(0).uniform(1, 2, (7, 9)))
    kept, dropped = (
        reconstruct(X, 3, 2, partial=partial).toarray() for partial in ("keep", "drop")
    )
    np.testing.assert_array_equal(kept[:6], dropped[:6])
    assert kept[6].all() and not dropped[6].any() and dropped.shape == (7, 9)
    assert not reconstruct(X, 4, 2, partial="drop").toarray()[:, 8].any()


def test_patches_by_hand():
    """Rank 1 keeps the larger singular value of the upper left patch.

    The other patches have rank 1 already.
    """
    matrix = sparse.csr_matrix([[3.0, 0, 2, 2], [0, 1, 0, 0], [5, 5, 0, 1]])
    expected = [[3, 0, 2, 2], [0, 0, 0, 0], [5, 5, 0, 1]]
    np.testing.assert_allclose(reconstruct(matrix, 2, 1).toarray(), expected, atol=1e-6)


@pytest.mark.parametrize("size, rank", [(0, 1), (5, 0), (5, 6)])
def test_impossible_patches_are_refused(size, rank):
    with pytest.raises(UserError, match="patch"):
        reconstruct(random_matrix(), size, rank)


def test_a_tall_block_is_its_transpose_turned():
    block = np.random.default_rng(0).random((9, 4))
    np.testing.assert_allclose(truncated(block, 2), truncated(block.T, 2).T)
    np.testing.assert_allclose(truncated(block, 2), by_svd(block, 2), atol=1e-10)
