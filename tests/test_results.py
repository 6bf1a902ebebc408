"""Rows on disk: never mixed with others, never lost, and damage is always noticed."""

import json

import numpy as np
import pytest

from advrec_tf.errors import UserError
from advrec_tf.execution.records import difference
from advrec_tf.execution.results import Job, Layout, measure, read_results, read_users, recorded_run
from advrec_tf.execution.storage import save

from rows import MADE

LAYOUT = Layout(("model", "seed"), ("nDCG", "ICov"))


def job(seed, name="made"):
    MADE[name] = (
        [{"model": m, "seed": seed, "nDCG": 1 / (3 + seed), "ICov": seed} for m in "ab"],
        {"nDCG": np.full((2, 4), seed, np.float32)},
    )
    return Job("rows:made", [{"model": m, "seed": seed} for m in "ab"], {"name": name})


def run(folder, seeds=(0, 1), config=None, statistics=None):
    """Measure what is missing; return the seeds that were measured."""
    measured, config = [], config or {"epochs": 5, "grid": (1, 2)}
    with recorded_run(folder, config, statistics or {"density": 0.25}, {}, LAYOUT) as results:
        for seed in seeds:
            made = job(seed)
            if made not in results:
                measured.append(seed)
                path = results.path_of(made)
                rows = measure(made.function, made.points, made.arguments, path, results.binding)
                results.add(made, rows)
    return measured


def test_rows_come_back_as_they_were_whatever_the_order(tmp_path):
    for name, seeds in (("a", (0, 1, 2)), ("b", (2, 0, 1))):
        assert run(tmp_path / name, seeds) == list(seeds) and run(tmp_path / name, seeds) == []
    first, second = (tmp_path / name / "results.csv" for name in "ab")
    assert first.read_bytes() == second.read_bytes()
    frame = read_results(tmp_path / "a")
    assert tuple(frame.columns) == ("dataset", *LAYOUT.columns)
    assert set(frame["dataset"]) == {"a"}  # the folder's name, as no column says it
    assert frame["nDCG"].tolist() == [1 / 3, 1 / 4, 1 / 5] * 2
    assert frame.attrs["statistics"] == {"density": 0.25}
    assert frame.attrs["config"] == {"epochs": 5, "grid": [1, 2]}
    users = {(row["model"], row["seed"]): arrays for row, arrays in read_users(tmp_path / "a")}
    assert users["b", 2]["nDCG"].tolist() == [2] * 4


def test_a_run_is_recorded_and_its_config_is_kept(tmp_path):
    run(tmp_path)
    with recorded_run(tmp_path, {"epochs": 5, "grid": (1, 2)}, {}, {}, LAYOUT):
        with pytest.raises(UserError, match="in use by another run"):
            run(tmp_path)
    with pytest.raises(UserError, match=r"another config \(epochs 5 there, 6 here\)"):
        run(tmp_path, config={"epochs": 6, "grid": (1, 2)})
    assert run(tmp_path) == []
    record = json.loads((tmp_path / "config.json").read_text())
    assert len(record["runs"]) == 3
    names = {"wall_seconds", "peak_memory_mb", "commit", "versions", "flags"}
    assert names <= set(record["runs"][0])


def test_a_difference_of_configs_is_named_where_it_is(tmp_path):
    run(tmp_path, config={"grid": {"a": 1, "b": 2}})
    with pytest.raises(UserError, match=r"another config \(grid.b 2 there, 3 here\)"):
        run(tmp_path, config={"grid": {"a": 1, "b": 3}})


@pytest.mark.parametrize(
    "old, new, text",
    [
        ({"a": 1}, {"a": 2}, "config.a 1 there, 2 here"),
        ({"a": 1}, {"a": 1, "b": 2}, "config.b None there, 2 here"),
        ({"a": 1, "b": {"c": 3}}, {"a": 1}, "config.b {'c': 3} there, None here"),
        ({"a": {"b": [1], "c": 2}}, {"a": {"b": [1], "c": 3}}, "config.a.c 2 there, 3 here"),
    ],
)
def test_a_difference_is_one_of_either_side(old, new, text):
    assert difference("config", old, new) == text


def test_jobs_of_other_points_have_other_files(tmp_path):
    grids = [[{"a": 1}], [{"a": 1}, {"a": 2}], [{"a": 1}, {"a": 3}], [{"a": 2}]]
    with recorded_run(tmp_path, {}, {}, {}, LAYOUT) as results:
        paths = {results.path_of(Job("rows:made", points, {})) for points in grids}
        assert len(paths) == 4
        assert results.path_of(Job("rows:made", grids[0], {"more": 1})) in paths


def test_without_a_row_nothing_is_bound(tmp_path):
    run(tmp_path, seeds=(), config={"epochs": 1})
    assert run(tmp_path, config={"epochs": 2}) == [0, 1]


def test_results_of_another_version_are_an_error(tmp_path):
    run(tmp_path)
    with (
        pytest.raises(UserError, match="columns are not those"),
        recorded_run(tmp_path, {"epochs": 5, "grid": (1, 2)}, {}, {}, Layout(("a",), ())),
    ):
        pass


def test_results_of_an_earlier_version_are_an_error_without_their_config(tmp_path):
    """Nothing says what they were measured with, and their file is left as it is."""
    run(tmp_path)
    (tmp_path / "config.json").unlink()
    before = (tmp_path / "results.csv").read_bytes()
    layout = Layout(("model", "seed", "threat_model"), ("nDCG",))
    with (
        pytest.raises(UserError, match="results.csv: .* without threat_model: measure again in"),
        recorded_run(tmp_path, {"epochs": 5}, {}, {}, layout),
    ):
        pass
    assert (tmp_path / "results.csv").read_bytes() == before


def test_a_job_of_another_program_is_an_error(tmp_path):
    run(tmp_path)
    save(tmp_path / "jobs" / "other.npz", {"values": np.zeros(3)})
    with pytest.raises(UserError, match="other.npz: not a result of this version: choose another"):
        run(tmp_path)


def test_a_table_is_read_only_with_the_columns_that_are_needed(tmp_path):
    run(tmp_path)
    assert len(read_results(tmp_path, columns=("seed", "nDCG"))) == 4
    with pytest.raises(UserError, match="results.csv: its columns .* without epsilon, unit:"):
        read_results(tmp_path, columns=("seed", "epsilon", "unit"))


def test_a_result_is_on_disk_before_anybody_is_told(tmp_path):
    """The client dies after a job has ended: the next one finds its rows."""
    each = job(0)
    with (
        pytest.raises(KeyboardInterrupt),
        recorded_run(tmp_path, {"epochs": 5, "grid": (1, 2)}, {}, {}, LAYOUT) as results,
    ):
        measure(each.function, each.points, each.arguments, results.path_of(each), results.binding)
        raise KeyboardInterrupt
    assert not (tmp_path / "results.csv").exists()
    assert run(tmp_path, (0,)) == [] and len(read_results(tmp_path)) == 2


def test_jobs_of_another_config_never_mix_in(tmp_path):
    """Neither where results.csv is gone, nor where config.json is."""
    run(tmp_path)
    for gone in ("results.csv", "config.json"):
        (tmp_path / gone).unlink()
        with pytest.raises(UserError, match="another config"):
            run(tmp_path, config={"epochs": 6})


@pytest.mark.parametrize(
    "damage", ["cut in half", "empty", "text for a number", "gone", "cut at a line", "flipped"]
)
def test_damaged_results_are_noticed_and_come_back(tmp_path, capsys, damage):
    run(tmp_path)
    path = tmp_path / "results.csv"
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    damaged = {
        "cut in half": whole[: len(whole) // 2],
        "empty": b"",
        "text for a number": whole.replace(b"0.25", b"x.25"),
        "cut at a line": b"".join(lines[:3]),
        "flipped": whole.replace(b"b,1", b"a,9"),
    }
    path.unlink() if damage == "gone" else path.write_bytes(damaged[damage])
    if damage != "gone":
        with pytest.raises(UserError, match="its content is not what was written"):
            read_results(tmp_path)
    assert run(tmp_path) == [] and path.read_bytes() == whole  # from what the jobs have kept
    assert ("its content is not what was written" in capsys.readouterr().err) == (damage != "gone")


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"null", b"[]", b'{"config": {"epochs": 6}, "runs": []}', None]
)
def test_a_damaged_config_lets_nothing_else_in(tmp_path, capsys, damage):
    run(tmp_path)
    whole = (tmp_path / "results.csv").read_bytes()
    (tmp_path / "config.json").unlink() if damage is None else (
        tmp_path / "config.json"
    ).write_bytes(damage)
    assert run(tmp_path) == [] and (tmp_path / "results.csv").read_bytes() == whole
    assert "config.json does not say" in capsys.readouterr().err
    (tmp_path / "config.json").write_bytes(damage or b"")
    with pytest.raises(UserError, match="another config"):
        run(tmp_path, config={"epochs": 6})


def test_a_damaged_job_is_measured_again(tmp_path, capsys):
    run(tmp_path)
    whole = {path: path.read_bytes() for path in (tmp_path / "jobs").iterdir()}
    path = sorted(whole)[0]
    path.write_bytes(whole[path][:-1])
    with pytest.raises(UserError, match="not what was written"):
        read_users(tmp_path)
    assert len(run(tmp_path)) == 1 and "it is measured again" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in (tmp_path / "jobs").iterdir()} == whole


def test_a_death_between_two_renames_loses_nothing(tmp_path, monkeypatch):
    """The sum of what is there and of what is about to be are both written before."""
    from advrec_tf.execution import results as module

    run(tmp_path, (0,))
    before = (tmp_path / "results.csv").read_bytes()
    monkeypatch.setattr(module, "replacing", lambda path: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, (0, 1))
    monkeypatch.undo()
    assert (tmp_path / "results.csv").read_bytes() == before and len(read_results(tmp_path)) == 2
    assert run(tmp_path, (0, 1)) == []


def damaged(content, rng):
    """Return a content that is cut, or has one flipped bit."""
    index, bit = rng.integers(len(content)), rng.integers(8)
    if rng.random() < 0.3:
        return content[:index]
    return content[:index] + bytes([content[index] ^ 1 << bit]) + content[index + 1 :]


def test_three_hundred_flips_over_every_file_of_a_run(tmp_path):
    """Each gives one line of error or the same rows; never a traceback, never other content."""
    run(tmp_path)

    def files():
        return [p for p in sorted(tmp_path.rglob("*")) if p.is_file() and p.name != ".lock"]

    original = {path: path.read_bytes() for path in files()}
    rng, rows = np.random.default_rng(0), read_results(tmp_path)
    for _ in range(300):
        path = list(original)[rng.integers(len(original))]
        path.write_bytes(damaged(original[path], rng))
        for read in (read_results, run):
            try:
                read(tmp_path)
                assert read_results(tmp_path).equals(rows)
            except UserError:
                pass
        for each in files():
            if each not in original:
                each.unlink()
        for each, content in original.items():
            each.write_bytes(content)
