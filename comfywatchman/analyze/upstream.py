"""The texts out of which another node makes what a widget gets: tags in them arrive there too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from comfywatchman.analyze.graph import Graph, Placed
from comfywatchman.analyze.shapes import Id, Node, PromptNode
from comfywatchman.analyze.text import has_tags
from comfywatchman.analyze.values import Found, follow, socket_of

_MOST_NODES = 100
_NO_TEXTS = frozenset({"INT", "FLOAT", "BOOLEAN", "MODEL", "CLIP", "VAE", "IMAGE", "LATENT"})
"""Kinds of sockets through which no text comes."""


def texts_before(placed: Placed, widget: str) -> Iterator[str]:
    """Yield the texts with tags that stand along the links to a widget of a saved node."""
    graph, seen = placed.graph, {placed.node.id}
    first = socket_of(placed.node, widget)
    links = [first.link] if first is not None and first.link is not None else []
    while links and len(seen) < _MOST_NODES:
        graph.steps.take()
        number = links.pop()
        link = graph.link(number)
        origin = None if link is None else graph.node(link.origin_id)
        if link is None or origin is None or origin.type in graph.known:
            yield from _from_elsewhere(graph, placed.host, number)
        elif origin.id not in seen:
            seen.add(origin.id)
            graph.steps.take(len(origin.inputs or ()) // 16)
            yield from _own_texts(origin)
            links += [
                socket.link
                for socket in reversed(origin.inputs or ())
                if socket.link is not None and socket.kind not in _NO_TEXTS
            ]


def _from_elsewhere(graph: Graph, host: Placed | None, link: Id) -> Iterator[str]:
    answer = follow(graph, host, link, hops=_MOST_NODES)
    if isinstance(answer, Found) and isinstance(answer.value, str) and has_tags(answer.value):
        yield answer.value


def _own_texts(node: Node) -> Iterator[str]:
    """Yield the texts of a node itself; what a link replaces does not count."""
    values = node.widgets_values
    linked = [each for each in node.inputs or () if each.widget is not None]
    if any(each.link is not None for each in linked) or not isinstance(values, list):
        return
    yield from (value for value in values if isinstance(value, str) and has_tags(value))


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
