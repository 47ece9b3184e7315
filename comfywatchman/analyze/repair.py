"""Records of a file that are not quite what they should be, or too many to keep whole.

A field that has an unexpected type costs that field of that record, never the file; an element of
a list that cannot be read at all keeps its place, so that places told are those of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from functools import cache
from typing import Any, TypeVar, cast

import msgspec
from msgspec import Raw

from comfywatchman.analyze.jsontext import with_finite_numbers, without_extremes
from comfywatchman.analyze.lean import Lean, LeanPrompt
from comfywatchman.analyze.limits import Steps
from comfywatchman.analyze.shapes import (
    Definition,
    Definitions,
    Link,
    LinkRow,
    Node,
    Port,
    PortNode,
    PromptNode,
    Properties,
    Socket,
    Top,
    Widget,
    decoded,
    decoder,
    elements,
)

_T = TypeVar("_T")

_DEEPEST = 12
"""Records in records: a definition inside a definition is the third."""

LARGE = 8 << 20
"""Bytes of a file whose widget values are not all kept."""

ReadNode = Callable[[Raw], Node]
"""Returns a node, an empty one where there is none."""


def read_top(
    raw: Raw, keeps_values: Callable[[str], bool], kept: Steps, *, large: bool
) -> Top | None:
    """Return the top level of a file, or of a part of it; ``None`` where it is no object.

    Of a *large* file the long lists of values are left out that name no model, unless
    *keeps_values* is true of the node's type: as objects they take ten times their bytes.

    Raises:
        msgspec.DecodeError: it is no strict JSON.
        WorkflowTooLarge: more values would have to be *kept*.
    """
    if large:
        top = _sound_fields(raw, Top, 0, Lean(keeps_values, kept, sound_node).node)
        if top is None:
            msgspec.json.decode(raw, type=Raw)  # raises where it is no JSON, or not yet
        return top
    whole = decoded(raw, Top)
    return whole if whole is not None else _sound_fields(_calm(raw), Top, 0, sound_node)


def _calm(raw: Raw, few: int | None = None) -> Raw:
    """Return *raw* without numbers that take long to read where none is expected."""
    data = bytes(raw)
    return Raw(without_extremes(data) if few is None else without_extremes(data, few))


def sound_node(raw: Raw) -> Node:
    """Return a node with what of it is sound."""
    whole = decoded(raw, Node) if _is_object(raw) else None
    return whole or _sound_fields(raw, Node, 0, sound_node) or Node()


# -- prompts


def read_prompt(
    raw: Raw, keeps_values: Callable[[str], bool], kept: Steps, *, large: bool
) -> dict[str, PromptNode]:
    """Return the nodes of an API prompt; empty where it is none.

    Other programs add a key or two of their own, so that one odd value costs only itself. Of a
    prompt in a *large* file the long values are left out that name no model.

    Raises:
        WorkflowTooLarge: more values would have to be *kept*.
    """
    prompt = None if large else decoded(raw, dict[str, PromptNode])
    if prompt is not None:
        return prompt
    parts: dict[str, Any] = decoded(raw if large else _calm(raw), dict[str, Raw]) or {}
    read = LeanPrompt(keeps_values, kept, _prompt_node).node if large else _prompt_node
    several = len(parts)
    for key, part in parts.items():  # each in the place of its text, which is let go
        parts[key] = read(part)
    for key in [key for key, node in parts.items() if node is None]:
        del parts[key]
    return parts if 2 * len(parts) >= several else {}


def _prompt_node(raw: Raw) -> PromptNode | None:
    whole = decoded(raw, PromptNode)
    if whole is not None or not _is_object(raw):
        return whole
    return decoded(Raw(with_finite_numbers(bytes(raw))), PromptNode)


# -- what is sound in a record


def _is_object(raw: Raw) -> bool:
    return bytes(memoryview(raw)[:64]).lstrip()[:1] == b"{"


def _sound_fields(raw: Raw, kind: type[_T], depth: int, read_node: ReadNode) -> _T | None:
    if depth >= _DEEPEST or not _is_object(raw):
        return None
    parts = decoded(raw, dict[str, Raw])
    if parts is None:
        return None
    good: dict[str, Any] = {}
    for name, encoded_name, field_kind in _fields(cast("Hashable", kind)):
        raw_part = parts.get(encoded_name)
        part = None if raw_part is None else _part(raw_part, field_kind, depth + 1, read_node)
        if part is not None:
            good[name] = part
    return kind(**good)


@cache
def _fields(kind: Any) -> tuple[tuple[str, str, Any], ...]:
    fields = msgspec.structs.fields(kind)  # evaluates every annotation anew
    return tuple((field.name, field.encode_name, field.type) for field in fields)


def _part(raw: Raw, kind: Any, depth: int, read_node: ReadNode) -> Any:
    """Return a field of a record, with what of it is sound."""
    if kind == _NODES:
        return list(_each(elements(raw), read_node))
    if kind not in _WITH_NODES:
        for strict in (True, False):  # not strictly: 4.0 for 4, "4" for 4
            try:
                return decoder(kind, strict=strict).decode(raw)
            except msgspec.ValidationError:
                continue
        raw = _calm(raw)
    if kind in _LINKS:
        return [_link(each) for each in elements(raw)]
    if kind in _LISTS:
        each_kind = _LISTS[kind]
        return [
            _sound_fields(each, each_kind, depth, read_node) or each_kind()
            for each in elements(raw)
        ]
    if kind in _RECORDS:
        return _sound_fields(raw, _RECORDS[kind], depth, read_node)
    # 1e999 passes as long as nobody reads it
    return decoded(Raw(with_finite_numbers(bytes(raw))), kind)


def _each(parts: list[Raw], read_node: ReadNode) -> Iterator[Node]:
    """Yield the nodes, and let go of each part once it is read: a large file has many."""
    parts.reverse()
    while parts:
        yield read_node(parts.pop())


def _link(raw: Raw) -> Link:
    """Return a link in either spelling; an odd one is empty."""
    return (
        decoded(raw, LinkRow)
        or decoded(raw, Link)
        or _sound_fields(raw, Link, 0, sound_node)
        or Link()
    )


_NODES: Any = list[Node] | None
_WITH_NODES: tuple[Any, ...] = (list[Definition] | None, Definitions | None)
_LINKS: tuple[Any, ...] = (list[Link] | None, list[LinkRow] | None)
_LISTS: dict[Any, type[Any]] = {
    list[Socket] | None: Socket,
    list[Port] | None: Port,
    list[Definition] | None: Definition,
}
_RECORDS: dict[Any, type[Any]] = {
    Definitions | None: Definitions,
    Properties | None: Properties,
    Widget | None: Widget,
    PortNode | None: PortNode,
}
