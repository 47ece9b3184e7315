"""What an assignment does."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from comfywatchman.comfyui.source.calculating import members
from comfywatchman.comfyui.source.values import UNKNOWN, Items, Machine, Scope, Table, Value


def bind(machine: Machine, target: ast.expr, value: Value, scope: Scope) -> None:
    """Do what an assignment does."""
    match target:
        case ast.Name(id=name):
            scope.elsewhere.get(name, scope).names[name] = value
        case ast.Starred(value=inner):
            bind(machine, inner, value, scope)
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            _unpack(machine, parts, value, scope)
        case ast.Attribute(value=holder, attr=name):
            _set_attribute(machine.evaluate(holder, scope), name, value)
        case ast.Subscript(value=holder, slice=key):
            table = machine.evaluate(holder, scope)
            if isinstance(table, Table):
                table.put(machine.evaluate(key, scope), value)
        case _:
            return


def _unpack(machine: Machine, parts: Sequence[ast.expr], value: Value, scope: Scope) -> None:
    found = members(value)
    starred = next((at for at, part in enumerate(parts) if isinstance(part, ast.Starred)), None)
    for number, part in enumerate(parts):
        each: Value = UNKNOWN
        if starred is None or number < starred:
            each = found.values[number] if number < len(found.values) else UNKNOWN
        elif number == starred:
            end = len(found.values) - (len(parts) - starred - 1)
            each = Items(found.values[starred:end], found.open)
        elif not found.open and len(parts) - number <= len(found.values):
            each = found.values[number - len(parts)]
        bind(machine, part, each, scope)


def _set_attribute(holder: Value, name: str, value: Value) -> None:
    attributes = getattr(holder, "attributes", None)
    names = getattr(holder, "names", None)
    for known in (attributes, names):
        if isinstance(known, dict):
            known[name] = value
