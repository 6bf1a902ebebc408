"""Damaged files: an error of one line or the same result, never a traceback.

The environment variable FLIPS sets how often each kind of file is damaged.
"""

import os

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from advrec_tf import data, evaluation
from advrec_tf.errors import UserError
from advrec_tf.execution import storage
from advrec_tf.leaderboard import auditing
from advrec_tf.poisoning import Profiles, read_trajectory
from advrec_tf.recommenders.alignment import aligned
from advrec_tf.recommenders.importers import Factors
from advrec_tf.recommenders.matrices import read_matrix

from handmade import frame_of
from running import SHORT, advrec

FLIPS = int(os.environ.get("FLIPS", 40))


def damaged(content, rng):
    """Return the bytes with one bit flipped, or truncated."""
    position = int(rng.integers(len(content)))
    if rng.random() < 0.25:
        return content[:position]
    flipped = content[position] ^ 1 << int(rng.integers(8))
    return content[:position] + bytes([flipped]) + content[position + 1 :]


def small_shop():
    return data.synthetic(n_users=30, n_items=20, per_user=6, seed=1)


# The kinds of files.  Each function writes <folder>/file and returns a function that reads it.


def table(folder):
    users = [f"u{n % 7}" for n in range(40)]
    columns = {"user": users, "item": range(40), "rating": 3.5, "timestamp": range(40)}
    pd.DataFrame(columns).to_csv(folder / "file", index=False)
    return lambda: data.load(str(folder / "file"))


def numbers(folder):
    (folder / "file").write_text("".join(f"{n % 7}\t{n}\t{n % 5 + 1}\t{n}\n" for n in range(40)))
    return lambda: data.load(str(folder / "file"))


def archive(folder):
    storage.save(folder / "file.npz", {"P": np.arange(30.0)})
    os.rename(folder / "file.npz", folder / "file")
    return lambda: storage.load(folder / "file")["P"].tolist()


def profiles(folder):
    Profiles.from_matrix("x", np.eye(3, 20), small_shop(), (1,)).save(folder / "made")
    os.rename(folder / "made.npz", folder / "file")

    def read():
        os.link(folder / "file", folder / "again.npz")
        try:
            return Profiles.load(folder / "again.npz").digest()
        finally:
            os.unlink(folder / "again.npz")

    return read


def trajectory(folder):
    columns = np.array(["outer_epoch", "loss"])
    storage.save(folder / "state.npz", {"history": np.ones((2, 2)), "columns": columns})
    os.rename(folder / "state.npz", folder / "file")
    os.symlink(folder / "file", folder / "state.npz")
    return lambda: read_trajectory(folder).to_csv()


def lists(folder):
    top = np.tile(np.arange(4, dtype=np.int32), (30, 1))
    evaluation.save_lists(folder / "file", top, small_shop())
    return lambda: evaluation.read_lists(folder / "file", small_shop())


def factors(folder):
    shop = small_shop()
    np.save(folder / "file.npy", np.ones((30, 3), np.float32))
    items = np.ones((shop.n_items, 3))
    os.link(folder / "file.npy", folder / "file")  # one file under two names
    return lambda: auditing.checked(read_matrix(folder / "file.npy").rows, items, shop)


def row_map(folder):
    (folder / "file").write_text("row,id\n2,a\n0,b\n1,c\n")
    shop = data.Interactions.from_frames(frame_of([("a", 1), ("b", 2), ("c", 1), ("a", 2)]))
    own, rows = Factors(np.ones((3, 2)), np.ones((2, 2))), (str(folder / "file"), None)
    return lambda: aligned(own, shop, rows)[0].tolist()


SEALED = (archive, profiles, trajectory)  # read unchanged or refused


@pytest.mark.parametrize(
    "kind", [table, numbers, lists, factors, row_map, *SEALED], ids=lambda kind: kind.__name__
)
def test_a_damaged_file_is_an_error_of_one_line_or_harmless(tmp_path, kind):
    read, rng = kind(tmp_path), np.random.default_rng(0)
    content, expected = (tmp_path / "file").read_bytes(), read()
    for _ in range(FLIPS):
        (tmp_path / "file").write_bytes(damaged(content, rng))
        try:
            result = read()
        except (UserError, OSError) as error:
            assert "\n" not in str(error)
        else:
            assert kind not in SEALED or result == expected


def test_a_run_with_a_damaged_file_reports_it_or_gives_the_same_results(tmp_path, monkeypatch):
    """The files are weights, states, jobs, tables and the configuration of an experiment."""
    monkeypatch.setattr("experiments.multistep.iterations.iterations_figure", lambda *_: Figure())
    flags = ("--experiment=iterations", f"--output_dir={tmp_path}", *SHORT)
    assert advrec(*flags).status == 0
    files = {
        path: path.read_bytes()
        for path in sorted(tmp_path.rglob("*"))
        if path.is_file() and path.name != ".lock" and path.suffix != ".png"
    }
    results, rng = tmp_path / "iterations" / "synthetic" / "results.csv", np.random.default_rng(0)
    for path in list(files)[:: max(1, len(files) // max(1, FLIPS // 4))]:
        path.write_bytes(damaged(files[path], rng))
        outcome = advrec(*flags)
        if outcome.status == 0:
            assert results.read_bytes() == files[results], path
        else:
            assert outcome.status == 1 and outcome.err.startswith("advrec: "), path
        for restored, content in files.items():
            restored.write_bytes(content)
