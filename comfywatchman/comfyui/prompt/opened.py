"""A saved workflow with its subgraphs opened, and where each input of its nodes comes from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from comfywatchman.comfyui.prompt.groups import inside_group
from comfywatchman.comfyui.prompt.hosts import ABSENT, given_to_input
from comfywatchman.comfyui.prompt.saved import (
    BYPASSED,
    INACTIVE,
    MUTED,
    Json,
    Level,
    Link,
    Node,
    Saved,
    Socket,
    listed,
    mapping,
)
from comfywatchman.comfyui.prompt.types import NodeType, NodeTypes
from comfywatchman.comfyui.prompt.virtual import PRIMITIVE, VIRTUAL, first_value, passing_socket
from comfywatchman.comfyui.prompt.widgets import socket_inputs
from comfywatchman.domain.errors import WorkflowTooLarge

MOST_NODES = 50_000
_DEEPEST = 32
_MOST_STATIONS = 1_000_000


@dataclass(slots=True)
class Place:
    """A node at one place of the opened workflow."""

    id: str
    """Ids of the instances around it and its own: ``57:3``."""
    node: Node
    level: Level
    host: Place | None
    """The instance whose inside this is."""
    kind: NodeType | None = None
    inside: Level | None = None
    """Of an instance of a subgraph."""
    sockets: list[Socket] | None = None

    @property
    def prefix(self) -> str:
        return "" if self.host is None else f"{self.host.id}:"

    @property
    def virtual(self) -> bool:
        return self.kind is None and self.node.type in VIRTUAL


@dataclass(frozen=True, slots=True)
class Output:
    """A node that is sent, and which of its outputs."""

    node: str
    slot: int


@dataclass(frozen=True, slots=True)
class Held:
    """A value in place of a link."""

    value: Json


Origin = Output | Held | None
"""Where an input comes from; ``None``: from nowhere."""


@dataclass(slots=True)
class Opened:
    places: dict[str, Place] = field(default_factory=dict)
    stations: int = 0

    def sent(self) -> Iterator[Place]:
        """Yield the nodes that reach a server: not muted, bypassed, or of the editor only."""
        for place in self.places.values():
            if place.node.mode not in INACTIVE and place.inside is None and not place.virtual:
                yield place

    def sockets(self, place: Place) -> list[Socket]:
        """Return the inputs of a node in the order of the editor."""
        if place.sockets is None:
            if place.inside is None:
                place.sockets = socket_inputs(place.node, place.kind)
            else:
                place.sockets = _of_instance(place.node, place.inside)
        return place.sockets

    def origin(self, place: Place, socket: Socket) -> Origin:
        """Return where an input comes from: through subgraphs, past what is bypassed.

        Raises:
            WorkflowTooLarge: the links have more stations than any workflow has.
        """
        kind = socket.type
        seen: set[tuple[str, str]] = set()
        while True:
            self._count()
            if (place.id, socket.name) in seen:  # a ring of links comes from nowhere
                return None
            seen.add((place.id, socket.name))
            link = None if socket.link is None else place.level.links.get(socket.link)
            if link is None:
                return None
            found = self._follow(place, link, kind)
            if not isinstance(found, tuple):
                return found
            place, socket, kind = found

    def _follow(self, place: Place, link: Link, kind: str) -> Origin | tuple[Place, Socket, str]:
        """Return where a link of the level around *place* begins, or the next input to look at."""
        level, host, prefix = place.level, place.host, place.prefix
        while True:
            self._count()
            if link.origin == level.input_node and host is not None:
                return self._outside(host, link.origin_slot)
            origin = self.places.get(f"{prefix}{link.origin}")
            if origin is None or origin.node.mode == MUTED:
                return None
            if origin.node.mode == BYPASSED:
                at = self._handed_on(origin, link.origin_slot, kind)
                return None if at is None else (origin, at, at.type)
            if origin.inside is None:
                return self._given(origin, link.origin_slot, kind)
            inner = origin.inside.link_to_output(link.origin_slot)
            if inner is None:
                return None
            link, level, host, prefix = inner, origin.inside, origin, f"{origin.id}:"

    def _outside(self, host: Place, slot: int) -> Origin | tuple[Place, Socket, str]:
        sockets = self.sockets(host)
        if not 0 <= slot < len(sockets) or host.inside is None:
            return None
        if sockets[slot].link is not None:
            return host, sockets[slot], sockets[slot].type
        value = given_to_input(host.inside, host.node, slot)
        return None if value is ABSENT else Held(value)

    def _given(self, origin: Place, slot: int, kind: str) -> Origin | tuple[Place, Socket, str]:
        if not origin.virtual:
            return Output(origin.id, slot)
        if origin.node.type == PRIMITIVE:
            return Held(first_value(origin.node)) if listed(origin.node.values) else None
        passing = self._passing(origin)
        if passing is None:
            return None
        place, at = passing
        sockets = self.sockets(place)
        return (place, sockets[at], kind) if at < len(sockets) else None

    def _passing(self, origin: Place) -> tuple[Place, int] | None:
        """Return the input that a node of the editor gives on, in this level or one around it."""
        here: Place | None = origin
        while here is not None:
            found = passing_socket(here.level, origin.node)
            if found is not None:
                place = self.places.get(f"{here.prefix}{found[0].id}")
                return None if place is None else (place, found[1])
            here = here.host
        return None

    def _handed_on(self, place: Place, slot: int, kind: str) -> Socket | None:
        """Return the input that a bypassed node hands on where *kind* is wanted of an output."""
        sockets = self.sockets(place)
        if kind == "*":
            return sockets[slot] if slot < len(sockets) else next(iter(sockets), None)
        given = _output_type(place, slot)
        beside = sockets[slot] if slot < len(sockets) else None
        if beside is not None and fits(beside.type, given) and fits(beside.type, kind):
            return beside
        for socket in sockets:
            if socket.type == kind:
                return socket
        fitting = (x for x in sockets if fits(x.type, given) and fits(x.type, kind))
        return next(fitting, None)

    def _count(self) -> None:
        self.stations += 1
        if self.stations > _MOST_STATIONS:
            raise WorkflowTooLarge(
                f"The links of the workflow have more than {_MOST_STATIONS} stations.",
                remedy="No real workflow does; look where the file comes from.",
            )


def fits(one: str, other: str) -> bool:
    """Say whether a link may lead from one type to another; both may be lists."""
    if "*" in {one, other} or one == other:
        return True
    ones, others = one.lower().split(","), other.lower().split(",")
    return "*" in ones or "*" in others or not set(ones).isdisjoint(others)


def _output_type(place: Place, slot: int) -> str:
    kinds = place.node.outputs
    if place.kind is not None and slot < len(place.kind.outputs):
        known = place.kind.outputs[slot]
        return "*" if known == "COMFY_MATCHTYPE_V3" else known
    if place.inside is not None and slot < len(place.inside.outputs):
        return place.inside.outputs[slot].type
    return kinds[slot] if slot < len(kinds) else "*"


def _of_instance(node: Node, inside: Level) -> list[Socket]:
    """Return an instance's inputs in the order of its definition; files keep some of them."""
    saved = {socket.name: socket for socket in node.sockets}
    found = []
    for port in inside.inputs:
        there = saved.get(port.name)
        found.append(
            Socket(port.name, port.type)
            if there is None
            else Socket(port.name, port.type, there.link, there.widget)
        )
    return found


def open_workflow(saved: Saved, types: NodeTypes) -> Opened:
    """Open every instance that is neither muted nor bypassed, each under its own path.

    Raises:
        WorkflowTooLarge: there are more nodes than we send, or subgraphs without end.
    """
    _link_elsewhere(saved)
    opener = _Opener(saved, types)
    opener.open(saved.root, None, ())
    return opener.opened


@dataclass(slots=True)
class _Opener:
    saved: Saved
    types: NodeTypes
    opened: Opened = field(default_factory=Opened)

    def open(self, level: Level, host: Place | None, above: tuple[str, ...]) -> None:
        prefix, places = "" if host is None else f"{host.id}:", self.opened.places
        for node in level.nodes.values():
            place = Place(f"{prefix}{node.id}", node, level, host, self.types.get(node.type))
            places[place.id] = place
            if len(places) > MOST_NODES or len(above) > _DEEPEST:
                raise WorkflowTooLarge(
                    f"The workflow has more than {MOST_NODES} nodes, or {_DEEPEST} subgraphs in "
                    "each other.",
                    remedy="No real workflow does; look where the file comes from.",
                )
            self._enter(place, above)

    def _enter(self, place: Place, above: tuple[str, ...]) -> None:
        node = place.node
        inside = self.saved.definitions.get(node.type)
        if inside is None:
            inside = inside_group(self.saved.groups, node, self.types)
        if inside is not None and node.type in above:
            inside = Level()  # a subgraph inside itself has no end
        place.inside = inside
        if inside is not None and node.mode not in INACTIVE:
            self.open(inside, place, (*above, node.type))


def _link_elsewhere(saved: Saved) -> None:
    """Draw the links that cg-use-everywhere keeps beside the graph."""
    nodes = saved.root.nodes
    for number, each in enumerate(map(mapping, saved.elsewhere)):
        target = nodes.get(str(each.get("downstream")))
        slot, origin_slot = each.get("downstream_slot"), each.get("upstream_slot")
        origin = str(each.get("upstream"))
        if target is None or origin not in nodes or not isinstance(origin_slot, int):
            continue
        if not isinstance(slot, int) or not 0 <= slot < len(target.sockets):
            continue
        if target.sockets[slot].link is None:
            key = f"elsewhere {number}"
            saved.root.links[key] = Link(origin, origin_slot, target.id, slot)
            target.sockets[slot].link = key
