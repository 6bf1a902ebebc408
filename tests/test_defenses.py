"""Low-rank reconstructions and projections, and the cache."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from advrec_tf import data, perturbations
from advrec_tf.defenses import LowRank, Projection, Transformation, low_rank, project
from advrec_tf.defenses.entering import entered, entered_ratings
from advrec_tf.defenses.low_rank import projection, reconstruct, reconstruct_full, truncated
from advrec_tf.errors import UserError
from advrec_tf.execution import storage


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
    return sparse.csr_matrix(
        rng.random(shape) * (rng.random(shape) < draw(st.sampled_from([0.1, 0.4, 0.9])))
    )


# Reconstruction


@given(matrix=matrices(), size=st.integers(2, 12), rank=st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_patches_are_truncated_svds_whether_or_not_empty_rows_are_skipped(matrix, size, rank):
    rank = min(rank, size)
    low = reconstruct(matrix, size, rank).toarray()
    expected = patched(matrix.toarray(), size, rank)
    # Where two singular values tie, the best approximation is not unique, but its error is.
    np.testing.assert_allclose(
        np.linalg.norm(low - matrix), np.linalg.norm(expected - matrix), atol=1e-5
    )
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
    np.testing.assert_allclose(
        reconstruct(matrix, size, size).toarray(), matrix.toarray(), atol=1e-6
    )


def random_matrix(shape=(40, 31), density=0.3, seed=0):
    rng = np.random.default_rng(seed)
    return sparse.csr_matrix(rng.random(shape) * (rng.random(shape) < density))


def test_the_whole_matrix_is_one_patch():
    matrix = random_matrix()
    matrix[3] = 0
    matrix.eliminate_zeros()
    for turned in (matrix, matrix.T.tocsr()):
        for rank, low in zip((5, 12, 40), reconstruct_full(turned, (5, 12, 40))):
            np.testing.assert_allclose(
                low.toarray(), by_svd(turned.toarray(), min(rank, 31)), atol=1e-5
            )
            np.testing.assert_allclose(
                low.toarray(), reconstruct(turned, 40, rank).toarray(), atol=1e-5
            )


@pytest.mark.parametrize("seed", [None, 3])
def test_patches_in_any_number_of_workers_are_the_same(seed):
    matrix = random_matrix()
    first, second = (reconstruct(matrix, 7, 3, 0.05, workers, seed) for workers in (1, 4))
    for mine, theirs in zip(
        (first.data, first.indices, first.indptr), (second.data, second.indices, second.indptr)
    ):
        np.testing.assert_array_equal(mine, theirs)
    assert np.abs(first.data).min() > 0.05


def test_shuffled_patches_hold_other_rows_together():
    matrix = random_matrix()
    assert not np.allclose(
        reconstruct(matrix, 7, 3, seed=1).toarray(), reconstruct(matrix, 7, 3).toarray(), atol=1e-3
    )
    np.testing.assert_allclose(
        reconstruct(matrix, 40, 9, seed=1).toarray(),
        reconstruct(matrix, 40, 9).toarray(),
        atol=1e-5,
    )


def test_the_order_of_the_patches_follows_the_seed_and_differs_for_rows_and_columns():
    matrix = random_matrix((28, 28))
    first, again, other = (reconstruct(matrix, 7, 2, seed=seed).toarray() for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other, atol=1e-3)
    symmetric = matrix + matrix.T
    shuffled = reconstruct(symmetric.tocsr(), 7, 2, seed=1).toarray()
    assert not np.allclose(shuffled, shuffled.T, atol=1e-3)
    plain = reconstruct(symmetric.tocsr(), 7, 2).toarray()
    np.testing.assert_allclose(plain, plain.T, atol=1e-6)


def test_shuffled_patches_come_back_to_their_places():
    matrix = random_matrix()
    np.testing.assert_allclose(
        reconstruct(matrix, 7, 7, seed=1).toarray(), matrix.toarray(), atol=1e-6
    )


def test_what_is_not_above_the_threshold_in_magnitude_is_left_out():
    """Of rank 1 and 2 already, so that every value comes back as it is."""
    matrix = sparse.csr_matrix(np.diag([0.5, -0.75, 0.25]))
    for low in (reconstruct(matrix, 3, 3, 0.5), next(reconstruct_full(matrix, (3,), 0.5))):
        assert low.nnz == 1 and low[1, 1] == -0.75
    rank_1 = sparse.csr_matrix(np.outer([1.0, 2.0, 4.0], [1.0, -1.0, 0.5]))
    for low in (reconstruct(rank_1, 3, 1, 1.5), next(reconstruct_full(rank_1, (1,), 1.5))):
        np.testing.assert_allclose(low.toarray(), [[0, 0, 0], [2, -2, 0], [4, -4, 2]], atol=1e-6)


def test_incomplete_patches_are_dropped_if_that_is_asked_for():
    """Of 7 x 9 in patches of 3 the last row stands alone; 9 is 3 patches."""
    X = sparse.csr_matrix(np.random.default_rng(0).uniform(1, 2, (7, 9)))
    kept, dropped = (
        reconstruct(X, 3, 2, partial=partial).toarray() for partial in ("keep", "drop")
    )
    np.testing.assert_array_equal(kept[:6], dropped[:6])
    assert kept[6].all() and not dropped[6].any() and dropped.shape == (7, 9)
    assert not reconstruct(X, 4, 2, partial="drop").toarray()[:, 8].any()


def test_a_dropped_patch_is_a_defence_of_its_own(tmp_path):
    shop = data.synthetic(n_users=23, n_items=20, per_user=6, split="80:20")
    kept, dropped = LowRank(5, 5), LowRank(5, 5, partial="drop")
    assert kept.identity(shop) != dropped.identity(shop) and (
        kept.columns["defense"],
        dropped.columns["defense"],
    ) == ("low_rank", "low_rank:drop")
    gone = np.diff(dropped.cleaned(shop, 23, tmp_path).indptr) == 0
    assert (
        gone[20:].all()
        and not gone[:20].any()
        and (np.diff(kept.cleaned(shop, 23, tmp_path).indptr) > 0).all()
    )
    with pytest.raises(UserError, match="keep or drop"):
        LowRank(5, 5, partial="halve")


def test_the_matrix_of_ratings_can_be_read_as_clicks(tmp_path):
    shop = data.synthetic(n_users=23, n_items=20, per_user=6, split="80:20")
    cleaned = LowRank(5, 5, "rating_matrix").cleaned(
        shop, 23, tmp_path
    )  # full rank: every rating is above .5
    assert (cleaned.matrix() != shop.matrix()).nnz == 0 and cleaned.train_ratings is None


def test_patches_by_hand():
    """The best of rank 1 in the upper left is its larger singular value alone; the other patches are of rank 1 as they are."""
    matrix = sparse.csr_matrix([[3.0, 0, 2, 2], [0, 1, 0, 0], [5, 5, 0, 1]])
    np.testing.assert_allclose(
        reconstruct(matrix, 2, 1).toarray(), [[3, 0, 2, 2], [0, 0, 0, 0], [5, 5, 0, 1]], atol=1e-6
    )


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
    rebuilt, X = sparse.csr_matrix(values), interactions.matrix().toarray() > 0
    binary = entered(interactions, rebuilt, "binarize", 0.5)
    np.testing.assert_array_equal(binary.matrix().toarray() > 0, values > 0.5)
    kept = entered(interactions, rebuilt, "binarize_and_keep", 0.5)
    np.testing.assert_array_equal(kept.matrix().toarray() > 0, (values > 0.5) | X)
    weighted = entered(interactions, rebuilt, "weights", 0.5)
    np.testing.assert_array_equal(
        weighted.train_ratings, values[interactions.train_users, interactions.train_items]
    )
    assert weighted.fingerprint == interactions.fingerprint != weighted.ratings_fingerprint
    np.testing.assert_array_equal(
        entered(interactions, rebuilt, "dense", 0.5).matrix(ratings=True).toarray(), values
    )
    for each in (binary, kept, weighted):
        np.testing.assert_array_equal(each.test_items, interactions.test_items)


@pytest.mark.parametrize("share", [0, 30, 100])
@pytest.mark.parametrize("choose", low_rank.CHOICES)
def test_a_share_of_new_ratings(share, choose):
    interactions = shop()
    values = np.random.default_rng(1).uniform(-1, 7, (40, 30)).astype(np.float32)
    X = interactions.matrix(ratings=True).toarray()
    built = (
        entered_ratings(interactions, sparse.csr_matrix(values), share, choose, keep_originals=True)
        .matrix(ratings=True)
        .toarray()
    )
    candidates = (X == 0) & (values >= 0.5)
    new = (built > 0) & (X == 0)
    assert new.sum() == round(candidates.sum() * share / 100) and not (new & ~candidates).any()
    np.testing.assert_array_equal(built[X > 0], X[X > 0])
    np.testing.assert_allclose(built[new], np.clip(values[new], 1, 5))
    if choose == "magnitude" and 0 < share < 100:
        assert values[new].min() >= values[candidates & ~new].max()
    replaced = (
        entered_ratings(interactions, sparse.csr_matrix(values), share, choose)
        .matrix(ratings=True)
        .toarray()
    )
    np.testing.assert_allclose(replaced[X > 0], np.clip(values[X > 0], 1, 5))
    with pytest.raises(UserError, match="0 ... 100"):
        entered_ratings(interactions, sparse.csr_matrix(values), 101)


def test_weights_are_held_between_0_and_1_and_clicks_are_above_the_threshold():
    interactions = shop()
    values = np.linspace(-1, 2, 40 * 30, dtype=np.float32).reshape(40, 30)
    weighted = entered(interactions, sparse.csr_matrix(values), "weights", 0.5).train_ratings
    np.testing.assert_allclose(
        weighted, np.clip(values[interactions.train_users, interactions.train_items], 0, 1)
    )
    halves = sparse.csr_matrix(np.full((40, 30), 0.5, np.float32))
    assert (
        len(entered(interactions, halves, "binarize", 0.5).train_users) == 0
        and len(entered(interactions, halves, "binarize", 0.49).train_users) == 1200
    )


def test_new_ratings_by_hand():
    """Ratings from 2 to 4, so that new ones are from 1 up; of 1, 3, 1.5 and 9 a half are the 3 and the 9, which is cut to 4."""
    frame = pd.DataFrame({"user": [0, 0, 1], "item": [0, 1, 2], "rating": [2.0, 4.0, 3.0]})
    small = data.Interactions.from_frames(
        frame, pd.DataFrame({"user": [0], "item": [3], "rating": [2.0]})
    )
    rebuilt = sparse.csr_matrix(np.float32([[3.5, 1.0, 3.0, 0.9], [1.0, 1.5, 2.5, 9.0]]))
    replaced = [[3.5, 2, 3, 0], [0, 0, 2.5, 4]]
    np.testing.assert_array_equal(
        entered_ratings(small, rebuilt, 50).matrix(ratings=True).toarray(), replaced
    )
    kept = [[2, 4, 3, 0], [0, 0, 3, 4]]
    np.testing.assert_array_equal(
        entered_ratings(small, rebuilt, 50, keep_originals=True).matrix(ratings=True).toarray(),
        kept,
    )
    whole = [[3.5, 2, 3, 0], [2, 2, 2.5, 4]]
    np.testing.assert_array_equal(
        entered_ratings(small, rebuilt).matrix(ratings=True).toarray(), whole
    )


def test_random_new_ratings_follow_their_seed():
    interactions, values = (
        shop(),
        sparse.csr_matrix(np.random.default_rng(1).uniform(1, 5, (40, 30)).astype(np.float32)),
    )
    first, again, other = (
        entered_ratings(interactions, values, 20, "random", seed=seed).fingerprint
        for seed in (0, 0, 1)
    )
    assert first == again != other != entered_ratings(interactions, values, 20).fingerprint


# The defence as it is asked for


def test_what_is_asked_for_is_what_is_built(tmp_path):
    """All in one cache, so that none may be taken for another."""
    interactions = shop()
    matrix, rated = interactions.matrix(), interactions.matrix(ratings=True)
    wanted = {
        LowRank(10, 3): reconstruct(matrix, 10, 3, 0.1),
        LowRank(10, 4): reconstruct(matrix, 10, 4, 0.1),
        LowRank(15, 3): reconstruct(matrix, 15, 3, 0.1),
        LowRank(10, 3, shuffle_seed=0): reconstruct(matrix, 10, 3, 0.1, seed=0),
        LowRank(10, 3, shuffle_seed=1): reconstruct(matrix, 10, 3, 0.1, seed=1),
        LowRank(10, 3, "ratings"): reconstruct(rated, 10, 3, 0.1),
        LowRank(None, 3): next(reconstruct_full(matrix, (3,), 0.1)),
        LowRank(None, 3, "ratings"): next(reconstruct_full(rated, (3,), 0.1)),
    }
    for defense, expected in wanted.items():
        np.testing.assert_allclose(
            defense.rebuilt(interactions, tmp_path).toarray(),
            expected.toarray(),
            atol=1e-6,
            err_msg=str(defense),
        )
    assert len({built.toarray().round(4).tobytes() for built in wanted.values()}) == len(wanted)


@pytest.mark.parametrize("enter", ["binarize", "binarize_and_keep", "weights", "dense"])
def test_the_threshold_and_the_way_in_are_those_asked_for(tmp_path, enter):
    interactions = shop()
    rebuilt = reconstruct(interactions.matrix(), 10, 3, 0.1)
    for threshold in (0.3, 0.6):
        built = LowRank(10, 3, enter, threshold).cleaned(interactions, 40, tmp_path)
        assert (
            built.ratings_fingerprint
            == entered(interactions, rebuilt, enter, threshold).ratings_fingerprint
        )
    assert LowRank(10, 3, enter).feedback == {"weights": "weights", "dense": "values"}.get(
        enter, "binary"
    )


@pytest.mark.parametrize(
    "options",
    [{}, {"share": 25.0}, {"share": 25.0, "choose": "random"}, {"keep_originals": True}],
    ids=str,
)
def test_the_share_and_the_choice_of_ratings_are_those_asked_for(tmp_path, options):
    interactions = shop()
    rebuilt = reconstruct(interactions.matrix(ratings=True), 10, 3, 0.1)
    built = LowRank(10, 3, "ratings", **options).cleaned(interactions, 40, tmp_path)
    assert (
        built.ratings_fingerprint
        == entered_ratings(interactions, rebuilt, **options).ratings_fingerprint
    )
    assert (
        built.ratings_fingerprint == entered_ratings(interactions, rebuilt).ratings_fingerprint
    ) == (options == {})


# Projection


@pytest.mark.parametrize("shape", [(40, 31), (20, 33)])
def test_a_projection_is_idempotent_and_symmetric_and_keeps_the_first_singular_vectors(shape):
    matrix = random_matrix(shape)
    U, V = projection(matrix, 6)
    for basis in (U, V):
        square = basis @ basis.T
        np.testing.assert_allclose(square @ square, square, atol=1e-8)
        np.testing.assert_allclose(square, square.T)
    np.testing.assert_allclose(
        U @ U.T @ matrix.toarray() @ V @ V.T, by_svd(matrix.toarray(), 6), atol=1e-8
    )
    A, B = (np.random.default_rng(n).random((size, 4)) for n, size in enumerate(shape))
    once = project(A, B, U, V)
    for mine, theirs in zip(project(*once, U, V), once):
        np.testing.assert_allclose(mine, theirs, atol=1e-8)
    np.testing.assert_allclose(once[0], U @ U.T @ A)


def test_a_projection_by_hand():
    """The first right singular vector of diag(3, 1) beside an empty item is the first axis: what is elsewhere goes."""
    matrix = sparse.csr_matrix([[3.0, 0, 0], [0, 1, 0]])
    P, Q = project(
        np.array([[1.0, 2], [3, 4]]), np.array([[5.0, 6], [7, 8], [9, 10]]), *projection(matrix, 1)
    )
    np.testing.assert_allclose(P, [[1, 2], [0, 0]], atol=1e-12)
    np.testing.assert_allclose(Q, [[5, 6], [0, 0], [0, 0]], atol=1e-12)


def test_a_transformation_may_follow_a_reconstruction(tmp_path):
    interactions, before = shop(), LowRank(10, 3)
    both = Transformation(4, before).cleaned(interactions, 40, tmp_path)
    assert (
        both.fingerprint
        == before.cleaned(interactions, 40, tmp_path).fingerprint
        != interactions.fingerprint
    )


def test_an_attack_through_a_full_projection_has_the_start_the_step_and_the_ball_it_is_given(
    problem,
):
    P, Q, triples = problem(seed=1)
    chunks, start = (
        perturbations.chunk_triples(triples, len(P), len(Q)),
        perturbations.uniform_start(P, Q, seed=5),
    )
    plain = next(perturbations.trajectory(P, Q, triples, 0.3, 0.2, "l2", start, (3,)))
    through = next(
        perturbations.trajectory(
            P,
            Q,
            chunks,
            0.3,
            read_at=(3,),
            served=Projection(np.eye(len(P)), np.eye(len(Q))),
            step_size=0.2,
            ball="l2",
            init=start,
        )
    )
    np.testing.assert_allclose(through.user, plain.user, atol=1e-5)
    np.testing.assert_allclose(through.item, plain.item, atol=1e-5)


def test_what_the_matrix_does_not_span_has_no_singular_vector():
    matrix = sparse.csr_matrix(np.outer([1.0, 2, 0, 1], [1.0, 0, 1]))
    U, V = projection(matrix, 3)
    assert U.shape == (4, 1) and V.shape == (3, 1)
    with pytest.raises(UserError, match="must lie in 1 ... 3"):
        projection(matrix, 4)


def test_the_transformation_projects_on_the_data_it_is_given(tmp_path):
    interactions = shop()
    defense = Transformation(7)
    assert defense.cleaned(interactions, 40, tmp_path) is interactions
    P, Q = np.random.default_rng(0).random((40, 3)), np.random.default_rng(1).random((30, 3))
    U, V = projection(interactions.matrix(ratings=True), 7)
    for mine, theirs in zip(defense.transformed(P, Q, interactions, tmp_path), project(P, Q, U, V)):
        np.testing.assert_allclose(mine, theirs, atol=1e-8)


def test_an_attack_through_a_full_projection_is_the_plain_attack(problem):
    P, Q, triples = problem()
    chunks = perturbations.chunk_triples(triples, len(P), len(Q))
    plain = perturbations.bim(P, Q, triples, 0.3, iterations=4)
    through = next(
        perturbations.trajectory(
            P, Q, chunks, 0.3, read_at=(4,), served=Projection(np.eye(len(P)), np.eye(len(Q)))
        )
    )
    np.testing.assert_allclose(through.user, plain.user, atol=1e-5)
    np.testing.assert_allclose(through.item, plain.item, atol=1e-5)


def test_an_aware_attack_follows_the_loss_of_the_projected_factors(problem):
    """Its one step is along U U^T g, where g is the gradient at the projected factors; differences of the loss agree."""
    P, Q, triples = problem()
    U, V = (
        np.linalg.qr(np.random.default_rng(n).random((len(x), 5)))[0] for n, x in enumerate((P, Q))
    )
    chunks = perturbations.chunk_triples(triples, len(P), len(Q))
    delta = next(
        perturbations.trajectory(
            P, Q, chunks, 1.0, read_at=(1,), served=Projection(U, V), step_size=1.0
        )
    )

    def loss(p, q):
        p, q = project(np.float64(p), np.float64(q), U, V)
        users, positives, negatives = triples
        return np.sum(np.log1p(np.exp(-np.sum(p[users] * (q[positives] - q[negatives]), axis=1))))

    for row in (0, 4):
        gradient = np.array(
            [(loss(P + step, Q) - loss(P - step, Q)) / 2e-4 for step in _unit_steps(P.shape, row)]
        )
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
        np.testing.assert_array_equal(
            storage.cached(tmp_path, {"a": 1}, build)["x"], np.arange(5.0)
        )
    assert len(built) == 1
    path = storage.entry(tmp_path, {"a": 1})
    arrays = dict(np.load(path))
    original = path.read_bytes()
    np.savez(path, **{**arrays, "x": np.arange(5.0) + 1})
    np.testing.assert_array_equal(storage.cached(tmp_path, {"a": 1}, build)["x"], np.arange(5.0))
    assert (
        len(built) == 2
        and "not what was written" in capsys.readouterr().err
        and path.read_bytes() == original
    )
    path.write_bytes(original[: len(original) // 2])
    storage.cached(tmp_path, {"a": 1}, build)
    assert len(built) == 3 and path.read_bytes() == original
    storage.cached(tmp_path, {"a": 2}, build)
    assert len(built) == 4


def test_a_reconstruction_is_made_once(tmp_path, monkeypatch):
    interactions = shop()
    first = LowRank(10, 3).cleaned(interactions, 40, tmp_path)
    monkeypatch.setattr(low_rank, "reconstruct", None)
    again = LowRank(10, 3).cleaned(interactions, 40, tmp_path)
    np.testing.assert_array_equal(first.train_items, again.train_items)
    low_rank.prepare_full(interactions, (4, 9), tmp_path)
    monkeypatch.setattr(low_rank, "reconstruct_full", None)
    assert LowRank(None, 4).cleaned(interactions, 40, tmp_path).n_users == 40
    low_rank.prepare_full(interactions, (4, 9), tmp_path)
