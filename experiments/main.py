"""Command line of the experiments: python -m experiments.main --experiment=table1 --dataset=ml-1m --preset=paper"""

import sys

from advrec_tf.startup import INTERRUPTED, STATUS, one_thread_for_numpy, stop_at_once, stop_in_order

stop_at_once()
one_thread_for_numpy()  # before numpy is imported

import importlib  # noqa: E402
from collections.abc import Callable  # noqa: E402
from typing import Any  # noqa: E402

from absl import app  # noqa: E402
from absl import flags as absl_flags  # noqa: E402

from advrec_tf import data  # noqa: E402
from advrec_tf.cli import command_line, flags, runner  # noqa: E402
from advrec_tf.errors import UserError  # noqa: E402

ROOM = __package__ or "experiments"


def attempted(make: Callable[[str], Any], names: list[str]) -> tuple[list[str], list[Any]]:
    """The names that can be had and what they are; each of the others is told in one line."""
    found = []
    for name in names:
        try:
            found.append((name, make(name)))
        except (UserError, OSError) as error:
            print(f"advrec: {name} is skipped: {error}", file=sys.stderr)
    return [name for name, _ in found], [each for _, each in found]


def load(name: str, values: dict[str, Any]) -> data.Interactions:
    """One data set as the flags say."""
    pairs = [text.partition("=") for text in values["columns"] or ()]
    columns = {field: int(where) if where.isdecimal() else where for field, _, where in pairs} or None
    how = {"split": values["split"], "columns": columns, "test": values.get("test"), "progress": values["progress"]}
    return data.load(name, values["data_dir"], values["split_seed"], **how)


def run(experiment: str, values: dict[str, Any]) -> int:
    """Runs an experiment on every data set that can be had; returns the exit status."""
    values = {**values, "experiment": experiment}
    module = importlib.import_module(f"{ROOM}.{experiment}")
    if experiment == "claims":
        module.run(values)
        return 0
    asked = [values["train"]] if values.get("train") else values["dataset"]
    names, found = attempted(lambda name: load(name, values), asked)
    found = data.distinct_names(found, names)
    if not found:
        return 1
    if experiment == "describe":
        module.run(values, found)
    else:
        runner.run(experiment, module.EXPERIMENT, values, found)
    return 0 if len(found) == len(asked) else 1


def main(argv: list[str]) -> int:
    """Runs what the flags say: 0, or 1 with one line on stderr, or 130 when it was interrupted."""
    stop_in_order()
    try:
        if len(argv) > 1:
            raise UserError(f"unexpected argument {argv[1]!r}: flags start with --")
        experiment = absl_flags.FLAGS.experiment
        return run(experiment, flags.values(experiment, command_line.given_flags()))
    except (UserError, OSError) as error:
        print(f"advrec: {error}", file=sys.stderr)
        return 1
    except MemoryError:
        print("advrec: out of memory: fewer --workers or smaller dimensions may help", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(INTERRUPTED, file=sys.stderr)
        return STATUS


def console() -> None:
    """The script `advrec`."""
    command_line.define()
    app.run(main, flags_parser=command_line.parse)


if __name__ == "__main__":
    console()
