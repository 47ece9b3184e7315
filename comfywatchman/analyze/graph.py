"""A workflow's graph: subgraphs and group nodes opened, links followed, values in force.

The rules are those of ComfyUI's frontend (litegraph's SubgraphNode.ts, proxyWidgetMigration.ts,
groupNode.ts), for files of all its versions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import msgspec

from comfywatchman.analyze.groups import Outside, group_links, shares_of
from comfywatchman.analyze.limits import Budget, Limits, Steps, budget
from comfywatchman.analyze.loaders import Tables
from comfywatchman.analyze.shapes import (
    Definition,
    Definitions,
    Group,
    Id,
    Link,
    Node,
    Port,
    Socket,
    other_spelling,
)
from comfywatchman.domain.errors import WorkflowTooLarge

VIRTUAL = frozenset({"Note", "MarkdownNote", "Reroute", "PrimitiveNode"})
"""Nodes that live in the editor only and never reach the server."""

NOTES = frozenset({"Note", "MarkdownNote"})

GETTERS: Mapping[str, str] = {
    "GetNode": "SetNode",
    "easy getNode": "easy setNode",
    "KayGetNode": "KaySetNode",
}
"""Nodes of packs that get a value by its name, and those that give it one."""

PASSING = frozenset({"Reroute", "Reroute (rgthree)", "mxReroute", *GETTERS.values()})
"""Nodes of the editor only that give on what comes in."""

INACTIVE = frozenset({2, 4})
"""Modes: never (muted) and bypass."""

_SETTERS = frozenset(GETTERS.values())

_DEEPEST = 32
"""Subgraphs in subgraphs; the deepest seen is 2."""

_SIZE_OF_NODE = 32
"""Values that take as long as a node."""

_LONGEST_ID = 64
LONGEST_TYPE = 200
"""Characters of a node type; packs stay below 80."""

_INPUT_NODE = -10
_OUTPUT_NODE = -20


@dataclass
class Graph:
    """The nodes of one level: the root, a subgraph definition or the inside of a group node."""

    nodes: Sequence[Node]
    every_link: Sequence[Link] = ()
    inputs: Sequence[Port] = ()
    outputs: Sequence[Port] = ()
    input_node: Id = _INPUT_NODE
    output_node: Id = _OUTPUT_NODE
    known: Mapping[str, Graph] = field(default_factory=dict, repr=False)
    """Every subgraph definition of the workflow, by id."""
    steps: Steps = field(default_factory=lambda: budget(Limits()).followed, repr=False)
    """What is left for following links, in the whole workflow."""
    outside: Outside | None = None
    """Of the inside of a group node: what its widgets are called outside."""

    by_id: dict[Id, Node] = field(init=False, repr=False)
    links: dict[Id, Link] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.by_id = {node.id: node for node in self.nodes}
        self.links = {link.id: link for link in self.every_link}

    def node(self, identifier: Id) -> Node | None:
        return self.by_id.get(identifier) or self.by_id.get(other_spelling(identifier))

    def has(self, identifier: Id) -> bool:
        """Return whether a link may begin or end there."""
        ends = (self.input_node, self.output_node)
        return identifier in ends or self.node(identifier) is not None

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
    def to_outside(self) -> dict[int, Id]:
        """For each output of the definition the first link that leads to it."""
        found: dict[int, Id] = {}
        for number, link in self.links.items():
            if link.target_id == self.output_node:
                found.setdefault(link.target_slot, number)
        return found

    @cached_property
    def promoted(self) -> dict[int, int]:
        """The inputs of the definition that stand for a widget inside, each with its position.

        Positions count from 0, in definition order.
        """
        slots = [
            slot
            for slot in range(len(self.inputs))
            if any(_is_widget(*target) for target in self.from_outside.get(slot, ()))
        ]
        return {slot: position for position, slot in enumerate(slots)}

    @cached_property
    def setters(self) -> dict[tuple[str, str], list[Node]]:
        """The nodes that give a value a name, by their type and the name."""
        found: dict[tuple[str, str], list[Node]] = {}
        for node in self.nodes:
            if node.type in _SETTERS and (name := first_text(node)) is not None:
                found.setdefault((node.type, name), []).append(node)
        return found


def first_text(node: Node) -> str | None:
    """Return the value of a node's first widget, where it is a text."""
    values = node.widgets_values
    first = values[0] if isinstance(values, list) and values else None
    return first if isinstance(first, str) else None


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


_Sorted = tuple[list[tuple[Node, bool]], list[Node]]


class Opener:
    """Opens subgraph instances and group nodes, each under its own path."""

    def __init__(
        self,
        known: Mapping[str, Graph],
        groups: Mapping[str, Group],
        allowed: Budget,
        wanted: Callable[[Node], bool],
        tables: Tables,
    ) -> None:
        """Prepare; *wanted* says which nodes are worth a place: most name no model in any way."""
        self._tables = tables
        self._known = known
        self._groups = groups
        self._wanted = wanted
        self._allowed = allowed
        self._sorted: dict[int, _Sorted] = {}
        self._weights: dict[int, int] = {}
        self._linked: dict[int, tuple[list[Link], list[list[Socket] | None]]] = {}
        self.levels: list[tuple[str, bool, Sequence[Node]]] = []
        """Every node that is not itself only a frame around others, once for each place: with what
        goes before its id in a path, and whether its frame is active."""
        self.placed: list[Placed] = []
        """Those that are wanted; what is inside a frame stands where the frame does."""

    def open(self, graph: Graph, prefix: str = "") -> None:
        """Take in a workflow; *prefix* goes before every path.

        Raises:
            WorkflowTooLarge: the opened graph has more nodes than we read, or deeper subgraphs.
        """
        self._level(graph, None, prefix, ())

    def _level(
        self, graph: Graph, host: Placed | None, prefix: str, above: tuple[str, ...]
    ) -> None:
        if len(above) > _DEEPEST:
            raise WorkflowTooLarge(
                f"The workflow has subgraphs in subgraphs, more than {_DEEPEST} levels of them.",
                remedy="No real workflow does; look where the file comes from.",
            )
        steps = self._allowed.listed if host is None else self._allowed.opened
        steps.take(len(graph.nodes) or 1)
        known = self._sorted.get(id(graph))
        if known is None:
            known = self._sorted[id(graph)] = self._sort(graph.nodes)
        else:
            self._again(graph.nodes)
        marked, plain = known
        active = host is None or host.active
        self.levels.append((prefix, active, plain))
        for node, is_frame in marked:
            here = active and node.mode not in INACTIVE
            placed = Placed(f"{prefix}{short(node.id)}", node, graph, host, here)
            if is_frame:
                self._enter(placed, above)
            else:
                self.placed.append(placed)

    def _again(self, nodes: Sequence[Node]) -> None:
        """Count that the values of these nodes are looked at once more, in another place."""
        weight = self._weights.get(id(nodes))
        if weight is None:
            weight = sum(map(_node_size, nodes)) // _SIZE_OF_NODE
            self._weights[id(nodes)] = weight
        self._allowed.opened.take(weight)

    def _sort(self, nodes: Sequence[Node]) -> _Sorted:
        """Return the frames and the wanted nodes, each with which it is, and all but the frames."""
        marked: list[tuple[Node, bool]] = []
        plain: list[Node] = []
        known, wanted = self._known, self._wanted
        for node in nodes:
            if node.type in known or (self._groups and self._group(node.type) is not None):
                marked.append((node, True))
                continue
            if len(node.type) > LONGEST_TYPE:
                node.type = node.type[:LONGEST_TYPE]
            plain.append(node)
            if wanted(node):
                marked.append((node, False))
        return marked, plain

    def _enter(self, placed: Placed, above: tuple[str, ...]) -> None:
        kind = placed.node.type
        inside = self._known.get(kind)
        if kind in above:  # a subgraph inside itself has no end
            return
        if inside is not None:
            self._level(inside, placed, f"{placed.path}:", (*above, kind))
        elif (group := self._group(kind)) is not None and len(above) <= _DEEPEST:
            self._inside_group(placed, group, (*above, kind))

    def _group(self, node_type: str) -> Group | None:
        if node_type.startswith(("workflow>", "workflow/")):
            return self._groups.get(node_type[len("workflow>") :])
        return None

    def _links_inside(self, group: Group, inner: Sequence[Node]) -> Sequence[Link]:
        """Give the sockets of *inner* their links, which are the same in every instance."""
        known = self._linked.get(id(group))
        if known is None:
            links = group_links(group.links, inner)
            self._allowed.opened.take(len(links))
            self._linked[id(group)] = links, [node.inputs for node in inner]
            return links
        links, sockets = known
        self._allowed.opened.take(len(links) // _SIZE_OF_NODE)
        for node, inputs in zip(inner, sockets, strict=True):
            node.inputs = inputs
        return links

    def _inside_group(self, host: Placed, group: Group, above: tuple[str, ...]) -> None:
        """Take in the nodes inside; they have no ids, so their position is their id."""
        listed = group.nodes or []
        self._allowed.opened.take(len(listed) or 1)
        self._again(listed)
        inner = [msgspec.structs.replace(node, id=at) for at, node in enumerate(listed)]
        links = self._links_inside(group, inner)
        outside = Outside(inner, group.config, self._tables)
        graph = Graph(inner, links, known=self._known, steps=host.graph.steps, outside=outside)
        shares = shares_of(host.node.widgets_values, inner)
        for each, share in zip(inner, shares, strict=True):
            if share is not None:
                each.widgets_values = share
        marked, plain = self._sort(inner)
        self.levels.append((f"{host.path}:", host.active, plain))
        for node, is_frame in marked:
            active = host.active and node.mode not in INACTIVE
            placed = Placed(f"{host.path}:{node.id}", node, graph, host, active)
            if shares[int(node.id)] is not None:
                placed.how = "group-node"
            if is_frame:
                self._enter(placed, above)
            else:
                self.placed.append(placed)


def _node_size(node: Node) -> int:
    models = node.properties.models if node.properties is not None else None
    return _size(node.widgets_values, _DEEPEST) + _size(models, 2) + len(node.inputs or ())


def _size(value: Any, depth: int) -> int:
    """Return about how many values there are in one, a long text counting as several."""
    if isinstance(value, str):
        return 1 + len(value) // 64
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return 1
    return 1 + (sum(_size(inner, depth - 1) for inner in value) if depth > 0 else 0)


def short(identifier: Id) -> Id:
    """Return an id as it may stand in a path; paths are told for every node inside."""
    if isinstance(identifier, str) and len(identifier) > _LONGEST_ID:
        return f"{identifier[:_LONGEST_ID]}…"
    return identifier


def read_definitions(definitions: Definitions | None, steps: Steps) -> dict[str, Graph]:
    """Return every subgraph definition by its id, those inside definitions included."""
    known: dict[str, Graph] = {}
    for definition in every_definition(definitions):
        known[definition.id] = _inside(definition, known, steps)
    return known


def every_definition(definitions: Definitions | None, depth: int = 0) -> Iterator[Definition]:
    """Yield the definitions, each with those inside it behind it."""
    if definitions is None or depth > _DEEPEST:
        return
    for definition in definitions.subgraphs or ():
        yield definition
        yield from every_definition(definition.definitions, depth + 1)


def _inside(definition: Definition, known: dict[str, Graph], steps: Steps) -> Graph:
    return Graph(
        definition.nodes or (),
        definition.links or (),
        definition.inputs or (),
        definition.outputs or (),
        definition.input_node.id if definition.input_node else _INPUT_NODE,
        definition.output_node.id if definition.output_node else _OUTPUT_NODE,
        known,
        steps,
    )
