"""The command line: its flags are declared to absl, parsed, and shown by --help."""

import difflib
import sys
from typing import Any

from absl import flags

from advrec_tf.cli.experiments import EXPERIMENTS
from advrec_tf.cli.flags import FLAGS, default
from advrec_tf.cli.parsing import Flag
from advrec_tf.cli.presets import PRESETS
from advrec_tf.version import __version__

EXAMPLES = """examples:
  advrec --experiment=table1 --preset=quick
  advrec --experiment=audit --user_factors=P.npy --item_factors=Q.npy --train=shop.csv
  advrec --experiment=poison --dataset=shop.csv --attack=bandwagon --fakes=50"""
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
                EXAMPLES,
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
    """Parse a command line for absl.

    Print our own help for --help and for no flag at all, and the version for --version, and exit.
    Exit with one line about a flag that is wrong.
    """
    if len(argv) == 1 or any(word in HELP for word in argv[1:]):
        print(help_of(experiment_of(argv)))
        sys.exit(0)
    if "--version" in argv:
        print(f"advrec {__version__}")
        sys.exit(0)
    experiment = experiment_of(argv)
    if experiment is not None and experiment not in EXPERIMENTS:
        close = difflib.get_close_matches(experiment, EXPERIMENTS, n=1)
        hint = f": did you mean {close[0]}?" if close else ""
        sys.exit(f"advrec: no experiment is called {experiment!r}{hint} (--help lists all of them)")
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        sys.exit(
            f"advrec: {' '.join(str(error).split())} "
            "(--help lists all experiments, --experiment=NAME --help its flags)"
        )
