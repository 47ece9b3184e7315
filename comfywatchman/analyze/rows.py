"""Rows of a node that are objects, such as ``{"on": true, "lora": …}``: which of them count."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_SWITCHES = ("on", "active", "enabled", "enable", "toggle")
OFF = frozenset({"off", "false", "none", "no", "disabled", "disable", "0", ""})
LONGEST_WORD = 200


def row_dicts(value: Any, depth: int) -> Iterator[dict[str, Any]]:
    if depth <= 0:
        return
    if isinstance(value, dict):
        yield value
        for item in value.values():
            if isinstance(item, list | dict):
                yield from row_dicts(item, depth - 1)
    elif isinstance(value, list):
        for item in value:
            yield from row_dicts(item, depth - 1)


def counts(row: Mapping[str, Any], weights: Sequence[str]) -> bool:
    """Return whether a row is switched on, and loads what it names."""
    given = [row[each] for each in weights if row.get(each) is not None]
    return switched_on(row) and not (given and all(each == 0 for each in given))


def switched_on(row: Mapping[str, Any]) -> bool:
    for switch in _SWITCHES:
        state = row.get(switch)
        if state is not None:
            return word(state) not in OFF
    return True


def word(state: Any) -> str:
    """Return the state of a switch, as it is compared; a list or an object is no word."""
    if isinstance(state, str):
        return state[:LONGEST_WORD].strip().lower()
    return str(state).lower() if isinstance(state, bool | int | float) else "on"
