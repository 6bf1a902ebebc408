"""A field of a configuration with all that its flag needs.  This module imports no library."""

import dataclasses
from typing import Any


def option(
    default: Any,
    *,
    help: str,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """Return a field of a dataclass with this default.

    low, high: bounds of a number.  choices: all values of a text, or words in place of a number.
    """
    metadata = {"help": help, "low": low, "high": high, "choices": choices}
    return dataclasses.field(default=default, metadata=metadata)
