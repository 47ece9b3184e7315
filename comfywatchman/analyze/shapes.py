"""The parts of a workflow file that we read, as typed records; everything else is skipped.

Names are the file's own. Every field may be absent, and one that has an unexpected type costs that
field of that record, never the file. A sound file is decoded in one pass.
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import cache
from typing import Any, TypeVar, cast

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from comfywatchman.analyze.jsontext import repaired

_T = TypeVar("_T")

Id = int | str
Part = Raw | UnsetType
"""A part of the file that is decoded only if somebody asks."""


class Widget(Struct, gc=False):
    name: str = ""


class Socket(Struct, gc=False):
    """An input of a node."""

    name: str = ""
    link: Id | None = None
    widget: Widget | None = None


class Properties(Struct, gc=False):
    cnr_id: str | None = None
    aux_id: str | None = None
    models: Any = None
    proxies: Any = msgspec.field(name="proxyWidgets", default=None)
    quarantine: Any = msgspec.field(name="proxyWidgetErrorQuarantine", default=None)


class Node(Struct, gc=False):
    id: Id = ""
    type: str = ""
    mode: int = 0
    widgets_values: Any = None
    named: Part = msgspec.field(name="widgets_values_named", default=UNSET)
    inputs: list[Socket] | None = None
    properties: Properties | None = None


class Port(Struct, gc=False):
    """An input or output of a subgraph definition."""

    name: str = ""


class PortNode(Struct, gc=False):
    id: Id = ""


class Definition(Struct):
    """A subgraph."""

    id: str = ""
    nodes: list[Node] | None = None
    links: Part = UNSET
    inputs: list[Port] | None = None
    outputs: list[Port] | None = None
    definitions: Definitions | None = None
    input_node: PortNode | None = msgspec.field(name="inputNode", default=None)
    output_node: PortNode | None = msgspec.field(name="outputNode", default=None)


class Definitions(Struct):
    subgraphs: list[Definition] | None = None


class Group(Struct):
    """A group node's inside, older than subgraphs."""

    nodes: list[Node] | None = None


class Template(Struct):
    """A piece of a graph that the editor keeps under a name."""

    data: str | None = None
    """The clipboard, as JSON."""


class Run(Struct):
    """An entry of ComfyUI's history."""

    prompt: Part = UNSET


class Top(Struct):
    """The top level of any JSON object that may be a workflow."""

    nodes: list[Node] | None = None
    links: Part = UNSET
    definitions: Definitions | None = None
    extra: Part = UNSET
    models: Part = UNSET
    version: Any = None
    groups: dict[str, Group] | None = msgspec.field(name="groupNodes", default=None)
    """Only in what the editor's clipboard holds; in files they are in ``extra``."""
    subgraphs: list[Definition] | None = None
    """Likewise; in files they are in ``definitions``."""
    workflow: Part = UNSET
    prompt: Part = UNSET
    output: Part = UNSET
    templates: Part = UNSET
    """A file of node templates: name and clipboard of each."""
    running: Part = msgspec.field(name="queue_running", default=UNSET)
    pending: Part = msgspec.field(name="queue_pending", default=UNSET)


class Link(Struct, gc=False):
    """A link in the spelling of schema 1 and of every subgraph definition."""

    id: Id = ""
    origin_id: Id = ""
    origin_slot: int = 0
    target_id: Id = ""
    target_slot: int = 0


class LinkRow(Link, array_like=True, gc=False):
    """A link in the spelling of version 0.4: a list, with a type at the end that we skip."""


class Extra(Struct):
    """Only what defines nodes: a stale prompt may lie here as well, and is not looked at."""

    groups: dict[str, Group] | None = msgspec.field(name="groupNodes", default=None)


class Meta(Struct, gc=False):
    cnr_id: str | None = None
    aux_id: str | None = None


class PromptNode(Struct):
    """A node of an API prompt."""

    class_type: str
    inputs: dict[str, Any] = {}  # msgspec copies it for each record
    meta: Meta | None = msgspec.field(name="_meta", default=None)


def decoded(raw: Part, kind: type[_T]) -> _T | None:
    """Return *raw* as *kind*; ``None`` where it is absent or something else."""
    if isinstance(raw, UnsetType):
        return None
    try:
        return cast("_T", _decoder(cast("Hashable", kind)).decode(raw))
    except msgspec.ValidationError:
        return None


@cache
def _decoder(kind: Hashable) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(cast("type[Any]", kind))


_DEEPEST_REPAIR = 12
"""Records in records: a definition inside a definition is the third."""


def lenient(raw: Part, kind: type[_T]) -> _T | None:
    """Return *raw* as a record of *kind*, without the fields that have another type.

    Raises:
        TypeError: *kind* has a field without a default, and the file lacks it.
    """
    whole = decoded(raw, kind)
    if whole is not None or isinstance(raw, UnsetType):
        return whole
    return _sound_fields(raw, kind)


def _sound_fields(raw: Raw, kind: type[_T], depth: int = 0) -> _T | None:
    parts = decoded(raw, dict[str, Raw]) if depth < _DEEPEST_REPAIR else None
    if parts is None:
        return None
    good: dict[str, Any] = {}
    for name, encoded_name, field_kind in _fields(cast("Hashable", kind)):
        raw_part = parts.get(encoded_name)
        part = None if raw_part is None else _part(raw_part, field_kind, depth + 1)
        if part is not None:
            good[name] = part
    return kind(**good)


@cache
def _fields(kind: Any) -> tuple[tuple[str, str, Any], ...]:
    fields = msgspec.structs.fields(kind)  # evaluates every annotation anew
    return tuple((field.name, field.encode_name, field.type) for field in fields)


def _part(raw: Raw, kind: Any, depth: int) -> Any:
    """Return a field of a record, with what of it is sound."""
    for strict in (True, False):  # not strictly: 4.0 for 4, "4" for 4
        try:
            return msgspec.json.decode(raw, type=kind, strict=strict)
        except msgspec.ValidationError:
            continue
    if kind in _LISTS:
        each_kind = _LISTS[kind]
        parts = (decoded(each, each_kind) or _sound_fields(each, each_kind, depth)
                 for each in elements(raw))  # fmt: skip
        return [part for part in parts if part is not None]
    if kind in _RECORDS:
        return _sound_fields(raw, _RECORDS[kind], depth)
    return decoded(Raw(repaired(bytes(raw))), kind)  # 1e999 passes as long as nobody reads it


_LISTS: dict[Any, type[Any]] = {
    list[Node] | None: Node,
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


def elements(raw: Part) -> list[Raw]:
    """Return the elements of a list, or of an object by whatever keys; else none."""
    listed = decoded(raw, list[Raw])
    if listed is not None:
        return listed
    by_key = decoded(raw, dict[str, Raw])
    return [] if by_key is None else list(by_key.values())


def links(raw: Part) -> list[Link] | list[LinkRow]:
    """Return the links of a graph, in either spelling; an odd one costs itself."""
    rows = decoded(raw, list[LinkRow])
    if rows is not None:
        return rows
    records = decoded(raw, list[Link])
    if records is not None:
        return records
    some = [decoded(each, LinkRow) or _sound_fields(each, Link) for each in elements(raw)]
    return [link for link in some if link is not None]


def read_prompt(raw: Part) -> dict[str, PromptNode]:
    """Return the nodes of an API prompt; empty where it is none.

    Other programs add a key or two of their own, so that one odd value costs only itself.
    """
    prompt = decoded(raw, dict[str, PromptNode])
    if prompt is not None:
        return prompt
    parts = decoded(raw, dict[str, Raw]) or {}
    found = {key: _prompt_node(part) for key, part in parts.items()}
    good = {key: node for key, node in found.items() if node is not None}
    return good if 2 * len(good) >= len(parts) else {}


def _prompt_node(raw: Raw) -> PromptNode | None:
    whole = decoded(raw, PromptNode)
    if whole is not None or not bytes(raw).startswith(b"{"):
        return whole
    return decoded(Raw(repaired(bytes(raw))), PromptNode)


def other_spelling(identifier: Id) -> Id:
    """Return ``"5"`` for 5 and 5 for ``"5"``: files mix the two."""
    if isinstance(identifier, int):
        return str(identifier)
    digits = identifier.removeprefix("-")
    return int(identifier) if digits.isdecimal() and len(digits) < 19 else identifier
