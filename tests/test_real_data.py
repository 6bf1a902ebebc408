"""The published data sets, if $ADVREC_DATA_DIR holds them."""

import os

import pytest

from advrec_tf import BPRMF, data, evaluation
from advrec_tf.recommenders import (
    PMF,
    WRMF,
    LightGCNConfig,
    MostPopular,
    Random,
    SASRecConfig,
)
from advrec_tf.recommenders.pmf import rmse

pytestmark = pytest.mark.skipif(
    "ADVREC_DATA_DIR" not in os.environ, reason="ADVREC_DATA_DIR is not set"
)

SIZES = {  # users, items, train, test, test items that train never saw
    "ml-1m": (6040, 3706, 994169, 6040, 2),
    "ml-100k": (943, 1682, 99057, 943, 3),
    "lastfm-2k": (1892, 17632, 90950, 1884, 206),
    "gowalla": (13149, 14007, 433356, 102254, 0),
    "gowalla-lightgcn": (29858, 40981, 810128, 217242, 0),
}


@pytest.mark.parametrize("name", SIZES)
def test_sizes(name):
    built = data.load(name)
    pairs = len(built.train_users), len(built.test_users)
    assert (built.n_users, built.n_items, *pairs, built.unseen_test_items) == SIZES[name]


def test_the_random_recommender_is_the_published_one():
    built = data.load("ml-1m")
    measured = evaluation.metrics(Random(0).top_k(built), built)
    assert measured["SE"] == pytest.approx(11.8066, abs=0.01) and measured["ICov"] == 3706
    assert measured["RE"] == pytest.approx(0.0028, abs=0.002)
    assert measured["EFD"] == pytest.approx(0.0031, abs=0.002)


def test_a_few_epochs_on_ml_100k_beat_popularity():
    built = data.load("ml-100k")
    model = BPRMF(built.n_users, built.n_items)
    model.compile()
    model.fit(built, epochs=20, verbose=0)
    popular = MostPopular(built)
    ranks = (
        evaluation.ranks_of_test_items(each.user_embedding, each.item_embedding, built)
        for each in (model, popular)
    )
    trained, popularity = (evaluation.rank_metrics(each)["HR@10"] for each in ranks)
    assert trained > 1.2 * popularity > 0.03


@pytest.mark.parametrize(
    ("config", "epochs"), [(LightGCNConfig(batch_size=4096), 15), (SASRecConfig(), 8)]
)
def test_a_few_epochs_of_todays_models_beat_popularity(config, epochs):
    built = data.load("ml-100k")
    model = config.build(built, seed=0)
    model.fit(built, config.batch_size, epochs=epochs, verbose=0)
    popular = MostPopular(built)
    tables = popular.user_embedding, popular.item_embedding
    trained, popularity = (
        evaluation.metrics(evaluation.top_k(P, Q, built, 10), built)["nDCG"]
        for P, Q in (model.factors, tables)
    )
    assert trained > 1.5 * popularity > 0.01


@pytest.mark.parametrize(
    "k, protocol, users, items, density",
    [
        (10, "single_pass", 6040, 3260, 0.0507),
        (100, "single_pass", 2945, 1927, 0.1387),
        (100, "iterated", 2828, 1919, 0.1428),
    ],
)
def test_the_sub_samples_are_the_published_ones(k, protocol, users, items, density):
    core = data.k_core(data.load("ml-1m"), k, protocol)
    assert (core.n_users, core.n_items) == (users, items)
    assert round(core.statistics()["density"], 4) == density


def test_the_published_targets_are_of_gowallas_head():
    built = data.load("gowalla")
    targets = set(data.choose_targets(built))
    assert targets == {259, 2272, 3010, 6737, 7690}
    assert targets <= set(data.popularity_groups(built)["head"].tolist())


def test_wrmf_and_pmf_serve_ml_100k_as_well_as_they_should():
    """HR@10 is within 5% of the low-rank paper's clean row; the test RMSE is below .95."""
    built = data.load("ml-100k", split="80:20")
    wrmf, pmf = WRMF(built.n_users, built.n_items), PMF(built.n_users, built.n_items)
    for model in (wrmf, pmf):
        model.compile()
        model.fit(built, epochs=50, verbose=0)
    measured = evaluation.poisoning_metrics(*wrmf.factors, built, data.choose_targets(built), 10)
    assert measured["HR"] == pytest.approx(0.8293, rel=0.05)
    assert rmse(*pmf.factors, float(pmf.mean), built) < 0.95
