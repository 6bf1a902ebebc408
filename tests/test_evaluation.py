import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advrec_tf import data, evaluation
from advrec_tf.errors import UserError
from advrec_tf.evaluation import ranking

import oracles


def interactions(train, test):
    frames = (pd.DataFrame(rows, columns=["user", "item"]) for rows in (train, test))
    return data.Interactions.from_frames(*frames)


@pytest.fixture
def tiny():
    """Three users, five items; item 4 is never in train.  Train counts: item 0: 2, item 1: 1, item 2: 1, item 3: 2."""
    return interactions([(0, 0), (0, 1), (1, 0), (1, 3), (2, 2), (2, 3)], [(0, 2), (1, 4), (2, 0)])


def test_metrics_by_hand(tiny):
    lists = np.array([[3, 2], [4, 1], [1, 4]])  # hits: rank 2, rank 1, none
    measured = evaluation.metrics(lists, tiny)
    second = 1 / np.log2(3)
    assert measured["PR"] == pytest.approx(2 / 6)
    assert measured["RE"] == pytest.approx(2 / 3)
    assert measured["nDCG"] == pytest.approx((1 + second) / 3)
    # Item 2 has 1 of 6 train interactions; item 4 was never seen and takes the largest novelty, which is the same.
    assert measured["EFD"] == pytest.approx(np.log2(6) * (second + 1) / (1 + second) / 3)
    shares = np.array([1, 1, 2, 2]) / 6
    assert measured["SE"] == pytest.approx(-np.sum(shares * np.log2(shares)))
    assert measured["ICov"] == 4


def test_resampled_metrics_are_those_of_the_users_drawn():
    *_, problem = random_problem(3)
    lists = np.argsort(np.random.default_rng(1).random((problem.n_users, problem.n_items)), axis=1)[
        :, :4
    ]
    lists[2, 1:] = -1
    found = evaluation.resampled_metrics(lists, problem, resamples=5, seed=7, block=2)
    rng, own = np.random.default_rng(7), evaluation.per_user_metrics(lists, problem)
    place = np.cumsum(np.bincount(problem.test_users, minlength=problem.n_users) > 0) - 1
    assert found.shape == (5, 6)
    for each in found:
        users = rng.integers(0, problem.n_users, problem.n_users)
        tested = [place[user] for user in users if user in problem.test_users]
        shown = pd.Series(
            [item for user in users for item in lists[user] if item >= 0]
        ).value_counts(normalize=True)
        wanted = [own[name][tested].mean() for name in evaluation.PER_USER] + [
            -(shown * np.log2(shown)).sum(),
            len(shown),
        ]
        np.testing.assert_allclose(each, wanted)
    np.testing.assert_allclose(
        found, evaluation.resampled_metrics(lists, problem, resamples=5, seed=7, block=50)
    )


def test_a_part_of_the_users_has_the_lists_and_ranks_of_the_whole():
    P, Q, problem = random_problem(4)
    chosen = np.array([7, 0, 3])
    part = problem.of_users(chosen)
    np.testing.assert_array_equal(
        evaluation.top_k(P[chosen], Q, part, 5), evaluation.top_k(P, Q, problem, 5)[chosen]
    )
    of_whole = evaluation.ranks_of_test_items(P, Q, problem)
    wanted = np.concatenate([of_whole[problem.test_users == user] for user in chosen])
    np.testing.assert_array_equal(evaluation.ranks_of_test_items(P[chosen], Q, part), wanted)
    assert (
        part.n_users == 3
        and part.n_items == problem.n_items
        and part.user_ids.tolist() == problem.user_ids[chosen].tolist()
    )


@given(st.data())
def test_the_strongest_are_those_of_a_sort_with_ties_by_id(drawn):
    rows, n_items = drawn.draw(st.integers(1, 4)), drawn.draw(st.integers(1, 40))
    count = drawn.draw(st.integers(1, n_items))
    values = st.sampled_from([-np.inf, -1.5, 0.0, 0.25, 0.5, 3.0])
    scores = np.array(
        drawn.draw(
            st.lists(
                st.lists(values, min_size=n_items, max_size=n_items), min_size=rows, max_size=rows
            )
        ),
        np.float32,
    )
    losers = np.array(drawn.draw(st.lists(st.booleans(), min_size=n_items, max_size=n_items)))
    for losing, behind in ((None, np.zeros(n_items)), (np.tile(losers, (rows, 1)), losers)):
        items, found = evaluation.strongest(scores, count, losing)
        wanted = np.array(
            [np.lexsort((np.arange(n_items), behind, -row))[:count] for row in scores]
        )
        np.testing.assert_array_equal(items, wanted)
        np.testing.assert_array_equal(found, np.take_along_axis(scores, wanted, axis=1))


def random_problem(seed, n_users=9, n_items=14, ties=True):
    rng = np.random.default_rng(seed)
    rows = [
        (u, i)
        for u in range(n_users)
        for i in rng.choice(n_items, rng.integers(2, 7), replace=False)
    ]
    last = pd.DataFrame(rows, columns=["user", "item"]).groupby("user").tail(rng.integers(1, 3))
    train = [row for row in rows if row not in set(last.itertuples(index=False, name=None))] + [
        (u, n_items - 1) for u in range(n_users)
    ]
    held_out = [row for row in last.itertuples(index=False, name=None) if row not in set(train)]
    values = (
        rng.integers(-1, 2, (n_users + n_items, 2))
        if ties
        else rng.normal(size=(n_users + n_items, 2))
    )
    built = interactions(sorted(set(train)), held_out)
    return values[:n_users].astype(np.float32), values[-built.n_items :].astype(np.float32), built


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
        wanted, ours = oracles.metrics(lists, built), evaluation.metrics(lists, built)
        assert ours == pytest.approx(wanted, abs=1e-12)
    for u, i, rank in zip(built.test_users, built.test_items, ranks):
        scores = P[u] @ Q.T
        known = built.train_items[built.train_users == u]
        scores[known] = -np.inf
        assert rank == np.sum(scores >= scores[i])


def test_rank_metrics_are_the_list_metrics_with_one_test_item_a_user(small):
    rng = np.random.default_rng(0)
    P, Q = rng.normal(size=(small.n_users, 4)), rng.normal(size=(small.n_items, 4))
    from_lists = evaluation.metrics(evaluation.top_k(P, Q, small), small)
    from_ranks = evaluation.rank_metrics(evaluation.ranks_of_test_items(P, Q, small))
    assert from_ranks == pytest.approx({"HR@10": from_lists["RE"], "nDCG@10": from_lists["nDCG"]})


def test_a_user_who_knows_almost_everything_has_a_short_list():
    built = interactions([(0, 0), (0, 1), (0, 2), (1, 0)], [(0, 3), (1, 1)])
    lists = evaluation.top_k(np.ones((2, 1)), np.ones((4, 1)), built, 3)
    np.testing.assert_array_equal(lists, [[3, -1, -1], [2, 3, 1]])
    assert evaluation.metrics(lists, built)["RE"] == 1


def test_untested_users_do_not_count(tiny):
    fewer = interactions([(0, 0), (0, 1), (1, 0), (1, 3), (2, 2), (2, 4)], [(0, 2)])
    lists = np.array([[2, 3], [2, 4], [0, 1]])
    assert evaluation.metrics(lists, fewer)["RE"] == 1
    assert len(evaluation.per_user_metrics(lists, fewer)["RE"]) == 1


@pytest.mark.parametrize("ids", ["numbers", "texts"])
def test_saved_lists_give_the_same_metrics(tmp_path, ids):
    _, _, built = random_problem(3, ties=False)
    if ids == "texts":
        frames = [
            pd.DataFrame({"user": [f"u{n}" for n in u], "item": [f"{n}i" for n in i]})
            for u, i in (
                (built.train_users, built.train_items),
                (built.test_users, built.test_items),
            )
        ]
        built = data.Interactions.from_frames(*frames)
    P, Q = (
        np.random.default_rng(1).normal(size=(built.n_users, 3)),
        np.random.default_rng(2).normal(size=(built.n_items, 3)),
    )
    lists = evaluation.top_k(P, Q, built, 5)
    evaluation.save_lists(tmp_path / "lists.tsv", lists, built, P, Q)
    again = evaluation.read_lists(tmp_path / "lists.tsv", built)
    np.testing.assert_array_equal(again, lists)
    assert evaluation.metrics(again, built) == evaluation.metrics(lists, built)
    table = pd.read_csv(tmp_path / "lists.tsv", sep="\t")
    assert list(table.columns) == ["user", "item", "rank", "score"]
    assert table["score"][0] == pytest.approx(P[0] @ Q[lists[0, 0]])


def test_lists_of_other_data_are_told(small, tmp_path):
    (tmp_path / "lists.tsv").write_text(
        "user\titem\trank\tscore\n0\t1\t1\t0.5\n0\t999999\t2\t0.1\n"
    )
    with pytest.raises(UserError, match="lists.tsv, line 3"):
        evaluation.read_lists(tmp_path / "lists.tsv", small)


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
def test_bad_arguments_are_told(tiny, change):
    with pytest.raises(ValueError, match="fit|finite|must lie"):
        evaluation.top_k(
            **({"P": np.zeros((3, 3)), "Q": np.zeros((5, 3)), "data": tiny, "k": 2} | change)
        )


@pytest.mark.parametrize(
    "lists", [np.zeros((2, 2), int), np.full((3, 2), 5), np.zeros(3, int)], ids=str
)
def test_bad_lists_are_told(tiny, lists):
    with pytest.raises(ValueError, match="lists"):
        evaluation.metrics(lists, tiny)


def test_bootstrap_and_paired_test():
    rng = np.random.default_rng(0)
    worse = rng.random(400)
    better = worse + 0.05 + 0.1 * rng.normal(size=400)
    low, high = evaluation.bootstrap_interval(worse)
    assert low < worse.mean() < high and high - low == pytest.approx(
        2 * 1.96 * worse.std() / 20, rel=0.15
    )
    assert evaluation.bootstrap_interval(worse) == (low, high)
    difference, p = evaluation.paired_test(better, worse)
    assert difference == pytest.approx((better - worse).mean()) and p < 0.01
    assert evaluation.paired_test(worse, rng.permutation(worse))[1] > 0.05
    assert evaluation.paired_test(worse, worse) == (0.0, 1.0)
    assert evaluation.bootstrap_interval(np.ones(5)) == (1.0, 1.0)


# By hand


def test_novelty_and_entropy_are_in_bits(tiny):
    np.testing.assert_allclose(evaluation.novelty(tiny), np.log2([3, 6, 6, 3, 6]))
    assert evaluation.metrics(np.array([[0, 1], [2, 3], [0, 1]]), tiny)["SE"] == pytest.approx(
        2 * np.log2(3) / 3 + np.log2(6) / 3
    )
    uniform = interactions([(0, 0), (1, 1), (2, 2), (3, 3)], [(0, 1)])
    assert evaluation.metrics(np.array([[1], [2], [3], [0]]), uniform)["SE"] == pytest.approx(2)


def test_several_test_items_by_hand():
    """Three test items and two places: the largest sum of discounts possible is that of two hits."""
    built = interactions([(0, 0), (1, 1), (1, 2), (1, 3)], [(0, 1), (0, 2), (0, 3), (1, 0)])
    second = 1 / np.log2(3)
    full = evaluation.per_user_metrics(np.array([[3, 1], [0, -1]]), built)
    np.testing.assert_allclose(
        [full["PR"], full["RE"], full["nDCG"]], [[1, 0.5], [2 / 3, 1], [1, 1]]
    )
    half = evaluation.per_user_metrics(np.array([[0, 2], [1, 0]]), built)
    np.testing.assert_allclose(
        [half["PR"], half["RE"], half["nDCG"]],
        [[0.5, 0.5], [1 / 3, 1], [second / (1 + second), second]],
    )
    np.testing.assert_allclose(
        half["EFD"], 2 * second / (1 + second)
    )  # every item is one of four train interactions: two bits


def test_an_empty_place_is_no_item():
    """Before the first item of user 1 comes the last of user 0, who has it in test: the -1 of user 1 is no hit."""
    built = interactions([(0, 0), (0, 1), (1, 0), (1, 1)], [(0, 3), (1, 2)])
    lists = np.array([[2, -1], [3, -1]])
    found = evaluation.metrics(lists, built)
    assert (found["PR"], found["RE"], found["nDCG"], found["EFD"], found["SE"], found["ICov"]) == (
        0,
        0,
        0,
        0,
        1,
        2,
    )


def test_ties_are_against_the_test_item():
    built = interactions([(0, 0), (1, 4)], [(0, 1), (1, 0), (1, 2), (0, 3)])
    P, Q = np.ones((2, 1)), np.ones((5, 1))
    np.testing.assert_array_equal(evaluation.top_k(P, Q, built, 4), [[2, 4, 1, 3], [1, 3, 0, 2]])
    np.testing.assert_array_equal(evaluation.ranks_of_test_items(P, Q, built), [4, 4, 4, 4])
    Q[1] = 2
    np.testing.assert_array_equal(evaluation.ranks_of_test_items(P, Q, built), [1, 4, 4, 4])


def test_rank_metrics_by_hand():
    found = evaluation.rank_metrics(np.array([1, 3, 10, 11]))
    assert found == pytest.approx({"HR@10": 3 / 4, "nDCG@10": (1 + 1 / 2 + 1 / np.log2(11)) / 4})
    assert evaluation.rank_metrics(np.array([1, 3, 10, 11]), 1) == {"HR@1": 1 / 4, "nDCG@1": 1 / 4}


def test_lists_with_empty_places_and_without_factors_survive_disk(tmp_path):
    built = interactions([("b", "x"), ("b", "y"), ("a", "x")], [("b", "z"), ("a", "z")])
    lists = np.array([[2, 1], [2, -1]], np.int32)
    evaluation.save_lists(tmp_path / "lists.tsv", lists, built)
    assert (
        tmp_path / "lists.tsv"
    ).read_text() == "user\titem\trank\tscore\na\tz\t1\t\na\ty\t2\t\nb\tz\t1\t\n"
    np.testing.assert_array_equal(evaluation.read_lists(tmp_path / "lists.tsv", built), lists)
    (tmp_path / "turned.tsv").write_text(
        "user\titem\trank\tscore\nb\tz\t1\t\na\ty\t2\t\na\tz\t1\t\n"
    )  # the rank counts, not the line
    np.testing.assert_array_equal(evaluation.read_lists(tmp_path / "turned.tsv", built), lists)


# Targets


@pytest.fixture
def shown():
    """User 0 knows target 1, user 1 has no test item, users 2 and 3 know neither target; items score 4, 3, 3, 1, users 3 against them."""
    built = interactions([(0, 1), (1, 0), (2, 0), (3, 0)], [(0, 0), (2, 2), (3, 3)])
    P, Q = np.array([[1.0], [1.0], [1.0], [-1.0]]), np.array([[4.0], [3.0], [3.0], [1.0]])
    return P, Q, built


@pytest.mark.parametrize("block", [1, 10**6])
def test_ranks_of_targets_by_hand(shown, monkeypatch, block):
    monkeypatch.setattr(ranking, "SCORES", block)
    monkeypatch.setattr(ranking, "USERS", 1)
    # Item 2 ties with item 1; user 3 likes item 3 best, then both of them.
    np.testing.assert_array_equal(
        evaluation.target_ranks(*shown, (1, 3)), [[np.nan, 3], [2, 3], [3, 1]]
    )


def test_margins_of_targets_by_hand(shown):
    """Over the last of a list; user 0 knows target 1, and user 2 has no full list."""
    lists = np.array([[0, 2], [1, 3], [1, -1], [3, 1]])
    np.testing.assert_array_equal(
        evaluation.target_margins(*shown, (1, 3), lists), [1 - 3, -np.inf, -1 + 3]
    )


def test_hits_of_targets_by_hand(shown):
    lists = np.array([[0, 3], [1, 3], [3, 2], [0, 2]])
    np.testing.assert_array_equal(
        evaluation.target_hits(lists, shown[2], (1, 3)),
        [[False, True], [False, True], [False, False]],
    )
    found = evaluation.per_user_poisoning_metrics(lists, shown[2], (1, 3))
    assert {name: found[name].tolist() for name in ("HR", "Recall", "Precision", "target_HR")} == {
        "HR": [1, 1, 0],
        "Recall": [1, 1, 0],
        "Precision": [0.5, 0.5, 0],
        "target_HR": [1, 1, 0],
    }
    P, Q, built = shown
    whole = evaluation.poisoning_metrics(
        np.vstack([P, [[-1.0]]]), Q, built, (1, 3), 2, lists=lists
    )  # a fake, who is not asked
    assert whole["target_HR"] == pytest.approx(2 / 3) and whole["target_Recall"] == pytest.approx(
        1 / 3
    )
    assert whole["HR"] == pytest.approx(2 / 3) and whole["target_rank"] == pytest.approx(
        (3 + 2 + 3 + 3 + 1) / 5
    )
    assert whole["target_score"] == pytest.approx((3 + 1 + 3 + 1 + 3 + 1 - 3 - 1) / 8)


# Significance


def test_the_bootstrap_by_hand():
    """Of two users drawn twice the mean of 0 and 1 is 0, 1/2, 1 with probabilities 1/4, 1/2, 1/4."""
    assert evaluation.bootstrap_interval([0, 1], confidence=0.4) == (0.5, 0.5)
    assert (
        evaluation.bootstrap_interval([0, 1], confidence=0.6)
        == evaluation.bootstrap_interval([0, 1])
        == (0, 1)
    )


def test_the_bootstrap_of_a_ratio_draws_both_from_the_same_users():
    """1 beside 1 and 3: the ratio of means is 1, 1/2, 1/3 with probabilities 1/4, 1/2, 1/4."""
    assert evaluation.bootstrap_interval([1, 1], beside=[1, 3], confidence=0.4) == (0.5, 0.5)
    assert evaluation.bootstrap_interval([1, 1], beside=[1, 3], confidence=0.6) == pytest.approx(
        (1 / 3, 1)
    )
    values = np.arange(1.0, 30)
    assert evaluation.bootstrap_interval(values, beside=2 * values) == (0.5, 0.5)


def test_both_follow_their_seed_and_the_bootstrap_its_number_of_resamples():
    values = np.random.default_rng(0).random(50)
    assert (
        evaluation.bootstrap_interval(values)
        == evaluation.bootstrap_interval(values, seed=0)
        != evaluation.bootstrap_interval(values, seed=1)
    )
    low, high = evaluation.bootstrap_interval(values, resamples=1)
    assert low == high
    p = [evaluation.paired_test(values, values[::-1] + 0.05, seed=seed)[1] for seed in (0, 0, 1)]
    assert p[0] == p[1] != p[2]


def test_the_paired_test_by_hand():
    """Of the 32 ways to flip five signs two are as extreme as what was seen: all as they are, and all flipped."""
    first, second = np.array([2.0, 3, 4, 5, 6]), np.array([1.0, 2, 3, 4, 5])
    assert evaluation.paired_test(first, second) == pytest.approx((1, 2 / 32))
    assert evaluation.paired_test(second, first) == pytest.approx((-1, 2 / 32))
    assert evaluation.paired_test([3, 0, 1], [0, 1, 1]) == pytest.approx(
        (2 / 3, 1)
    )  # 3, -1 and 0 under any signs are as far from 0


def test_an_interval_over_seeds_by_hand():
    low, high = evaluation.mean_interval([1.0, 2.0, 3.0])
    assert (low + high) / 2 == pytest.approx(2) and high - 2 == pytest.approx(
        4.302653 / np.sqrt(3), rel=1e-5
    )
    assert np.isnan(evaluation.mean_interval([1.0])).all()


def test_a_block_has_users_enough_for_a_product_however_many_the_items():
    for n_items, users in ((3706, 565), (32_768, 64), (200_000, 64)):
        problem = type("Sizes", (), {"n_users": 10**6, "n_items": n_items})
        assert ranking.block_starts(problem).step == users
