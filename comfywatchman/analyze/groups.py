"""The inside of group nodes: links without ids, and the values that the outside gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

import msgspec

from comfywatchman.analyze.shapes import Id, Link, Node, Socket

_MOST_INSIDE = 1 << 20
"""Positions and slots; a larger number is none."""


def group_links(rows: Any, inner: Sequence[Node]) -> list[Link]:
    """Return the links inside a group node, and let the sockets of *inner* name them."""
    links: list[Link] = []
    into: dict[int, dict[int, Id]] = {}
    for row in rows if isinstance(rows, list) else ():
        ends = row[:4] if isinstance(row, list) else ()
        if len(ends) == 4 and all(type(end) is int and 0 <= end < _MOST_INSIDE for end in ends):
            origin, origin_slot, target, slot = ends
            number = f"inside {len(links)}"
            links.append(Link(number, origin, origin_slot, target, slot))
            into.setdefault(target, {})[slot] = number
    for at, node in enumerate(inner):
        if node.inputs:
            node.inputs = _relinked(node.inputs, into.get(at, {}))
    return links


def _relinked(sockets: Sequence[Socket], links: Mapping[int, Id]) -> list[Socket]:
    """Return the sockets with the links of their group: what they name themselves is elsewhere.

    A slot that the file does not list is one of a widget, if there is only one of those.
    """
    beyond = [link for slot, link in links.items() if slot >= len(sockets)]
    widgets = [at for at, socket in enumerate(sockets) if socket.widget is not None]
    if len(beyond) == len(widgets) == 1:
        links = {**links, widgets[0]: beyond[0]}
    return [
        msgspec.structs.replace(socket, link=links.get(at)) for at, socket in enumerate(sockets)
    ]


def shares_of(given: Any, inner: Sequence[Node]) -> Sequence[list[Any] | None]:
    """Cut the outside's values into one share for each inner node, where they fit exactly.

    The outside lists the widgets of the inside one node after the other, but those that became
    sockets (groupNode.js, processWidgetInputs); newer files have sockets for all of them. Where
    the numbers differ all the same, the values stored inside are the better guess.
    """
    stored = [
        node.widgets_values if isinstance(node.widgets_values, list) else [] for node in inner
    ]
    lengths = [len(values) for values in stored]
    if isinstance(given, list) and len(given) == sum(lengths):
        return list(_cut(given, lengths))
    shown = [
        length - min(length, _converted(node)) for node, length in zip(inner, lengths, strict=True)
    ]
    if not isinstance(given, list) or len(given) != sum(shown):
        return [None] * len(inner)
    return [
        share if len(share) == length else None
        for share, length in zip(_cut(given, shown), lengths, strict=True)
    ]


def _cut(given: list[Any], lengths: Sequence[int]) -> Iterator[list[Any]]:
    ends = accumulate(lengths)
    return (given[end - length : end] for end, length in zip(ends, lengths, strict=True))


def _converted(node: Node) -> int:
    """Return how many values of a node have a socket; that of a seed has a second one beside it."""
    names = [socket.widget.name for socket in node.inputs or () if socket.widget is not None]
    return len(names) + sum(name in {"seed", "noise_seed"} for name in names)
