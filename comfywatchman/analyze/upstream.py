"""The texts out of which another node makes what a widget gets: tags in them arrive there too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from comfywatchman.analyze.answers import Found
from comfywatchman.analyze.graph import GETTERS, INACTIVE, Graph, Placed, short
from comfywatchman.analyze.hosts import proxies, shown
from comfywatchman.analyze.sent import MUTED, given_to, handed_on
from comfywatchman.analyze.setters import setter_of
from comfywatchman.analyze.shapes import Id, Node, PromptNode, Socket
from comfywatchman.analyze.text import has_tags
from comfywatchman.analyze.values import follow, socket_of
from comfywatchman.analyze.widgets import widget_names

_MOST_NODES = 100
_MOST_WAYS = 2000
"""Links that are looked at, several of them to the same node."""

_WIDGETS: Mapping[str, Sequence[str]] = {
    "StringConcatenate": ("string_a", "string_b", "delimiter"),
}
"""Of nodes that join texts, where older files do not name them (comfy_extras/nodes_string.py)."""

_NO_TEXTS = frozenset({"INT", "FLOAT", "BOOLEAN", "MODEL", "CLIP", "VAE", "IMAGE", "LATENT"})
"""Kinds of sockets through which no text comes."""


_Place = tuple[int, str, Id, int]
"""Graph, path of the instance, node, and the output where that matters."""


@dataclass(frozen=True, slots=True)
class _Way:
    """A link, in the graph where it lies."""

    graph: Graph
    host: Placed | None
    link: Id


def texts_before(placed: Placed, widget: str) -> Iterator[str]:
    """Yield the texts with tags that stand along the links to a widget of a saved node."""
    first = socket_of(placed.node, widget)
    if first is None or first.link is None:
        return
    ways = [_Way(placed.graph, placed.host, first.link)]
    seen: set[_Place] = set()
    for _ in range(_MOST_WAYS):
        if not ways or len(seen) >= _MOST_NODES:
            return
        yield from _along(ways.pop(), ways, seen)


def _along(way: _Way, ways: list[_Way], seen: set[_Place]) -> Iterator[str]:
    """Yield the texts of the node at the other end of a link, and note the links to go on by."""
    graph, host = way.graph, way.host
    graph.steps.take()
    link = graph.link(way.link)
    if link is None:
        return
    if host is not None and link.origin_id == graph.input_node:
        yield from _into_instance(way, host, ways, link.origin_slot)
        return
    origin = graph.node(link.origin_id)
    if origin is None or origin.mode == MUTED:
        return
    sent = origin.mode not in INACTIVE
    inside = graph.known.get(origin.type) if sent else None
    slot = 0 if sent and inside is None else link.origin_slot
    place = (id(graph), "" if host is None else host.path, origin.id, slot)
    if place in seen:
        return
    seen.add(place)
    if sent and origin.type in GETTERS:
        setter = setter_of(graph, host, origin)
        if setter is None:
            return
        graph, host, origin = setter.graph, setter.host, setter.node
    if inside is not None:
        number = inside.to_outside.get(slot)
        instance = Placed(f"{place[1]}:{short(origin.id)}", origin, graph, host, active=True)
        ways += [] if number is None else [_Way(inside, instance, number)]
        return
    if sent:
        yield from _own_texts(graph, host, origin)
    graph.steps.take(len(origin.inputs or ()) // 16)
    ways += [
        _Way(graph, host, socket.link)
        for socket in reversed(_sockets(origin, slot))
        if socket.link is not None and socket.kind not in _NO_TEXTS
    ]


def _sockets(node: Node, slot: int) -> Sequence[Socket]:
    """Return the inputs out of which a node that is no subgraph makes its texts."""
    if node.mode in INACTIVE and node.type not in GETTERS.values():
        handed = handed_on(node, slot, "STRING")
        return () if handed is None else (handed,)
    return node.inputs or ()


def _into_instance(way: _Way, host: Placed, ways: list[_Way], slot: int) -> Iterator[str]:
    """Go on outside the subgraph; where nothing is linked there, yield what the instance has."""
    given = given_to(way.graph, host, slot)
    if given is not None and given.link is not None:
        ways.append(_Way(host.graph, host.host, given.link))
        return
    answer = follow(way.graph, host, way.link, hops=_MOST_NODES)
    if isinstance(answer, Found) and isinstance(answer.value, str) and has_tags(answer.value):
        yield answer.value


def _own_texts(graph: Graph, host: Placed | None, node: Node) -> Iterator[str]:
    """Yield the texts of a node itself, but those that a link or an instance around it replaces.

    Where the file does not tell which widget a text belongs to, it counts: a name that is looked
    for in vain is told, one that is overlooked is not.
    """
    values = node.widgets_values
    if isinstance(values, dict):
        named = list(values.items())
    elif isinstance(values, list):
        names = widget_names(node) or _WIDGETS.get(node.type, ())
        named = list(zip_longest(names[: len(values)], values, fillvalue=""))
    else:
        return
    if host is not None and proxies(host.node) is not None:
        named = [(name, _in_instance(graph, host, node, name, value)) for name, value in named]
    texts = [(name, value) for name, value in named if isinstance(value, str) and has_tags(value)]
    linked = {
        socket.widget.name
        for socket in node.inputs or ()
        if socket.widget is not None and socket.link is not None
    }
    if len(named) == 1 and linked:
        return
    yield from (value for name, value in texts if name not in linked)


def _in_instance(graph: Graph, host: Placed, node: Node, name: str, stored: Any) -> Any:
    given = shown(graph, host, node, name)
    return given.value if isinstance(given, Found) else stored


def prompt_texts_before(prompt: Mapping[str, PromptNode], given: Any) -> Iterator[str]:
    """Do the same for what an input of a prompt's node is linked to."""
    seen: set[str] = set()
    stack = [given]
    while stack and len(seen) < _MOST_NODES:
        here = stack.pop()
        if isinstance(here, str):
            if has_tags(here):
                yield here
        elif isinstance(here, list) and len(here) == 2 and str(here[0]) not in seen:
            seen.add(str(here[0]))
            origin = prompt.get(str(here[0]))
            stack += [] if origin is None else reversed(list(origin.inputs.values())[:_MOST_NODES])
