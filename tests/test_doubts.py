"""Factors that saw the held-out items, and rows in another order, are told; others are not."""

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import svds

from advrec_tf import audit, data
from advrec_tf.leaderboard import doubts, leaks
from advrec_tf.perturbations import ensemble

from running import advrec

SHOP = data.synthetic(n_users=300, n_items=200, per_user=20, seed=3)
RANDOM = data.synthetic(n_users=300, n_items=200, per_user=20, seed=3, split="random")


def everything(interactions):
    """Return the matrix of train and test."""
    ones = np.ones(len(interactions.test_users))
    pairs = interactions.test_users, interactions.test_items
    shape = interactions.n_users, interactions.n_items
    return interactions.matrix().astype(float) + sparse.csr_matrix((ones, pairs), shape=shape)


def factors(matrix, rank):
    U, s, Vt = svds(matrix.astype(float), k=rank, random_state=0)
    return U * s, Vt.T


@pytest.mark.parametrize("interactions", [SHOP, RANDOM], ids=["last", "random"])
@pytest.mark.parametrize("rank", [16, 64])
def test_factors_that_saw_the_held_out_items_are_told(interactions, rank):
    assert leaks.has_seen_test(*factors(everything(interactions), rank), interactions)
    assert not leaks.has_seen_test(*factors(interactions.matrix(), rank), interactions)


@pytest.mark.parametrize("rank", [1, 2])
def test_models_that_remember_nothing_raise_no_alarm(rank):
    for matrix in (SHOP.matrix(), everything(SHOP)):
        found = leaks.has_seen_test(*factors(matrix, rank), SHOP)
        assert not found or matrix is not SHOP.matrix()
    popular = np.ones((SHOP.n_users, 1)), SHOP.item_counts[:, None].astype(float)
    assert not leaks.has_seen_test(*popular, SHOP)


def test_standing_by_hand():
    """Items 0 ... 5 of equal popularity; user u has item u, is tested on u + 1, and free are 4."""
    users = np.arange(6)
    pairs = np.column_stack([users, users]), np.column_stack([users, (users + 1) % 6])
    ring = data.Interactions(
        "ring", 6, 6, *pairs[0].T.astype(np.int32), *pairs[1].T.astype(np.int32), users, users
    )
    P, Q = np.eye(6), np.eye(6)  # a training item has 1, all others 0
    found = leaks.standing(P, Q, leaks.compared_items(ring, users))
    assert (found.train, found.test, found.share) == (1, 0, -1)
    Q = np.eye(6) + 0.5 * np.roll(np.eye(6), 1, axis=0)  # and the held-out item .5
    assert leaks.standing(P, Q, leaks.compared_items(ring, users)).share == 1


def test_rows_in_another_order_are_found():
    P, Q = factors(SHOP.matrix(), 16)
    assert doubts.better_order(P, Q, SHOP) is None
    by_text = np.argsort(SHOP.user_ids.astype(str))
    found = doubts.better_order(P[by_text], Q, SHOP)
    assert found[:2] == ("text", "numeric") and found[2] > 0.1
    seen = doubts.better_order(P[SHOP.user_order], Q[SHOP.item_order], SHOP)
    assert seen[1] == "first_seen"  # the users of these data are first seen in numeric order
    rng = np.random.default_rng(0)
    assert doubts.better_order(P[rng.permutation(300)], Q, SHOP) is None


def test_an_audit_says_it_first(monkeypatch):
    monkeypatch.setattr(ensemble, "RESTARTS", 1)
    P, Q = factors(everything(SHOP), 16)
    found = audit(P, Q, SHOP)
    first = found.summary.splitlines()[0]
    assert first.startswith("Beware: these factors have seen the held-out items")
    assert "have seen the held-out items" in found.warnings[0]


def test_an_audit_saves_what_helps(tmp_path):
    """Users of very different norms: the short ones are lost first, unless they are normalised."""
    P, Q = factors(data.load("synthetic").matrix(), 16)
    P *= np.exp(np.random.default_rng(0).normal(size=len(P), scale=2))[:, None]
    np.savez(tmp_path / "mine.npz", user_embedding=P, item_embedding=Q)
    flags = ["--preset=quick", "--experiment=audit", "--seed=0", f"--output_dir={tmp_path}"]
    result = advrec(
        *flags, f"--user_factors={tmp_path / 'mine.npz'}", f"--export={tmp_path / 'best.npz'}"
    )
    assert result.status == 0, result.err
    (line,) = [line for line in result.out.splitlines() if line.startswith("What helps: ")]
    assert "user-normalised, these factors keep" in line
    with np.load(tmp_path / "best.npz") as saved:
        assert set(saved) == {"user_embedding", "item_embedding", "user_ids", "item_ids"}
    again = advrec(
        *flags[:-1],
        f"--output_dir={tmp_path / 'again'}",
        f"--user_factors={tmp_path / 'best.npz'}",
    )
    assert again.status == 0 and "What helps" not in again.out


def test_a_split_is_read_back_as_the_same_data(tmp_path):
    table = tmp_path / "shop.csv"
    rows = [f"u{n % 7},=i{n * n % 11},{n % 5},{1000 + n}" for n in range(60)]
    table.write_text("user,item,rating,timestamp\n" + "\n".join(dict.fromkeys(rows)) + "\n")
    result = advrec("--experiment=split", f"--dataset={table}", f"--output_dir={tmp_path}")
    assert result.status == 0 and "train and" in result.out
    folder = tmp_path / "split" / "shop"
    again = data.load(str(folder / "train.csv"), test=folder / "test.csv")
    built = data.load(str(table))
    assert again.fingerprint == built.fingerprint
    assert again.ratings_fingerprint == built.ratings_fingerprint
    assert again.item_ids.tolist() == built.item_ids.tolist()
    np.testing.assert_array_equal(again.train_timestamps, built.train_timestamps)


def test_data_of_four_users_raise_no_alarm():
    tiny = data.synthetic(n_users=4, n_items=12, per_user=5, seed=0)
    assert not leaks.has_seen_test(tiny.matrix().toarray(), np.eye(tiny.n_items), tiny)
