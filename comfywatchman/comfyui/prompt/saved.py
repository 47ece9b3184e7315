"""A saved workflow as the conversion reads it: levels of nodes and links.

Whatever has an unexpected form counts as absent, as in the editor.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Json = Any

INPUT_NODE, OUTPUT_NODE = "-10", "-20"
"""What a link inside a subgraph begins or ends at where it leads outside."""

MUTED, BYPASSED = 2, 4
INACTIVE = frozenset({MUTED, BYPASSED})

_DEEPEST = 32


@dataclass(slots=True)
class Socket:
    """An input of a node."""

    name: str
    type: str
    link: str | None = None
    widget: str | None = None
    """The widget that it stands for."""


@dataclass(slots=True)
class Link:
    origin: str
    origin_slot: int
    target: str = ""
    target_slot: int = 0


@dataclass(slots=True)
class Node:
    id: str
    type: str
    mode: int = 0
    title: str = ""
    sockets: list[Socket] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    """Their types."""
    values: Json = None
    """``widgets_values``: a list, or an object with the widgets' names."""
    named: Mapping[str, Json] = field(default_factory=dict)
    properties: Mapping[str, Json] = field(default_factory=dict)


@dataclass(slots=True)
class Level:
    """The root, or the inside of a subgraph."""

    nodes: dict[str, Node] = field(default_factory=dict)
    links: dict[str, Link] = field(default_factory=dict)
    inputs: list[Socket] = field(default_factory=list)
    """Of a subgraph's definition."""
    outputs: list[Socket] = field(default_factory=list)
    input_node: str = INPUT_NODE
    output_node: str = OUTPUT_NODE

    _targets: dict[int, list[tuple[Node, int]]] | None = None
    _ends: dict[int, Link] | None = None
    _promoted: dict[int, int] | None = None

    def link_to_output(self, slot: int) -> Link | None:
        """Return the first link that leads to an output of the definition."""
        if self._ends is None:
            self._ends = {}
            for link in self.links.values():
                if link.target == self.output_node:
                    self._ends.setdefault(link.target_slot, link)
        return self._ends.get(slot)

    def targets_of_input(self, slot: int) -> list[tuple[Node, int]]:
        """Return the nodes inside that an input of the definition leads to, and which sockets."""
        if self._targets is None:
            self._targets = {}
            for node in self.nodes.values():
                for at, socket in enumerate(node.sockets):
                    link = None if socket.link is None else self.links.get(socket.link)
                    if link is not None and link.origin == self.input_node:
                        self._targets.setdefault(link.origin_slot, []).append((node, at))
        return self._targets.get(slot, [])

    def promoted(self) -> dict[int, int]:
        """Return the inputs of the definition that stand for widgets, each with its position."""
        if self._promoted is None:
            slots = [at for at in range(len(self.inputs)) if self._stands_for_widget(at)]
            self._promoted = {slot: position for position, slot in enumerate(slots)}
        return self._promoted

    def _stands_for_widget(self, slot: int) -> bool:
        return any(node.sockets[at].widget is not None for node, at in self.targets_of_input(slot))


@dataclass(slots=True)
class Saved:
    root: Level
    definitions: dict[str, Level] = field(default_factory=dict)
    groups: Mapping[str, Json] = field(default_factory=dict)
    """Group nodes, older than subgraphs, by name."""
    elsewhere: list[Json] = field(default_factory=list)
    """``extra.ue_links`` of cg-use-everywhere: links that are not drawn."""


def read_saved(document: Mapping[str, Json]) -> Saved:
    """Return the parts of a saved workflow."""
    extra = mapping(document.get("extra"))
    definitions: dict[str, Level] = {}
    _define(mapping(document.get("definitions")).get("subgraphs"), definitions)
    root = read_level(document)
    return Saved(root, definitions, mapping(extra.get("groupNodes")), listed(extra.get("ue_links")))


def _define(subgraphs: Json, into: dict[str, Level], depth: int = 0) -> None:
    for each in listed(subgraphs) if depth < _DEEPEST else ():
        if isinstance(each, dict) and isinstance(each.get("id"), str):
            into[each["id"]] = read_level(each)
            _define(mapping(each.get("definitions")).get("subgraphs"), into, depth + 1)


def read_level(graph: Mapping[str, Json]) -> Level:
    nodes = (read_node(each) for each in listed(graph.get("nodes")) if isinstance(each, dict))
    return Level(
        {node.id: node for node in nodes},
        dict(_links(graph.get("links"))),
        _ports(graph.get("inputs")),
        _ports(graph.get("outputs")),
        identifier(mapping(graph.get("inputNode")).get("id", INPUT_NODE)),
        identifier(mapping(graph.get("outputNode")).get("id", OUTPUT_NODE)),
    )


def read_node(node: Mapping[str, Json]) -> Node:
    sockets = [_socket(each) for each in listed(node.get("inputs")) if isinstance(each, dict)]
    outputs = [slot_type(mapping(each).get("type")) for each in listed(node.get("outputs"))]
    mode, title = node.get("mode"), node.get("title")
    return Node(
        identifier(node.get("id")),
        text(node.get("type")),
        mode if isinstance(mode, int) else 0,
        title if isinstance(title, str) else "",
        sockets,
        outputs,
        node.get("widgets_values"),
        mapping(node.get("widgets_values_named")),
        mapping(node.get("properties")),
    )


def _socket(socket: Mapping[str, Json]) -> Socket:
    link, widget = socket.get("link"), mapping(socket.get("widget")).get("name")
    return Socket(
        text(socket.get("name")),
        slot_type(socket.get("type")),
        None if link is None else identifier(link),
        widget if isinstance(widget, str) and widget else None,
    )


def _links(links: Json) -> Iterator[tuple[str, Link]]:
    """Yield links of version 0.4 (rows) and of schema 1 (records)."""
    for each in listed(links):
        row = each
        if isinstance(each, dict):
            keys = ("id", "origin_id", "origin_slot", "target_id", "target_slot")
            row = [each.get(key) for key in keys]
        if not isinstance(row, list) or len(row) < 5:
            continue
        number, origin, origin_slot, target, target_slot = row[:5]
        if isinstance(origin_slot, int) and isinstance(target_slot, int):
            link = Link(identifier(origin), origin_slot, identifier(target), target_slot)
            yield identifier(number), link


def _ports(ports: Json) -> list[Socket]:
    known = [mapping(each) for each in listed(ports)]
    return [Socket(text(each.get("name")), slot_type(each.get("type"))) for each in known]


def slot_type(value: Json) -> str:
    """Return a socket's type as a text; 0, -1 and lists are of old files."""
    if isinstance(value, list):
        return "COMBO"
    return "*" if value is None or value in ("", 0) else str(value)


def identifier(value: Json) -> str:
    return value if isinstance(value, str) else str(value)


def mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, dict) else {}


def listed(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def text(value: Json) -> str:
    return value if isinstance(value, str) else ""
