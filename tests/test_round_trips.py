"""Libraries' models, trained here where the libraries are installed: file, factors, same lists."""

import numpy as np
import pandas as pd
import pytest

from advrec_tf import data, evaluation
from advrec_tf.recommenders.alignment import aligned
from advrec_tf.recommenders.importers import factors_of, read_factors, save_factors

# Ids are texts, so that neither their order as numbers nor that of the rows is the sorted one.
SYNTHETIC = data.synthetic(n_users=60, n_items=40, per_user=8, seed=1)
PAIRS = pd.DataFrame(
    {
        "user": [f"u{n}" for n in SYNTHETIC.train_users],
        "item": [f"i{n}" for n in SYNTHETIC.train_items],
        "rating": 1.0 + (SYNTHETIC.train_users * 7 + SYNTHETIC.train_items * 3) % 5,
    }
)
TEST = pd.DataFrame(
    {
        "user": [f"u{n}" for n in SYNTHETIC.test_users],
        "item": [f"i{n}" for n in SYNTHETIC.test_items],
        "rating": 3.0,
    }
)
known = TEST["item"].isin(PAIRS["item"])
SHOP = data.Interactions.from_frames(PAIRS, TEST[known])
K = 5


def lists_of(factors):
    """Return the ids of each user's list, best first."""
    lists = evaluation.top_k(*aligned(factors, SHOP), SHOP, K)
    return {user: SHOP.item_ids[row].tolist() for user, row in zip(SHOP.user_ids, lists)}


def unseen(user):
    """Return the ids of the items that a user does not have."""
    return sorted(set(SHOP.item_ids) - set(PAIRS["item"][PAIRS["user"] == user]))


def best(score):
    """Return each user's list by score(user, item)."""
    return {
        user: sorted(unseen(user), key=lambda item: -score(user, item))[:K]
        for user in SHOP.user_ids
    }


def test_implicit(tmp_path):
    als = pytest.importorskip("implicit.als")
    model = als.AlternatingLeastSquares(factors=8, iterations=5, random_state=0, num_threads=1)
    matrix = SHOP.matrix()
    model.fit(matrix, show_progress=False)
    model.save(str(tmp_path / "als.npz"))
    items, _ = model.recommend(np.arange(SHOP.n_users), matrix, N=K)
    expected = {user: SHOP.item_ids[row].tolist() for user, row in zip(SHOP.user_ids, items)}
    assert lists_of(read_factors([str(tmp_path / "als.npz")])) == expected


@pytest.mark.parametrize("name", ["BPR", "MF", "WMF"])
def test_cornac(tmp_path, name):
    cornac = pytest.importorskip("cornac")
    train = cornac.data.Dataset.from_uir(PAIRS.itertuples(index=False), seed=0)
    model = getattr(cornac.models, name)(k=8, verbose=False, seed=1).fit(train)
    path = model.save(str(tmp_path))
    expected = {user: model.recommend(user, K, True, train) for user in SHOP.user_ids}
    assert lists_of(read_factors([path])) == expected


def test_surprise(tmp_path):
    surprise = pytest.importorskip("surprise")
    table = surprise.Dataset.load_from_df(PAIRS, surprise.Reader(rating_scale=(1, 5)))
    model = surprise.SVD(n_factors=8, random_state=0).fit(table.build_full_trainset())
    surprise.dump.dump(str(tmp_path / "svd.pickle"), algo=model)

    def score(user, item):
        """Return the library's estimate before it is clipped to the scale."""
        return model.estimate(model.trainset.to_inner_uid(user), model.trainset.to_inner_iid(item))

    assert lists_of(read_factors([str(tmp_path / "svd.pickle")])) == best(score)


def test_lenskit(tmp_path):
    als = pytest.importorskip("lenskit.als")
    from lenskit import Pipeline, recommend, topn_pipeline
    from lenskit.data import from_interactions_df

    table = PAIRS.rename(columns={"user": "user_id", "item": "item_id"}).drop(columns="rating")
    model: Pipeline = topn_pipeline(
        als.ImplicitMFScorer(embedding_size=8, epochs=5, user_embeddings="prefer")
    )
    model.train(from_interactions_df(table))
    save_factors(tmp_path / "lenskit.npz", factors_of(model.node("scorer").component))
    expected = {user: recommend(model, user, K).ids().tolist() for user in map(str, SHOP.user_ids)}
    assert lists_of(read_factors([str(tmp_path / "lenskit.npz")])) == expected


def test_gensim(tmp_path):
    models = pytest.importorskip("gensim.models")
    sentences = [[user, *rows] for user, rows in PAIRS.groupby("user")["item"].agg(list).items()]
    words = models.Word2Vec(sentences, vector_size=8, window=40, min_count=1, seed=0, workers=1).wv
    paths = []
    for side, ids in (("users", SHOP.user_ids), ("items", SHOP.item_ids)):
        vectors = models.KeyedVectors(8)
        vectors.add_vectors(ids.tolist(), np.array([words.get_vector(each, True) for each in ids]))
        paths.append(str(tmp_path / f"{side}.kv"))
        vectors.save(paths[-1])
    assert lists_of(read_factors(paths)) == best(words.similarity)


def test_torch(tmp_path):
    torch = pytest.importorskip("torch")

    class Towers(torch.nn.Module):
        """A product of two tables, as models of RecBole have them."""

        def __init__(self):
            super().__init__()
            self.user_embedding = torch.nn.Embedding(SHOP.n_users, 8)
            self.item_embedding = torch.nn.Embedding(SHOP.n_items, 8)

        def forward(self, users, items):
            return (self.user_embedding(users) * self.item_embedding(items)).sum(-1)

    torch.manual_seed(0)
    model = Towers()
    users, items = (torch.tensor(each).long() for each in (SHOP.train_users, SHOP.train_items))
    for _ in range(5):  # without torch.optim, whose compiler does not live with TensorFlow's
        others = torch.randint(SHOP.n_items, (len(items),))
        margins = model(users, items) - model(users, others)
        loss = -torch.nn.functional.logsigmoid(margins).sum()
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        with torch.no_grad():
            for table, gradient in zip(model.parameters(), gradients):
                table -= 0.1 * gradient
    torch.save(model.state_dict(), tmp_path / "towers.pt")
    rows = ({str(name): n for n, name in enumerate(ids)} for ids in (SHOP.user_ids, SHOP.item_ids))
    row_of_user, row_of_item = rows

    def score(user, item):
        """Return what the model says."""
        pair = torch.tensor([row_of_user[user]]), torch.tensor([row_of_item[item]])
        return float(model(*pair))

    assert lists_of(read_factors([str(tmp_path / "towers.pt")])) == best(score)
