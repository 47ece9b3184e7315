"""Keys that an object has more than once: everybody takes the last one, and the rest is lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_MOST = 100
"""Keys of one text that are told."""

_LARGEST_PROMPT = 1 << 20
"""Bytes of a prompt that is always looked through."""


@dataclass(slots=True)
class Counts:
    """How many objects of each kind were read, each of which has such a key once."""

    graphs: int = 0
    values: int = 0
    """Nodes with values."""
    prompts: int = 0
    """Nodes of API prompts."""

    def are_exceeded(self, data: bytes) -> bool:
        """Return whether the text has more of the keys that matter than were read.

        Quick, and sometimes true for no reason, as of a prompt that carries a graph beside it.
        A prompt alone is always looked through, up to a megabyte: no number tells which of its
        inputs are there twice.
        """
        if self.prompts:  # else there may be one beside a graph that nobody reads
            if not self.graphs and len(data) <= _LARGEST_PROMPT:
                return True
            names = (b'"class_type"', b'"inputs"') if not self.graphs else (b'"class_type"',)
            if any(data.count(name) > self.prompts for name in names):
                return True
        return data.count(b'"nodes"') > self.graphs or data.count(b'"widgets_values"') > self.values


class _Repeating(dict[str, Any]):
    """An object that lost something."""

    __slots__ = ("lost",)

    lost: list[tuple[str, Any]]


def repeated_keys(data: bytes) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Yield the places of such keys in a JSON text, each with a value that is lost there."""
    import json  # msgspec does not tell; nearly no text needs this

    try:
        stack: list[tuple[tuple[str | int, ...], Any]] = [
            ((), json.JSONDecoder(object_pairs_hook=_object).decode(data.decode()))
        ]
    except (ValueError, RecursionError):
        return
    told = 0
    while stack and told < _MOST:
        place, here = stack.pop()
        if isinstance(here, _Repeating):
            for key, value in here.lost:
                told += 1
                yield (*place, key), value
        if isinstance(here, dict):
            stack += [((*place, key), here[key]) for key in reversed(here) if _has_more(here[key])]
        elif isinstance(here, list):
            numbers = reversed(range(len(here)))
            stack += [((*place, at), here[at]) for at in numbers if _has_more(here[at])]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    whole = dict(pairs)
    if len(whole) == len(pairs):
        return whole
    made = _Repeating(whole)
    last = {key: number for number, (key, _) in enumerate(pairs)}
    made.lost = [pair for number, pair in enumerate(pairs) if last[pair[0]] != number]
    return made


def _has_more(value: Any) -> bool:
    return isinstance(value, dict | list)
