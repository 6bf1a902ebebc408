"""Top-k lists and ranks against a full sort, and lists as files."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advrec_tf import data, evaluation
from advrec_tf.errors import UserError
from advrec_tf.evaluation import ranking

import oracles
from handmade import interactions, random_problem


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    k=st.integers(1, 14),
    ties=st.booleans(),
    block=st.sampled_from([1, 40, 10**6]),
)
def test_lists_ranks_and_metrics_agree_with_the_oracle(seed, k, ties, block):
    P, Q, built = random_problem(seed, ties=ties)
    k = min(k, built.n_items)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "SCORES", block)
        patch.setattr(ranking, "USERS", 1)
        lists = evaluation.top_k(P, Q, built, k)
        ranks = evaluation.ranks_of_test_items(P, Q, built)
    np.testing.assert_array_equal(lists, oracles.top_k(P, Q, built, k))
    if len(built.test_users):
        assert evaluation.metrics(lists, built) == pytest.approx(
            oracles.metrics(lists, built), abs=1e-12
        )
    for user, item, rank in zip(built.test_users, built.test_items, ranks):
        scores = P[user] @ Q.T
        scores[built.train_items[built.train_users == user]] = -np.inf
        assert rank == np.sum(scores >= scores[item])


@settings(deadline=None)  # a busy machine is slow
@given(st.data())
def test_the_strongest_are_those_of_a_sort_with_ties_by_id(drawn):
    rows, n_items = drawn.draw(st.integers(1, 4)), drawn.draw(st.integers(1, 40))
    count = drawn.draw(st.integers(1, n_items))
    values = st.sampled_from([-np.inf, -1.5, 0.0, 0.25, 0.5, 3.0])
    size = rows * n_items
    drawn_scores = drawn.draw(st.lists(values, min_size=size, max_size=size))
    scores = np.array(drawn_scores, np.float32).reshape(rows, n_items)
    losers = np.array(drawn.draw(st.lists(st.booleans(), min_size=n_items, max_size=n_items)))
    for losing, behind in ((None, np.zeros(n_items)), (np.tile(losers, (rows, 1)), losers)):
        items, highest = evaluation.strongest(scores, count, losing)
        order = [np.lexsort((np.arange(n_items), behind, -row))[:count] for row in scores]
        np.testing.assert_array_equal(items, order)
        np.testing.assert_array_equal(highest, np.take_along_axis(scores, np.array(order), axis=1))


def test_a_part_of_the_users_has_the_lists_and_ranks_of_all():
    P, Q, built = random_problem(4)
    users = np.array([7, 0, 3])
    part = built.of_users(users)
    np.testing.assert_array_equal(
        evaluation.top_k(P[users], Q, part, 5), evaluation.top_k(P, Q, built, 5)[users]
    )
    ranks = evaluation.ranks_of_test_items(P, Q, built)
    expected = np.concatenate([ranks[built.test_users == user] for user in users])
    np.testing.assert_array_equal(evaluation.ranks_of_test_items(P[users], Q, part), expected)
    assert (part.n_users, part.n_items) == (3, built.n_items)
    assert part.user_ids.tolist() == built.user_ids[users].tolist()


def test_a_user_who_knows_almost_everything_has_a_short_list():
    built = interactions([(0, 0), (0, 1), (0, 2), (1, 0)], [(0, 3), (1, 1)])
    lists = evaluation.top_k(np.ones((2, 1)), np.ones((4, 1)), built, 3)
    np.testing.assert_array_equal(lists, [[3, -1, -1], [2, 3, 1]])
    assert evaluation.metrics(lists, built)["RE"] == 1


def test_ties_are_against_the_test_item():
    built = interactions([(0, 0), (1, 4)], [(0, 1), (1, 0), (1, 2), (0, 3)])
    P, Q = np.ones((2, 1)), np.ones((5, 1))
    np.testing.assert_array_equal(evaluation.top_k(P, Q, built, 4), [[2, 4, 1, 3], [1, 3, 0, 2]])
    np.testing.assert_array_equal(evaluation.ranks_of_test_items(P, Q, built), [4, 4, 4, 4])
    Q[1] = 2
    np.testing.assert_array_equal(evaluation.ranks_of_test_items(P, Q, built), [1, 4, 4, 4])


@pytest.mark.parametrize(
    "change",
    [
        {"P": np.zeros((2, 3))},
        {"Q": np.zeros((5, 2))},
        {"P": np.full((3, 3), np.inf)},
        {"k": 0},
        {"k": 6},
    ],
    ids=str,
)
def test_bad_arguments_are_refused(change):
    built = interactions([(0, 0), (1, 1), (2, 2), (0, 3)], [(0, 4)])
    arguments = {"P": np.zeros((3, 3)), "Q": np.zeros((5, 3)), "data": built, "k": 2}
    with pytest.raises(ValueError, match="fit|finite|must lie"):
        evaluation.top_k(**arguments | change)


def test_a_block_has_users_enough_for_a_product_however_many_the_items():
    for n_items, users in ((3706, 565), (32_768, 64), (200_000, 64)):
        sizes = type("Sizes", (), {"n_users": 10**6, "n_items": n_items})
        assert ranking.block_starts(sizes).step == users


@pytest.mark.parametrize("ids", ["numbers", "texts"])
def test_saved_lists_give_the_same_metrics(tmp_path, ids):
    _, _, built = random_problem(3, ties=False)
    if ids == "texts":
        parts = ((built.train_users, built.train_items), (built.test_users, built.test_items))
        frames = (
            pd.DataFrame({"user": users, "item": items}).astype(str) + "x" for users, items in parts
        )
        built = data.Interactions.from_frames(*frames)
    rng = np.random.default_rng(1)
    P, Q = rng.normal(size=(built.n_users, 3)), rng.normal(size=(built.n_items, 3))
    lists = evaluation.top_k(P, Q, built, 5)
    evaluation.save_lists(tmp_path / "lists.tsv", lists, built, P, Q)
    read = evaluation.read_lists(tmp_path / "lists.tsv", built)
    np.testing.assert_array_equal(read, lists)
    assert evaluation.metrics(read, built) == evaluation.metrics(lists, built)
    table = pd.read_csv(tmp_path / "lists.tsv", sep="\t")
    assert list(table.columns) == ["user", "item", "rank", "score"]
    assert table["score"][0] == pytest.approx(P[0] @ Q[lists[0, 0]])


def test_lists_with_empty_slots_and_without_factors_survive_disk(tmp_path):
    path = tmp_path / "lists.tsv"
    built = interactions([("b", "x"), ("b", "y"), ("a", "x")], [("b", "z"), ("a", "z")])
    lists = np.array([[2, 1], [2, -1]], np.int32)
    evaluation.save_lists(path, lists, built)
    assert path.read_text() == "user\titem\trank\tscore\na\tz\t1\t\na\ty\t2\t\nb\tz\t1\t\n"
    np.testing.assert_array_equal(evaluation.read_lists(path, built), lists)
    # The rank counts, not the line.
    path.write_text("user\titem\trank\tscore\nb\tz\t1\t\na\ty\t2\t\na\tz\t1\t\n")
    np.testing.assert_array_equal(evaluation.read_lists(path, built), lists)


def test_lists_of_other_data_are_refused(small, tmp_path):
    path = tmp_path / "lists.tsv"
    path.write_text("user\titem\trank\tscore\n0\t1\t1\t0.5\n0\t999999\t2\t0.1\n")
    with pytest.raises(UserError, match="lists.tsv, line 3"):
        evaluation.read_lists(path, small)
