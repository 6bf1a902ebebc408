"""Tasks in processes: their order, their threads and lines, and what kills and stops leave."""

import contextlib
import io
import os
import signal
import time

import numpy as np
import pytest
import tensorflow as tf

from advrec_tf.errors import UserError
from advrec_tf.execution import jobs, progress
from advrec_tf.execution.clusters import SharedValues
from advrec_tf.execution.progress import progress_bar
from advrec_tf.execution.records import surroundings

from running import ROOT, ThisProcess, answers, run_python, this_process


def double(x, fails=False):
    if fails:
        raise UserError("it failed")
    return 2 * x, os.environ["OPENBLAS_NUM_THREADS"]


@pytest.mark.parametrize("workers", [1, 2])
def test_tasks_return_their_results_and_raise_their_errors(workers):
    results = answers("test_jobs:double", [{"x": n} for n in range(5)], workers)
    assert results == {n: (2 * n, "1") for n in range(5)}
    with pytest.raises(UserError, match="it failed"):
        answers("test_jobs:double", [{"x": 1, "fails": True}], workers)


def test_every_shared_value_has_a_reference_of_its_own():
    """The references are made of values that nobody else holds, whose ids are used again."""
    shared = SharedValues(lambda value: int(value[0]))
    assert [shared(np.full(3, number)) for number in range(20)] == [*range(20)]
    value = np.full(3, 7)
    assert shared(value) == 7 and value.fill(9) is None and shared(value) == 7  # sent once


class Growing(ThisProcess):
    """A pool whose tasks return the memory of their process in MB."""

    def next(self):
        number, result, _ = super().next()
        return number, result, result[0]


def test_a_run_records_the_most_memory_that_one_process_has_held(monkeypatch):
    monkeypatch.setattr(jobs, "processes", lambda _: contextlib.nullcontext(Growing()))
    monkeypatch.setattr(jobs, "peak_workers_mb", 0)
    answers("test_jobs:double", [{"x": megabytes} for megabytes in (3, 10**6, 5)])
    assert jobs.peak_workers_mb == 2 * 10**6  # as the function doubles it
    assert surroundings(time.time())["peak_memory_mb"] == 2 * 10**6
    monkeypatch.setattr(jobs, "peak_workers_mb", 0)
    assert 10 < surroundings(time.time())["peak_memory_mb"] < 10**6  # of this process


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_worker_is_one_error():
    with pytest.raises(UserError, match="a worker process was killed"):
        answers("test_jobs:die", [{}, {}], 2)


def clocked():
    began = time.monotonic()
    time.sleep(0.05)
    return os.getpid(), began, time.monotonic()


def test_one_worker_runs_one_task_at_a_time():
    results = sorted(answers("test_jobs:clocked", [{}] * 4, 1).values(), key=lambda row: row[1])
    pids, began, ended = zip(*results, strict=True)
    assert all(end <= begin for end, begin in zip(ended, began[1:], strict=False))
    assert len(set(pids)) == 1 and os.getpid() not in pids


def meets(mark, waits):
    """Leave a mark, or wait for it."""
    until = time.monotonic() + 100
    while waits and not mark.exists():
        assert time.monotonic() < until
        time.sleep(0.01)
    mark.touch()


def test_a_stage_begins_when_the_one_before_it_in_its_sequence_is_done(tmp_path):
    """It does not wait for other sequences.  Empty stages are skipped."""
    done = []

    def sequence(name, *stages):
        for index, marks in enumerate(stages):
            assert done.count(name) == sum(map(len, stages[:index]))
            yield [
                jobs.Task(
                    "test_jobs:meets",
                    {"mark": tmp_path / mark, "waits": name == "slow"},
                    lambda _: done.append(name),
                )
                for mark in marks
            ]

    # The first task of the slow sequence waits for the last one of the fast sequence.
    slow = sequence("slow", [], ["last"], ["last"])
    fast = sequence("fast", ["first"], [], ["second", "third"], ["last"])
    jobs.run([slow, fast], 2)
    assert done.count("slow") == 2 and done.index("slow") >= 3 and done.count("fast") == 4


def test_tasks_begin_in_the_order_in_which_they_may(monkeypatch):
    monkeypatch.setattr(jobs, "processes", this_process)
    done = []

    def stage(*names):
        return [
            jobs.Task("test_jobs:double", {"x": 1}, lambda _, name=name: done.append(name))
            for name in names
        ]

    first, second = [stage("a1", "a2"), stage("a3")], [stage("b1"), stage("b2")]
    jobs.run([iter(first), iter(second)], 1)
    assert done == ["a1", "a2", "b1", "a3", "b2"]


def test_without_a_task_nothing_runs():
    jobs.run([], 2)
    jobs.run([iter([[]])], 2)
    assert answers("test_jobs:die", []) == {}


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self):
        return True


def line_of_bar(mark=None, other=None):
    """Return the line of a bar in this process, after another worker has reached this point."""
    if mark:
        mark.touch()
        meets(other, waits=True)
    with contextlib.redirect_stderr(Terminal()), progress_bar(total=1) as bar:
        return -bar.pos


def test_each_worker_draws_its_bars_on_a_line_below_the_bar_of_the_run(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    arguments = [{"mark": one, "other": other}, {"mark": other, "other": one}]
    assert sorted(answers("test_jobs:line_of_bar", arguments, 2).values()) == [1, 2]
    assert line_of_bar() == 0


def logged(seconds, monkeypatch, shown=True):
    """Return the log of three steps of 30 s, with a line every `seconds`."""
    now = [0]
    monkeypatch.setattr(progress, "LOG_SECONDS", seconds)
    log = io.StringIO()
    with contextlib.redirect_stderr(log), progress_bar(total=3, desc="fit", shown=shown) as bar:
        bar._time = lambda: now[0]
        bar.start_t = bar.last_print_t = 0
        for _ in range(3):
            now[0] += 30
            bar.update()
    return log.getvalue().splitlines()


def test_a_log_has_a_line_of_progress_a_minute(monkeypatch):
    lines = logged(60, monkeypatch)
    assert len(lines) == 1  # after 60 s; at 90 s less than a minute has passed
    assert "fit:" in lines[0] and "2/3" in lines[0] and "[01:00<00:30" in lines[0]
    assert "\r" not in lines[0] and "\x1b" not in lines[0]
    assert logged(1000, monkeypatch) == []
    assert logged(60, monkeypatch, shown=False) == []


def test_a_worker_starts_with_stops_held(tmp_path):
    """A worker that is stopped before it can answer would print a traceback.

    Every process writes here how many signals it holds when it starts: the run none, workers two.
    """
    (tmp_path / "sitecustomize.py").write_text(
        "import pathlib, os, signal\n"
        "held = signal.pthread_sigmask(signal.SIG_BLOCK, [])\n"
        f"pathlib.Path({str(tmp_path)!r}, f'{{os.getpid()}}.held').write_text(str(len(held)))\n"
    )
    code = (
        "from running import answers\n"
        "print(len(answers('test_jobs:double', [{'x': 1}, {'x': 2}], 2)))"
    )
    folders = os.pathsep.join(map(str, (tmp_path, ROOT / "tests", ROOT)))
    process = run_python("-c", code, PYTHONPATH=folders)
    held = sorted(path.read_text() for path in tmp_path.glob("*.held"))
    assert process.stdout.strip() == "2", process.stderr
    assert held == ["0", *["2"] * (len(held) - 1)] and len(held) >= 3


def test_tensorflow_does_not_warn_of_functions_that_are_traced_for_many_sizes(caplog):
    traced = tf.function(lambda x: x)
    for size in range(12):
        traced(size)  # a Python number is a trace of its own
    assert traced.experimental_get_tracing_count() == 12 and not caplog.records
