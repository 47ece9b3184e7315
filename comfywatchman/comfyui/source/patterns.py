"""Regular expressions of a pack's source, on short texts and only where they end soon."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from re import _constants as constants  # type: ignore[attr-defined]  # not in the stubs
from re import _parser as parser  # type: ignore[attr-defined]  # not in the stubs
from typing import Any

from comfywatchman.comfyui.source.values import UNKNOWN, Items, Value

_LONGEST = 200
"""Characters, of pattern and text."""

_MOST_REPEATS = 3
_REPEATS = {constants.MAX_REPEAT, constants.MIN_REPEAT, constants.POSSESSIVE_REPEAT}


def call_pattern(name: str, arguments: Sequence[Value]) -> Value:
    """Return what ``re.sub``, ``re.findall`` or ``re.split`` gives; anything else is unknown."""
    rule = _RULES.get(name)
    texts = [argument for argument in arguments if isinstance(argument, str)]
    if rule is None or len(texts) != len(arguments) or len(texts) != _WANTED[name]:
        return UNKNOWN
    if any(len(text) > _LONGEST for text in texts):
        return UNKNOWN
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if not _ends_soon(parser.parse(texts[0])):
                return UNKNOWN
            found = rule(*texts)
    except (re.error, RecursionError, OverflowError, IndexError):
        return UNKNOWN
    return Items([_value(each) for each in found]) if isinstance(found, list) else found


def _value(found: Any) -> Value:
    return Items(list(found)) if isinstance(found, tuple) else found


def _ends_soon(parsed: Any) -> bool:
    """Say whether a parsed pattern repeats little, and nothing that repeats itself."""
    return _repeats(parsed, within=False) <= _MOST_REPEATS


def _repeats(parsed: Any, *, within: bool) -> int:
    count = 0
    for operation, argument in parsed:
        if operation in _REPEATS:
            _, most, inner = argument
            if most > 1:
                count += _MOST_REPEATS + 1 if within else 1
            count += _repeats(inner, within=within or most > 1)
        else:
            count += sum(_repeats(each, within=within) for each in _inside(argument))
    return count


def _inside(argument: Any) -> list[Any]:
    """Return the patterns inside the argument of an operation, however deep they lie."""
    if isinstance(argument, parser.SubPattern):
        return [argument]
    if isinstance(argument, list | tuple):
        return [found for part in argument for found in _inside(part)]
    return []


_RULES: Mapping[str, Callable[..., Any]] = {
    "re.findall": re.findall,
    "re.split": re.split,
    "re.sub": re.sub,
}
_WANTED = {"re.findall": 2, "re.split": 2, "re.sub": 3}
