"""The parts of a workflow file that we read, as typed records; everything else is skipped.

Names are the file's own. Every field may be absent, and one that has an unexpected type costs that
field of that record, never the file. A sound file is decoded in one pass.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import cache
from itertools import chain
from operator import attrgetter
from typing import Any, TypeVar, cast

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

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
    kind: Any = msgspec.field(name="type", default=None)
    """Mostly a text, such as ``INT``; old files also have numbers and lists."""
    label: Any = None
    """What a person called it."""


class Output(Struct, gc=False):
    """An output of a node."""

    links: list[Id] | None = None


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
    outputs: Part = UNSET
    """Only its links are of interest, and only to whoever looks for what is wrong in the file."""


class Link(Struct, gc=False):
    """A link in the spelling of schema 1 and of every subgraph definition."""

    id: Id = ""
    origin_id: Id = ""
    origin_slot: int = 0
    target_id: Id = ""
    target_slot: int = 0


class LinkRow(Link, array_like=True, gc=False):
    """A link in the spelling of version 0.4: a list, with a type at the end that we skip."""


class Port(Struct, gc=False):
    """An input or output of a subgraph definition."""

    name: str = ""
    links: Any = msgspec.field(name="linkIds", default=None)


class PortNode(Struct, gc=False):
    id: Id = ""


class Definition(Struct):
    """A subgraph."""

    id: str = ""
    nodes: list[Node] | None = None
    links: list[Link] | None = None
    inputs: list[Port] | None = None
    outputs: list[Port] | None = None
    definitions: Definitions | None = None
    input_node: PortNode | None = msgspec.field(name="inputNode", default=None)
    output_node: PortNode | None = msgspec.field(name="outputNode", default=None)


class Definitions(Struct):
    subgraphs: list[Definition] | None = None


class GroupedNode(Node, gc=False):
    """A node inside a group node, which has no id; its title is in the names of its widgets."""

    title: Any = None


class Group(Struct):
    """A group node's inside, older than subgraphs."""

    nodes: list[GroupedNode] | None = None
    links: Any = None
    """Rows of origin, its slot, target, its slot; nodes by their position."""
    config: Any = None
    """By position of a node: what a person called its widgets."""


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
    links: list[LinkRow] | None = None
    """Of schema 1 they are records: such a file is read field by field."""
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
    extra_data: Part = UNSET
    """What was sent along with a prompt: tokens among it, in older versions of ComfyUI."""
    templates: Part = UNSET
    """A file of node templates: name and clipboard of each."""
    running: Part = msgspec.field(name="queue_running", default=UNSET)
    pending: Part = msgspec.field(name="queue_pending", default=UNSET)


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
        return cast("_T", decoder(cast("Hashable", kind)).decode(raw))
    except msgspec.ValidationError:
        return None


_LARGEST_OBJECT = 1 << 20
"""Bytes; the names and values of a node's widgets take some thousands."""

_MEMBERS = msgspec.json.Decoder(dict[str, Raw])


def member_names(raw: Part) -> list[str]:
    """Return the keys of an object in their order; none where it is no object, or a huge one."""
    if isinstance(raw, UnsetType) or len(memoryview(raw)) > _LARGEST_OBJECT:
        return []
    try:
        return list(_MEMBERS.decode(raw))
    except msgspec.ValidationError:
        return []
    except UnicodeDecodeError:  # nobody had looked at these bytes before
        return list(_MEMBERS.decode(bytes(raw).decode("utf-8", "replace")))


_OUTPUTS = msgspec.json.Decoder(list[Output] | None)


def outputs_of(node: Node) -> Sequence[Output]:
    """Return a node's outputs; none where they are anything else."""
    if not isinstance(node.outputs, Raw):  # of a file that was decoded as a whole, or absent
        return cast("Sequence[Output] | None", node.outputs) or ()
    try:
        return _OUTPUTS.decode(node.outputs) or ()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ()


def output_links(nodes: Iterable[Node]) -> set[Id]:
    """Return every link that an output names."""
    several: list[Any] = [*map(_OUTPUTS_OF, nodes)]
    if any(type(each) is Raw for each in several):
        several = [*map(outputs_of, nodes)]
    outputs = chain.from_iterable(each for each in several if each)
    return set(of_all(_LINKS, outputs))


def of_all(part: Callable[[Any], Iterable[Any] | None], records: Iterable[Any]) -> Iterable[Any]:
    """Return what is in the lists of all records, of those that have one."""
    return chain.from_iterable(filter(None, map(part, records)))


_OUTPUTS_OF, _LINKS = attrgetter("outputs"), attrgetter("links")


@cache
def decoder(kind: Hashable, *, strict: bool = True) -> msgspec.json.Decoder[Any]:
    """Return what reads JSON as *kind*.

    Numbers with a fraction or an exponent, wherever any value may stand, are read by Python: it
    takes half a microsecond for the worst of them, and msgspec 25 for 1e308 or 4.9e-324.
    """
    return msgspec.json.Decoder(cast("type[Any]", kind), strict=strict, float_hook=float)


def elements(raw: Part) -> list[Raw]:
    """Return the elements of a list, or of an object by whatever keys; else none."""
    listed = decoded(raw, list[Raw])
    if listed is not None:
        return listed
    by_key = decoded(raw, dict[str, Raw])
    return [] if by_key is None else list(by_key.values())


def other_spelling(identifier: Id) -> Id:
    """Return ``"5"`` for 5 and 5 for ``"5"``: files mix the two."""
    if isinstance(identifier, int):
        return str(identifier)
    digits = identifier.removeprefix("-")
    return int(identifier) if digits.isdecimal() and len(digits) < 19 else identifier
