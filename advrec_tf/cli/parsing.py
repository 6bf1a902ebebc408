"""A flag, made from a field of a configuration, and the values that its texts stand for."""

import math
from dataclasses import Field
from types import NoneType, UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin

from advrec_tf.errors import UserError

MAX_NUMBER = 1e30  # single precision ends at 3e38
MAX_INTEGER = 2**63
_NOUNS = {str: "text", int: "whole number", float: "number"}


class Flag(NamedTuple):
    """A flag: how it is read, what it means and which experiments read it.

    kind: str, int, float or bool.  several: whether it takes more than one value, with commas.
    choices: all values of a text; words that a number may be instead.
    """

    name: str
    kind: type
    several: bool
    read_by: tuple[str, ...]
    help: str
    default: Any
    choices: tuple[str, ...]
    low: float
    high: float


def flag_of(name: str, field: Field, hint: Any, read_by: tuple[str, ...], about: str) -> Flag:
    """Return the flag that sets a field of type `hint`.  about: what its help text begins with."""
    kinds = _parts(hint)
    several = any(get_origin(kind) is tuple for kind in kinds)
    if several:
        kinds = get_args(next(kind for kind in kinds if get_origin(kind) is tuple))
    kind = next(kind for kind in (float, bool, int, str) if kind in kinds)
    low, high = field.metadata.get("low"), field.metadata.get("high")
    return Flag(
        name,
        kind,
        several,
        read_by,
        f"{about}: {field.metadata['help']}" if about else field.metadata["help"],
        list(field.default) if isinstance(field.default, tuple) else field.default,
        tuple(field.metadata.get("choices") or ()),
        -math.inf if low is None else low,
        math.inf if high is None else high,
    )


def _parts(hint: Any) -> tuple[Any, ...]:
    """Return the types of a union without None, or the one type."""
    if get_origin(hint) in (Union, UnionType):
        return tuple(kind for kind in get_args(hint) if kind is not NoneType)
    return (hint,)


def parsed(flag: Flag, given: Any) -> Any:
    """Return the value of a flag from its text, its list of texts, or its bool.

    Raises UserError for a value that the flag does not take.
    """
    if flag.kind is bool:
        return given
    if not flag.several:
        return _parsed_text(flag, given)
    values = [_parsed_text(flag, text) for text in given]
    if not values and flag.name != "keep_epochs":
        raise UserError(f"--{flag.name} is empty")
    if len(set(values)) < len(values):
        raise UserError(
            f"--{flag.name} must be different {_noun(flag)} with commas between,"
            f" not {','.join(given)}"
        )
    return values


def _parsed_text(flag: Flag, text: str) -> Any:
    """Return the value that the text of a flag spells. Raises UserError for other texts."""
    if text in flag.choices:
        return text
    if flag.kind is str:
        if not text:
            raise UserError(f"--{flag.name} is empty")
        if flag.choices:
            raise UserError(f"--{flag.name} must be one of {', '.join(flag.choices)}, not {text!r}")
        return text
    try:
        number = flag.kind(text)
    except ValueError:
        number = math.nan
    limit = MAX_INTEGER if flag.kind is int else MAX_NUMBER
    if not (flag.low <= number <= flag.high and abs(number) < limit):
        words = "".join(f"{word} or " for word in flag.choices)
        noun = f"different {_noun(flag)} with commas between" if flag.several else _noun(flag)
        raise UserError(f"--{flag.name} must be {words}{noun}, not {text!r}")
    return number


def _noun(flag: Flag) -> str:
    """Return in words which numbers a flag takes, such as `a whole number from 1 up`."""
    noun = f"{_NOUNS[flag.kind]}s" if flag.several else f"a {_NOUNS[flag.kind]}"
    if flag.high < math.inf:
        return f"{noun} from {flag.low:.10g} to {flag.high:.10g}"
    if flag.low == -math.inf:
        return noun
    return (
        f"{noun} from {flag.low:g} up" if flag.low == 0 or flag.low >= 0.01 else f"{noun} above 0"
    )
