"""What the methods of texts, lists, dictionaries and paths do."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from comfywatchman.comfyui.source.calculating import (
    LONGEST_TEXT,
    asks_for_much,
    joined,
    members,
)
from comfywatchman.comfyui.source.files import below, entries, exists
from comfywatchman.comfyui.source.values import (
    UNKNOWN,
    Items,
    Machine,
    Method,
    Place,
    Table,
    Value,
    is_plain,
    key_of,
)

_Arguments = Sequence[Value]
_Rule = Callable[[Machine, Any, _Arguments, Mapping[str, Value]], Value]


def call_method(
    machine: Machine, method: Method, arguments: _Arguments, keywords: Mapping[str, Value]
) -> Value:
    """Return what a method of a built-in type gives."""
    rule = METHODS[type(method.of)][method.name]
    return rule(machine, method.of, arguments, keywords)


# -- texts

_OF_TEXTS = [
    "capitalize",
    "casefold",
    "count",
    "endswith",
    "find",
    "index",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isspace",
    "isupper",
    "join",
    "lower",
    "lstrip",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "title",
    "upper",
    "zfill",
]


def _text_method(name: str) -> _Rule:
    def rule(
        _machine: Machine, text: str, arguments: _Arguments, keywords: Mapping[str, Value]
    ) -> Value:
        given = [_as_python(argument) for argument in arguments]
        if keywords or UNKNOWN in given or _grows(name, text, given):
            return UNKNOWN
        try:
            result = getattr(text, name)(*given)
        except (TypeError, ValueError, OverflowError):
            return UNKNOWN
        if isinstance(result, list | tuple):
            return Items(list(result))
        return result[:LONGEST_TEXT] if isinstance(result, str) else result

    return rule


def _grows(name: str, text: str, given: Sequence[Any]) -> bool:
    """Say whether a method could make a text that is longer than anybody writes."""
    if name == "zfill":
        return not isinstance(given[0] if given else 0, int) or abs(given[0]) > LONGEST_TEXT
    if name in {"replace", "join"}:
        lengths = [len(part) for each in given for part in _texts(each)]
        return (len(text) + 1) * (sum(lengths) + 1) > 10 * LONGEST_TEXT * len(lengths or [1])
    return False


def _texts(value: Any) -> Sequence[str]:
    if isinstance(value, tuple):
        return value
    return [value] if isinstance(value, str) else []


def _as_python(value: Value) -> Any:
    if isinstance(value, Items):
        inner = [_as_python(each) for each in value.values]
        known = not value.open and all(isinstance(each, str) for each in inner)
        return tuple(inner) if known else UNKNOWN
    return value if is_plain(value) else UNKNOWN


def _format(
    _machine: Machine, text: str, arguments: _Arguments, keywords: Mapping[str, Value]
) -> Value:
    if not all(map(is_plain, (*arguments, *keywords.values()))) or asks_for_much(text):
        return UNKNOWN
    try:
        return text.format(*arguments, **keywords)[:LONGEST_TEXT]
    except (IndexError, KeyError, ValueError, AttributeError, TypeError):
        return UNKNOWN


# -- lists


def _append(_machine: Machine, items: Items, arguments: _Arguments, _: object) -> Value:
    items.grow(Items(list(arguments[-1:])))
    return None


def _extend(_machine: Machine, items: Items, arguments: _Arguments, _: object) -> Value:
    for argument in arguments:
        items.grow(members(argument))
    return None


def _copy_items(_machine: Machine, items: Items, _arguments: _Arguments, _: object) -> Value:
    return Items(list(items.values), items.open)


def _union(_machine: Machine, items: Items, arguments: _Arguments, _: object) -> Value:
    made = Items(list(items.values), items.open)
    _extend(_machine, made, arguments, _)
    return made


def _remove(_machine: Machine, items: Items, arguments: _Arguments, _: object) -> Value:
    (unwanted,) = arguments or [UNKNOWN]
    items.values[:] = [
        value for value in items.values if not (is_plain(value) and value == unwanted)
    ]
    return None


def _nothing(_machine: Machine, _of: Value, _arguments: _Arguments, _: object) -> Value:
    return None


# -- dictionaries


def _update(
    _machine: Machine, table: Table, arguments: _Arguments, keywords: Mapping[str, Value]
) -> Value:
    for argument in arguments:
        table.take_in(argument)
    table.entries.update(keywords)
    return None


def _pairs(_machine: Machine, table: Table, _arguments: _Arguments, _: object) -> Value:
    return Items([Items([k, v]) for k, v in table.entries.items()], table.open)


def _keys(_machine: Machine, table: Table, _arguments: _Arguments, _: object) -> Value:
    return Items(list(table.entries), table.open)


def _values(_machine: Machine, table: Table, _arguments: _Arguments, _: object) -> Value:
    return Items(list(table.entries.values()), table.open)


def _copy_table(_machine: Machine, table: Table, _arguments: _Arguments, _: object) -> Value:
    return Table(dict(table.entries), table.open, table.lost)


def _get(_machine: Machine, table: Table, arguments: _Arguments, _: object) -> Value:
    known = key_of(arguments[0]) if arguments else UNKNOWN
    if known is not UNKNOWN and known in table.entries:
        return table.entries[known]
    if known is UNKNOWN or table.open:
        return UNKNOWN
    return arguments[1] if len(arguments) > 1 else None


def _set_default(_machine: Machine, table: Table, arguments: _Arguments, _: object) -> Value:
    known = key_of(arguments[0]) if arguments else UNKNOWN
    if known is UNKNOWN:
        table.open = table.lost = True
        return UNKNOWN
    return table.entries.setdefault(known, arguments[1] if len(arguments) > 1 else None)


# -- paths


def _join(_machine: Machine, place: Place, arguments: _Arguments, _: object) -> Value:
    path = place.path
    for argument in arguments:
        if not isinstance(argument, str | Place):
            return UNKNOWN
        path = joined(path, argument if isinstance(argument, str) else argument.path)
    return Place(path)


def _same(_machine: Machine, place: Place, _arguments: _Arguments, _: object) -> Value:
    return Place(posixpath.normpath(place.path))


def _as_text(_machine: Machine, place: Place, _arguments: _Arguments, _: object) -> Value:
    return place.path


def _exists(machine: Machine, place: Place, _arguments: _Arguments, _: object) -> Value:
    return exists(machine.root, place.path)


def _list(machine: Machine, place: Place, _arguments: _Arguments, _: object) -> Value:
    found = entries(machine.root, place.path)
    if found is None:
        return UNKNOWN
    return Items([Place(joined(place.path, name)) for name in found])


def _glob(machine: Machine, place: Place, arguments: _Arguments, _: object) -> Value:
    return _matching(machine, place, arguments)


def _rglob(machine: Machine, place: Place, arguments: _Arguments, _: object) -> Value:
    return _matching(machine, place, arguments, "**/")


def _matching(machine: Machine, place: Place, arguments: _Arguments, before: str = "") -> Value:
    pattern = arguments[0] if arguments else UNKNOWN
    if not isinstance(pattern, str):
        return UNKNOWN
    found = below(machine.root, joined(place.path, before + pattern))
    return UNKNOWN if found is None else Items([Place(path) for path in found])


def _with_suffix(_machine: Machine, place: Place, arguments: _Arguments, _: object) -> Value:
    suffix = arguments[0] if arguments else UNKNOWN
    if not isinstance(suffix, str):
        return UNKNOWN
    return Place(posixpath.splitext(place.path)[0] + suffix)


def _relative_to(_machine: Machine, place: Place, arguments: _Arguments, _: object) -> Value:
    start = arguments[0] if arguments else UNKNOWN
    if isinstance(start, Place):
        start = start.path
    if not isinstance(start, str) or not place.path.startswith(f"{start.rstrip('/')}/"):
        return UNKNOWN
    return Place(place.path[len(start.rstrip("/")) + 1 :])


def property_of(place: Place, name: str) -> Value:
    """Return a property of a path."""
    base = posixpath.basename(place.path)
    stem, suffix = posixpath.splitext(base)
    known: Mapping[str, Value] = {
        "parent": Place(posixpath.dirname(place.path)),
        "name": base,
        "stem": stem,
        "suffix": suffix,
        "parts": Items([part for part in place.path.split("/") if part]),
        "parents": _parents(place.path),
    }
    return known.get(name, UNKNOWN)


def _parents(path: str) -> Value:
    found: list[Value] = []
    while posixpath.dirname(path) != path:
        path = posixpath.dirname(path)
        found.append(Place(path))
    return Items(found)


METHODS: Mapping[type, Mapping[str, _Rule]] = {
    str: {**{name: _text_method(name) for name in _OF_TEXTS}, "format": _format},
    Items: {
        "add": _append,
        "append": _append,
        "copy": _copy_items,
        "discard": _remove,
        "extend": _extend,
        "insert": _append,
        "remove": _remove,
        "reverse": _nothing,
        "sort": _nothing,
        "union": _union,
        "update": _extend,
    },
    Table: {
        "copy": _copy_table,
        "get": _get,
        "items": _pairs,
        "keys": _keys,
        "setdefault": _set_default,
        "update": _update,
        "values": _values,
    },
    Place: {
        "absolute": _same,
        "as_posix": _as_text,
        "exists": _exists,
        "expanduser": _same,
        "glob": _glob,
        "is_dir": _exists,
        "is_file": _exists,
        "iterdir": _list,
        "joinpath": _join,
        "relative_to": _relative_to,
        "resolve": _same,
        "rglob": _rglob,
        "with_suffix": _with_suffix,
        "__str__": _as_text,
    },
}
