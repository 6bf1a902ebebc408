"""Running the command line: in this process with its jobs one after the other, or as a process of its own."""

import contextlib
import functools
import io
import os
import signal
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
OF_VICTIMS = ("--victim_epochs", "--victim_dim", "--solver")


class Outcome(NamedTuple):
    """What a command left: its status and what it printed."""

    status: int
    out: str
    err: str


def advrec(*argv: str) -> Outcome:
    """`python -m experiments.main` with these flags, in this process; its jobs run one after the other in it as well, and its GANs are narrow."""
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
        patch.setattr(jobs, "_processes", _here)
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
def _here(_):
    yield Here()


class Here:
    """A pool of this process, one call after the other."""

    room = 1

    def submit(self, number, call, waiting):
        self.left = number, call

    def next(self):
        number, call = self.left
        return number, jobs.named(call.function)(**call.arguments), 0


def answers(function, arguments, workers=1, *where):
    """What a function of jobs returns for each of the arguments, by their place."""
    found = {}
    calls = [
        jobs.Task(function, each, functools.partial(found.__setitem__, n))
        for n, each in enumerate(arguments)
    ]
    jobs.run([iter([calls])], workers, *where)
    return found


def told(result: Outcome) -> str:
    """The one line that a command which failed printed."""
    lines = [line for line in result.err.splitlines() if line]
    assert result.status == 1 and len(lines) == 1 and lines[0].startswith("advrec: "), result
    return lines[0]


def command(*argv: str, **environment: str) -> dict:
    """Arguments of subprocess.Popen for the command line in a process group of its own."""
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
    """Everything that must not depend on how often a run was killed."""
    files = [
        p for p in sorted(Path(folder).rglob("*")) if p.suffix in (".npz", ".csv", ".tsv", ".md")
    ]
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}
