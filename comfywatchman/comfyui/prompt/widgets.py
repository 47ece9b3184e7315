"""Which widgets a node has, in the order of the editor, and what stands in them.

The saved list has one value for each widget that is stored, in that order. What there is depends on
the values themselves: a dynamic combo shows other widgets for each choice.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from comfywatchman.comfyui.prompt.saved import Node, Socket, listed, mapping
from comfywatchman.comfyui.prompt.types import (
    NOT_SENT,
    NOT_STORED,
    Input,
    NodeType,
    inputs_of,
    read_input,
)

Json = Any

AFTERWARDS = "control_after_generate"
_SEEDS = frozenset({"seed", "noise_seed"})
_MOST_ROWS = 1000
_DEEPEST = 8
_ABSENT = object()


@dataclass(slots=True)
class Widget:
    name: str
    kind: str
    value: Json = None
    stored: bool = True
    """It has a value in the saved list."""
    sent: bool = True
    dynamic: bool = False
    """A text with ``{a|b}`` and comments, which the editor works out."""


@dataclass(slots=True)
class Given:
    """The saved values, taken one after the other."""

    values: Sequence[Json]
    named: dict[str, Json] = field(default_factory=dict)
    """By name, where the file has no order."""
    at: int = 0

    def take(self, widget: Widget, default: Json) -> Json:
        widget.value = default
        if widget.stored:
            if self.at < len(self.values):
                widget.value = self.values[self.at]
            self.at += 1
        if widget.name in self.named:
            widget.value = self.named[widget.name]
        return widget.value


def widgets_of(node: Node, kind: NodeType) -> list[Widget]:
    """Return the node's widgets with their values in force by themselves, links left aside."""
    if isinstance(node.values, dict):
        given = Given((), node.values)
    else:
        given = Given(_without_dummies(node, kind))
    found = [widget for each in kind.inputs for widget in _widgets(each, given, node, 0)]
    _patch(kind.name, found)
    return found + list(_of_scripts(node, kind, {widget.name for widget in found}))


def _of_scripts(node: Node, kind: NodeType, known: Container[str]) -> Iterator[Widget]:
    """Yield widgets that a pack's script makes, where the file names them or their form is known.

    VideoHelperSuite saves by name what a video format asks for; rgthree's Power Lora Loader has a
    row for each LoRA, ``lora_1`` and so on.
    """
    if isinstance(node.values, dict):
        for name, value in node.values.items():
            if isinstance(value, str | int | float) and name not in known and not _button(name):
                yield Widget(name, "?", value)
    elif kind.name.startswith("Power Lora Loader"):
        rows = (value for value in listed(node.values) if isinstance(value, dict))
        for number, row in enumerate((row for row in rows if "lora" in row), 1):
            told = {key: value for key, value in row.items() if value is not None}
            yield Widget(f"lora_{number}", "?", told)


def _button(name: str) -> bool:
    return name.endswith("upload") or name == AFTERWARDS


def unnamed_values(node: Node, kind: NodeType) -> bool:
    """Say whether the file has values that a script of the pack alone knows the names of."""
    if not kind.of_a_pack or not isinstance(node.values, list):
        return False
    found = widgets_of(node, kind)
    if any(widget.name.startswith("lora_") and widget.kind == "?" for widget in found):
        return False
    beyond = node.values[sum(widget.stored for widget in found) :]
    return any(value not in (None, "", {}, []) for value in beyond)


def _widgets(each: Input, given: Given, node: Node, depth: int) -> Iterator[Widget]:
    """Yield the widgets that an input stands for; most have one or none."""
    if depth > _DEEPEST:
        return
    if each.type == "COMFY_AUTOGROW_V3":
        for inner in grown(each, node.sockets):
            yield from _widgets(inner, given, node, depth + 1)
    elif each.type == "COMFY_DYNAMICCOMBO_V3":
        yield from _dynamic_combo(each, given, node, depth)
    elif each.type == "COMFY_DYNAMICGROUP_V3":
        yield from _dynamic_group(each, given, node, depth)
    elif each.is_widget or _shown_as_one(each, node):
        yield from _plain(each, given)


def _plain(each: Input, given: Given) -> Iterator[Widget]:
    dynamic = each.type == "STRING" and bool(each.options.get("dynamicPrompts"))
    widget = Widget(
        each.name,
        each.type,
        stored=each.type not in NOT_STORED,
        sent=each.type not in NOT_SENT,
        dynamic=dynamic,
    )
    given.take(widget, "image" if each.type == "IMAGEUPLOAD" else each.default)
    if each.type == "COMBO" and widget.value is None and each.choices:
        widget.value = each.choices[0]
    yield widget
    for name in _controls(each):
        control = Widget(name, "control", sent=False)
        given.take(control, None)
        yield control


def _controls(each: Input) -> Sequence[str]:
    """Return what the editor adds behind a widget: what becomes of its value after a run."""
    wanted = each.options.get(AFTERWARDS)
    if wanted is None:
        wanted = each.type == "INT" and each.name in _SEEDS
    if not wanted:
        return ()
    if each.type == "COMBO":
        return () if each.options.get("multi_select") else (AFTERWARDS, "control_filter_list")
    return (AFTERWARDS,) if each.type in {"INT", "FLOAT"} else ()


def _dynamic_combo(each: Input, given: Given, node: Node, depth: int) -> Iterator[Widget]:
    options = {
        option.get("key"): mapping(option.get("inputs"))
        for option in map(mapping, listed(each.options.get("options")))
        if isinstance(option.get("key"), str)
    }
    widget = Widget(each.name, "COMBO")
    value = given.take(widget, each.options.get("default") or next(iter(options), None))
    yield widget
    chosen = options.get(value) if isinstance(value, str) else None
    for inner in inputs_of(chosen or {}, f"{each.name}."):
        yield from _widgets(inner, given, node, depth + 1)


def _dynamic_group(each: Input, given: Given, node: Node, depth: int) -> Iterator[Widget]:
    least = each.options.get("min")
    controller = Widget(each.name, "rows", sent=False)
    count = given.take(controller, least if isinstance(least, int) else 0)
    yield controller
    template = mapping(each.options.get("template"))
    for row in range(min(count, _MOST_ROWS) if isinstance(count, int) else 0):
        for inner in inputs_of(template, f"{each.name}.{row}."):
            yield from _widgets(inner, given, node, depth + 1)


def grown(each: Input, sockets: Iterable[Socket]) -> Iterator[Input]:
    """Yield the inputs that an input has grown into: one row more than is in use."""
    template = mapping(each.options.get("template"))
    given = mapping(template.get("input"))
    least = template.get("min")
    least = least if isinstance(least, int) else 1
    names = [name for name in listed(template.get("names")) if isinstance(name, str)]
    most = template.get("max")
    most = len(names) or (most if isinstance(most, int) else 100)
    inner = list(inputs_of(given))
    prefix = template.get("prefix")
    linked = {socket.name for socket in sockets if socket.link is not None}
    for row in range(min(most, _MOST_ROWS)):
        here = [
            f"{each.name}.{_grown_name(row, one.name, names, prefix, single=len(inner) == 1)}"
            for one in inner
        ]
        if row > least and not linked.intersection(here):
            continue
        for one, name in zip(inner, here, strict=True):
            yield Input(name, one.type, one.options, one.choices, row >= least or one.optional)


def _grown_name(row: int, name: str, names: Sequence[str], prefix: Json, *, single: bool) -> str:
    if names:
        return names[row]
    return f"{prefix if single and isinstance(prefix, str) else name}{row}"


def _shown_as_one(each: Input, node: Node) -> bool:
    """Whether the file says that an input is a widget: packs make their own kinds of them."""
    return not each.options.get("forceInput") and any(
        socket.widget == each.name for socket in node.sockets
    )


def _without_dummies(node: Node, kind: NodeType) -> Sequence[Json]:
    """Return the saved list without what editors before 1.16 kept for inputs that take links only.

    Those had widgets once; a list that is as long as if they still had is cut.
    """
    values: list[Json] = listed(node.values)
    if any(_has_group(each) for each in kind.listed):
        return values
    shadow = [w for each in kind.inputs for w in _widgets(each, Given(values), node, 0)]
    names = {widget.name for widget in shadow}
    skipped = {widget.name for widget in shadow if not widget.stored}
    forced: list[bool] = []
    for each in kind.listed:
        if (each.name in names or each.options.get("forceInput")) and each.name not in skipped:
            force = bool(each.options.get("forceInput"))
            forced += [force, False] if each.options.get(AFTERWARDS) else [force]
    stored = sum(widget.stored for widget in shadow)
    if True not in forced and len(values) == stored:
        return values
    kept = [v for at, v in enumerate(values) if at >= len(shadow) or shadow[at].stored]
    if len(kept) == len(forced):
        return [value for value, force in zip(kept, forced, strict=True) if not force]
    if len(values) == len(forced):
        return [value for value, force in zip(values, forced, strict=True) if not force]
    return values


def _has_group(each: Input) -> bool:
    if each.type == "COMFY_DYNAMICGROUP_V3":
        return True
    return each.type == "COMFY_DYNAMICCOMBO_V3" and "COMFY_DYNAMICGROUP_V3" in repr(each.options)


def _patch(kind: str, widgets: Iterable[Widget]) -> None:
    """Change values as the editor does to files of its first months."""
    if kind in {"KSampler", "KSamplerAdvanced"}:
        for widget in widgets:
            if widget.name == "sampler_name" and isinstance(widget.value, str):
                widget.value = widget.value.removeprefix("sample_")


def guessed_widgets(node: Node) -> list[Widget] | None:
    """Return the widgets of a node whose type nobody knows; ``None`` where its file tells none.

    Newer editors save the names along with the values; else the sockets that stand for widgets
    tell them where there is one for each value.
    """
    values = node.values
    if isinstance(values, dict):
        return [Widget(name, "?", value) for name, value in values.items()]
    stored = listed(values)
    if not stored:
        return []
    names = _names_of(node, len(stored))
    if names is None:
        return None
    return [
        Widget(name, "?", value, sent=name != AFTERWARDS)
        for name, value in zip(names, stored, strict=True)
    ]


def _names_of(node: Node, count: int) -> list[str] | None:
    if len(node.named) == count:
        return list(node.named)
    sockets = [socket.widget for socket in node.sockets if socket.widget is not None]
    if len(sockets) == count:
        return sockets
    seeded = [
        name for each in sockets for name in ((each, AFTERWARDS) if each in _SEEDS else (each,))
    ]
    return seeded if len(seeded) == count else None


def socket_inputs(node: Node, kind: NodeType | None) -> list[Socket]:
    """Return the node's inputs in the order of the editor: those of its type, then further ones.

    Where a node is bypassed it depends on that order what it hands on.
    """
    if kind is None:
        return node.sockets
    widgets = {widget.name for widget in widgets_of(node, kind)}
    known = [inner for each in kind.inputs for inner in _unfolded(each, node)]
    ordered = [each for each in known if each.name not in widgets]
    ordered += [each for each in known if each.name in widgets]
    saved = {socket.name: socket for socket in node.sockets}
    found = []
    for each in ordered:
        there = saved.get(each.name)
        link = None if there is None else there.link
        widget = each.name if each.name in widgets else None
        found.append(Socket(each.name, each.type, link, widget))
    names = {each.name for each in ordered}
    return found + [socket for socket in node.sockets if socket.name not in names]


def _unfolded(each: Input, node: Node) -> Iterator[Input]:
    if each.type == "COMFY_AUTOGROW_V3":
        yield from grown(each, node.sockets)
    elif each.type == "COMFY_MATCHTYPE_V3":
        allowed = mapping(each.options.get("template")).get("allowed_types")
        kind = allowed if isinstance(allowed, str) else "*"
        yield Input(each.name, kind, each.options, (), each.optional)
    else:
        yield each


__all__ = [
    "AFTERWARDS",
    "Given",
    "Widget",
    "grown",
    "guessed_widgets",
    "read_input",
    "socket_inputs",
    "widgets_of",
]
