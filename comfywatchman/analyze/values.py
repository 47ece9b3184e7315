"""Which value of a widget is in force: its own, its subgraph host's, or one from along a link."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from comfywatchman.analyze.answers import Answer, Found, Unknown
from comfywatchman.analyze.choosers import (
    HOLDERS,
    changes,
    constant,
    selected_input,
    selecting_widget,
    takes_the_first,
)
from comfywatchman.analyze.graph import GETTERS, INACTIVE, PASSING, Graph, Placed
from comfywatchman.analyze.groups import Outside, prefix_of
from comfywatchman.analyze.hosts import effort, own_value, proxied, proxies, shown
from comfywatchman.analyze.sent import MUTED, handed_on, is_sent
from comfywatchman.analyze.setters import setter_of
from comfywatchman.analyze.shapes import Id, Link, Node, Socket
from comfywatchman.analyze.text import names_a_model

CHOSEN = "chosen"
"""Where a value stood that a node of unknown kind holds for a loader at the end of its link."""

_MOST_HOPS = 100
"""Of one link through reroutes and subgraphs; guards against links in a circle."""

_COMBO = ("choice", "index")
"""The widgets of a CustomCombo, in the order of its outputs."""


def in_force(placed: Placed, widget: str, stored: Any) -> Answer:
    """Return the value of *widget*, which holds *stored* in the node itself."""
    placed.graph.steps.take(effort(placed.node.inputs))
    socket = socket_of(placed.node, widget)
    if socket is not None and socket.link is not None:
        answer = _linked_to(placed, socket.link)
    elif placed.host is not None and placed.graph.outside is not None:
        answer = _into_group(placed, placed.host, placed.graph.outside, widget)
    elif placed.host is not None:
        answer = proxied(placed.host, str(placed.node.id), widget)
    else:
        return Found(stored, placed.how)
    return Found(stored, placed.how) if answer is Unknown.ABSENT else answer


def _linked_to(placed: Placed, number: Id) -> Answer:
    """Return what comes by the link that a node's own input names.

    The editor goes by that, whatever node the list of links gives it to. Only a PrimitiveNode
    writes its value into the widget at the end of the link (widgetInputs.ts, applyToGraph).
    """
    graph = placed.graph
    link = graph.link(number)
    if link is not None and str(link.target_id) != str(placed.node.id):
        origin = graph.node(link.origin_id)
        if origin is not None and origin.type == "PrimitiveNode":
            return Unknown.ABSENT
    return follow(graph, placed.host, number, _MOST_HOPS)


def _into_group(placed: Placed, host: Placed, outside: Outside, widget: str) -> Answer:
    """Return what is linked to the instance of a group node for a widget of a node inside."""
    linked = [each.name for each in host.node.inputs or () if each.link is not None]
    if not linked:
        return Unknown.ABSENT
    placed.graph.steps.take(len(placed.graph.nodes) // 16)
    names = outside.names(placed.node.type, widget)
    others = set(names.values())
    prefix = prefix_of(outside.inner[int(placed.node.id)])
    mine = names.get(placed.node.id, widget)
    own = f"{prefix}{widget}"
    if own not in others and any(each.name == own for each in host.node.inputs or ()):
        mine = own  # a node that we do not know has the plain name
    answer = _given_as(host, mine)
    if answer is not None:
        return answer
    known = {prefix_of(node) for node in outside.inner} - {prefix}
    doubtful = any(
        name.endswith(f" {widget}") and name not in others and not name.startswith(tuple(known))
        for name in linked
    )
    return Unknown.DYNAMIC if doubtful else Unknown.ABSENT


def _given_as(host: Placed, name: str) -> Answer | None:
    socket = socket_of(host.node, name)
    if socket is None or socket.link is None:
        return None
    return follow(host.graph, host.host, socket.link, _MOST_HOPS)


def socket_of(node: Node, widget: str) -> Socket | None:
    """Return the socket of a widget; old files do not mark it as one, but name it alike."""
    for socket in node.inputs or ():
        if (socket.widget.name if socket.widget is not None else socket.name) == widget:
            return socket
    return None


def follow(graph: Graph, host: Placed | None, link_id: Id, hops: int) -> Answer:
    """Return the value that arrives by a link.

    Raises:
        WorkflowTooLarge: the links of the whole workflow have more stations than we visit.
    """
    graph.steps.take()
    link = graph.link(link_id)
    if link is None:  # the editor drops a link that leads nowhere and shows the widget again
        return Unknown.ABSENT
    if hops <= 0:
        return Unknown.DYNAMIC
    if host is not None and link.origin_id == graph.input_node:
        return _from_host(graph, host, link.origin_slot, hops - 1)
    origin = graph.node(link.origin_id)
    return Unknown.ABSENT if origin is None else _given_by(graph, host, origin, link, hops - 1)


def _given_by(graph: Graph, host: Placed | None, origin: Node, link: Link, hops: int) -> Answer:
    if origin.mode in INACTIVE and origin.type != "PrimitiveNode":
        return _not_run(graph, host, origin, link, hops)
    if origin.type in HOLDERS or _is_constant(origin):
        return _primitive(graph, host, origin, link.origin_slot, hops)
    if origin.type in GETTERS:
        return _broadcast(graph, host, origin, hops)
    inside = graph.known.get(origin.type)
    if inside is None:
        return _passed_on(graph, host, origin, hops)
    instance = Placed("", origin, graph, host, active=True)
    number = inside.to_outside.get(link.origin_slot)
    return Unknown.DYNAMIC if number is None else follow(inside, instance, number, hops)


def _not_run(graph: Graph, host: Placed | None, origin: Node, link: Link, hops: int) -> Answer:
    """Return what a node gives that is muted or bypassed.

    From a muted one nothing comes. A bypassed one hands an input of the same kind on. Where nothing
    comes, the widget's own value is sent (resolveOutput in ExecutableNodeDTO.ts).
    """
    if origin.mode == MUTED:
        return Unknown.ABSENT
    target = graph.node(link.target_id)
    sockets = target.inputs if target is not None and target.inputs else ()
    kind = sockets[link.target_slot].kind if 0 <= link.target_slot < len(sockets) else None
    handed = handed_on(origin, link.origin_slot, kind)
    if handed is None or handed.link is None:
        return Unknown.ABSENT
    return follow(graph, host, handed.link, hops)


def _passed_on(graph: Graph, host: Placed | None, node: Node, hops: int) -> Answer:
    if takes_the_first(node.type):
        return _first_sent(graph, host, node, hops)
    if node.type in PASSING:
        return _through(graph, host, node, hops)
    if selecting_widget(node.type) is not None:
        return _selected(graph, host, node, hops)
    return _chosen(graph, host, node, hops)


def _through(graph: Graph, host: Placed | None, node: Node, hops: int) -> Answer:
    """Return what comes in by the only input of a node; nothing where it is not linked."""
    graph.steps.take(effort(node.inputs))
    for socket in node.inputs or ():
        if socket.link is not None:
            return follow(graph, host, socket.link, hops)
    return Unknown.ABSENT


def _first_sent(graph: Graph, host: Placed | None, node: Node, hops: int) -> Answer:
    """Return what comes by the first input that has anything when the workflow is sent."""
    graph.steps.take(effort(node.inputs))
    for socket in node.inputs or ():
        link = None if socket.link is None else graph.link(socket.link)
        if link is not None and is_sent(graph, host, link.id, socket.kind, hops):
            answer = follow(graph, host, link.id, hops)
            return Unknown.DYNAMIC if answer is Unknown.ABSENT else answer
    return Unknown.DYNAMIC


def _is_constant(node: Node) -> bool:
    values = node.widgets_values
    return isinstance(values, list) and constant(node.type, values) is not None


def _primitive(graph: Graph, host: Placed | None, node: Node, slot: int, hops: int) -> Answer:
    if node.type not in HOLDERS and any(
        socket.link is not None and socket.widget is None for socket in node.inputs or ()
    ):
        return Unknown.DYNAMIC  # a socket that is no widget's: the node computes something
    linked = _through(graph, host, node, hops)
    if isinstance(linked, Found):
        return linked
    values = node.widgets_values
    if isinstance(values, list) and values and (linked is Unknown.ABSENT or not _linked(node)):
        at = 1 if node.type == "CustomCombo" and slot == 1 < len(values) else 0
        given = shown(graph, host, node, _COMBO[at] if node.type == "CustomCombo" else None)
        if isinstance(given, Found):
            return given
        if not isinstance(values[at], int | float) or not changes(values[1:]):
            return Found(values[at], "widget")
    return Unknown.DYNAMIC


def _selected(graph: Graph, host: Placed | None, node: Node, hops: int) -> Answer:
    """Return what comes by the input that a switch passes on."""
    graph.steps.take(effort(node.inputs))
    widget = selecting_widget(node.type) or ""
    values = node.widgets_values
    choice = values[0] if isinstance(values, list) and values else None
    given = socket_of(node, widget)
    if given is not None and given.link is not None:
        answer = follow(graph, host, given.link, hops)
        choice = answer.value if isinstance(answer, Found) else None
    elif isinstance(answer := shown(graph, host, node, widget), Found):
        choice = answer.value
    chosen = selected_input(node.type, choice)
    for socket in node.inputs or ():
        if socket.name == chosen and socket.link is not None:
            return follow(graph, host, socket.link, hops)
    return Unknown.DYNAMIC


def _chosen(graph: Graph, host: Placed | None, node: Node, hops: int) -> Answer:
    """Return the one model name that any other node can mean: the one it holds, or passes on.

    Packs have many such nodes, to choose a file in one place and load it in several.
    """
    graph.steps.take(effort(node.inputs) + 16 * effort(node.widgets_values))
    given = as_chosen(shown(graph, host, node))
    if isinstance(given, Found):
        return given
    linked = [socket for socket in node.inputs or () if socket.link is not None]
    names = model_names(node.widgets_values)
    if len(names) == 1 and all(socket.widget is None for socket in linked):
        return Found(names.pop(), CHOSEN)
    if len(names) < 2 and len(linked) == 1 and linked[0].link is not None:
        return as_chosen(follow(graph, host, linked[0].link, hops))
    return Unknown.DYNAMIC


def as_chosen(answer: Answer) -> Answer:
    """Return an answer that came through a node of unknown kind, if it can be meant at all."""
    if isinstance(answer, Found) and isinstance(answer.value, str) and names_a_model(answer.value):
        return Found(answer.value, CHOSEN)
    return Unknown.DYNAMIC


def model_names(stored: Any) -> set[str]:
    """Return the model names among a node's own values, each once."""
    values = stored.values() if isinstance(stored, dict) else stored
    if not isinstance(values, Iterable) or isinstance(values, str):
        return set()
    return {value for value in values if isinstance(value, str) and names_a_model(value)}


def _linked(node: Node) -> bool:
    return any(socket.link is not None for socket in node.inputs or ())


def _broadcast(graph: Graph, host: Placed | None, getter: Node, hops: int) -> Answer:
    """Follow a getter to the node that gives the value its name; the editor drops one of none."""
    found = setter_of(graph, host, getter)
    return Unknown.ABSENT if found is None else _through(found.graph, found.host, found.node, hops)


# -- subgraph hosts


def _from_host(inside: Graph, host: Placed, slot: int, hops: int) -> Answer:
    """Return what the instance *host* gives to input *slot* of its definition.

    Where it is linked and nothing comes, its own value is not sent either: that of the widget
    inside is (resolveInput in ExecutableNodeDTO.ts).
    """
    if not 0 <= slot < len(inside.inputs):
        return Unknown.ABSENT
    name = inside.inputs[slot].name
    inside.steps.take(effort(host.node.inputs) + effort(proxies(host.node)))
    inside.steps.take(effort(inside.from_outside.get(slot)))
    for socket in host.node.inputs or ():
        if socket.name == name and socket.link is not None:
            answer = follow(host.graph, host.host, socket.link, hops)
            if answer is not Unknown.ABSENT or _begins(host.graph, socket.link):
                return _as_host(answer)
    return own_value(inside, host, slot, name)


def _begins(graph: Graph, number: Id) -> bool:
    """Return whether a link is there and begins anywhere; else the editor drops it."""
    link = graph.link(number)
    return link is not None and graph.has(link.origin_id)


def _as_host(answer: Answer) -> Answer:
    if isinstance(answer, Found) and answer.how != CHOSEN:
        return Found(answer.value, "subgraph-host")
    return answer
