"""The inside of group nodes: links without ids, and what the outside gives and calls it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import msgspec

from comfywatchman.analyze.loaders import Tables
from comfywatchman.analyze.shapes import GroupedNode, Id, Link, Node, Socket

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


@dataclass(frozen=True, slots=True)
class Outside:
    """What the widgets of the nodes in a group are called outside (groupNode.js, getInputConfig).

    The first one of a name keeps it. The next has the node's title before it, or its type, and
    further ones of the same title a number as well, from 2.
    """

    inner: Sequence[GroupedNode]
    config: Any
    tables: Tables
    _known: dict[tuple[str, str], Mapping[Id, str]] = field(default_factory=dict)

    def names(self, kind: str, widget: str) -> Mapping[Id, str]:
        """Return by position the name of *widget* of every node that has one, as *kind* does."""
        found = self._known.get((kind, widget))
        if found is None:
            found = self._known[kind, widget] = self._named(kind, widget)
        return found

    def _named(self, kind: str, widget: str) -> Mapping[Id, str]:
        # Widgets that became sockets come after those of all nodes that did not.
        having = sorted(self._having(kind, widget), key=lambda each: each[0])
        seen: dict[str, int] = {}
        names: dict[Id, str] = {}
        for _, at, socket in having:
            name = key = self._called(at, widget) or _label(socket) or widget
            if name in seen:
                name = key = f"{prefix_of(self.inner[at])}{widget}"
                if name in seen:
                    name = f"{prefix_of(self.inner[at])}{seen[name]} {widget}"
            seen[key] = seen.get(key, 1) + 1
            names[self.inner[at].id] = name
        return names

    def _having(self, kind: str, widget: str) -> Iterator[tuple[bool, int, Socket | None]]:
        for at, node in enumerate(self.inner):
            socket = next((each for each in node.inputs or () if each.name == widget), None)
            if socket is None:
                if node.type == kind or self._has(node.type, widget):
                    yield False, at, None
            elif socket.link is None:  # else the inside gives it, and nobody sees it outside
                became_one = socket.widget is not None and socket.widget.name == widget
                yield became_one, at, socket

    def _has(self, kind: str, widget: str) -> bool:
        return any(rule.spot.name == widget for rule in self.tables.rules_of(kind) or ())

    def _called(self, at: int, widget: str) -> str | None:
        """Return what a person called it in the editor for groups."""
        here: Any = self.config
        for key in (str(at), "input", widget, "name"):
            here = here.get(key) if isinstance(here, dict) else None
        return here if isinstance(here, str) and here else None


def prefix_of(node: GroupedNode) -> str:
    """Return what stands before the names of a node's widgets where others have the same."""
    return f"{node.title if isinstance(node.title, str) else node.type} "


def _label(socket: Socket | None) -> str | None:
    label = None if socket is None else socket.label
    return label if isinstance(label, str) and label else None


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
