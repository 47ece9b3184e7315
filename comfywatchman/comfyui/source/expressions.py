"""What an expression stands for."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from comfywatchman.comfyui.source.binding import bind
from comfywatchman.comfyui.source.builtin import BUILTIN
from comfywatchman.comfyui.source.calculating import (
    LONGEST_TEXT,
    asks_for_much,
    combined,
    compared,
    is_enumeration,
    members,
)
from comfywatchman.comfyui.source.values import (
    UNKNOWN,
    Imported,
    Items,
    Klass,
    Machine,
    Made,
    Outside,
    Place,
    Routine,
    Scope,
    Table,
    Value,
    is_plain,
    key_of,
    merged,
    named_table,
    truth,
)


def evaluate(machine: Machine, node: ast.expr, scope: Scope) -> Value:
    """Return what *node* stands for; what nobody wrote a rule for is unknown."""
    machine.step()
    rule = _RULES.get(type(node))
    return UNKNOWN if rule is None else rule(machine, node, scope)


def look_up(machine: Machine, name: str, scope: Scope) -> Value:
    """Return what a name stands for."""
    here: Scope | None = scope.elsewhere.get(name, scope)
    while here is not None:
        if name in here.names:
            found = here.names[name]
            if isinstance(found, Imported):
                found = here.names[name] = machine.settled(found)
            return found
        here = here.outer
    return BUILTIN.get(name, UNKNOWN)


def _constant(_machine: Machine, node: ast.Constant, _scope: Scope) -> Value:
    return node.value if is_plain(node.value) else UNKNOWN


def _name(machine: Machine, node: ast.Name, scope: Scope) -> Value:
    return look_up(machine, node.id, scope)


def _attribute(machine: Machine, node: ast.Attribute, scope: Scope) -> Value:
    return machine.attribute(machine.evaluate(node.value, scope), node.attr)


# -- lists and dictionaries


def _items(machine: Machine, node: ast.List | ast.Tuple | ast.Set, scope: Scope) -> Value:
    made = Items([])
    for element in node.elts:
        if isinstance(element, ast.Starred):
            inner = members(machine.evaluate(element.value, scope))
            made.values.extend(inner.values)
            made.open = made.open or inner.open
        else:
            made.values.append(machine.evaluate(element, scope))
    return made


def _dictionary(machine: Machine, node: ast.Dict, scope: Scope) -> Value:
    made = Table()
    for key, value in zip(node.keys, node.values, strict=True):
        worth = machine.evaluate(value, scope)
        if key is None:
            made.take_in(worth)
        else:
            made.put(machine.evaluate(key, scope), worth)
    return made


def _comprehension(
    machine: Machine, node: ast.ListComp | ast.SetComp | ast.GeneratorExp, scope: Scope
) -> Value:
    made = Items([])

    def take(inner: Scope) -> None:
        made.values.append(machine.evaluate(node.elt, inner))

    made.open = _each(machine, node.generators, scope, take)
    return made


def _table_comprehension(machine: Machine, node: ast.DictComp, scope: Scope) -> Value:
    made = Table()

    def take(inner: Scope) -> None:
        made.put(machine.evaluate(node.key, inner), machine.evaluate(node.value, inner))

    if _each(machine, node.generators, scope, take):
        made.open = made.lost = True
    return made


def _each(
    machine: Machine,
    generators: Sequence[ast.comprehension],
    scope: Scope,
    take: Callable[[Scope], None],
) -> bool:
    """Call *take* for each round of a comprehension; return whether there may be more rounds."""
    inner = Scope(scope.module, {}, scope)
    return _rounds(machine, generators, inner, take)


def _rounds(
    machine: Machine,
    generators: Sequence[ast.comprehension],
    scope: Scope,
    take: Callable[[Scope], None],
) -> bool:
    if not generators:
        take(scope)
        return False
    first, *rest = generators
    found = members(machine.evaluate(first.iter, scope))
    more = found.open
    for value in list(found.values):
        machine.step()
        bind(machine, first.target, value, scope)
        held = [truth(machine.evaluate(condition, scope)) for condition in first.ifs]
        if False not in held:
            more = _rounds(machine, rest, scope, take) or more
    return more


def _subscript(machine: Machine, node: ast.Subscript, scope: Scope) -> Value:
    holder = machine.evaluate(node.value, scope)
    if isinstance(node.slice, ast.Slice):
        return _sliced(machine, holder, node.slice, scope)
    key = machine.evaluate(node.slice, scope)
    if isinstance(holder, Made) and _is_modules(holder.maker) and isinstance(key, str):
        return machine.import_(key, scope.module)
    return at(holder, key)


def _is_modules(maker: Value) -> bool:
    return isinstance(maker, Outside) and maker.name == "sys.modules"


def at(holder: Value, key: Value) -> Value:
    """Return what lies under *key*."""
    if isinstance(holder, Table):
        known = key_of(key)
        return UNKNOWN if known is UNKNOWN else holder.entries.get(known, UNKNOWN)
    if isinstance(key, int) and isinstance(holder, Items | str):
        values = holder.values if isinstance(holder, Items) else holder
        if -len(values) <= key < len(values) and not (key < 0 and getattr(holder, "open", False)):
            return values[key]
    if isinstance(holder, Klass) and isinstance(key, str) and is_enumeration(holder):
        return holder.attributes.get(key, UNKNOWN)
    return UNKNOWN


def _sliced(machine: Machine, holder: Value, cut: ast.Slice, scope: Scope) -> Value:
    ends: list[int | None] = []
    for end in (cut.lower, cut.upper, cut.step):
        value = None if end is None else machine.evaluate(end, scope)
        if value is not None and not isinstance(value, int):
            return UNKNOWN
        ends.append(value)
    if ends[2] == 0:
        return UNKNOWN
    wanted = slice(*ends)
    if isinstance(holder, str):
        return holder[wanted]
    if isinstance(holder, Items):
        return Items(holder.values[wanted], holder.open)
    return UNKNOWN


# -- calling and calculating


def _call(machine: Machine, node: ast.Call, scope: Scope) -> Value:
    callee = machine.evaluate(node.func, scope)
    arguments: list[Value] = []
    for argument in node.args:
        if isinstance(argument, ast.Starred):
            arguments.extend(members(machine.evaluate(argument.value, scope)).values)
        else:
            arguments.append(machine.evaluate(argument, scope))
    keywords: dict[str, Value] = {}
    for keyword in node.keywords:
        value = machine.evaluate(keyword.value, scope)
        if keyword.arg is not None:
            keywords[keyword.arg] = value
        elif isinstance(value, Table):
            keywords.update({k: v for k, v in value.entries.items() if isinstance(k, str)})
    if isinstance(callee, Outside) and callee.name in _OF_THE_SCOPE:
        return _OF_THE_SCOPE[callee.name](scope)
    return machine.call(callee, arguments, keywords)


def _globals(scope: Scope) -> Value:
    return named_table(scope.module.names)


def _locals(scope: Scope) -> Value:
    return named_table(scope.names)


_OF_THE_SCOPE: Mapping[str, Callable[[Scope], Value]] = {
    "builtins.globals": _globals,
    "builtins.locals": _locals,
}
"""Their table is the scope itself: what is put in is a name from then on."""


def _binary(machine: Machine, node: ast.BinOp, scope: Scope) -> Value:
    left = machine.evaluate(node.left, scope)
    return combined(node.op, left, machine.evaluate(node.right, scope))


def _either(machine: Machine, node: ast.BoolOp, scope: Scope) -> Value:
    """Return what ``and`` and ``or`` give; a value that decides ends the search."""
    decides = isinstance(node.op, ast.Or)
    maybe: list[Value] = []
    value: Value = UNKNOWN
    for operand in node.values:
        value = machine.evaluate(operand, scope)
        known = truth(value)
        if known is decides and not decides:
            return value  # whatever came before, the whole is false
        if known is decides:
            break
        if known is None:
            maybe.append(value)
    for other in maybe:
        value = merged(value, other)
    return value


def _unary(machine: Machine, node: ast.UnaryOp, scope: Scope) -> Value:
    value = machine.evaluate(node.operand, scope)
    if isinstance(node.op, ast.Not):
        known = truth(value)
        return UNKNOWN if known is None else not known
    if isinstance(node.op, ast.USub) and isinstance(value, int | float):
        return -value
    return UNKNOWN


def _comparison(machine: Machine, node: ast.Compare, scope: Scope) -> Value:
    left = machine.evaluate(node.left, scope)
    results: list[Value] = []
    for operation, right in zip(node.ops, node.comparators, strict=True):
        other = machine.evaluate(right, scope)
        results.append(compared(operation, left, other))
        left = other
    if any(result is False for result in results):
        return False
    return True if all(result is True for result in results) else UNKNOWN


def _conditional(machine: Machine, node: ast.IfExp, scope: Scope) -> Value:
    known = truth(machine.evaluate(node.test, scope))
    if known is not None:
        return machine.evaluate(node.body if known else node.orelse, scope)
    first = machine.evaluate(node.body, scope)
    return merged(first, machine.evaluate(node.orelse, scope))


def _text(machine: Machine, node: ast.JoinedStr, scope: Scope) -> Value:
    parts: list[str] = []
    for part in node.values:
        value = machine.evaluate(part, scope)
        if not isinstance(value, str):
            return UNKNOWN
        parts.append(value)
    return "".join(parts)[:LONGEST_TEXT]


def _part_of_text(machine: Machine, node: ast.FormattedValue, scope: Scope) -> Value:
    value = machine.evaluate(node.value, scope)
    if isinstance(value, Place):
        value = value.path
    if not is_plain(value):
        return UNKNOWN
    spec = machine.evaluate(node.format_spec, scope) if node.format_spec is not None else ""
    text = repr(value) if node.conversion == ord("r") else value
    try:
        return format(text, spec if isinstance(spec, str) and not asks_for_much(spec) else "")
    except (TypeError, ValueError):
        return UNKNOWN


def _function(_machine: Machine, node: ast.Lambda, scope: Scope) -> Value:
    return Routine(node, scope, {})


def _named(machine: Machine, node: ast.NamedExpr, scope: Scope) -> Value:
    value = machine.evaluate(node.value, scope)
    bind(machine, node.target, value, scope)
    return value


def _awaited(machine: Machine, node: ast.Await, scope: Scope) -> Value:
    return machine.evaluate(node.value, scope)


def _yielding(machine: Machine, node: ast.Yield, scope: Scope) -> Value:
    if node.value is not None:
        scope.yielded.append(machine.evaluate(node.value, scope))
    return UNKNOWN


def _yielding_from(machine: Machine, node: ast.YieldFrom, scope: Scope) -> Value:
    scope.yielded.extend(_values(members(machine.evaluate(node.value, scope))))
    return UNKNOWN


def _values(items: Items) -> Iterable[Value]:
    return [*items.values, UNKNOWN] if items.open else items.values


_RULES: Mapping[type[ast.expr], Callable[[Machine, Any, Scope], Value]] = {
    ast.Attribute: _attribute,
    ast.Await: _awaited,
    ast.BinOp: _binary,
    ast.BoolOp: _either,
    ast.Call: _call,
    ast.Compare: _comparison,
    ast.Constant: _constant,
    ast.Dict: _dictionary,
    ast.DictComp: _table_comprehension,
    ast.FormattedValue: _part_of_text,
    ast.GeneratorExp: _comprehension,
    ast.IfExp: _conditional,
    ast.JoinedStr: _text,
    ast.Lambda: _function,
    ast.List: _items,
    ast.ListComp: _comprehension,
    ast.Name: _name,
    ast.NamedExpr: _named,
    ast.Set: _items,
    ast.SetComp: _comprehension,
    ast.Subscript: _subscript,
    ast.Tuple: _items,
    ast.UnaryOp: _unary,
    ast.Yield: _yielding,
    ast.YieldFrom: _yielding_from,
}
