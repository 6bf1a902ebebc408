"""How far factors moved, what became of lists, and trainings in one basis: restated in NumPy."""

import ml_dtypes
import numpy as np
import pytest
from scipy.stats import ortho_group

from advrec_tf.errors import UserError
from advrec_tf.perturbations import quantized_canonical
from advrec_tf.stability import measures, procrustes, quantization

RNG = np.random.default_rng(0)
TABLES = tuple(RNG.standard_normal((n, 6)).astype(np.float32) for n in (40, 30))


def test_epsilons_by_hand():
    before = np.array([[3.0, 4.0], [0.0, 5.0]]), np.array([[2.0, 0.0]])  # RMS norms 5 and 2
    after = np.array([[3.0, 4.5], [1.0, 5.0]]), np.array([[2.0, 1.0]])
    moved = measures.epsilons(before, after)
    assert moved["user_epsilon"] == pytest.approx(np.sqrt((0.5**2 + 1) / 2) / 5)
    assert moved["item_epsilon"] == moved["item_most"] == pytest.approx(0.5)
    assert moved["user_most"] == pytest.approx(0.2)
    assert moved["user_p95"] == pytest.approx(0.1 + 0.95 * 0.1)
    both = moved["user_epsilon"], moved["item_epsilon"]
    assert moved["epsilon"] == pytest.approx(np.sqrt(np.mean(np.square(both))))


def rbo(first, second, p=0.9):
    """Return the extrapolated rank-biased overlap of two lists, by its definition."""
    k, total = len(first), 0.0
    for depth in range(1, k + 1):
        shared = len(set(first[:depth]) & set(second[:depth]))
        total += (1 - p) / p * shared / depth * p**depth
    return total + shared / k * p**k


def test_list_changes_agree_with_their_definitions(monkeypatch):
    monkeypatch.setattr(measures, "BLOCK", 7)
    first, second = (np.array([RNG.permutation(9)[:4] for _ in range(20)]) for _ in range(2))
    second[:3] = first[:3]
    found = measures.list_changes(first, second)
    overlaps = [len(set(a) & set(b)) / 4 for a, b in zip(first, second)]
    assert found["overlap"] == pytest.approx(np.mean(overlaps))
    assert found["RBO"] == pytest.approx(np.mean([rbo(a, b) for a, b in zip(first, second)]))
    assert found["same_list"] == np.mean([list(a) == list(b) for a, b in zip(first, second)])
    assert found["same_first"] == np.mean(first[:, 0] == second[:, 0])


def test_short_lists_are_equal_to_themselves():
    lists = np.array([[3, -1, -1], [1, 0, -1]])
    assert measures.list_changes(lists, lists) == pytest.approx(
        {"overlap": 1, "RBO": 1, "same_list": 1, "same_first": 1}
    )


def test_cosines():
    first, second = (tuple(x + RNG.standard_normal(x.shape) for x in TABLES) for _ in range(2))
    twice = tuple(x + 2 * (y - x) for x, y in zip(TABLES, first))
    away = tuple(x - (y - x) for x, y in zip(TABLES, first))
    assert measures.cosine(TABLES, first, twice) == pytest.approx(1)
    assert measures.cosine(TABLES, first, away) == pytest.approx(-1)
    assert abs(measures.cosine(TABLES, first, second)) < 0.3
    assert measures.cosine(TABLES, first, TABLES) is None


def test_integers_by_hand():
    table = np.array([[1.0, -0.26, 0.0], [70.0, 14.0, -3.0]], np.float32)
    by_row = quantization.integers(table, 4, by_row=True)  # 7 steps to the largest number
    np.testing.assert_allclose(by_row, [[1, -2 / 7, 0], [70, 10, 0]], rtol=1e-6)
    at_once = quantization.integers(table, 4, by_row=False)
    np.testing.assert_allclose(at_once, [[0, 0, 0], [70, 10, 0]], rtol=1e-6)
    zeros = np.zeros((2, 3), np.float32)
    np.testing.assert_array_equal(quantization.integers(zeros, 8, by_row=True), zeros)


@pytest.mark.parametrize("name, dtype", [("fp16", np.float16), ("bfloat16", ml_dtypes.bfloat16)])
def test_floating_point_numbers_are_rounded(name, dtype):
    for stored, table in zip(quantization.STORAGE[name](TABLES, 0), TABLES):
        np.testing.assert_array_equal(stored, table.astype(dtype).astype(np.float32))


def test_truncated_ranks():
    user, item = quantization.STORAGE["half rank"](TABLES, 0)
    for stored, table in zip((user, item), TABLES):
        np.testing.assert_array_equal(stored[:, :3], table[:, :3])
        assert not stored[:, 3:].any()


def test_product_quantisation_has_few_rows_in_each_part():
    pytest.importorskip("faiss")
    table = RNG.standard_normal((700, 8)).astype(np.float32)
    fine, coarse = (quantization.product(table, row_bytes, 1) for row_bytes in (8, 2))
    np.testing.assert_array_equal(fine, quantization.product(table, 8, 1))
    errors = [np.linalg.norm(x - table) / np.linalg.norm(table) for x in (fine, coarse)]
    assert 0 < errors[0] < 0.02 < errors[1] < 0.7
    assert len(np.unique(quantization.product(table, 1, 1), axis=0)) == 256
    assert quantization.product(table[:20], 3, 0).shape == (20, 8)  # 3 parts of 8 columns
    user, item = quantization.STORAGE["PQ8 items"]((table, table), 1)
    np.testing.assert_array_equal(user, table)
    assert not np.array_equal(item, table)


def test_a_known_orthogonal_map_and_scale_is_undone():
    rotation = ortho_group.rvs(6, random_state=0)
    turned = tuple(2.5 * x @ rotation for x in TABLES)
    before, after = procrustes.aligned(TABLES, turned)
    for first, second, table in zip(before, after, TABLES):
        np.testing.assert_array_equal(first, table)
        np.testing.assert_allclose(second, table, atol=1e-6)
    assert procrustes.linear_residual(TABLES, turned) < 1e-6


def test_trainings_of_other_widths_are_padded():
    rotation = ortho_group.rvs(6, random_state=0)
    narrow = tuple(x[:, :4] for x in TABLES)
    wide = tuple(np.pad(x, ((0, 0), (0, 2))) @ rotation for x in narrow)
    for first, second in ((narrow, wide), (wide, narrow)):
        pair = procrustes.aligned(first, second)
        assert measures.epsilons(*pair)["epsilon"] < 1e-6
        assert {x.shape[1] for tables in pair for x in tables} == {6}


def test_no_orthogonal_map_is_better():
    other = tuple(x + 0.5 * RNG.standard_normal(x.shape) for x in TABLES)
    weights = [1 / np.sum(np.float64(x) ** 2) for x in TABLES]
    scale = np.sqrt(2 / sum(w * np.sum(x**2) for w, x in zip(weights, other)))

    def residual(tables):
        return sum(w * np.sum((x - y) ** 2) for w, x, y in zip(weights, tables, TABLES))

    least = residual(procrustes.aligned(TABLES, other)[1])
    for seed in range(50):
        rotation = ortho_group.rvs(6, random_state=seed)
        assert least <= residual(tuple(scale * x @ rotation for x in other))
    assert procrustes.linear_residual(TABLES, other) <= np.sqrt(least / 2)
    far = tuple(5 * RNG.standard_normal(x.shape) for x in TABLES)
    assert measures.epsilons(*procrustes.aligned(TABLES, far))["epsilon"] > 1.0


@pytest.mark.parametrize("side", [0, 1])
def test_rows_in_another_order_are_never_taken_for_a_training(side):
    noisy = [x + 0.3 * RNG.standard_normal(x.shape).astype(np.float32) for x in TABLES]
    procrustes.check_rows(TABLES, tuple(noisy))
    for seed in range(20):
        shuffled = list(noisy)
        shuffled[side] = np.random.default_rng(seed).permutation(noisy[side])
        with pytest.raises(UserError, match="rows of both trainings do not correspond"):
            procrustes.check_rows(TABLES, tuple(shuffled))


def test_most_rows_must_correspond():
    large = tuple(RNG.standard_normal((n, 6)) for n in (400, 300))
    for share, refused in ((0.7, True), (0.2, False)):
        other = [x.copy() for x in large]
        count = int(share * 400)
        other[0][:count] = np.roll(other[0][:count], 1, axis=0)
        if refused:
            with pytest.raises(UserError, match="the user rows of both trainings"):
                procrustes.check_rows(large, tuple(other))
        else:
            procrustes.check_rows(large, tuple(other))


@pytest.mark.parametrize("users, items", [(40, 30), (3, 30), (40, 2)])
def test_equal_and_few_rows_are_no_reason_for_doubt(users, items):
    tables = np.ones((users, 1)), np.arange(1.0, items + 1)[:, None]
    procrustes.check_rows(tables, tables)


def test_canonical_twins_move_alike():
    P, Q = TABLES
    basis = RNG.standard_normal((6, 6))
    twin = P @ basis * 30, Q @ np.linalg.inv(basis).T / 7 + 2
    for change in quantization.NUMBERS.values():
        rows = [
            measures.epsilons(tables, change(tables, 0))
            for tables in (quantized_canonical(P, Q), quantized_canonical(*twin))
        ]
        assert rows[0] == pytest.approx(rows[1], rel=1e-4)
