"""Whatever happens to a file that is read back: one line or the same result, never a traceback; FLIPS says how often each kind is damaged."""

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

from running import SHORT, advrec

FLIPS = int(os.environ.get("FLIPS", 40))


def damaged(whole, rng):
    """The bytes with one bit turned, or cut off somewhere."""
    at = int(rng.integers(len(whole)))
    return (
        whole[:at]
        if rng.random() < 0.25
        else whole[:at] + bytes([whole[at] ^ 1 << int(rng.integers(8))]) + whole[at + 1 :]
    )


def shop():
    return data.synthetic(n_users=30, n_items=20, per_user=6, seed=1)


def table(folder):
    frame = pd.DataFrame(
        {
            "user": [f"u{n % 7}" for n in range(40)],
            "item": range(40),
            "rating": 3.5,
            "timestamp": range(40),
        }
    )
    frame.to_csv(folder / "file", index=False)
    return lambda: data.load(str(folder / "file"))


def numbers(folder):
    (folder / "file").write_text("".join(f"{n % 7}\t{n}\t{n % 5 + 1}\t{n}\n" for n in range(40)))
    return lambda: data.load(str(folder / "file"))


def archive(folder):
    storage.save(folder / "file.npz", {"P": np.arange(30.0)})
    os.rename(folder / "file.npz", folder / "file")
    return lambda: storage.load(folder / "file")["P"].tolist()


def profiles(folder):
    Profiles.from_matrix("x", np.eye(3, 20), shop(), (1,)).save(folder / "made")
    os.rename(folder / "made.npz", folder / "file")

    def read():
        os.link(folder / "file", folder / "again.npz")
        try:
            return Profiles.load(folder / "again.npz").digest()
        finally:
            os.unlink(folder / "again.npz")

    return read


def trajectory(folder):
    storage.save(
        folder / "state.npz",
        {"history": np.ones((2, 2)), "columns": np.array(["outer_epoch", "loss"])},
    )
    os.rename(folder / "state.npz", folder / "file")
    os.symlink(folder / "file", folder / "state.npz")
    return lambda: read_trajectory(folder).to_csv()


def lists(folder):
    evaluation.save_lists(folder / "file", np.tile(np.arange(4, dtype=np.int32), (30, 1)), shop())
    return lambda: evaluation.read_lists(folder / "file", shop())


def factors(folder):
    with open(folder / "file", "wb") as file:
        np.save(file, np.ones((30, 3), np.float32))
    return lambda: auditing.checked(
        storage.load_matrix(folder / "file"), np.ones((shop().n_items, 3)), shop()
    )


def row_map(folder):
    (folder / "file").write_text("row,id\n2,a\n0,b\n1,c\n")
    return lambda: auditing.align(
        np.ones((3, 2)), folder / "file", np.array(["a", "b", "c"]), "user"
    ).tolist()


SEALED = (archive, profiles, trajectory)  # these are the same or refused


@pytest.mark.parametrize(
    "kind", [table, numbers, lists, factors, row_map, *SEALED], ids=lambda kind: kind.__name__
)
def test_damage_is_one_line_or_no_matter(tmp_path, kind):
    read, rng = kind(tmp_path), np.random.default_rng(0)
    whole, expected = (tmp_path / "file").read_bytes(), read()
    for _ in range(FLIPS):
        (tmp_path / "file").write_bytes(damaged(whole, rng))
        try:
            found = read()
        except (UserError, OSError) as error:
            assert "\n" not in str(error)
        else:
            assert kind not in SEALED or found == expected


def test_damage_to_any_file_of_a_finished_run(tmp_path, monkeypatch):
    """Weights, states, jobs, tables and settings of an experiment: the next run says so in one line, or ends with the same results."""
    monkeypatch.setattr("advrec_tf.reporting.plots.iterations_figure", lambda *_, **__: Figure())
    flags = ("--experiment=iterations", f"--output_dir={tmp_path}", *SHORT)
    assert advrec(*flags).status == 0
    files = {
        path: path.read_bytes()
        for path in sorted(tmp_path.rglob("*"))
        if path.is_file() and path.name != ".lock" and path.suffix != ".png"
    }
    results, rng = tmp_path / "iterations" / "synthetic" / "results.csv", np.random.default_rng(0)
    for path, whole in list(files.items())[:: max(1, len(files) // max(1, FLIPS // 4))]:
        path.write_bytes(damaged(whole, rng))
        result = advrec(*flags)
        assert (result.status == 0 and results.read_bytes() == files[results]) or (
            result.status == 1 and result.err.startswith("advrec: ")
        ), path
        for each, content in files.items():
            each.write_bytes(content)
