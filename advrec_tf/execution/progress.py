"""Progress of all processes of a run: a bar for each in a terminal, a line a minute in a log."""

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

LOG_SECONDS = 60  # between two lines of a log about one bar
_line = 0  # of this process: 0 is the run's own


def use_line(line: int) -> None:
    """Draw this process's bars on line `line` of the terminal, counted from the run's own bar."""
    global _line
    _line = line


def progress_bar(steps: Iterable[Any] | None = None, shown: bool = True, **options: Any) -> tqdm:
    """Return a bar over `steps`, if there are any, on this process's line of the terminal.

    Where standard error is no terminal, it writes its state as a line every LOG_SECONDS instead.
    It shows nothing unless `shown` is true.  options: of tqdm.
    """
    if sys.stderr.isatty():
        return tqdm(steps, position=_line, disable=not shown, **options)
    interval = {"mininterval": LOG_SECONDS, "delay": LOG_SECONDS, "miniters": 1}
    in_log: dict[str, Any] = {"file": _Log(), "leave": False, "ascii": True, "ncols": 100}
    return tqdm(steps, position=0, disable=not shown, **{**options, **interval, **in_log})


class _Log:
    """Standard error, where every state of a bar is a line of its own."""

    def write(self, text: str) -> None:
        """Write a line, without what redraws a bar in a terminal."""
        if line := text.strip():
            sys.stderr.write(f"{line}\n")

    def flush(self) -> None:
        """Write out what standard error holds."""
        sys.stderr.flush()
