"""What can be made of values that are known: by operators, and by going through them."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from comfywatchman.comfyui.source.values import (
    MOST_ITEMS,
    UNKNOWN,
    Items,
    Klass,
    Outside,
    Place,
    Routine,
    Table,
    Value,
    is_plain,
    key_of,
)

LONGEST_TEXT = 20_000
"""Characters."""


def members(value: Value) -> Items:
    """Return what a loop over *value* goes through."""
    match value:
        case Items():
            return value
        case Table(entries=entries, open=more):
            return Items(list(entries), more)
        case str():
            return Items(list(value[:MOST_ITEMS]))
        case Klass(attributes=attributes) if is_enumeration(value):
            return Items([each for name, each in attributes.items() if name[0] != "_"])
        case _:
            return Items([], open=True)


def is_enumeration(value: Klass) -> bool:
    return any(
        (isinstance(base, Outside) and base.name.endswith(("Enum", "Flag")))
        or (isinstance(base, Klass) and is_enumeration(base))
        for base in value.bases
    )


def combined(operation: ast.operator, left: Value, right: Value) -> Value:
    """Return what an operator makes of two values."""
    if isinstance(left, Table) and isinstance(right, Table):
        return _united(left, right) if isinstance(operation, ast.BitOr) else UNKNOWN
    if isinstance(left, Items) and isinstance(right, Items):
        return _joined(operation, left, right)
    if (
        isinstance(operation, ast.Div)
        and isinstance(left, Place)
        and isinstance(right, str | Place)
    ):
        return Place(joined(left.path, right if isinstance(right, str) else right.path))
    if isinstance(operation, ast.Mod) and isinstance(left, str):
        return _formatted(left, right)
    return _calculated(operation, left, right)


def _united(left: Table, right: Table) -> Table:
    made = Table(dict(left.entries), left.open, left.lost)
    made.take_in(right)
    return made


def _joined(operation: ast.operator, left: Items, right: Items) -> Items:
    if not isinstance(operation, ast.Add | ast.BitOr):
        return Items(left.values, open=True)
    values = [*left.values, *right.values]
    return Items(values[:MOST_ITEMS], left.open or right.open or len(values) > MOST_ITEMS)


def joined(first: str, second: str) -> str:
    return second if second.startswith("/") else f"{first.rstrip('/')}/{second}"


def asks_for_much(pattern: str) -> bool:
    """Say whether a format asks for a width that no name has, or one that is given elsewhere."""
    return _WIDE.search(pattern) is not None


_WIDE = re.compile(r"\d{4}|%[^a-zA-Z%]*\*|\{[^{}]*\{")


def _formatted(text: str, value: Value) -> Value:
    values = value.values if isinstance(value, Items) else [value]
    if asks_for_much(text) or not all(is_plain(each) for each in values):
        return UNKNOWN
    try:
        return (text % tuple(values))[:LONGEST_TEXT]
    except (TypeError, ValueError, OverflowError, MemoryError):
        return UNKNOWN


_NUMBERS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Div: operator.truediv,
}


def _calculated(operation: ast.operator, left: Value, right: Value) -> Value:
    if isinstance(left, str) and isinstance(right, str) and isinstance(operation, ast.Add):
        return (left + right)[:LONGEST_TEXT]
    numbers = isinstance(left, int | float) and isinstance(right, int | float)
    rule = _NUMBERS.get(type(operation))
    if not numbers or rule is None:
        return UNKNOWN
    try:
        return rule(left, right)
    except (ZeroDivisionError, OverflowError):
        return UNKNOWN


_COMPARING: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
}


def compared(operation: ast.cmpop, left: Value, right: Value) -> Value:
    if isinstance(operation, ast.In | ast.NotIn):
        held = _is_in(left, right)
        return held if held is UNKNOWN else held is isinstance(operation, ast.In)
    known = (is_plain(left) or _is_own(left)) and (is_plain(right) or _is_own(right))
    if not known:
        return UNKNOWN
    try:
        return bool(_COMPARING[type(operation)](left, right))
    except TypeError:
        return UNKNOWN


def _is_own(value: Value) -> bool:
    return isinstance(value, Klass | Routine | Place)


def _is_in(value: Value, holder: Value) -> Value:
    if isinstance(holder, str):
        return value in holder if isinstance(value, str) else UNKNOWN
    if isinstance(holder, Table):
        known = key_of(value)
        if known is not UNKNOWN and known in holder.entries:
            return True
        return UNKNOWN if known is UNKNOWN or holder.open else False
    if isinstance(holder, Items):
        if any(compared(ast.Eq(), value, each) is True for each in holder.values):
            return True
        unsure = holder.open or not (is_plain(value) or _is_own(value))
        unsure = unsure or not all(is_plain(each) or _is_own(each) for each in holder.values)
        return UNKNOWN if unsure else False
    return UNKNOWN
