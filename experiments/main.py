"""The command line: python -m experiments.main --experiment=table1 --preset=paper"""

import sys

from advrec_tf.execution.startup import (
    INTERRUPTED,
    STATUS,
    one_thread_for_numpy,
    stop_at_once,
    stop_in_order,
)

stop_at_once()
one_thread_for_numpy()  # before numpy is imported

import importlib  # noqa: E402
from typing import Any, Protocol  # noqa: E402

from absl import app  # noqa: E402
from absl import flags as absl_flags  # noqa: E402

from advrec_tf.cli import command_line, flags  # noqa: E402
from advrec_tf.cli.experiments import EXPERIMENTS  # noqa: E402
from advrec_tf.errors import UserError  # noqa: E402

PACKAGE = __package__ or "experiments"


class Runnable(Protocol):
    """The EXPERIMENT of a module: a measured one (`runner.Experiment`) or a `runner.Page`."""

    def run(self, values: dict[str, Any], command: list[str]) -> int:
        """Run with these values of all flags, and return the exit status."""
        ...


def experiment_named(name: str) -> Runnable:
    """Import and return an experiment."""
    return importlib.import_module(f"{PACKAGE}.{EXPERIMENTS[name].module}").EXPERIMENT


def main(argv: list[str]) -> int:
    """Run what the flags say and return the exit status.

    It is 0, or 1 with a line on stderr, or 130 when the run was interrupted.
    """
    stop_in_order()
    try:
        if len(argv) > 1:
            raise UserError(f"unexpected argument {argv[1]!r}: flags start with --")
        name = absl_flags.FLAGS.experiment
        values = flags.values(name, command_line.given_flags())
        command = flags.command_of(name, values)
        return experiment_named(name).run({**values, "experiment": name}, command)
    except (UserError, OSError) as error:
        print(f"advrec: {error}", file=sys.stderr)
        return 1
    except MemoryError:
        print(
            "advrec: out of memory: fewer --workers or smaller dimensions may help", file=sys.stderr
        )
        return 1
    except KeyboardInterrupt:
        print(INTERRUPTED, file=sys.stderr)
        return STATUS


def console() -> None:
    """Run the script `advrec`."""
    command_line.define()
    app.run(main, flags_parser=command_line.parse)


if __name__ == "__main__":
    console()
