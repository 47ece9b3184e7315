"""Nodes that hold one value, or pass on one of several: what arrives from them can be told.

Sources: comfy_extras/nodes_logic.py and nodes_primitive.py of ComfyUI, and the switches of the
Impact Pack and of rgthree-comfy.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from typing import Any

HOLDERS = frozenset({"PrimitiveNode", "PrimitiveString", "PrimitiveStringMultiline", "CustomCombo"})
"""Nodes whose first output is their first widget's value, whatever it is."""

_HOLDS = re.compile(r"Primitive|Const(?:ant)?(?![a-z])|Literal")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_NUMBER = frozenset({"int", "integer", "bool", "boolean", "float"})
_PLAIN = frozenset({"easy", "impact", "cr", "jw", "simple", "value", "input", "node", "toggle"})
"""What stands beside the kind in the names of nodes that hold one: ImpactInt, easy boolean."""

_COMPUTES = re.compile(
    r"(?i)random|not(?![a-z])|to(?![a-z])|math|compare|eval|invert|count|range|list|seed"
)


@lru_cache(maxsize=4096)
def _holds_a_number(node_type: str) -> bool:
    """Return whether a node's name says that it holds a number or a switch, and does no more.

    ``INT Multiply`` and ``Invert Boolean`` name the kind as well: any other word is a doubt.
    """
    if _COMPUTES.search(node_type) is not None:
        return False
    if _HOLDS.search(node_type) is not None:
        return True
    words = {word.lower() for word in _WORD.findall(node_type)}
    return not words.isdisjoint(_NUMBER) and words <= _NUMBER | _PLAIN


_CHANGES = frozenset({"increment", "increment-wrap", "decrement", "randomize"})
_AFTERWARDS = _CHANGES | {"fixed"}
"""What becomes of a value next; the editor's own widget beside it."""


def changes(values: Iterable[Any]) -> bool:
    """Return whether the editor gives a node's value another one for each run."""
    return any(isinstance(value, str) and value in _CHANGES for value in values)


def constant(node_type: str, values: Collection[Any]) -> int | float | None:
    """Return the number or switch that a node holds which has nothing else; else ``None``."""
    if not _holds_a_number(node_type) or changes(values):
        return None
    found = [value for value in values if not isinstance(value, str) or value not in _AFTERWARDS]
    only = found[0] if len(found) == 1 else None
    return only if isinstance(only, int | float) else None


_SELECTING: Mapping[str, str] = {
    "ImpactSwitch": "select",
    "ComfySwitchNode": "switch",
    "ComfySoftSwitchNode": "switch",
}
_FIRST = frozenset({"Any Switch (rgthree)"})


def selecting_widget(node_type: str) -> str | None:
    """Return the first widget of a node, where that selects the input that is passed on."""
    return _SELECTING.get(node_type)


def selected_input(node_type: str, choice: Any) -> str | None:
    """Return the name of the input that *choice*, the value of that widget, selects."""
    if node_type == "ImpactSwitch":
        return f"input{choice}" if type(choice) is int else None
    return {True: "on_true", False: "on_false"}.get(choice) if type(choice) is bool else None


def takes_the_first(node_type: str) -> bool:
    """Return whether a node passes on the first of its inputs that has something."""
    return node_type in _FIRST
