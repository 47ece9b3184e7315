"""Group nodes, older than subgraphs, as if they were subgraphs.

Inner nodes have no ids: their position is their id. The outside has an input for each that nothing
inside is linked to, and an output for each that leads nowhere inside or is marked.
Source: groupNode.ts of ComfyUI's frontend.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate

from comfywatchman.comfyui.prompt.saved import (
    INPUT_NODE,
    OUTPUT_NODE,
    Json,
    Level,
    Link,
    Node,
    Socket,
    listed,
    mapping,
    read_node,
)
from comfywatchman.comfyui.prompt.types import NodeTypes
from comfywatchman.comfyui.prompt.widgets import socket_inputs, widgets_of

_MARKS = ("workflow>", "workflow/")


def inside_group(groups: Mapping[str, Json], node: Node, types: NodeTypes) -> Level | None:
    """Return the inside of a group node with the values of this one; ``None`` for other nodes."""
    if not node.type.startswith(_MARKS):
        return None
    group = mapping(groups.get(node.type[len(_MARKS[0]) :]))
    if not group:
        return None
    level = Level()
    for at, each in enumerate(listed(group.get("nodes"))):
        inner = read_node(mapping(each))
        inner.id = str(at)
        kind = types.get(inner.type)
        inner.sockets = [
            Socket(each.name, each.type, None, each.widget) for each in socket_inputs(inner, kind)
        ]
        level.nodes[inner.id] = inner
    outputs = _link_inside(level, group)
    _link_outside(level, node, outputs)
    _share_values(level, node, types)
    return level


def _link_inside(level: Level, group: Mapping[str, Json]) -> set[tuple[str, int]]:
    """Draw the links inside; return the outputs that are used there and not marked."""
    used: set[tuple[str, int]] = set()
    sources = listed(group.get("nodes"))
    for number, row in enumerate(listed(group.get("links"))):
        ends = listed(row)[:4]
        if len(ends) < 4 or not all(isinstance(end, int) for end in ends):
            continue
        origin, origin_slot, target, slot = ends
        node = level.nodes.get(str(target))
        if node is None or str(origin) not in level.nodes:
            continue
        saved = listed(mapping(sources[target]).get("inputs"))
        name = mapping(saved[slot]).get("name") if 0 <= slot < len(saved) else None
        for socket in node.sockets:
            if socket.name == name:
                socket.link = f"inside {number}"
                level.links[socket.link] = Link(str(origin), origin_slot, node.id, slot)
        used.add((str(origin), origin_slot))
    marked = [listed(each)[:2] for each in listed(group.get("external"))]
    return {(node, slot) for node, slot in used if [int(node), slot] not in marked}


def _link_outside(level: Level, host: Node, used: set[tuple[str, int]]) -> None:
    """Draw links from the group's inputs and to its outputs, in the order of its sockets."""
    free = [
        (node, socket)
        for node in level.nodes.values()
        for socket in node.sockets
        if socket.link is None
    ]
    for outer in host.sockets:
        slot = len(level.inputs)
        level.inputs.append(Socket(outer.name, outer.type))
        at = _inner_end(outer, free)
        if at is not None:
            node, socket = free.pop(at)
            socket.link = f"outside {slot}"
            level.links[socket.link] = Link(INPUT_NODE, slot, node.id, 0)
    for node in level.nodes.values():
        for slot, kind in enumerate(node.outputs):
            if (node.id, slot) not in used:
                at = len(level.outputs)
                level.outputs.append(Socket("", kind))
                level.links[f"out {at}"] = Link(node.id, slot, OUTPUT_NODE, at)


def _inner_end(outer: Socket, free: Sequence[tuple[Node, Socket]]) -> int | None:
    """Return which input inside an input of the group stands for.

    Plain inputs come in the same order inside and outside. Those of widgets keep their names, with
    the node's before it where another one has the same.
    """
    if outer.widget is None:
        plain = [at for at, (_, socket) in enumerate(free) if socket.widget is None]
        return plain[0] if plain else None
    named = [at for at, (_, x) in enumerate(free) if x.widget and outer.name == x.name]
    ending = [at for at, (_, x) in enumerate(free) if x.widget and outer.name.endswith(x.name)]
    return next(iter(named + ending), None)


def _share_values(level: Level, host: Node, types: NodeTypes) -> None:
    """Give the inner nodes the group's own values, where their number tells whose they are."""
    values = listed(host.values)
    inner = list(level.nodes.values())
    saved = [len(listed(node.values)) for node in inner]
    known = [_stored(node, types, count) for node, count in zip(inner, saved, strict=True)]
    for counts in (saved, known):
        if values and len(values) == sum(counts):
            ends = accumulate(counts)
            for node, count, end in zip(inner, counts, ends, strict=True):
                node.values = values[end - count : end]
            return


def _stored(node: Node, types: NodeTypes, saved: int) -> int:
    kind = types.get(node.type)
    return saved if kind is None else sum(x.stored for x in widgets_of(node, kind))
