"""Packages whose public names are imported on first use, because their libraries take seconds."""

from collections.abc import Callable
from importlib import import_module
from typing import Any


def public_names(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` of a package whose names stand in its module `public`."""
    public = f"{package}.public"
    return lambda name: getattr(import_module(public), name), lambda: import_module(public).__all__
