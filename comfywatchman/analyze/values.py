"""Which value of a widget is in force: its own, its subgraph host's, or one from along a link."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from comfywatchman.analyze.choosers import (
    HOLDERS,
    constant,
    selected_input,
    selecting_widget,
    takes_the_first,
)
from comfywatchman.analyze.graph import INACTIVE, Graph, Placed, first_text
from comfywatchman.analyze.sent import is_sent
from comfywatchman.analyze.shapes import Id, Link, Node, Socket
from comfywatchman.analyze.text import names_a_model

CHOSEN = "chosen"
"""Where a value stood that a node of unknown kind holds for a loader at the end of its link."""

_MOST_HOPS = 100
"""Of one link through reroutes and subgraphs; guards against links in a circle."""

_PAIR = 2

_HOST = "-1"
"""The node id by which a proxy entry means the instance's own input."""


class Unknown(Enum):
    """Why there is no value."""

    ABSENT = "absent"
    """Nobody gives one: the widget's stored value is in force."""
    DYNAMIC = "dynamic"
    """Another node computes it when the workflow runs."""


@dataclass(frozen=True, slots=True)
class Found:
    """A value in force, and where it stood."""

    value: Any
    how: str


Answer = Found | Unknown


def in_force(placed: Placed, widget: str, stored: Any) -> Answer:
    """Return the value of *widget*, which holds *stored* in the node itself."""
    placed.graph.steps.take(_effort(placed.node.inputs))
    socket = socket_of(placed.node, widget)
    if socket is not None and socket.link is not None:
        answer = follow(placed.graph, placed.host, socket.link, _MOST_HOPS)
    elif placed.host is not None and placed.graph.of_group:
        answer = _into_group(placed, placed.host, widget)
    elif placed.host is not None:
        answer = _proxied(placed.host, str(placed.node.id), widget)
    else:
        return Found(stored, placed.how)
    return Found(stored, placed.how) if answer is Unknown.ABSENT else answer


def _into_group(placed: Placed, host: Placed, widget: str) -> Answer:
    """Return what is linked to the instance of a group node for a widget of a node inside.

    The instance calls it as the first node with that widget does, and for others says whose it is
    (groupNode.js, getInputConfig).
    """
    if all(socket.link is None for socket in host.node.inputs or ()):
        return Unknown.ABSENT
    kind, graph = placed.node.type, placed.graph
    graph.steps.take(len(graph.nodes) // 16)
    sharing = [each for each in graph.nodes if each.type == kind or _shows(each, widget)]
    at = next(at for at, each in enumerate(sharing) if each is placed.node)
    if at == 0:
        return _given_as(host, widget) or Unknown.ABSENT
    same = 1 + sum(each.type == kind for each in sharing[1:at])
    answer = _given_as(host, f"{kind} {widget}" if same == 1 else f"{kind} {same} {widget}")
    return answer or _given_by_title(host, sharing, widget)


def _given_by_title(host: Placed, sharing: Sequence[Node], widget: str) -> Answer:
    """Return what comes by a name that a node inside has from its title, which we do not read."""
    known = {widget, *(f"{node.type} {widget}" for node in sharing)}
    known.update(f"{node.type} {at} {widget}" for at, node in enumerate(sharing))
    titled = [
        socket
        for socket in host.node.inputs or ()
        if socket.name.endswith(f" {widget}") and socket.name not in known
    ]
    if all(socket.link is None for socket in titled):
        return Unknown.ABSENT
    only = titled[0].name if len(titled) == 1 and len(sharing) == _PAIR else None
    return (None if only is None else _given_as(host, only)) or Unknown.DYNAMIC


def _given_as(host: Placed, name: str) -> Answer | None:
    socket = socket_of(host.node, name)
    if socket is None or socket.link is None:
        return None
    return follow(host.graph, host.host, socket.link, _MOST_HOPS)


def _shows(node: Node, widget: str) -> bool:
    return any(each.widget is not None and each.name == widget for each in node.inputs or ())


def _effort(several: Any) -> int:
    """Return what looking through a list counts, in stations of a link."""
    return len(several) // 16 if isinstance(several, list | dict | tuple) else 0


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
    if origin.type in HOLDERS or _is_constant(origin):
        return _primitive(graph, host, origin, link.origin_slot, hops)
    if origin.type == "GetNode":
        return _broadcast(graph, host, origin, hops)
    inside = graph.known.get(origin.type)
    if inside is None:
        return _passed_on(graph, host, origin, hops)
    instance = Placed("", origin, graph, host, active=True)
    number = inside.to_outside.get(link.origin_slot)
    return Unknown.DYNAMIC if number is None else follow(inside, instance, number, hops)


def _passed_on(graph: Graph, host: Placed | None, node: Node, hops: int) -> Answer:
    if takes_the_first(node.type):
        return _first_sent(graph, host, node, hops)
    if node.type == "Reroute":
        return _through(graph, host, node, hops)
    if selecting_widget(node.type) is not None:
        return _selected(graph, host, node, hops)
    return _chosen(graph, host, node, hops)


def _through(graph: Graph, host: Placed | None, node: Node, hops: int) -> Answer:
    """Return what comes in by the only input of a node."""
    graph.steps.take(_effort(node.inputs))
    for socket in node.inputs or ():
        if socket.link is not None:
            return follow(graph, host, socket.link, hops)
    return Unknown.DYNAMIC


def _first_sent(graph: Graph, host: Placed | None, node: Node, hops: int) -> Answer:
    """Return what comes by the first input that has anything when the workflow is sent."""
    graph.steps.take(_effort(node.inputs))
    for socket in node.inputs or ():
        link = None if socket.link is None else graph.link(socket.link)
        if link is not None and is_sent(graph, host, link.id, socket.kind, hops):
            origin = graph.node(link.origin_id)
            if origin is not None and origin.mode in INACTIVE:
                return Unknown.DYNAMIC  # what a bypassed node hands on
            return follow(graph, host, link.id, hops)
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
        at = slot if node.type == "CustomCombo" and 0 <= slot < len(values) else 0
        return Found(values[at], "widget")
    return Unknown.DYNAMIC


def _selected(graph: Graph, host: Placed | None, node: Node, hops: int) -> Answer:
    """Return what comes by the input that a switch passes on."""
    graph.steps.take(_effort(node.inputs))
    widget = selecting_widget(node.type) or ""
    values = node.widgets_values
    choice = values[0] if isinstance(values, list) and values else None
    given = socket_of(node, widget)
    if given is not None and given.link is not None:
        answer = follow(graph, host, given.link, hops)
        choice = answer.value if isinstance(answer, Found) else None
    chosen = selected_input(node.type, choice)
    for socket in node.inputs or ():
        if socket.name == chosen and socket.link is not None:
            return follow(graph, host, socket.link, hops)
    return Unknown.DYNAMIC


def _chosen(graph: Graph, host: Placed | None, node: Node, hops: int) -> Answer:
    """Return the one model name that any other node can mean: the one it holds, or passes on.

    Packs have many such nodes, to choose a file in one place and load it in several.
    """
    graph.steps.take(_effort(node.inputs) + 16 * _effort(node.widgets_values))
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
    """Follow KJNodes' GetNode to the SetNode of the same name."""
    name = first_text(getter)
    setter = None if name is None else graph.setters.get(name)
    return Unknown.DYNAMIC if setter is None else _through(graph, host, setter, hops)


# -- subgraph hosts


def _from_host(inside: Graph, host: Placed, slot: int, hops: int) -> Answer:
    """Return what the instance *host* gives to input *slot* of its definition."""
    if not 0 <= slot < len(inside.inputs):
        return Unknown.ABSENT
    name = inside.inputs[slot].name
    inside.steps.take(_effort(host.node.inputs) + _effort(_proxies(host.node)))
    inside.steps.take(_effort(inside.from_outside.get(slot)))
    for socket in host.node.inputs or ():
        if socket.name == name and socket.link is not None:
            answer = follow(host.graph, host.host, socket.link, hops)
            if answer is not Unknown.ABSENT:
                return _as_host(answer)
    return _quarantined(host.node, name) or _listed(inside, host.node, slot, name)


def _as_host(answer: Answer) -> Answer:
    if isinstance(answer, Found) and answer.how != CHOSEN:
        return Found(answer.value, "subgraph-host")
    return answer


def _listed(inside: Graph, host: Node, slot: int, name: str) -> Answer:
    """Return the instance's own value for an input, as files of three eras write it.

    Until frontend 1.45 the list belongs to ``proxyWidgets``, and is mostly empty. Since 1.47 there
    are no such entries and the list belongs to the promoted inputs, in definition order.
    """
    values = host.widgets_values
    if not isinstance(values, list) or not values:
        return Unknown.ABSENT
    proxies = _proxies(host)
    if proxies is None:
        return _at(values, inside.promoted.get(slot, len(values)))
    wanted = {(_HOST, name)}
    wanted.update(
        (str(node.id), _socket_widget(node, at)) for node, at in inside.from_outside.get(slot, ())
    )
    for position, entry in enumerate(proxies):
        if _proxy(entry) in wanted:
            return _at(values, position)
    return Unknown.ABSENT


def _socket_widget(node: Node, slot: int) -> str:
    sockets = node.inputs or []
    if not 0 <= slot < len(sockets):
        return ""
    widget = sockets[slot].widget
    return widget.name if widget is not None else sockets[slot].name


def _proxied(host: Placed, inner: str, widget: str) -> Answer:
    """Return the instance's value for a widget that is shown outside without an input."""
    values = host.node.widgets_values
    if not isinstance(values, list) or not values:
        return Unknown.ABSENT
    proxies = _proxies(host.node) or ()
    host.graph.steps.take(_effort(proxies))
    for position, entry in enumerate(proxies):
        if _proxy(entry) == (inner, widget):
            return _at(values, position)
    return Unknown.ABSENT


def _proxies(host: Node) -> list[Any] | None:
    proxies = host.properties.proxies if host.properties is not None else None
    return proxies if isinstance(proxies, list) and proxies else None


def _proxy(entry: Any) -> tuple[str, str] | None:
    """Return the inner node's id and the widget's name; old names may carry id prefixes."""
    if not isinstance(entry, list) or len(entry) < 2 or not isinstance(entry[1], str):
        return None
    return str(entry[0]), entry[1].rsplit(": ", 1)[-1]


def _at(values: list[Any], position: int) -> Answer:
    if position < len(values) and values[position] is not None:
        return Found(values[position], "subgraph-host")
    return Unknown.ABSENT


def _quarantined(host: Node, name: str) -> Answer | None:
    """Return the value that a migration of the editor kept aside; it goes before the list."""
    entries = host.properties.quarantine if host.properties is not None else None
    if entries is None:
        return None
    for entry in _records(entries):
        original = entry.get("originalEntry")
        if _proxy(original) == (_HOST, name) and entry.get("hostValue") is not None:
            return Found(entry["hostValue"], "subgraph-host")
    return None


def _records(entries: Any) -> Iterator[dict[str, Any]]:
    if isinstance(entries, list):
        yield from (entry for entry in entries if isinstance(entry, dict))
