"""Files: written at once, verified before they are parsed, and computed once."""

import os
import threading

import numpy as np
import pandas as pd
import pytest

from advrec_tf import files
from advrec_tf.errors import UserError
from advrec_tf.execution import storage
from advrec_tf.files import locked, replacing, write_text


def arrays():
    rng = np.random.default_rng(0)
    return {
        "P": rng.normal(size=(7, 3)).astype(np.float32),
        "epoch": np.int64(5),
        "text": np.array(["a", "bc"]),
        "empty": np.empty(0),
    }


def test_arrays_come_back_and_give_the_same_bytes(tmp_path):
    for name in ("a.npz", "b.npz"):
        storage.save(tmp_path / name, arrays())
    read = storage.load(tmp_path / "a.npz")
    assert set(read) == set(arrays())
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    for name, value in arrays().items():
        np.testing.assert_array_equal(read[name], value)
    with np.load(tmp_path / "a.npz") as plain:  # any other reader of .npz
        np.testing.assert_array_equal(plain["P"], arrays()["P"])
    with pytest.raises(ValueError, match="ids holds objects"):
        storage.save(tmp_path / "c.npz", {"ids": np.array(["a", 1], object)})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "b.npz"]


def test_every_flip_and_every_truncation_is_noticed(tmp_path):
    path = tmp_path / "a.npz"
    storage.save(path, arrays())
    original = path.read_bytes()
    for at in range(len(original)):
        for damaged in (
            original[:at] + bytes([original[at] ^ 1 << at % 8]) + original[at + 1 :],
            original[:at],
        ):
            path.write_bytes(damaged)
            with pytest.raises(UserError, match="a.npz: its content is not what was written"):
                storage.load(path)
    for more in (original + b"\0", b"\0" + original, b""):
        path.write_bytes(more)
        with pytest.raises(UserError, match="not what was written"):
            storage.load(path)


def test_the_cache_builds_once_and_notices_tampering(tmp_path, capsys):
    built = []

    def build():
        built.append(1)
        return {"x": np.arange(5.0), "y": [[1, 2]]}

    for _ in range(2):
        arrays_read = storage.cached(tmp_path, {"a": 1}, build)
        np.testing.assert_array_equal(arrays_read["x"], np.arange(5.0))
        np.testing.assert_array_equal(arrays_read["y"], [[1, 2]])
    assert len(built) == 1
    path = storage.entry(tmp_path, {"a": 1})
    original = path.read_bytes()
    np.savez(path, x=np.arange(5.0) + 1, y=[[1, 2]])
    np.testing.assert_array_equal(storage.cached(tmp_path, {"a": 1}, build)["x"], np.arange(5.0))
    assert len(built) == 2 and path.read_bytes() == original
    assert "not what was written; it is computed again" in capsys.readouterr().err
    storage.cached(tmp_path, {"a": 2}, build)
    assert len(built) == 3


def test_one_process_computes_and_the_other_waits(tmp_path, monkeypatch):
    """The cache holds the lock of its entry while it builds."""
    held = []

    def build():
        with (
            pytest.raises(UserError, match="in use"),
            locked(storage.entry(tmp_path, {"a": 1}).with_suffix(""), patience=0),
        ):
            held.append("free")
        return {"x": np.zeros(1)}

    storage.cached(tmp_path, {"a": 1}, build)
    assert not held


def test_a_digest_tells_names_types_shapes_and_contents():
    base = {"x": np.arange(4)}
    others = [
        {"y": np.arange(4)},
        {"x": np.arange(4.0)},
        {"x": np.arange(4).reshape(2, 2)},
        {"x": np.arange(1, 5)},
    ]
    assert len({storage.digest(each) for each in (base, *others)}) == 5
    assert storage.hashed({"a": 1, "b": 2}) == storage.hashed({"b": 2, "a": 1})
    assert storage.hashed({"a": 1, "b": 2}) != storage.hashed({"a": 1, "b": 3})
    assert len(storage.hashed({}, 20)) == 20


def test_a_file_is_finished_or_as_before(tmp_path):
    (tmp_path / "f").write_text("old")
    with pytest.raises(RuntimeError), replacing(tmp_path / "f") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert (tmp_path / "f").read_text() == "old" and len(list(tmp_path.iterdir())) == 1
    storage.write_csv(tmp_path / "f", pd.DataFrame({"a": [1]}))
    assert (tmp_path / "f").read_text() == "a\n1\n"


def test_nothing_is_written_to_a_file_in_place(tmp_path, monkeypatch):
    """While a file is written it is still the old one."""
    seen = []
    real = os.replace

    def replace(source, target):
        seen.append((source != target, target.read_text() if target.exists() else None))
        real(source, target)

    monkeypatch.setattr(files.os, "replace", replace)
    write_text(tmp_path / "f", "one")
    write_text(tmp_path / "f", "two")
    assert seen == [(True, None), (True, "one")]


def test_a_full_disk_names_the_file(tmp_path):
    with (
        pytest.raises(OSError, match=r"No space left on device: .*weights.npz"),
        replacing(tmp_path / "weights.npz"),
    ):
        raise OSError(28, "No space left on device")
    with pytest.raises(FileNotFoundError, match="elsewhere"), replacing(tmp_path / "weights.npz"):
        (tmp_path / "elsewhere").read_text()


def test_threads_that_write_one_file_do_not_meet(tmp_path):
    texts, failed = [str(n) * 1000 for n in range(8)], []

    def write(text):
        try:
            for _ in range(40):
                write_text(tmp_path / "f", text)
        except OSError as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed and (tmp_path / "f").read_text() in texts
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_in_use_is_an_error(tmp_path):
    with locked(tmp_path), pytest.raises(UserError, match="in use by another run"):
        with locked(tmp_path, patience=0.2):
            pass
    with locked(tmp_path):
        pass


def test_who_holds_a_folder_removes_what_a_killed_run_left(tmp_path):
    (tmp_path / "lists").mkdir()
    left = [tmp_path / ".a.csv.0f.tmp", tmp_path / "lists" / ".b.tsv.1e.tmp"]
    for path in (*left, tmp_path / "own.tmp"):
        path.touch()
    with locked(tmp_path):
        assert not any(path.exists() for path in left) and (tmp_path / "own.tmp").exists()


def test_a_system_without_locks_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "fcntl", None)
    with pytest.raises(UserError, match="no file locks"), locked(tmp_path):
        pass


def test_a_table_that_cannot_be_finished_leaves_the_old_one(tmp_path):
    (tmp_path / "f.csv").write_text("old")

    class Torn(pd.DataFrame):
        def to_csv(self, path, **how):
            with open(path, "w") as file:
                file.write("ha")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="f.csv"):
        storage.write_csv(tmp_path / "f.csv", Torn())
    assert (tmp_path / "f.csv").read_text() == "old" and len(list(tmp_path.iterdir())) == 1
