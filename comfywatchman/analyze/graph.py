"""A workflow's graph: subgraphs and group nodes opened, links followed, values in force.

The rules are those of ComfyUI's frontend (litegraph's SubgraphNode.ts, proxyWidgetMigration.ts,
groupNode.ts), for files of all its versions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import Any

import msgspec
from msgspec import UNSET

from comfywatchman.analyze.jsontext import too_deep
from comfywatchman.analyze.limits import Limits
from comfywatchman.analyze.shapes import (
    Definition,
    Definitions,
    Group,
    Id,
    Link,
    Node,
    Part,
    Port,
    links,
    other_spelling,
)
from comfywatchman.domain.errors import WorkflowTooLarge

VIRTUAL = frozenset({"Note", "MarkdownNote", "Reroute", "PrimitiveNode"})
"""Nodes that live in the editor only and never reach the server."""

NOTES = frozenset({"Note", "MarkdownNote"})

_INACTIVE = frozenset({2, 4})
"""Modes: never (muted) and bypass."""

_DEEPEST = 32
"""Subgraphs in subgraphs; the deepest seen is 2."""

_INPUT_NODE = -10
_OUTPUT_NODE = -20


@dataclass
class Graph:
    """The nodes of one level: the root, a subgraph definition or the inside of a group node."""

    nodes: Sequence[Node]
    raw_links: Part = UNSET
    inputs: Sequence[Port] = ()
    outputs: Sequence[Port] = ()
    input_node: Id = _INPUT_NODE
    output_node: Id = _OUTPUT_NODE
    known: Mapping[str, Graph] = field(default_factory=dict, repr=False)
    """Every subgraph definition of the workflow, by id."""

    @cached_property
    def by_id(self) -> dict[Id, Node]:
        return {node.id: node for node in self.nodes}

    @cached_property
    def links(self) -> dict[Id, Link]:
        return {link.id: link for link in links(self.raw_links)}

    def node(self, identifier: Id) -> Node | None:
        return self.by_id.get(identifier) or self.by_id.get(other_spelling(identifier))

    def link(self, identifier: Id) -> Link | None:
        return self.links.get(identifier) or self.links.get(other_spelling(identifier))

    @cached_property
    def from_outside(self) -> dict[int, list[tuple[Node, int]]]:
        """For each input of the definition the nodes inside that it leads to, and which socket."""
        targets: dict[int, list[tuple[Node, int]]] = {}
        for link in self.links.values():
            if link.origin_id != self.input_node:
                continue
            target = self.node(link.target_id)
            if target is not None:
                targets.setdefault(link.origin_slot, []).append((target, link.target_slot))
        return targets

    @cached_property
    def promoted(self) -> list[int]:
        """The inputs of the definition that stand for a widget inside, in definition order."""
        return [
            slot
            for slot in range(len(self.inputs))
            if any(_is_widget(*target) for target in self.from_outside.get(slot, ()))
        ]


def _is_widget(node: Node, slot: int) -> bool:
    sockets = node.inputs or []
    return 0 <= slot < len(sockets) and sockets[slot].widget is not None


@dataclass(slots=True)
class Placed:
    """A node at one place of the opened graph."""

    path: str
    node: Node
    graph: Graph
    host: Placed | None
    """The instance whose inside this is; ``None`` at the root."""
    active: bool
    how: str = "widget"


# -- opening


@dataclass
class Opener:
    """Opens subgraph instances and group nodes, each under its own path."""

    known: Mapping[str, Graph]
    groups: Mapping[str, Group]
    limits: Limits

    def open(self, graph: Graph, prefix: str = "") -> list[Placed]:
        """Return every node that is not itself only a frame around others.

        *prefix* goes before every path.

        Raises:
            WorkflowTooLarge: the opened graph has more nodes than we read.
            WorkflowTooDeep: subgraphs are nested deeper than any workflow's.
        """
        opened: list[Placed] = []
        self._level(graph, None, prefix, opened, ())
        return opened

    def _level(
        self,
        graph: Graph,
        host: Placed | None,
        prefix: str,
        opened: list[Placed],
        above: tuple[str, ...],
    ) -> None:
        if len(above) > _DEEPEST:
            raise too_deep(_DEEPEST)
        if len(opened) + len(graph.nodes) > self.limits.max_nodes:
            raise WorkflowTooLarge(
                f"The workflow has more than {self.limits.max_nodes} nodes.",
                remedy="No real workflow does; look where the file comes from.",
            )
        active = host is None or host.active
        for node in graph.nodes:
            here = active and node.mode not in _INACTIVE
            placed = Placed(f"{prefix}{node.id}", node, graph, host, here)
            inside = self.known.get(node.type)
            if inside is not None:
                if node.type not in above:  # a subgraph inside itself has no end
                    self._level(inside, placed, f"{placed.path}:", opened, (*above, node.type))
            elif (group := self._group(node.type)) is not None:
                opened.extend(_inside_group(placed, group))
            else:
                opened.append(placed)

    def _group(self, node_type: str) -> Group | None:
        if self.groups and node_type.startswith(("workflow>", "workflow/")):
            return self.groups.get(node_type[len("workflow>") :])
        return None


def _inside_group(host: Placed, group: Group) -> Iterator[Placed]:
    """Yield the nodes inside; they have no ids, so their position is their id."""
    inner = [msgspec.structs.replace(node, id=at) for at, node in enumerate(group.nodes or ())]
    graph = Graph(inner)
    for node, share in zip(inner, _shares(host.node.widgets_values, inner), strict=True):
        active = host.active and node.mode not in _INACTIVE
        placed = Placed(f"{host.path}:{node.id}", node, graph, host, active)
        if share is not None:
            node.widgets_values = share
            placed.how = "group-node"
        yield placed


def _shares(given: Any, inner: Sequence[Node]) -> Sequence[list[Any] | None]:
    """Cut the outside's values into one share for each inner node, where they fit exactly.

    The outside lists the widgets of the inside one node after the other. Where some are hidden the
    numbers differ, and the values stored inside are the better guess.
    """
    lengths = [
        len(node.widgets_values) if isinstance(node.widgets_values, list) else 0 for node in inner
    ]
    if not isinstance(given, list) or len(given) != sum(lengths):
        return [None] * len(inner)
    ends = list(accumulate(lengths))
    return [given[end - length : end] for end, length in zip(ends, lengths, strict=True)]


def read_definitions(definitions: Definitions | None) -> dict[str, Graph]:
    """Return every subgraph definition by its id, those inside definitions included."""
    known: dict[str, Graph] = {}
    _collect(definitions, known)
    return known


def _collect(definitions: Definitions | None, known: dict[str, Graph], depth: int = 0) -> None:
    if definitions is None or depth > _DEEPEST:
        return
    for definition in definitions.subgraphs or ():
        known[definition.id] = _inside(definition, known)
        _collect(definition.definitions, known, depth + 1)


def _inside(definition: Definition, known: dict[str, Graph]) -> Graph:
    return Graph(
        definition.nodes or (),
        definition.links,
        definition.inputs or (),
        definition.outputs or (),
        definition.input_node.id if definition.input_node else _INPUT_NODE,
        definition.output_node.id if definition.output_node else _OUTPUT_NODE,
        known,
    )
