"""The last line of a page: the runs that measured its rows."""

import shlex
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from advrec_tf.execution.records import read_record

Record = dict[str, Any]
_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def records_of(folders: Iterable[Path]) -> list[Record]:
    """Return the records (config.json) of those folders that have one."""
    records = (read_record(folder / "config.json") for folder in folders)
    return [record for record in records if record is not None]


def line(records: list[Record]) -> str:
    """Return versions, commits, dates, command, seeds and wall time of all runs of some records.

    Only published pages have dates and wall time, because a run that is killed and resumed must
    write the same page as one that is not.  All commits of mixed runs are named.
    """
    runs = [run for record in records for run in record["runs"]]
    if not runs:
        return "Nothing of config.json is left: what was measured is not known."
    parts = [
        _listed("version", (run["versions"].get("advrec_tf", "unknown") for run in runs)),
        _listed("commit", (run["commit"][:7] or "unknown" for run in runs)),
        _commands(runs),
        _listed("seed", sorted({seed for run in runs for seed in _seeds(run)})),
    ]
    if all(record.get("shipped") for record in records):
        parts += [
            _listed("date", sorted({run["started"][:10] for run in runs})),
            f"wall time {wall_time(runs)}",
        ]
    return f"Measured with: {'; '.join(filter(None, parts))}."


def _listed(noun: str, values: Iterable[Any]) -> str:
    """Return distinct values after a noun, in the plural if need be; "" for no value."""
    names = [str(value) for value in dict.fromkeys(values)]
    plural = "s" if len(names) > 1 else ""
    return f"{noun}{plural} {', '.join(names)}" if names else ""


def _seeds(run: Record) -> list[int]:
    """Return the seeds of a run."""
    return (run["flags"] or {}).get("seed") or []


def _commands(runs: list[Record]) -> str:
    """Return the command, or the number of commands and the last one."""
    commands = list(dict.fromkeys(shlex.join(run["command"]) for run in runs if run.get("command")))
    if not commands:
        return ""
    if len(commands) == 1:
        return f"command `{commands[0]}`"
    return f"{len(commands)} commands (config.json has all), the last `{commands[-1]}`"


def wall_time(runs: list[Record]) -> str:
    """Return the time that runs cover; time of parallel runs counts once."""
    total, until = timedelta(), datetime.min
    for begun, ended in sorted(map(_span, runs)):
        total += max(timedelta(), ended - max(begun, until))
        until = max(until, ended)
    return str(timedelta(seconds=round(total.total_seconds())))


def _span(run: Record) -> tuple[datetime, datetime]:
    """Return when a run began and ended."""
    begun = datetime.strptime(run["started"], _FORMAT)
    return begun, begun + timedelta(seconds=run["wall_seconds"])
