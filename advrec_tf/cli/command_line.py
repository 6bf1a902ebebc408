"""The table of flags as a command line: declared to absl, parsed, and shown by --help."""

import sys
from typing import Any

from absl import flags

from advrec_tf.cli.flags import EXPERIMENTS, FLAGS, PRESETS, default


def define() -> None:
    """Declares the flags to absl; None stands for one that is not given."""
    flags.DEFINE_enum("experiment", "table1", list(EXPERIMENTS), "what to run")
    for name, flag in FLAGS.items():
        says = (
            f"{', '.join(flag.read_by) if len(flag.read_by) < 4 else ''}: {flag.says}".removeprefix(
                ": "
            )
        )
        if flag.kind == "yes_no":
            flags.DEFINE_bool(name, None, says)
        elif flag.kind.endswith("s"):
            flags.DEFINE_list(name, None, says)
        else:
            flags.DEFINE_string(name, None, says)


def help_of(experiment: str | None) -> str:
    """What an experiment reads, with the defaults of both presets; without one, the experiments and how to see more."""
    if experiment not in EXPERIMENTS:
        lines = [f"  {name:<32} {room.says}" for name, room in EXPERIMENTS.items()]
        return "\n".join(
            [
                "--experiment=",
                *lines,
                "",
                "--experiment=NAME --help lists the flags of one of them.",
            ]
        )
    lines = [f"{experiment}: {EXPERIMENTS[experiment].says}", ""]
    for name, flag in FLAGS.items():
        if experiment in flag.read_by:
            shown = dict.fromkeys(_shown(default(flag, experiment, preset)) for preset in PRESETS)
            among = (
                f" ({', '.join(flag.among)})" if flag.among and flag.kind.startswith("text") else ""
            )
            lines.append(
                f"  --{name:<26} {flag.says}{among}"
                + "".join(f" [{'; quick: '.join(shown)}]" if any(shown) else "")
            )
    return "\n".join(lines)


def _shown(value: Any) -> str:
    if value is None or value == []:
        return ""
    if isinstance(value, list):
        return ",".join(
            f"{each:g}" if isinstance(each, float) else str(each)
            for each in (value if len(value) < 9 else [*value[:3], "...", value[-1]])
        )
    return str(value)


def given_flags() -> dict[str, Any]:
    """The flags of the table that were given on the command line, as they were given."""
    return {name: flags.FLAGS[name].value for name in FLAGS if flags.FLAGS[name].value is not None}


def experiment_of(argv: list[str]) -> str | None:
    """The experiment that a command line names, before it is parsed."""
    for word, following in zip(argv, [*argv[1:], ""]):
        if word.lstrip("-").partition("=")[0] == "experiment":
            return word.partition("=")[2] or following
    return None


def parse(argv: list[str]) -> list[str]:
    """absl's flags_parser: --help is ours, and what is wrong is told in one line."""
    if any(
        word in ("--help", "-help", "-h", "--helpfull", "--helpshort", "-?") for word in argv[1:]
    ):
        print(help_of(experiment_of(argv)))
        sys.exit(0)
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        sys.exit(
            f"advrec: {' '.join(str(error).split())} (--help lists all experiments, --experiment=NAME --help its flags)"
        )
