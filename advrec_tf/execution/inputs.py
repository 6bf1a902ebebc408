"""The data sets of a run, as its flags say."""

import sys
from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any, TypeVar

from advrec_tf import data
from advrec_tf.data import Interactions
from advrec_tf.errors import UserError

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def attempt(
    make: Callable[[_Item], _Result], items: Iterable[tuple[str, _Item]]
) -> tuple[list[tuple[str, _Result]], int]:
    """Return make(item) of every item by its name, and how many items had to be skipped.

    A skipped item is one line on stderr.
    """
    results, skipped = [], 0
    for name, item in items:
        try:
            results.append((name, make(item)))
        except (UserError, OSError) as error:
            print(f"advrec: {name} is skipped: {error}", file=sys.stderr)
            skipped += 1
    return results, skipped


def load_datasets(values: dict[str, Any]) -> tuple[list[Interactions], int]:
    """Return the data sets that flags name, with different names, and how many were skipped.

    A line says what was understood of each.
    """
    names = [values["train"]] if values.get("train") else values["dataset"]
    loaded, skipped = attempt(lambda name: _load(name, values), ((name, name) for name in names))
    distinct = data.distinct_names([each for _, each in loaded], [name for name, _ in loaded])
    for each in distinct:
        if each.source:
            print(each.understood)
    return list({each.name: each for each in distinct}.values()), skipped


def _load(name: str, values: dict[str, Any]) -> Interactions:
    """Load one data set with the flags' split and columns, or only its part for validation."""
    columns: dict[str, str | int] = {}
    for text in values["columns"] or ():
        field, _, column = text.partition("=")
        columns[field] = int(column) if column.isdecimal() else column
    interactions = data.load(
        name,
        values["data_dir"],
        values["split_seed"],
        split=values["split"],
        columns=columns or None,
        reading=data.Reading(**{field.name: values[field.name] for field in fields(data.Reading)}),
        test=values.get("test"),
        progress=values["progress"],
    )
    if values.get("validation"):
        return interactions.validation(values["split_seed"])
    return interactions
