"""From what the editor saves to what a server is sent."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from comfywatchman.comfyui.prompt.hosts import ABSENT, given_to_widget, shows
from comfywatchman.comfyui.prompt.opened import Held, Opened, Output, Place, open_workflow
from comfywatchman.comfyui.prompt.saved import Json, Node, listed, read_saved, text
from comfywatchman.comfyui.prompt.texts import SAVING, chosen, replaced
from comfywatchman.comfyui.prompt.types import NodeTypes
from comfywatchman.comfyui.prompt.widgets import Widget, guessed_widgets, unnamed_values, widgets_of
from comfywatchman.domain.errors import NotAWorkflow

Prompt = dict[str, dict[str, Json]]

_PACK_KEYS = ("cnr_id", "aux_id", "ver")


@dataclass(slots=True)
class Converted:
    """A prompt, and what could not be known about it."""

    prompt: Prompt
    unknown: dict[str, str] = field(default_factory=dict)
    """Node types that the server does not have, each with the path of the first such node."""
    unnamed: dict[str, str] = field(default_factory=dict)
    """Likewise those whose values nobody can name: their definition is needed for that."""
    left: dict[str, str] = field(default_factory=dict)
    """Likewise those with values that only a script of their pack could name: they are not sent."""
    dropped: list[str] = field(default_factory=list)
    """Paths of nodes of unknown types that are linked to nothing, such as notes of packs."""


def is_prompt(document: object) -> bool:
    """Say whether *document* is in the form that a server takes."""
    return (
        isinstance(document, dict)
        and bool(document)
        and all(
            isinstance(node, dict)
            and isinstance(node.get("class_type"), str)
            and isinstance(node.get("inputs"), dict)
            for node in document.values()
        )
    )


def to_prompt(
    document: Mapping[str, Json],
    types: NodeTypes,
    *,
    now: datetime,
    dice: random.Random | None = None,
) -> Converted:
    """Return the prompt that ComfyUI's editor makes of a saved workflow.

    *now* stands in file names that ask for a date; *dice* chooses among ``{a|b}`` in texts.

    Raises:
        NotAWorkflow: there is no graph in it.
        WorkflowTooLarge: it has more nodes or links than any real one.
    """
    if not isinstance(document.get("nodes"), list):
        raise NotAWorkflow(
            "This is no workflow of ComfyUI's editor: it has no list of nodes.",
            remedy="Save it from ComfyUI again.",
        )
    opened = open_workflow(read_saved(document), types)
    maker = _Maker(opened, types, now, dice or random.Random())
    return maker.make()


@dataclass(slots=True)
class _Maker:
    opened: Opened
    types: NodeTypes
    now: datetime
    dice: random.Random
    widgets: dict[str, list[Widget] | None] = field(default_factory=dict)

    def make(self) -> Converted:
        converted = Converted({})
        linked = self._linked()
        for place in self.opened.sent():
            if place.kind is None and self.types.complete:
                if place.id not in linked and not any(x.link for x in place.node.sockets):
                    converted.dropped.append(place.id)
                    continue
                converted.unknown.setdefault(place.node.type, place.id)
            if self._widgets(place) is None:
                converted.unnamed.setdefault(place.node.type, place.id)
            if place.kind is not None and unnamed_values(place.node, place.kind):
                converted.left.setdefault(place.node.type, place.id)
            converted.prompt[place.id] = self._node(place)
        _cut_loose_ends(converted.prompt)
        return converted

    def _linked(self) -> set[str]:
        """Return the paths of all nodes that a link begins at."""
        return {
            f"{place.prefix}{link.origin}"
            for place in self.opened.places.values()
            for socket in place.node.sockets
            if socket.link is not None and (link := place.level.links.get(socket.link)) is not None
        }

    def _widgets(self, place: Place) -> list[Widget] | None:
        if place.id not in self.widgets:
            kind = place.kind
            found = guessed_widgets(place.node) if kind is None else widgets_of(place.node, kind)
            self.widgets[place.id] = found
        return self.widgets[place.id]

    def _node(self, place: Place) -> dict[str, Json]:
        inputs: dict[str, Json] = {}
        for widget in self._widgets(place) or ():
            if widget.sent and widget.name:
                value = self._value(place, widget)
                if value is not None or place.kind is None or widget.stored:
                    inputs[widget.name] = _wrapped(value, widget.kind)
        for socket in self.opened.sockets(place):
            origin = self.opened.origin(place, socket)
            if isinstance(origin, Held):
                inputs[socket.name] = _wrapped(self._worked_out(place, socket.name, origin.value))
            elif isinstance(origin, Output):
                inputs[socket.name] = [origin.node, origin.slot]
        return {
            "inputs": inputs,
            "class_type": place.node.type if place.kind is None else place.kind.name,
            "_meta": _meta(place),
        }

    def _value(self, place: Place, widget: Widget) -> Json:
        value = _shown_outside(place, widget.name)
        return self._worked(place, widget, widget.value if value is ABSENT else value)

    def _worked_out(self, place: Place, name: str, value: Json) -> Json:
        for widget in self._widgets(place) or ():
            if widget.name == name:
                return self._worked(place, widget, value)
        return value

    def _worked(self, place: Place, widget: Widget, value: Json) -> Json:
        if not isinstance(value, str):
            return value
        if widget.dynamic:
            return chosen(value, self.dice)
        if widget.name == "filename_prefix" and place.node.type in SAVING and "%" in value:
            return replaced(value, self.now, self._value_of)
        return value

    def _value_of(self, name: str, widget: str) -> Json:
        """Return the value of a widget of the node that is called *name*, as file names ask it."""
        places = list(self.opened.places.values())
        named = [x for x in places if _searched_as(x.node) == name]
        place = next(iter(named or [x for x in places if _title(x) == name]), None)
        if place is None:
            return None
        for each in self._widgets(place) or ():
            if each.name == widget:
                held = self._held(place, widget)
                value = each.value if held is None else held.value
                return "" if value is None else value
        return None

    def _held(self, place: Place, widget: str) -> Held | None:
        for socket in self.opened.sockets(place):
            if socket.name == widget:
                origin = self.opened.origin(place, socket)
                return origin if isinstance(origin, Held) else None
        return None


def _shown_outside(place: Place, widget: str) -> Json:
    """Return what the outermost instance gives that shows this widget; `ABSENT` where none does."""
    found: Json = ABSENT
    inner, host = place.node.id, place.host
    while host is not None and shows(host.node, inner, widget):
        given = given_to_widget(host.node, inner, widget)
        found = found if given is ABSENT else given
        inner, host = host.node.id, host.host
    return found


def _wrapped(value: Json, kind: str = "") -> Json:
    """Return a value so that the server does not take a list for a link."""
    if kind == "CURVE" and value is not None:
        return {"__type__": "CURVE", "__value__": value}
    return {"__value__": value} if isinstance(value, list) else value


def _meta(place: Place) -> dict[str, Json]:
    properties = place.node.properties
    packs = {key: properties[key] for key in _PACK_KEYS if text(properties.get(key))}
    return {"title": _title(place), **packs}


def _title(place: Place) -> str:
    return place.node.title or (place.kind.title if place.kind is not None else place.node.type)


def _searched_as(node: Node) -> str:
    return text(node.properties.get("Node name for S&R"))


def _cut_loose_ends(prompt: Prompt) -> None:
    """Take out the links to nodes that are not sent."""
    for node in prompt.values():
        inputs = node["inputs"]
        for name in list(_loose(inputs, prompt)):
            del inputs[name]


def _loose(inputs: Mapping[str, Json], prompt: Prompt) -> Iterator[str]:
    for name, value in inputs.items():
        if len(listed(value)) == 2 and value[0] not in prompt:
            yield name
