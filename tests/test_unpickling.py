"""Pickles of others are read without running anything that they name."""

import pickle

import pytest

from advrec_tf.errors import UserError
from advrec_tf.execution.startup import peak_memory_mb
from advrec_tf.recommenders import importers

HOSTILE = {
    "code": b"cos\nsystem\n(S'touch HERE/ran'\ntR.",
    "builtins": pickle.dumps(0)[:0] + b'c__builtin__\nexec\n(S\'open("HERE/ran", "w")\'\ntR.',
    "memo": b"\x80\x04Nr\xff\xff\xff\x07.",
    "long": b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\x00\x00.",
    "deep": b"(" * 100_000,
    "encode": b"c_codecs\nencode\n(V" + b"a" * 1000 + b"\nVunicode_escape\ntR.",
    "bytes": b"c__builtin__\nbytearray\n(I99999999999\ntR.",
    "text": b"no pickle at all",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_pickle_runs_nothing_and_takes_no_memory(name, tmp_path):
    (tmp_path / "model.pkl").write_bytes(HOSTILE[name].replace(b"HERE", str(tmp_path).encode()))
    before = peak_memory_mb()
    with pytest.raises(UserError, match="model.pkl: ") as error:
        importers.read_factors([str(tmp_path / "model.pkl")])
    assert "\n" not in str(error.value) and not (tmp_path / "ran").exists()
    assert peak_memory_mb() < before + 300
