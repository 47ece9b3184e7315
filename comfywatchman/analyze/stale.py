"""Models that a node declares and does not select: editors leave them behind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from comfywatchman.analyze.graph import Placed
from comfywatchman.analyze.shapes import Node

_DEEPEST = 32
_INSIDE = "/definitions/subgraphs/"
"""In the place of what an instance may give another value."""


def records(node: Node) -> list[Any]:
    """Return what a node declares, whatever it is."""
    models = node.properties.models if node.properties is not None else None
    return models if isinstance(models, list) else []


class Declarations:
    """The nodes of one file that declare models."""

    def __init__(self) -> None:
        self._nodes: dict[int, tuple[str, Node]] = {}
        """By their identity: where they declare."""
        self._given: dict[str, set[str]] = {}
        """Of those that get a value from elsewhere: where they declare, and their paths."""
        self._open: list[tuple[str, Node]] = []

    def unselected(self, node: Node, place: str) -> Iterator[int]:
        """Take in a node that declares at *place*; yield what none of its own values names.

        What may get its values from elsewhere is judged by `overruled`, once all are known.
        """
        self._nodes[id(node)] = place, node
        if _names_all(node):
            return
        if _has_linked_widget(node) or _INSIDE in place:
            self._open.append((place, node))
        else:
            yield from _unnamed(node)

    def placed(self, nodes: Iterable[Placed]) -> None:
        """Note which of them have a value from a link or from a subgraph's host."""
        for each in nodes if self._nodes else ():
            known = self._nodes.get(id(each.node))
            if known is not None and (each.host is not None or _has_linked_widget(each.node)):
                self._given.setdefault(known[0], set()).add(each.path)

    def overruled(self, selected: Iterable[tuple[str, str]]) -> Iterator[str]:
        """Yield the places of what a node declares while it gets others, wherever it is used.

        *selected* are the paths of nodes, and what each of them selects (empty: nobody can tell).
        """
        by_path: dict[str, set[str]] = {}
        for path, name in selected if self._given else ():
            by_path.setdefault(path, set()).add(_basename(name))
        for place, node in self._nodes.values() if self._given else ():
            chosen = set[str]().union(*(by_path.get(p, ()) for p in self._given.get(place, ())))
            if "" not in chosen:
                yield from (f"{place}/{at}" for at in _unnamed(node, chosen) if chosen)
        for place, node in self._open:
            if not any(by_path.get(path) for path in self._given.get(place, ())):
                yield from (f"{place}/{at}" for at in _unnamed(node))


def _names_all(node: Node) -> bool:
    """Return whether the values of a node name all that it declares, as they nearly always do."""
    values = node.widgets_values
    return type(values) is list and all(
        type(each) is dict and each.get("name") in values for each in records(node)
    )


def _unnamed(node: Node, chosen: set[str] | None = None) -> Iterator[int]:
    """Yield what is declared and not among *chosen*, or else the node's own values."""
    values = node.widgets_values
    own = values if chosen is None and isinstance(values, list) else ()
    for number, record in enumerate(records(node)):
        name = _name(record)
        if name is None or name in own:
            continue
        if chosen is None:
            chosen = set(_names(values, 0))
        if _basename(name) not in chosen:
            yield number


def _name(record: Any) -> str | None:
    name = record.get("name") if isinstance(record, dict) else None
    return name if isinstance(name, str) else None


def _has_linked_widget(node: Node) -> bool:
    return any(each.widget is not None and each.link is not None for each in node.inputs or ())


def _names(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield _basename(value)
    elif isinstance(value, list | dict) and depth < _DEEPEST:
        for inner in value if isinstance(value, list) else value.values():
            yield from _names(inner, depth + 1)


def _basename(name: str) -> str:
    return name.replace("\\", "/").rsplit("/", 1)[-1]
