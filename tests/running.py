"""Run the command line: in this process, with its jobs one after the other, or in another one."""

import contextlib
import functools
import io
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from absl import flags as absl_flags

from advrec_tf.cli import command_line, flags
from advrec_tf.execution import jobs
from advrec_tf.poisoning import dcgan
from experiments import main

ROOT = Path(__file__).parent.parent
SHORT = (
    "--preset=quick",
    "--epochs=10",
    "--amf_start=5",
    "--save_every=2",
    "--iterations=1,3,6",
    "--seed=0",
    "--embedding_dim=8",
)
TINY = (
    "--preset=quick",
    "--seed=0",
    "--victim_epochs=6",
    "--outer_epochs=2",
    "--surrogate_epochs=6",
    "--unrolled_epochs=3",
    "--gan_epochs=1",
    "--fakes=12",
    "--victim_dim=4",
    "--surrogate_dim=4",
    "--solver=als",
)
NARROW = (4, 8, 16, 32)  # of a GAN: a hundredth of the time
WRITTEN = (".npz", ".csv", ".tsv", ".md")
OF_VICTIMS = ("--victim_epochs", "--victim_dim", "--solver")


class Outcome(NamedTuple):
    """The status of a command and what it printed."""

    status: int
    out: str
    err: str

    @property
    def report(self) -> str:
        """The reports that the command says it has written."""
        paths = re.findall(r"^Report: (.*)$", self.out, re.MULTILINE)
        return "\n".join(Path(path).read_text() for path in paths)


def advrec(*argv: str) -> Outcome:
    """Run `python -m experiments.main` with these flags in this process.

    Its jobs run one after the other in this process, and its GANs are narrow.
    """
    if "experiment" not in absl_flags.FLAGS:
        command_line.define()
    absl_flags.FLAGS.unparse_flags()
    for name in ("experiment", *flags.FLAGS):
        absl_flags.FLAGS[name].unparse()
    out, err = io.StringIO(), io.StringIO()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(jobs, "processes", this_process)
        patch.setattr(dcgan, "FILTERS", NARROW)
        try:
            status = main.main(command_line.parse(["advrec", *argv]))
        except SystemExit as exit:
            status = exit.code if isinstance(exit.code, int) else 1
            err.write(f"{exit.code}\n" if isinstance(exit.code, str) else "")
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
    return Outcome(status, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def this_process(_):
    """Yield a pool in place of the processes of `jobs`."""
    yield ThisProcess()


class ThisProcess:
    """A pool of this process, one task after the other."""

    capacity = 1

    def submit(self, number, task, waiting):
        self.left = number, task

    def next(self):
        number, task = self.left
        return number, jobs.named(task.function)(**task.arguments), 0


def answers(function, arguments, workers=1, *more):
    """Return what a task's function returns for each of the arguments, by their index.

    more: further arguments of `jobs.run`
    """
    results = {}
    tasks = [
        jobs.Task(function, each, functools.partial(results.__setitem__, index))
        for index, each in enumerate(arguments)
    ]
    jobs.run([iter([tasks])], workers, *more)
    return results


def error_line(result: Outcome) -> str:
    """Return the one line that a command which failed printed."""
    lines = [line for line in result.err.splitlines() if line]
    assert result.status == 1 and len(lines) == 1 and lines[0].startswith("advrec: "), result
    return lines[0]


def run_python(*argv: str, **environment: str) -> subprocess.CompletedProcess:
    """Run Python with these arguments in a process of its own, at the project's root."""
    return subprocess.run(
        [sys.executable, *argv],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environment},
    )


def command(*argv: str, **environment: str) -> dict:
    """Return arguments of subprocess.Popen for the command line in a process group of its own."""
    return {
        "args": [sys.executable, "-m", "experiments.main", *argv],
        "cwd": ROOT,
        "env": {
            **os.environ,
            "http_proxy": "http://127.0.0.1:9",
            "https_proxy": "http://127.0.0.1:9",
            **environment,
        },
        "start_new_session": True,
    }


def outcome(folder) -> dict[str, bytes]:
    """Return all that must not depend on how often a run was killed: path -> content."""
    files = [path for path in sorted(Path(folder).rglob("*")) if path.suffix in WRITTEN]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
