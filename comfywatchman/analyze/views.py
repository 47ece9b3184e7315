"""A node as the extraction sees it, whether it comes from a saved graph or from an API prompt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from comfywatchman.analyze.answers import Answer, Found, Unknown
from comfywatchman.analyze.choosers import (
    constant,
    selected_input,
    selecting_widget,
    takes_the_first,
)
from comfywatchman.analyze.graph import Placed
from comfywatchman.analyze.hosts import shown
from comfywatchman.analyze.limits import Steps
from comfywatchman.analyze.loaders import Spot
from comfywatchman.analyze.shapes import Id, Node, PromptNode, Socket
from comfywatchman.analyze.text import is_suspect
from comfywatchman.analyze.upstream import prompt_texts_before, texts_before
from comfywatchman.analyze.values import (
    CHOSEN,
    as_chosen,
    follow,
    in_force,
    model_names,
)
from comfywatchman.analyze.widgets import widget_names

Key = int | str
"""A widget's position in the stored list, or its name."""

_NUMBERS = ("INT", "FLOAT", "BOOLEAN")
"""Kinds of sockets through which no name comes."""

_MOST_HOPS = 100


class View(Protocol):
    """What extraction asks a node."""

    @property
    def path(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def active(self) -> bool: ...

    @property
    def edited(self) -> bool:
        """Whether its texts are as in the editor, which takes comments out before it sends them."""

    @property
    def unnamed(self) -> Sequence[Any]:
        """The stored values, where nothing but their positions tells which widget's they are."""

    def locate(self, spot: Spot) -> Key | None:
        """Return where the widget's value is stored; ``None`` where this node has none."""

    def value(self, key: Key | None, name: str) -> Answer:
        """Return the value in force of the widget called *name*."""

    def texts_before(self, key: Key | None, name: str) -> Iterator[str]:
        """Yield texts with tags, out of which other nodes make the value of a linked widget."""

    def loose(self) -> Iterator[tuple[Key, str, Any]]:
        """Yield the stored values that may name a model: key, widget (empty if unknown), value.

        These are texts that look like it or that a link replaces, lists and objects.
        """

    def arriving(self) -> Iterator[tuple[str, Answer]]:
        """Yield the widgets with a link whose place among the stored values is not known."""


class SavedNode:
    """A node of a saved graph."""

    __slots__ = ("_fixed", "_held", "_names", "_placed")

    def __init__(self, placed: Placed, *, fixed: bool = False) -> None:
        """Keep the node; *fixed*: its widgets stand where the table says, whatever names are told.

        Editors of old append a socket when a widget is made one, so that all of them together need
        not be in the order of the values. ComfyUI's own nodes never changed theirs.
        """
        self._placed = placed
        self._fixed = fixed
        self._names: Sequence[str] | None = None
        self._held: set[str] | None = None

    @property
    def path(self) -> str:
        return self._placed.path

    @property
    def type(self) -> str:
        return self._placed.node.type

    @property
    def active(self) -> bool:
        return self._placed.active

    @property
    def edited(self) -> bool:
        return True

    @property
    def names(self) -> Sequence[str]:
        """The widgets' names in stored order; empty where the file does not tell them."""
        if self._names is None:
            self._names = widget_names(self._placed.node)
        return self._names

    @property
    def unnamed(self) -> Sequence[Any]:
        values = self._placed.node.widgets_values
        return values if isinstance(values, list) and not self.names else ()

    def locate(self, spot: Spot) -> Key | None:
        values = self._placed.node.widgets_values
        if isinstance(values, dict):
            return spot.name if spot.name in values else None
        there = isinstance(values, list) and spot.index is not None and spot.index < len(values)
        if spot.name in self.names and not (there and self._fixed):
            return self.names.index(spot.name)
        return spot.index if there else None

    def value(self, key: Key | None, name: str) -> Answer:
        values = self._placed.node.widgets_values
        stored = None if key is None else values[key]
        if name:
            return in_force(self._placed, name, stored)
        return self._only_shown(stored) or Found(stored, self._placed.how)

    def _only_shown(self, stored: Any) -> Found | None:
        """Return what the instance gives: it shows one widget, and *stored* is the only name."""
        placed = self._placed
        if placed.host is None or not isinstance(stored, str):
            return None
        if self._held is None:  # once: a node may have many values
            self._held = model_names(placed.node.widgets_values)
        if self._held != {stored}:
            return None
        given = as_chosen(shown(placed.graph, placed.host, placed.node))
        return Found(given.value, "subgraph-host") if isinstance(given, Found) else None

    def loose(self) -> Iterator[tuple[Key, str, Any]]:
        linked: Mapping[str, Id] | None = None
        for key, value in self._stored():
            kind = type(value)
            if kind is str:
                if linked is None:
                    linked = self._linked()
                if is_suspect(value) or (linked and self._name(key) in linked):
                    yield key, self._name(key), value
            elif kind is list or kind is dict:
                yield key, self._name(key), value

    def texts_before(self, key: Key | None, name: str) -> Iterator[str]:
        del key  # sockets have names
        return texts_before(self._placed, name)

    def arriving(self) -> Iterator[tuple[str, Answer]]:
        if not self.names:
            placed = self._placed
            for name, link in self._linked().items():
                yield name, follow(placed.graph, placed.host, link, _MOST_HOPS)

    def _stored(self) -> Iterable[tuple[Key, Any]]:
        values = self._placed.node.widgets_values
        if isinstance(values, list):
            return enumerate(values)
        return values.items() if isinstance(values, dict) else ()

    def _name(self, key: Key) -> str:
        if isinstance(key, str):
            return key
        return self.names[key] if self.names else ""

    def _linked(self) -> dict[str, Id]:
        return {
            socket.widget.name: socket.link
            for socket in self._placed.node.inputs or ()
            if socket.link is not None and socket.widget is not None and _may_give_name(socket)
        }


def _may_give_name(socket: Socket) -> bool:
    """Return whether what is linked to a socket may be the name of a file for a widget."""
    return socket.widget is not None and socket.kind not in _NUMBERS


def may_name(node: Node) -> bool:
    """Return whether `SavedNode.loose` or `SavedNode.arriving` may yield anything of a node."""
    if node.inputs:
        for socket in node.inputs:
            if socket.link is not None and _may_give_name(socket):
                return True
    values = node.widgets_values
    if not values:
        return False
    if isinstance(values, dict):
        values = values.values()
    elif not isinstance(values, list):
        return False
    for value in values:
        kind = type(value)
        if (kind is str and is_suspect(value)) or kind is list or kind is dict:
            return True
    return False


class QueuedNode:
    """A node of an API prompt; what is bypassed or muted was left out when it was written."""

    __slots__ = ("_node", "_prompt", "_steps", "path")

    def __init__(
        self, path: str, node: PromptNode, prompt: Mapping[str, PromptNode], steps: Steps
    ) -> None:
        """Keep the node; *steps* are what is left for following links in its whole prompt."""
        self.path = path
        self._node = node
        self._prompt = prompt
        self._steps = steps

    @property
    def type(self) -> str:
        return self._node.class_type

    @property
    def active(self) -> bool:
        return True

    @property
    def edited(self) -> bool:
        return False

    @property
    def unnamed(self) -> Sequence[Any]:
        return ()

    def locate(self, spot: Spot) -> Key | None:
        return spot.name if spot.name in self._node.inputs else None

    def value(self, key: Key | None, name: str) -> Answer:
        if not isinstance(key, str):
            return Found(None, "api-input")
        return self._followed(self._node.inputs[key], hops=_MOST_HOPS)

    def _followed(self, value: Any, hops: int) -> Answer:
        if not _is_link(value):
            return Found(value, "api-input")
        origin = self._prompt.get(str(value[0]))
        if hops <= 0 or origin is None:
            return Unknown.DYNAMIC
        self._steps.take(1 + len(origin.inputs) // 16)
        kind, inputs = origin.class_type, origin.inputs
        held = constant(kind, inputs.values())
        if held is not None:
            return Found(held, "api-input")
        passed = self._passed_on(kind, inputs, value[1], hops - 1)
        return self._chosen(inputs, hops) if passed is None else self._followed(passed, hops - 1)

    def _chosen(self, inputs: Mapping[str, Any], hops: int) -> Answer:
        names = model_names(inputs)
        linked = [given for given in inputs.values() if _is_link(given)]
        if len(names) == 1 and not linked:
            return Found(names.pop(), CHOSEN)
        if not names and len(linked) == 1:
            return as_chosen(self._followed(linked[0], hops - 1))
        return Unknown.DYNAMIC

    def _passed_on(self, kind: str, inputs: Mapping[str, Any], slot: int, hops: int) -> Any:
        """Return what a node holds or passes on, as it is written; ``None`` for most nodes."""
        if kind.startswith("PrimitiveString"):
            return inputs.get("value", "")
        if kind == "CustomCombo":
            return inputs.get("index" if slot else "choice", "")
        if takes_the_first(kind):
            return next(filter(_is_link, inputs.values()), None)
        widget = selecting_widget(kind)
        if widget is None:
            return None
        choice = self._followed(inputs.get(widget), hops)
        return inputs.get(selected_input(kind, getattr(choice, "value", None)) or "")

    def loose(self) -> Iterator[tuple[Key, str, Any]]:
        for name, value in self._node.inputs.items():
            if isinstance(value, str):
                if is_suspect(value):
                    yield name, name, value
            elif isinstance(value, list | dict) and not _is_link(value):
                yield name, name, value

    def texts_before(self, key: Key | None, name: str) -> Iterator[str]:
        del key  # the widget's name as well
        self._steps.take()
        return prompt_texts_before(self._prompt, self._node.inputs.get(name))

    def arriving(self) -> Iterator[tuple[str, Answer]]:
        return iter(())


def may_queue_name(node: PromptNode) -> bool:
    """Return whether `QueuedNode.loose` may yield anything of a node."""
    for value in node.inputs.values():
        kind = type(value)
        if kind is str:
            if is_suspect(value):
                return True
        elif kind is dict or (kind is list and not _is_link(value)):
            return True
    return False


def _is_link(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str | int)
        and isinstance(value[1], int)
        and not isinstance(value[1], bool)
    )
