"""Factors of other libraries, without the libraries: what their trained models look like."""

import pickle
import zipfile
from collections import OrderedDict

import ml_dtypes
import numpy as np
import pytest

from advrec_tf import files
from advrec_tf.errors import UserError
from advrec_tf.recommenders import importers

from foreign_files import key_vectors, named_class, pickled, saved_by_torch

RNG = np.random.default_rng(0)
P, Q, BIAS = (RNG.standard_normal(shape).astype(np.float32) for shape in ((5, 3), (7, 3), (7,)))
LIBRARIES: dict = {
    "implicit": {"user_factors": P, "item_factors": Q},
    "cornac": {
        "u_factors": P,
        "i_factors": Q,
        "i_biases": BIAS,
        "u_biases": np.ones(5),
        "global_mean": 3.5,
        "name": "MF",
        "trainable": True,
    },
    "lightfm": {
        "user_embeddings": P,
        "item_embeddings": Q,
        "item_biases": BIAS,
        "user_biases": np.ones(5),
        "random_state": np.random.RandomState(0),
    },
    "cornac WMF": {"U": P, "V": Q},
}


class Model:
    """A model of a library."""


def scores(factors):
    return factors[0] @ factors[1].T


@pytest.mark.parametrize("name", LIBRARIES)
def test_scores_are_the_models_up_to_a_constant_for_each_user(name):
    model = Model()
    vars(model).update(LIBRARIES[name])
    biased = any("bias" in key for key in LIBRARIES[name])
    expected = P @ Q.T + (BIAS if biased else 0)
    for source in (model, LIBRARIES[name]):
        factors = importers.factors_of(source)
        np.testing.assert_allclose(scores(factors), expected, rtol=1e-5, atol=1e-6)


def test_arrays_in_files(tmp_path):
    options = {"regularization": 0.01, "dtype": "float32"}
    np.savez(tmp_path / "implicit.npz", user_factors=P, item_factors=Q, **options)
    np.save(tmp_path / "p.npy", P)
    np.save(tmp_path / "q.npy", Q)
    safetensors = pytest.importorskip("safetensors.numpy")
    arrays = {"user_embedding": P, "item_embedding": Q}
    safetensors.save_file(arrays, tmp_path / "lightgcn.safetensors")
    for paths in (["implicit.npz"], ["p.npy", "q.npy"], ["lightgcn.safetensors"]):
        factors = importers.read_factors([str(tmp_path / path) for path in paths])
        np.testing.assert_array_equal(factors[0], P)
        np.testing.assert_array_equal(factors[1], Q)


def test_two_files_may_be_of_other_kinds(tmp_path):
    """Each says the ids of its rows: Spark's Parquet, gensim's vectors, word2vec's text."""
    pd = pytest.importorskip("pandas")
    ids = [f"u{n}" for n in range(5)]
    (tmp_path / "userFactors").mkdir()
    for part in (0, 1):
        rows = {"id": range(part, 5, 2), "features": P[part::2].tolist()}
        pd.DataFrame(rows).to_parquet(tmp_path / f"userFactors/part-{part}.parquet")
    lines = [" ".join([name, *map(str, row)]) for name, row in zip(ids, P)]
    (tmp_path / "w2v.txt").write_text("5 3\n" + "\n".join(lines) + "\n")
    (tmp_path / "small.kv").write_bytes(
        key_vectors(vectors=Q, index_to_key=[f"i{n}" for n in range(7)])
    )
    (tmp_path / "large.kv").write_bytes(key_vectors(index_to_key=[f"i{n}" for n in range(7)]))
    np.save(tmp_path / "large.kv.vectors.npy", Q)
    spark = importers.read_factors([str(tmp_path / "userFactors"), str(tmp_path / "small.kv")])
    assert spark.user_ids.tolist() == ["0", "2", "4", "1", "3"]
    np.testing.assert_allclose(spark.user, P[[0, 2, 4, 1, 3]])
    gensim = importers.read_factors([str(tmp_path / "w2v.txt"), str(tmp_path / "large.kv")])
    assert gensim.user_ids.tolist() == ids and gensim.item_ids.tolist()[-1] == "i6"
    np.testing.assert_allclose(gensim.user, P)
    np.testing.assert_array_equal(gensim.item, Q)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_pickle_of_cornac_keeps_its_ids(tmp_path, monkeypatch, protocol):
    users = OrderedDict((f"u{n}", row) for n, row in enumerate([3, 1, 0, 2, 4]))
    items = {np.str_(f"i{n}"): np.int64(6 - n) for n in range(7)}
    train_set = named_class("cornac.data", "Dataset", uid_map=users, iid_map=items)
    model = named_class(
        "cornac.models", "BPR", u_factors=P, i_factors=Q, i_biases=BIAS, train_set=train_set
    )
    (tmp_path / "bpr.pkl").write_bytes(pickled(model, monkeypatch, protocol))
    found = importers.read_factors([str(tmp_path / "bpr.pkl")])
    np.testing.assert_allclose(scores(found), P @ Q.T + BIAS, rtol=1e-5)
    assert found.user_ids.tolist() == ["u2", "u1", "u3", "u0", "u4"]
    assert found.item_ids.tolist() == [f"i{n}" for n in range(6, -1, -1)]


def test_a_dump_of_surprise_keeps_its_ids(tmp_path, monkeypatch):
    trainset = named_class(
        "surprise.trainset",
        "Trainset",
        _raw2inner_id_users={str(n + 1): n for n in range(5)},
        _raw2inner_id_items={str(n + 7): n for n in range(7)},
    )
    svd = named_class("surprise.svd", "SVD", pu=P, qi=Q, bi=BIAS, bu=BIAS[:5], trainset=trainset)
    (tmp_path / "dump.pickle").write_bytes(pickled({"predictions": None, "algo": svd}, monkeypatch))
    found = importers.read_factors([str(tmp_path / "dump.pickle")])
    np.testing.assert_allclose(scores(found), P @ Q.T + BIAS, rtol=1e-5)
    assert found.user_ids.tolist() == list("12345") and found.item_ids.tolist()[-1] == "13"


def test_files_of_torch(tmp_path):
    half = Q.astype(ml_dtypes.bfloat16)
    tensors = {"user_embedding.weight": np.asfortranarray(P), "item_embedding.weight": half}
    saved_by_torch(tmp_path / "state.pt", tensors | {"mlp.0.weight": np.ones((2, 2))})
    saved_by_torch(tmp_path / "recbole.pth", tensors, config={"epochs": 3}, epoch=7)
    for name in ("state.pt", "recbole.pth"):
        found = importers.read_factors([str(tmp_path / name)])
        np.testing.assert_array_equal(found.user, P)
        np.testing.assert_array_equal(found.item, half.astype(np.float32))
    saved_by_torch(tmp_path / "towers.pt", {"tower.user.weight": P, "tower.item.weight": Q})
    np.testing.assert_array_equal(importers.read_factors([str(tmp_path / "towers.pt")]).item, Q)
    saved_by_torch(tmp_path / "two.pt", {"a.user.weight": P, "b.user.weight": P, "item": Q})
    with pytest.raises(UserError, match=r"two.pt: several tables may be the factors \(a.user"):
        importers.read_factors([str(tmp_path / "two.pt")])


def test_keras_weights(tmp_path):
    h5py = pytest.importorskip("h5py")
    for layer in ("user_embedding", "towers/user"):
        with h5py.File(tmp_path / "model.weights.h5", "w") as file:
            file[f"layers/{layer}/vars/0"] = P
            file[f"layers/{layer.replace('user', 'item')}/vars/0"] = Q
        with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
            archive.write(tmp_path / "model.weights.h5", "model.weights.h5")
        for name in ("model.weights.h5", "model.keras"):
            found = importers.read_factors([str(tmp_path / name)])
            np.testing.assert_array_equal(found.user, P)
            np.testing.assert_array_equal(found.item, Q)


def test_bfloat16_arrays(tmp_path):
    half = P.astype(ml_dtypes.bfloat16)
    np.save(tmp_path / "p.npy", half)
    np.save(tmp_path / "q.npy", Q)
    found = importers.read_factors([str(tmp_path / "p.npy"), str(tmp_path / "q.npy")])
    np.testing.assert_array_equal(found.user, half.astype(np.float32))
    np.savez(tmp_path / "both.npz", user_factors=half, item_factors=Q)
    both = importers.read_factors([str(tmp_path / "both.npz")])
    np.testing.assert_array_equal(both.user, found.user)


def test_saved_factors_keep_their_ids(tmp_path):
    factors = importers.Factors(P, Q, np.array(list("abcde")), np.arange(7))
    importers.save_factors(tmp_path / "mine.npz", factors)
    found = importers.read_factors([str(tmp_path / "mine.npz")])
    assert found.user_ids.tolist() == list("abcde") and found.item_ids.tolist() == list("0123456")
    np.testing.assert_array_equal(found.item, Q)
    importers.save_factors(tmp_path / "mine.npz", factors._replace(user_ids=None, item_ids=None))
    assert importers.read_factors([str(tmp_path / "mine.npz")]).item_ids is None
    importers.save_factors(tmp_path / "mine.npz", factors._replace(user_ids=np.arange(4)))
    with pytest.raises(UserError, match="mine.npz: 4 ids for 5 rows of user factors"):
        importers.read_factors([str(tmp_path / "mine.npz")])


def test_files_that_say_to_be_larger_than_they_are_take_no_memory(tmp_path, monkeypatch):
    np.save(tmp_path / "p.npy", P)
    content = (tmp_path / "p.npy").read_bytes()
    (tmp_path / "p.npy").write_bytes(
        content.replace(b"(5, 3), }  ", b"(5, 3333333333), }")[: len(content)]
    )
    with pytest.raises(UserError, match="p.npy: not an .npy file of numbers"):
        importers.read_factors([str(tmp_path / "p.npy")] * 2)
    monkeypatch.setattr(files, "FREE_BYTES", 1000)
    np.savez_compressed(tmp_path / "zeros.npz", user_factors=np.zeros((9999, 99)), item_factors=Q)
    with pytest.raises(UserError, match="zeros.npz: its .* bytes would become"):
        importers.read_factors([str(tmp_path / "zeros.npz")])
    (tmp_path / "w2v.txt").write_text("1000000 1000000\na 1 2\n")
    with pytest.raises(UserError, match="w2v.txt: its 22 bytes would become"):
        importers.read_factors([str(tmp_path / "w2v.txt")] * 2)


@pytest.mark.parametrize(
    "name, message",
    [
        ("a.kv", "a.kv: not gensim's KeyedVectors"),
        ("a.vec", "a.vec: not the text format of word2vec"),
        ("a.parquet", "a.parquet: not a whole Parquet file"),
        ("a.xyz", "a.xyz: one table of factors is .npy, .kv"),
        ("folder", "folder: the folder holds no .parquet files"),
        ("/dev/zero", "/dev/zero: not a regular file"),
    ],
)
def test_one_table_that_cannot_be_read_is_refused_in_one_line(name, message, tmp_path):
    (tmp_path / "folder").mkdir()
    if name.startswith("a."):
        (tmp_path / name).write_bytes(pickle.dumps({}) if name == "a.kv" else b"torn")
    np.save(tmp_path / "q.npy", Q)
    with pytest.raises(UserError, match=message) as fault:
        importers.read_factors([str(tmp_path / name), str(tmp_path / "q.npy")])
    assert "\n" not in str(fault.value)


FAULTS = {
    "no factors": ({"a": 1}, "no factors of users and items among a: numpy.savez"),
    "nothing": (None, "no factors of users and items among nothing"),
    "ragged lists": ({"U": [[1.0], [2.0, 3.0]], "V": Q}, "U is no table of numbers"),
    "texts": ({"U": np.array([["a"]]), "V": Q}, "U is no table of numbers"),
    "a cube": ({"U": np.zeros((2, 2, 2)), "V": Q}, "U is no table of numbers"),
    "too few biases": (
        {"u_factors": P, "i_factors": Q, "i_biases": BIAS[:3]},
        "i_biases are 3 where i_factors has 7 rows",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_models_without_factors_are_refused(name):
    model, message = FAULTS[name]
    with pytest.raises(UserError, match=message):
        importers.factors_of(model)


@pytest.mark.parametrize(
    "file, message",
    [
        ("factors.txt", "factors are two files, .npy say, or one of .npz, .safetensors, .pt"),
        ("model.npz", "model.npz: not a file of factors"),
        ("model.safetensors", "model.safetensors"),
    ],
)
def test_files_that_cannot_be_read_are_refused_in_one_line(file, message, tmp_path):
    (tmp_path / file).write_bytes(b"torn")
    with pytest.raises(UserError, match=message) as fault:
        importers.read_factors([str(tmp_path / file)])
    assert "\n" not in str(fault.value)


def test_files_that_do_not_exist_are_refused(tmp_path):
    with pytest.raises(UserError, match="No such file"):
        importers.read_factors([str(tmp_path / "model.npz")])


def test_objects_in_an_archive_are_not_loaded(tmp_path):
    np.savez(tmp_path / "model.npz", user_factors=np.array([{}], object), item_factors=Q)
    with pytest.raises(UserError, match="model.npz: not a file of factors .*allow_pickle"):
        importers.read_factors([str(tmp_path / "model.npz")])
