"""MostPopular and Random."""

import numpy as np

from advrec_tf import evaluation
from advrec_tf.recommenders import MostPopular, Random


def test_most_popular_lists_fall_in_popularity(small):
    counts = np.bincount(small.train_items, minlength=small.n_items)
    lists = MostPopular(small).top_k(small, 5)
    assert lists.shape == (80, 5) and np.all(np.diff(counts[lists], axis=1) <= 0)


def test_scores_of_most_popular_are_counts(small):
    popular = MostPopular(small)
    scores = popular.user_embedding @ popular.item_embedding.T
    np.testing.assert_array_equal(scores[3], small.item_counts)
    lists = evaluation.top_k(popular.user_embedding, popular.item_embedding, small, 5)
    np.testing.assert_array_equal(popular.top_k(small, 5), lists)


def test_random_lists_are_distinct_unknown_items_by_the_seed(small):
    chance = Random(1).top_k(small, 5)
    np.testing.assert_array_equal(chance, Random(1).top_k(small, 5))
    assert not np.array_equal(chance, Random(2).top_k(small, 5))
    known = small.pairs(small.train_users, small.train_items)
    assert not np.isin(small.pairs(np.arange(small.n_users)[:, None], chance), known).any()
    assert all(len(set(row)) == 5 for row in chance.tolist())
    assert len(np.unique(chance[:20], axis=0)) > 15  # users have different lists


def test_random_lists_reach_every_unknown_item_equally_often(small):
    drawn = np.concatenate([Random(seed).top_k(small, 5)[0] for seed in range(300)])
    counts = np.bincount(drawn, minlength=small.n_items)
    unknown = np.setdiff1d(np.arange(small.n_items), small.train_items[small.train_users == 0])
    assert counts.sum() == counts[unknown].sum()
    assert counts[unknown].min() > 0.5 * 1500 / len(unknown)
