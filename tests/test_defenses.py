"""Low-rank reconstructions and projections, and the cache."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from advrec_tf import data, perturbations
from advrec_tf.defenses import LowRank, Transformation, low_rank
from advrec_tf.defenses.low_rank import entered, entered_ratings, matrix_of, projection, reconstruct, reconstruct_full, transform, truncated
from advrec_tf.defenses.perturbed import through_projection
from advrec_tf.errors import UserError
from advrec_tf.training import cache


def by_svd(block, rank):
    U, s, Vt = np.linalg.svd(block)
    return (U[:, :rank] * s[:rank]) @ Vt[:rank]


def patched(matrix, size, rank):
    """Every patch by a dense SVD, empty rows and columns included."""
    whole = np.zeros(matrix.shape)
    for row in range(0, matrix.shape[0], size):
        for column in range(0, matrix.shape[1], size):
            part = np.s_[row : row + size, column : column + size]
            whole[part] = by_svd(matrix[part], min(rank, *matrix[part].shape))
    return whole


@st.composite
def matrices(draw):
    shape = draw(st.tuples(st.integers(3, 25), st.integers(3, 25)))
    rng = np.random.default_rng(draw(st.integers(0, 100)))
    return sparse.csr_matrix(rng.random(shape) * (rng.random(shape) < draw(st.sampled_from([0.1, 0.4, 0.9]))))


# Reconstruction


@given(matrix=matrices(), size=st.integers(2, 12), rank=st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_patches_are_truncated_svds_whether_or_not_empty_rows_are_skipped(matrix, size, rank):
    rank = min(rank, size)
    low = reconstruct(matrix, size, rank).toarray()
    expected = patched(matrix.toarray(), size, rank)
    # Where two singular values tie, the best approximation is not unique, but its error is.
    np.testing.assert_allclose(np.linalg.norm(low - matrix), np.linalg.norm(expected - matrix), atol=1e-5)
    gaps = [
        np.diff(np.linalg.svd(matrix.toarray()[r : r + size, c : c + size])[1])
        for r in range(0, matrix.shape[0], size)
        for c in range(0, matrix.shape[1], size)
    ]
    if all(len(gap) < rank or gap[rank - 1] < -1e-3 for gap in gaps):
        np.testing.assert_allclose(low, expected, atol=1e-5)


@given(matrix=matrices(), size=st.integers(1, 30))
@settings(max_examples=30, deadline=None)
def test_full_rank_reproduces_the_matrix(matrix, size):
    np.testing.assert_allclose(reconstruct(matrix, size, size).toarray(), matrix.toarray(), atol=1e-6)


def random_matrix(shape=(40, 31), density=0.3, seed=0):
    rng = np.random.default_rng(seed)
    return sparse.csr_matrix(rng.random(shape) * (rng.random(shape) < density))


def test_the_whole_matrix_is_one_patch():
    matrix = random_matrix()
    matrix[3] = 0
    matrix.eliminate_zeros()
    for turned in (matrix, matrix.T.tocsr()):
        for rank, low in zip((5, 12, 40), reconstruct_full(turned, (5, 12, 40))):
            np.testing.assert_allclose(low.toarray(), by_svd(turned.toarray(), min(rank, 31)), atol=1e-5)
            np.testing.assert_allclose(low.toarray(), reconstruct(turned, 40, rank).toarray(), atol=1e-5)


@pytest.mark.parametrize("seed", [None, 3])
def test_patches_in_any_number_of_workers_are_the_same(seed):
    matrix = random_matrix()
    first, second = (reconstruct(matrix, 7, 3, 0.05, workers, seed) for workers in (1, 4))
    for mine, theirs in zip((first.data, first.indices, first.indptr), (second.data, second.indices, second.indptr)):
        np.testing.assert_array_equal(mine, theirs)
    assert np.abs(first.data).min() > 0.05


def test_shuffled_patches_hold_other_rows_together():
    matrix = random_matrix()
    assert not np.allclose(reconstruct(matrix, 7, 3, seed=1).toarray(), reconstruct(matrix, 7, 3).toarray(), atol=1e-3)
    np.testing.assert_allclose(reconstruct(matrix, 40, 9, seed=1).toarray(), reconstruct(matrix, 40, 9).toarray(), atol=1e-5)


@pytest.mark.parametrize("size, rank", [(0, 1), (5, 0), (5, 6)])
def test_impossible_patches_are_told(size, rank):
    with pytest.raises(UserError, match="patch"):
        reconstruct(random_matrix(), size, rank)


def test_a_tall_block_is_its_transpose_turned():
    block = np.random.default_rng(0).random((9, 4))
    np.testing.assert_allclose(truncated(block, 2), truncated(block.T, 2).T)
    np.testing.assert_allclose(truncated(block, 2), by_svd(block, 2), atol=1e-10)


# How reconstructed values enter


def shop():
    return data.synthetic(n_users=40, n_items=30, per_user=8, seed=5, split="80:20")


def test_clicks_from_a_reconstruction():
    interactions = shop()
    values = np.random.default_rng(0).random((40, 30)).astype(np.float32)
    rebuilt, X = sparse.csr_matrix(values), matrix_of(interactions).toarray() > 0
    binary = entered(interactions, rebuilt, "binarize", 0.5)
    np.testing.assert_array_equal(matrix_of(binary).toarray() > 0, values > 0.5)
    kept = entered(interactions, rebuilt, "binarize_and_keep", 0.5)
    np.testing.assert_array_equal(matrix_of(kept).toarray() > 0, (values > 0.5) | X)
    weighted = entered(interactions, rebuilt, "weights", 0.5)
    np.testing.assert_array_equal(weighted.train_ratings, values[interactions.train_users, interactions.train_items])
    assert weighted.fingerprint == interactions.fingerprint != weighted.ratings_fingerprint
    np.testing.assert_array_equal(matrix_of(entered(interactions, rebuilt, "dense", 0.5), ratings=True).toarray(), values)
    for each in (binary, kept, weighted):
        np.testing.assert_array_equal(each.test_items, interactions.test_items)


@pytest.mark.parametrize("share", [0, 30, 100])
@pytest.mark.parametrize("choose", low_rank.CHOICES)
def test_a_share_of_new_ratings(share, choose):
    interactions = shop()
    values = np.random.default_rng(1).uniform(-1, 7, (40, 30)).astype(np.float32)
    X = matrix_of(interactions, ratings=True).toarray()
    built = matrix_of(entered_ratings(interactions, sparse.csr_matrix(values), share, choose, keep_originals=True), ratings=True).toarray()
    candidates = (X == 0) & (values >= 0.5)
    new = (built > 0) & (X == 0)
    assert new.sum() == round(candidates.sum() * share / 100) and not (new & ~candidates).any()
    np.testing.assert_array_equal(built[X > 0], X[X > 0])
    np.testing.assert_allclose(built[new], np.clip(values[new], 1, 5))
    if choose == "magnitude" and 0 < share < 100:
        assert values[new].min() >= values[candidates & ~new].max()
    replaced = matrix_of(entered_ratings(interactions, sparse.csr_matrix(values), share, choose), ratings=True).toarray()
    np.testing.assert_allclose(replaced[X > 0], np.clip(values[X > 0], 1, 5))
    with pytest.raises(UserError, match="0 ... 100"):
        entered_ratings(interactions, sparse.csr_matrix(values), 101)


# Projection


@pytest.mark.parametrize("shape", [(40, 31), (20, 33)])
def test_a_projection_is_idempotent_and_symmetric_and_keeps_the_first_singular_vectors(shape):
    matrix = random_matrix(shape)
    U, V = projection(matrix, 6)
    for basis in (U, V):
        square = basis @ basis.T
        np.testing.assert_allclose(square @ square, square, atol=1e-8)
        np.testing.assert_allclose(square, square.T)
    np.testing.assert_allclose(U @ U.T @ matrix.toarray() @ V @ V.T, by_svd(matrix.toarray(), 6), atol=1e-8)
    A, B = (np.random.default_rng(n).random((size, 4)) for n, size in enumerate(shape))
    once = transform(A, B, U, V)
    for mine, theirs in zip(transform(*once, U, V), once):
        np.testing.assert_allclose(mine, theirs, atol=1e-8)
    np.testing.assert_allclose(once[0], U @ U.T @ A)


def test_what_the_matrix_does_not_span_has_no_singular_vector():
    matrix = sparse.csr_matrix(np.outer([1.0, 2, 0, 1], [1.0, 0, 1]))
    U, V = projection(matrix, 3)
    assert U.shape == (4, 1) and V.shape == (3, 1)
    with pytest.raises(UserError, match="must lie in 1 ... 3"):
        projection(matrix, 4)


def test_the_transformation_projects_on_the_data_it_is_given(tmp_path):
    interactions = shop()
    defense = Transformation(7)
    assert defense.applied(interactions, 40, tmp_path) is interactions
    P, Q = np.random.default_rng(0).random((40, 3)), np.random.default_rng(1).random((30, 3))
    U, V = projection(matrix_of(interactions, ratings=True), 7)
    for mine, theirs in zip(defense.transformed(P, Q, interactions, tmp_path), transform(P, Q, U, V)):
        np.testing.assert_allclose(mine, theirs, atol=1e-8)


def test_an_attack_through_a_full_projection_is_the_plain_attack(problem):
    P, Q, triples = problem()
    chunks = perturbations.chunk_triples(triples, len(P), len(Q))
    plain = perturbations.bim(P, Q, triples, 0.3, iterations=4)
    through = through_projection(P, Q, np.eye(len(P)), np.eye(len(Q)), chunks, 0.3, 4)
    np.testing.assert_allclose(through.user, plain.user, atol=1e-5)
    np.testing.assert_allclose(through.item, plain.item, atol=1e-5)


def test_an_aware_attack_follows_the_loss_of_the_projected_factors(problem):
    """Its one step is along U U^T g, where g is the gradient at the projected factors; differences of the loss agree."""
    P, Q, triples = problem()
    U, V = (np.linalg.qr(np.random.default_rng(n).random((len(x), 5)))[0] for n, x in enumerate((P, Q)))
    chunks = perturbations.chunk_triples(triples, len(P), len(Q))
    delta = through_projection(P, Q, U, V, chunks, 1.0, 1, step_size=1.0)

    def loss(p, q):
        p, q = transform(np.float64(p), np.float64(q), U, V)
        users, positives, negatives = triples
        return np.sum(np.log1p(np.exp(-np.sum(p[users] * (q[positives] - q[negatives]), axis=1))))

    for row in (0, 4):
        gradient = np.array([(loss(P + step, Q) - loss(P - step, Q)) / 2e-4 for step in _unit_steps(P.shape, row)])
        np.testing.assert_allclose(delta.user[row], gradient / np.linalg.norm(gradient), atol=1e-3)


def _unit_steps(shape, row):
    for column in range(shape[1]):
        step = np.zeros(shape)
        step[row, column] = 1e-4
        yield step


# The cache


def test_the_cache_builds_once_and_notices_tampering(tmp_path, capsys):
    built = []

    def build():
        built.append(1)
        return {"x": np.arange(5.0), "y": np.array([[1, 2]])}

    for _ in range(2):
        np.testing.assert_array_equal(cache.cached(tmp_path, {"a": 1}, build)["x"], np.arange(5.0))
    assert len(built) == 1
    path = cache.entry(tmp_path, {"a": 1}).with_suffix(".npz")
    arrays = dict(np.load(path))
    original = path.read_bytes()
    np.savez(path, **{**arrays, "x": np.arange(5.0) + 1})
    np.testing.assert_array_equal(cache.cached(tmp_path, {"a": 1}, build)["x"], np.arange(5.0))
    assert len(built) == 2 and "not what was written" in capsys.readouterr().err and path.read_bytes() == original
    path.write_bytes(original[: len(original) // 2])
    cache.cached(tmp_path, {"a": 1}, build)
    assert len(built) == 3 and path.read_bytes() == original
    cache.cached(tmp_path, {"a": 2}, build)
    assert len(built) == 4


def test_a_reconstruction_is_made_once(tmp_path, monkeypatch):
    interactions = shop()
    first = LowRank(10, 3).applied(interactions, 40, tmp_path)
    monkeypatch.setattr(low_rank, "reconstruct", None)
    again = LowRank(10, 3).applied(interactions, 40, tmp_path)
    np.testing.assert_array_equal(first.train_items, again.train_items)
    low_rank.prepare_full(interactions, (4, 9), tmp_path)
    monkeypatch.setattr(low_rank, "reconstruct_full", None)
    assert LowRank(None, 4).applied(interactions, 40, tmp_path).n_users == 40
    low_rank.prepare_full(interactions, (4, 9), tmp_path)
