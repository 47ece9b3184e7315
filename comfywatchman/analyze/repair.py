"""Records of a file that are not quite what they should be, or too many to keep whole.

A field that has an unexpected type costs that field of that record, never the file; an element of
a list that cannot be read at all keeps its place, so that places told are those of the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from functools import cache
from typing import Any, TypeVar, cast

import msgspec
from msgspec import Raw, Struct, UnsetType

from comfywatchman.analyze.jsontext import with_finite_numbers, without_extremes
from comfywatchman.analyze.limits import Steps
from comfywatchman.analyze.secrets import is_keyish, letters_in
from comfywatchman.analyze.shapes import (
    Definition,
    Definitions,
    Id,
    Link,
    LinkRow,
    Meta,
    Node,
    Part,
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
    member_names,
)

_T = TypeVar("_T")

_DEEPEST = 12
"""Records in records: a definition inside a definition is the third."""

_LARGE = 8 << 20
"""Bytes of a file whose widget values are not all kept."""

_LONG = 128
"""Bytes of a node's values that are looked at before they are kept, in a large file."""

_NAME_ENDS = re.compile(rb"\.[A-Za-z][A-Za-z0-9]{1,11}\\?\"|embedding:")
"""A text that ends like a file's name, or names an embedding."""

_LONGEST_LOOK = 1 << 20

ReadNode = Callable[[Raw], Node]
"""Returns a node, an empty one where there is none."""


def read_top(raw: Raw, keeps_values: Callable[[str], bool], kept: Steps) -> Top | None:
    """Return the top level of a file; ``None`` where it is no object.

    In a file of many megabytes the long lists of values are left out that name no model, unless
    *keeps_values* is true of the node's type: as objects they take ten times their bytes.

    Raises:
        WorkflowTooLarge: more values would have to be *kept*.
    """
    if len(memoryview(raw)) >= _LARGE:
        return _sound_fields(raw, Top, 0, lambda node: _lean_node(node, keeps_values, kept))
    whole = decoded(raw, Top)
    return whole if whole is not None else _sound_fields(_calm(raw), Top, 0, _sound_node)


def _calm(raw: Raw, few: int | None = None) -> Raw:
    """Return *raw* without numbers that take long to read where none is expected."""
    data = bytes(raw)
    return Raw(without_extremes(data) if few is None else without_extremes(data, few))


def _sound_node(raw: Raw) -> Node:
    whole = decoded(raw, Node) if _is_object(raw) else None
    return whole or _sound_fields(raw, Node, 0, _sound_node) or Node()


class LeanNode(Struct, gc=False):
    """A node whose values are still text."""

    id: Id = ""
    type: str = ""
    mode: int = 0
    values: Part = msgspec.field(name="widgets_values", default=msgspec.UNSET)
    named: Part = msgspec.field(name="widgets_values_named", default=msgspec.UNSET)
    inputs: list[Socket] | None = None
    properties: Properties | None = None


def _lean_node(raw: Raw, keeps_values: Callable[[str], bool], kept: Steps) -> Node:
    lean = decoded(raw, LeanNode)
    if lean is None:
        return _sound_node(_calm(raw, 0))
    if isinstance(lean.values, UnsetType):
        return _sound_node(raw)
    if keeps_values(lean.type) or _worth_keeping(lean.values) or _names_secrets(lean):
        kept.take(bytes(lean.values).count(b","))
        return _sound_node(raw)
    return Node(lean.id, lean.type, lean.mode, None, lean.named, lean.inputs, lean.properties)


def _names_secrets(node: LeanNode) -> bool:
    """Return whether a widget is called as if it held a key: then its value need not look so."""
    sockets = [socket.widget.name for socket in node.inputs or () if socket.widget is not None]
    return any(map(is_keyish, (*member_names(node.named), *sockets)))


def _worth_keeping(values: Raw) -> bool:
    view = memoryview(values)
    if len(view) <= _LONG or _NAME_ENDS.search(view) is not None:
        return True
    return bool(letters_in(str(view[:_LONGEST_LOOK], "utf-8", "replace")))


# -- prompts


def read_prompt(raw: Raw, kept: Steps) -> dict[str, PromptNode]:
    """Return the nodes of an API prompt; empty where it is none.

    Other programs add a key or two of their own, so that one odd value costs only itself. Of a
    prompt of many megabytes the long values are left out that name no model.

    Raises:
        WorkflowTooLarge: more values would have to be *kept*.
    """
    large = len(memoryview(raw)) >= _LARGE
    prompt = None if large else decoded(raw, dict[str, PromptNode])
    if prompt is not None:
        return prompt
    parts = decoded(raw if large else _calm(raw), dict[str, Raw]) or {}
    found = {
        key: _lean_prompt_node(part, kept) if large else _prompt_node(part)
        for key, part in parts.items()
    }
    good = {key: node for key, node in found.items() if node is not None}
    return good if 2 * len(good) >= len(parts) else {}


def _prompt_node(raw: Raw) -> PromptNode | None:
    whole = decoded(raw, PromptNode)
    if whole is not None or not _is_object(raw):
        return whole
    return decoded(Raw(with_finite_numbers(bytes(raw))), PromptNode)


class LeanPromptNode(Struct):
    """A node of a prompt whose values are still text."""

    class_type: str
    inputs: dict[str, Raw] = {}
    meta: Meta | None = msgspec.field(name="_meta", default=None)


def _lean_prompt_node(raw: Raw, kept: Steps) -> PromptNode | None:
    lean = decoded(raw, LeanPromptNode)
    if lean is None:
        return _prompt_node(_calm(raw, 0))
    worth = {key: value for key, value in lean.inputs.items() if _worth_keeping(value)}
    kept.take(sum(bytes(value).count(b",") for value in worth.values()))
    if len(worth) == len(lean.inputs):
        return _prompt_node(raw)
    inputs = {key: decoded(value, Any) for key, value in worth.items()}
    return PromptNode(lean.class_type, inputs, lean.meta)


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
        return [read_node(each) for each in elements(raw)]
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


def _link(raw: Raw) -> Link:
    """Return a link in either spelling; an odd one is empty."""
    return (
        decoded(raw, LinkRow)
        or decoded(raw, Link)
        or _sound_fields(raw, Link, 0, _sound_node)
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
