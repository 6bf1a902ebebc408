"""The command line: its flags are declared to absl, parsed, and shown by --help."""

import sys
from typing import Any

from absl import flags

from advrec_tf.cli.experiments import EXPERIMENTS
from advrec_tf.cli.flags import FLAGS, default
from advrec_tf.cli.parsing import Flag
from advrec_tf.cli.presets import PRESETS

HELP = ("--help", "-help", "-h", "--helpfull", "--helpshort", "-?")


def define() -> None:
    """Declare the flags to absl; a flag that is not given is None."""
    flags.DEFINE_enum("experiment", "table1", list(EXPERIMENTS), "what to run")
    for name, flag in FLAGS.items():
        if flag.kind is bool:
            flags.DEFINE_bool(name, None, flag.help)
        elif flag.several:
            flags.DEFINE_list(name, None, flag.help)
        else:
            flags.DEFINE_string(name, None, flag.help)


def help_of(experiment: str | None) -> str:
    """Return what an experiment reads, with the defaults of both presets.

    Without an experiment, return all of them and how to see more.
    """
    if experiment not in EXPERIMENTS:
        lines = [f"  {name:<32} {entry.help}" for name, entry in EXPERIMENTS.items()]
        return "\n".join(
            [
                "--experiment=",
                *lines,
                "",
                "--experiment=NAME --help lists the flags of one of them.",
            ]
        )
    lines = [_help_line(flag, experiment) for flag in FLAGS.values() if experiment in flag.read_by]
    return "\n".join([f"{experiment}: {EXPERIMENTS[experiment].help}", "", *lines])


def _help_line(flag: Flag, experiment: str) -> str:
    """Return the line of --help on a flag: its help, choices, and default in each preset."""
    choices = f" ({', '.join(flag.choices)})" if flag.choices and flag.kind is str else ""
    defaults = [_shown(default(flag, experiment, preset)) for preset in PRESETS]
    text = f" [{'; quick: '.join(dict.fromkeys(defaults))}]" if any(defaults) else ""
    return f"  --{flag.name:<26} {flag.help}{choices}{text}"


def _shown(value: Any) -> str:
    """Return a default as text; a long list is shortened."""
    if value is None or value == []:
        return ""
    if not isinstance(value, list):
        return str(value)
    if len(value) > 8:
        value = [*value[:3], "...", value[-1]]
    return ",".join(f"{item:g}" if isinstance(item, float) else str(item) for item in value)


def given_flags() -> dict[str, Any]:
    """Return the flags that were given on the command line, unparsed."""
    return {name: flags.FLAGS[name].value for name in FLAGS if flags.FLAGS[name].value is not None}


def experiment_of(argv: list[str]) -> str | None:
    """Return the experiment that a command line names, before it is parsed."""
    for word, following in zip(argv, [*argv[1:], ""]):
        if word.lstrip("-").partition("=")[0] == "experiment":
            return word.partition("=")[2] or following
    return None


def parse(argv: list[str]) -> list[str]:
    """Parse a command line for absl: print our own --help, or one line about what is wrong."""
    if any(word in HELP for word in argv[1:]):
        print(help_of(experiment_of(argv)))
        sys.exit(0)
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        sys.exit(
            f"advrec: {' '.join(str(error).split())} "
            "(--help lists all experiments, --experiment=NAME --help its flags)"
        )
