"""Progress bars of all processes of a run, each on a line of its own in the terminal."""

from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

_line = 0  # of this process: 0 is the run's own


def use_line(line: int) -> None:
    """Draw this process's bars on line `line` of the terminal, counted from the run's own bar."""
    global _line
    _line = line


def progress_bar(steps: Iterable[Any] | None = None, shown: bool = True, **options: Any) -> tqdm:
    """Return a bar on this process's line, over `steps` if there are any.

    It draws nothing unless `shown` is true and standard error is a terminal.  options: of tqdm.
    """
    return tqdm(steps, position=_line, disable=None if shown else True, **options)
