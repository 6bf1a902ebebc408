"""Command line of the experiments: python -m experiments.main --experiment=table1 --dataset=ml-1m --preset=paper"""

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
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from absl import app  # noqa: E402
from absl import flags as absl_flags  # noqa: E402

from advrec_tf import data  # noqa: E402
from advrec_tf.cli import command_line, flags  # noqa: E402
from advrec_tf.errors import UserError  # noqa: E402
from advrec_tf.execution import runner  # noqa: E402

ROOM = __package__ or "experiments"


def attempted(make: Callable[..., Any], names: list[str], *more: list[Any]) -> list[Any]:
    """What can be had of these; each of the others is told in one line."""
    found = []
    for name, *arguments in zip(names, *more):
        try:
            found.append(make(name, *arguments))
        except (UserError, OSError) as error:
            print(f"advrec: {name} is skipped: {error}", file=sys.stderr)
    return found


def load(name: str, values: dict[str, Any]) -> tuple[str, data.Interactions]:
    """One data set as the flags say, beside its name there."""
    pairs = [text.partition("=") for text in values["columns"] or ()]
    columns = {
        field: int(where) if where.isdecimal() else where for field, _, where in pairs
    } or None
    how = {
        "split": values["split"],
        "columns": columns,
        "test": values.get("test"),
        "progress": values["progress"],
    }
    found = data.load(name, values["data_dir"], values["split_seed"], **how)
    return name, found.validation(values["split_seed"]) if values.get("validation") else found


def run(experiment: str, values: dict[str, Any]) -> int:
    """Runs an experiment on every data set that can be had; returns the exit status."""
    values, module = (
        {**values, "experiment": experiment},
        importlib.import_module(f"{ROOM}.{flags.EXPERIMENTS[experiment].module}"),
    )
    if experiment in ("claims", "verdict"):  # of what was measured
        module.run(values)
        return 0
    if values.get("backend", "loky") != "loky":
        values["output_dir"] = str(
            Path(values["output_dir"]).absolute()
        )  # wherever a worker stands
    elif values.get("job_threads", 1) > 1 or values.get("job_memory"):
        raise UserError(
            "--job_threads and --job_memory are of clusters: here --workers says how much is done at once"
        )
    if experiment != "describe":
        module.EXPERIMENT.studies(
            values, [], Path(values["output_dir"])
        )  # the values alone, before anything is fetched
    asked = [values["train"]] if values.get("train") else values["dataset"]
    loaded = attempted(lambda name: load(name, values), asked)
    names = [name for name, _ in loaded]
    found = {
        each.name: each for each in data.distinct_names([each for _, each in loaded], names)
    }  # one of a name that is given twice
    if experiment == "describe":
        module.run(values, list(found.values()))
        return 0 if len(loaded) == len(asked) else 1
    parts = [module.EXPERIMENT.parts(values, each) for each in found.values()]
    wanted = [each for own, _ in parts for each in own]
    make = lambda name, each: module.EXPERIMENT.studies(values, [each], Path(values["output_dir"]))  # noqa: E731
    studies = [
        study for own in attempted(make, [each.name for each in wanted], wanted) for study in own
    ]
    if studies:
        runner.run(
            experiment, module.EXPERIMENT, values, studies, flags.command_of(experiment, values)
        )
    return (
        0
        if len(loaded) == len(asked)
        and not sum(missing for _, missing in parts)
        and len(studies) == len(wanted)
        else 1
    )


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
        print(
            "advrec: out of memory: fewer --workers or smaller dimensions may help", file=sys.stderr
        )
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
