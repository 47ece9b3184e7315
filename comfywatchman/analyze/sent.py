"""What reaches the server by a link: muted nodes are not sent, bypassed ones hand something on.

Source: ExecutableNodeDTO.ts and executionUtil.ts of ComfyUI's frontend.
"""

from __future__ import annotations

from typing import Any

from comfywatchman.analyze.graph import GETTERS, INACTIVE, PASSING, Graph, Placed
from comfywatchman.analyze.setters import setter_of
from comfywatchman.analyze.shapes import Id, Link, Node, Socket

MUTED = 2
_ANY = "*"


def handed_on(node: Node, slot: int, kind: Any) -> Socket | None:
    """Return the input that a bypassed node hands on where *kind* is wanted from output *slot*."""
    sockets = node.inputs or ()
    beside = sockets[slot] if 0 <= slot < len(sockets) else None
    if kind == _ANY:
        return beside or (sockets[0] if sockets else None)
    if beside is not None and beside.kind in {kind, _ANY}:
        return beside
    return next((socket for socket in sockets if socket.kind == kind), None)


def is_sent(graph: Graph, host: Placed | None, number: Id | None, kind: Any, hops: int) -> bool:
    """Return whether anything comes by a link.

    Raises:
        WorkflowTooLarge: the links of the whole workflow have more stations than we visit.
    """
    graph.steps.take()
    link = None if number is None else graph.link(number)
    if link is None or hops <= 0:
        return False
    if host is not None and link.origin_id == graph.input_node:
        given = given_to(graph, host, link.origin_slot)
        return given is not None and is_sent(host.graph, host.host, given.link, kind, hops - 1)
    return _gives(graph, host, link, kind, hops - 1)


def _gives(graph: Graph, host: Placed | None, link: Link, kind: Any, hops: int) -> bool:
    origin = graph.node(link.origin_id)
    if origin is None or origin.mode == MUTED:
        return False
    graph.steps.take(len(origin.inputs or ()) // 16)
    if origin.mode in INACTIVE:
        socket = handed_on(origin, link.origin_slot, kind)
        return socket is not None and is_sent(graph, host, socket.link, kind, hops)
    inside = graph.known.get(origin.type)
    if inside is not None:
        instance = Placed("", origin, graph, host, active=True)
        return is_sent(inside, instance, inside.to_outside.get(link.origin_slot), kind, hops)
    through = _through(graph, host, origin)
    return through is None or is_sent(*through, kind, hops)


def _through(
    graph: Graph, host: Placed | None, node: Node
) -> tuple[Graph, Placed | None, Id | None] | None:
    """Return the link to a node that lives in the editor only and passes its input on."""
    if node.type in GETTERS:
        setter = setter_of(graph, host, node)
        if setter is None:
            return graph, host, None
        graph, host, node = setter.graph, setter.host, setter.node
    elif node.type not in PASSING:
        return None
    socket = next(iter(node.inputs or ()), None)
    return graph, host, None if socket is None else socket.link


def given_to(inside: Graph, host: Placed, slot: int) -> Socket | None:
    """Return the instance's socket for input *slot* of its definition."""
    if not 0 <= slot < len(inside.inputs):
        return None
    name = inside.inputs[slot].name
    inside.steps.take(len(host.node.inputs or ()) // 16)
    return next((socket for socket in host.node.inputs or () if socket.name == name), None)
