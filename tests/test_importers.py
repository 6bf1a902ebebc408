"""Factors of other libraries, without the libraries: what their trained models look like."""

import numpy as np
import pytest

from advrec_tf.errors import UserError
from advrec_tf.recommenders import importers

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


def test_a_pickle_is_refused_with_what_to_do(tmp_path):
    (tmp_path / "model.pkl").write_bytes(b"cos\nsystem\n(S'exit'\ntR.")
    with pytest.raises(UserError, match=r"\.npz, \.safetensors; numpy\.savez\(file, user_factors"):
        importers.read_factors([str(tmp_path / "model.pkl")])


FAULTS = {
    "no factors": ({"a": 1}, "no factors of users and items among a$"),
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
        ("factors.txt", "factors are two .npy files, or one of .npz"),
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
