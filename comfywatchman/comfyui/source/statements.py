"""What a block of statements does to the names around it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from comfywatchman.comfyui.source.binding import bind
from comfywatchman.comfyui.source.calculating import combined, members
from comfywatchman.comfyui.source.values import (
    UNKNOWN,
    Flow,
    Imported,
    Items,
    Klass,
    Machine,
    Module,
    Outside,
    Routine,
    Scope,
    Table,
    Unknown,
    Value,
    merged,
    truth,
)

MOST_ROUNDS = 5_000
"""Of one loop."""

_MISSING = object()


def execute(machine: Machine, body: Sequence[ast.stmt], scope: Scope) -> Flow | None:
    """Do what *body* does; return how it ended where that is not at its end."""
    for statement in body:
        machine.step()
        rule = _RULES.get(type(statement))
        flow = None if rule is None else rule(machine, statement, scope)
        if flow is not None:
            return flow
    return None


# -- assignments


def _assign(machine: Machine, node: ast.Assign, scope: Scope) -> None:
    value = machine.evaluate(node.value, scope)
    for target in node.targets:
        bind(machine, target, value, scope)


def _annotated(machine: Machine, node: ast.AnnAssign, scope: Scope) -> None:
    if node.value is not None:
        bind(machine, node.target, machine.evaluate(node.value, scope), scope)


def _augmented(machine: Machine, node: ast.AugAssign, scope: Scope) -> None:
    before = machine.evaluate(node.target, scope)
    more = machine.evaluate(node.value, scope)
    if isinstance(before, Table) and isinstance(node.op, ast.BitOr):
        before.take_in(more)
    elif isinstance(before, Items) and isinstance(node.op, ast.Add):
        before.grow(members(more))
    else:
        bind(machine, node.target, combined(node.op, before, more), scope)


def _expression(machine: Machine, node: ast.Expr, scope: Scope) -> None:
    machine.evaluate(node.value, scope)


def _global(_machine: Machine, node: ast.Global, scope: Scope) -> None:
    outermost = scope
    while outermost.outer is not None:
        outermost = outermost.outer
    scope.elsewhere.update(dict.fromkeys(node.names, outermost))


def _nonlocal(_machine: Machine, node: ast.Nonlocal, scope: Scope) -> None:
    for name in node.names:
        here = scope.outer
        while here is not None and name not in here.names:
            here = here.outer
        if here is not None:
            scope.elsewhere[name] = here


# -- branches and loops


def _if(machine: Machine, node: ast.If, scope: Scope) -> Flow | None:
    known = truth(machine.evaluate(node.test, scope))
    if known is not None:
        return machine.execute(node.body if known else node.orelse, scope)
    return _both(machine, [node.body, node.orelse], scope)


def _match(machine: Machine, node: ast.Match, scope: Scope) -> Flow | None:
    machine.evaluate(node.subject, scope)
    return _both(machine, [*(case.body for case in node.cases), []], scope)


def _both(machine: Machine, ways: Sequence[Sequence[ast.stmt]], scope: Scope) -> Flow | None:
    """Go each way from the same start; what may be true afterwards is what any of them left."""
    names, before = scope.names, dict(scope.names)
    ends: list[dict[str, Value]] = []
    flows: list[Flow] = []
    for way in ways:
        scope.names = dict(before)
        flow = machine.execute(way, scope)
        if flow is None or flow.kind in {"break", "continue"}:
            ends.append(scope.names)  # it may leave the loop here, and it may not
        else:
            flows.append(flow)
    scope.names = names
    _put(names, _joined(ends or [before]))
    returned = [flow.value for flow in flows if flow.kind == "return"]
    if ends:
        scope.returned.extend(returned)
        return None
    if not returned:
        return flows[0]
    value = returned[0]
    for other in returned[1:]:
        value = merged(value, other)
    return Flow("return", value)


def _put(names: dict[str, Value], found: Mapping[str, Value]) -> None:
    names.clear()
    names.update(found)


def _joined(ends: Sequence[Mapping[str, Value]]) -> dict[str, Value]:
    found = dict(ends[0])
    for end in ends[1:]:
        for name, value in end.items():
            known = found.get(name, _MISSING)
            found[name] = value if known is _MISSING else merged(known, value)
    return found


def _for(machine: Machine, node: ast.For | ast.AsyncFor, scope: Scope) -> Flow | None:
    found = members(machine.evaluate(node.iter, scope))
    for value in list(found.values[:MOST_ROUNDS]):
        machine.step()
        bind(machine, node.target, value, scope)
        flow = machine.execute(node.body, scope)
        if flow is not None and flow.kind == "break":
            return None
        if flow is not None and flow.kind in {"return", "raise"}:
            return flow
    if found.open or len(found.values) > MOST_ROUNDS:  # a round that may come
        bind(machine, node.target, UNKNOWN, scope)
        _both(machine, [node.body, []], scope)
    return machine.execute(node.orelse, scope)


def _while(machine: Machine, node: ast.While, scope: Scope) -> Flow | None:
    if truth(machine.evaluate(node.test, scope)) is not False:
        _both(machine, [node.body, []], scope)
    return None


def _with(machine: Machine, node: ast.With | ast.AsyncWith, scope: Scope) -> Flow | None:
    for item in node.items:
        value = machine.evaluate(item.context_expr, scope)
        if item.optional_vars is not None:
            bind(machine, item.optional_vars, value, scope)
    return machine.execute(node.body, scope)


def _try(machine: Machine, node: ast.Try, scope: Scope) -> Flow | None:
    """Take it that nothing is raised, unless a module that is to be imported is not there."""
    flow = machine.execute(node.body, scope)
    lacking = _lacking(machine, node.body, scope)
    if lacking:
        _fill_in(machine, node, scope, lacking)
    if flow is None:
        flow = machine.execute(node.orelse, scope)
    elif flow.kind == "raise":
        scope.module.vague = True
        machine.doubt("it raises while it is imported")
        flow = None
        for handler in node.handlers:
            flow = machine.execute(handler.body, scope)
    return machine.execute(node.finalbody, scope) or flow


def _lacking(machine: Machine, body: Sequence[ast.stmt], scope: Scope) -> set[str]:
    """Name what the imports of *body* should have brought and did not."""
    names = {
        (alias.asname or alias.name).partition(".")[0]
        for statement in body
        if isinstance(statement, ast.Import | ast.ImportFrom)
        for alias in statement.names
    }
    found = {name: machine.settled(scope.names.get(name, UNKNOWN)) for name in names}
    return {name for name, value in found.items() if name != "*" and isinstance(value, Unknown)}


def _fill_in(machine: Machine, node: ast.Try, scope: Scope, lacking: set[str]) -> None:
    """Take from the handlers what the block itself did not bring."""
    before = dict(scope.names)
    for handler in node.handlers:
        machine.execute(handler.body, scope)
    after = dict(scope.names)
    _put(scope.names, before)
    for name, value in after.items():
        if name in lacking or name not in before:
            scope.names[name] = value


def _return(machine: Machine, node: ast.Return, scope: Scope) -> Flow:
    value = None if node.value is None else machine.evaluate(node.value, scope)
    return Flow("return", value)


def _raise(_machine: Machine, _node: ast.Raise, _scope: Scope) -> Flow:
    return Flow("raise")


def _break(_machine: Machine, _node: ast.Break, _scope: Scope) -> Flow:
    return Flow("break")


def _continue(_machine: Machine, _node: ast.Continue, _scope: Scope) -> Flow:
    return Flow("continue")


# -- definitions


def _define(machine: Machine, node: ast.FunctionDef | ast.AsyncFunctionDef, scope: Scope) -> None:
    decorators = [machine.evaluate(decorator, scope) for decorator in node.decorator_list]
    seen = scope.outer if scope.of_class and scope.outer is not None else scope
    made: Value = Routine(node, seen, _defaults(machine, node, scope), _last_parts(node))
    for decorator in reversed(decorators):
        made = _decorated(machine, decorator, made)
    bind(machine, ast.Name(node.name), made, scope)


def _last_parts(node: ast.FunctionDef | ast.AsyncFunctionDef) -> frozenset[str]:
    named = (
        decorator.func if isinstance(decorator, ast.Call) else decorator
        for decorator in node.decorator_list
    )
    return frozenset(getattr(each, "attr", getattr(each, "id", "")) for each in named)


def _defaults(
    machine: Machine, node: ast.FunctionDef | ast.AsyncFunctionDef, scope: Scope
) -> dict[str, Value]:
    arguments = node.args
    placed = [*arguments.posonlyargs, *arguments.args]
    with_default = placed[len(placed) - len(arguments.defaults) :]
    given = [*zip(with_default, arguments.defaults, strict=True)]
    given += [
        (argument, default)
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        if default is not None
    ]
    return {argument.arg: machine.evaluate(default, scope) for argument, default in given}


def _decorated(machine: Machine, decorator: Value, made: Value) -> Value:
    """Return what a decorator makes; one from outside is taken to leave it as it is."""
    if not isinstance(decorator, Routine):
        return made
    result = machine.call(decorator, [made], {})
    return made if result is None or isinstance(result, Unknown) else result


def _class(machine: Machine, node: ast.ClassDef, scope: Scope) -> None:
    bases = tuple(machine.evaluate(base, scope) for base in node.bases)
    decorators = [machine.evaluate(decorator, scope) for decorator in node.decorator_list]
    inside = Scope(scope.module, {}, scope, of_class=True)
    fields = tuple(
        statement.target.id
        for statement in node.body
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)
    )
    machine.execute(node.body, inside)
    klass = Klass(node.name, bases, inside.names, scope.module.dotted, fields)
    for base in bases:
        hook = machine.attribute(base, "__init_subclass__") if isinstance(base, Klass) else None
        if isinstance(hook, Routine):
            machine.call(Routine(hook.node, hook.scope, hook.defaults, receivers=(klass,)), [], {})
    made: Value = klass
    for decorator in reversed(decorators):
        made = _decorated(machine, decorator, made)
    bind(machine, ast.Name(node.name), made, scope)


# -- what comes from other modules


def _import(machine: Machine, node: ast.Import, scope: Scope) -> None:
    for alias in node.names:
        if alias.asname is not None:
            bind(machine, ast.Name(alias.asname), _dotted(machine, alias.name, scope), scope)
        else:
            first = alias.name.partition(".")[0]
            _dotted(machine, alias.name, scope)
            bind(machine, ast.Name(first), machine.import_(first, scope.module), scope)


def _dotted(machine: Machine, dotted: str, scope: Scope) -> Value:
    return machine.import_(dotted, scope.module)


def _import_from(machine: Machine, node: ast.ImportFrom, scope: Scope) -> None:
    source = _source(machine, node, scope)
    for alias in node.names:
        if alias.name == "*":
            _everything(machine, source, scope)
        else:
            value = _taken(machine, source, alias.name)
            bind(machine, ast.Name(alias.asname or alias.name), value, scope)


def _source(machine: Machine, node: ast.ImportFrom, scope: Scope) -> Value:
    if not node.level:
        return machine.import_(node.module or "", scope.module)
    package = scope.module.package
    for _ in range(node.level - 1):
        package = package.rpartition(".")[0]
    dotted = f"{package}.{node.module}" if node.module else package
    return machine.import_(dotted, scope.module)


def _taken(machine: Machine, source: Value, name: str) -> Value:
    if isinstance(source, Outside):
        return machine.attribute(source, name)
    if not isinstance(source, Module):
        return source
    if name in source.names:
        return machine.settled(source.names[name])
    if source.is_package and machine.has_module(f"{source.dotted}.{name}"):
        return machine.import_(f"{source.dotted}.{name}", source)
    return Imported(source, name)


def _everything(machine: Machine, source: Value, scope: Scope) -> None:
    if not isinstance(source, Module):
        scope.module.vague = True
        return
    names = machine.read(source).names
    scope.module.vague = scope.module.vague or not source.whole
    chosen = names.get("__all__")
    wanted = chosen.values if isinstance(chosen, Items) and not chosen.open else None
    for name, value in list(names.items()):
        if name in wanted if wanted is not None else name[0] != "_":
            scope.names[name] = value


def _delete(_machine: Machine, _node: ast.Delete, _scope: Scope) -> None:
    """Keep what is deleted: it may be there again by another way."""


_RULES: Mapping[type[ast.stmt], Callable[[Machine, Any, Scope], Flow | None]] = {
    ast.AnnAssign: _annotated,
    ast.Assign: _assign,
    ast.AsyncFor: _for,
    ast.AsyncFunctionDef: _define,
    ast.AsyncWith: _with,
    ast.AugAssign: _augmented,
    ast.Break: _break,
    ast.ClassDef: _class,
    ast.Continue: _continue,
    ast.Delete: _delete,
    ast.Expr: _expression,
    ast.For: _for,
    ast.FunctionDef: _define,
    ast.Global: _global,
    ast.If: _if,
    ast.Import: _import,
    ast.ImportFrom: _import_from,
    ast.Match: _match,
    ast.Nonlocal: _nonlocal,
    ast.Raise: _raise,
    ast.Return: _return,
    ast.Try: _try,
    ast.TryStar: _try,
    ast.While: _while,
    ast.With: _with,
}
