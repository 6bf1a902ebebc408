"""Low-rank projections of factors, and attacks through them."""

import numpy as np
import pytest
from scipy import sparse

from advrec_tf import data, perturbations
from advrec_tf.defenses import LowRank, Projection, Transformation, project, projection
from advrec_tf.errors import UserError

from oracles import by_svd, random_matrix


def shop():
    return data.synthetic(n_users=40, n_items=30, per_user=8, seed=5, split="80:20")


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
    """The first singular vectors of diag(3, 1) beside an empty item are the first axes."""
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
    """Its one step is along U U^T g, where g is the gradient at the projected factors.

    Finite differences of the loss give the same direction.
    """
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
