"""Factors of other libraries, without the libraries: what their saved models look like from outside."""

import pickle
import sys
import types

import numpy as np
import pytest

from advrec_tf.errors import UserError
from advrec_tf.recommenders import importers

RNG = np.random.default_rng(0)
P, Q, BIAS = (
    RNG.standard_normal((5, 3)).astype(np.float32),
    RNG.standard_normal((7, 3)).astype(np.float32),
    RNG.standard_normal(7).astype(np.float32),
)
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


def saved(name):
    model = Model()
    vars(model).update(LIBRARIES[name])
    return model


def scores(factors):
    return factors[0] @ factors[1].T


@pytest.mark.parametrize("name", LIBRARIES)
@pytest.mark.parametrize("through", ["object", 2, 4, 5], ids=str)
def test_the_lists_are_the_models(name, through, tmp_path):
    """Its scores up to what is the same for all items of a user."""
    if through == "object":
        found = importers.factors_of(saved(name))
    else:
        (tmp_path / "model.pkl").write_bytes(pickle.dumps(saved(name), protocol=through))
        found = importers.read_factors([str(tmp_path / "model.pkl")])
    biased = any("bias" in key for key in LIBRARIES[name])
    np.testing.assert_allclose(
        scores(found), P @ Q.T + (BIAS if biased else 0), rtol=1e-5, atol=1e-6
    )


def test_arrays_in_files(tmp_path):
    np.savez(
        tmp_path / "implicit.npz",
        user_factors=P,
        item_factors=Q,
        regularization=0.01,
        dtype="float32",
    )
    np.save(tmp_path / "p.npy", P)
    np.save(tmp_path / "q.npy", Q)
    safetensors = pytest.importorskip("safetensors.numpy")
    safetensors.save_file(
        {"user_embedding": P, "item_embedding": Q}, tmp_path / "lightgcn.safetensors"
    )
    for paths in (["implicit.npz"], ["p.npy", "q.npy"], ["lightgcn.safetensors"]):
        found = importers.read_factors([str(tmp_path / path) for path in paths])
        np.testing.assert_array_equal(scores(found), P @ Q.T)


class Evil:
    def __reduce__(self):
        return exec, ("raise SystemExit('ran')",)


def test_a_pickle_runs_no_code(tmp_path, monkeypatch):
    """Neither what it names nor a library that it needs is imported."""
    module = types.ModuleType("a_library")
    module.Weights = type(
        "Weights",
        (),
        {"__module__": "a_library", "__reduce__": lambda self: (module.Weights, (), {"more": [1]})},
    )
    monkeypatch.setitem(sys.modules, "a_library", module)
    model = saved("implicit")
    model.evil, model.own = Evil(), [module.Weights()]
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(model))
    monkeypatch.delitem(sys.modules, "a_library")
    np.testing.assert_array_equal(
        scores(importers.read_factors([str(tmp_path / "model.pkl")])), P @ Q.T
    )
    assert "a_library" not in sys.modules


class Forged:
    """An array that says that its bytes are objects, as NumPy's own unpickling would believe."""

    def __reduce__(self):
        import numpy._core.multiarray as multiarray

        return (
            multiarray._reconstruct,
            (np.ndarray, (0,), b"b"),
            (1, (5, 3), np.dtype("O"), False, b"\x01" * 120),
        )


def test_bytes_are_no_objects(tmp_path):
    (tmp_path / "model.pkl").write_bytes(
        pickle.dumps({"user_factors": Forged(), "item_factors": Q})
    )
    with pytest.raises(UserError, match="no factors|no table of numbers"):
        importers.read_factors([str(tmp_path / "model.pkl")])


def test_order_and_bytes_of_an_array_are_kept(tmp_path):
    columns_first, swapped = np.asfortranarray(P), Q.astype(">f8")
    (tmp_path / "model.pkl").write_bytes(
        pickle.dumps({"user_factors": columns_first, "item_factors": swapped})
    )
    for one, other in zip(importers.read_factors([str(tmp_path / "model.pkl")]), (P, Q)):
        np.testing.assert_array_equal(one, other)


FAULTS = {
    "a suffix": ("factors.txt", b"", "factors are two .npy files, or one of .npz"),
    "a torn pickle": ("model.pkl", pickle.dumps(saved("implicit"))[:-40], "not a file of factors"),
    "another pickle": (
        "model.pkl",
        pickle.dumps({"a": 1}),
        "no factors of users and items among a",
    ),
    "a pair": ("model.pkl", pickle.dumps((P, Q)), "no factors of users and items among nothing"),
    "ragged lists": (
        "model.pkl",
        pickle.dumps({"U": [[1.0], [2.0, 3.0]], "V": Q}),
        "U is no table of numbers",
    ),
    "too few biases": (
        "model.pkl",
        pickle.dumps({"u_factors": P, "i_factors": Q, "i_biases": BIAS[:3]}),
        "i_biases are 3 where i_factors has 7 rows",
    ),
    "no archive": ("model.npz", b"torn", "not a file of factors"),
    "no tensors": ("model.safetensors", b"torn", "model.safetensors"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_cannot_be_read_is_told_in_a_line(name, tmp_path):
    file, content, message = FAULTS[name]
    (tmp_path / file).write_bytes(content)
    with pytest.raises(UserError, match=message) as told:
        importers.read_factors([str(tmp_path / file)])
    assert "\n" not in str(told.value)


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(UserError, match="No such file"):
        importers.read_factors([str(tmp_path / "model.pkl")])
