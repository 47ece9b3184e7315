"""What calling something gives, and what an attribute of something is."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import replace

from comfywatchman.comfyui.source.calculating import is_enumeration
from comfywatchman.comfyui.source.methods import METHODS, call_method, property_of
from comfywatchman.comfyui.source.outside import call_outside, known_outside
from comfywatchman.comfyui.source.values import (
    ABSENT,
    UNKNOWN,
    Items,
    Klass,
    Machine,
    Made,
    Method,
    Module,
    Outside,
    Place,
    Routine,
    Scope,
    Table,
    Value,
    merged,
    named_table,
)

DEEPEST = 25
"""Calls in calls."""


class Calls:
    """Carries out calls; *depth* is how many are under way."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._depth = 0

    def call(
        self, callee: Value, arguments: Sequence[Value], keywords: Mapping[str, Value]
    ) -> Value:
        self._machine.step()
        if self._depth >= DEEPEST:
            return UNKNOWN
        self._depth += 1
        try:
            return self._called(callee, arguments, keywords)
        finally:
            self._depth -= 1

    def _called(
        self, callee: Value, arguments: Sequence[Value], keywords: Mapping[str, Value]
    ) -> Value:
        match callee:
            case Routine():
                return self._routine(callee, [*callee.receivers, *arguments], keywords)
            case Klass():
                return self._made(callee, arguments, keywords)
            case Outside():
                return call_outside(self._machine, callee.name, arguments, keywords)
            case Method():
                return call_method(self._machine, callee, arguments, keywords)
            case Made(maker=Klass()):
                own = self._machine.attribute(callee, "__call__")
                return self.call(own, arguments, keywords) if isinstance(own, Routine) else UNKNOWN
            case _:
                return UNKNOWN

    # -- functions

    def _routine(
        self, routine: Routine, arguments: Sequence[Value], keywords: Mapping[str, Value]
    ) -> Value:
        scope = Scope(routine.scope.module, {}, routine.scope)
        _bind_parameters(routine, scope, arguments, keywords)
        node = routine.node
        if isinstance(node, ast.Lambda):
            return self._machine.evaluate(node.body, scope)
        flow = self._machine.execute(node.body, scope)
        if scope.yielded:
            return Items(scope.yielded)
        value: Value = flow.value if flow is not None and flow.kind == "return" else None
        if flow is not None and flow.kind == "raise":
            value = scope.returned[0] if scope.returned else UNKNOWN
        for other in scope.returned:
            value = other if value is None else merged(value, other)
        return value

    # -- classes

    def _made(
        self, klass: Klass, arguments: Sequence[Value], keywords: Mapping[str, Value]
    ) -> Value:
        if is_enumeration(klass):
            return arguments[0] if arguments else UNKNOWN
        made = Made(klass, tuple(arguments), dict(keywords))
        start = attribute_of_class(klass, "__init__")
        if isinstance(start, Routine):
            self._routine(start, [made, *arguments], keywords)
        else:
            made.attributes.update(zip(_fields(klass), arguments, strict=False))
            made.attributes.update(keywords)
        return made


def _bind_parameters(
    routine: Routine, scope: Scope, arguments: Sequence[Value], keywords: Mapping[str, Value]
) -> None:
    wanted = routine.node.args
    placed = [argument.arg for argument in (*wanted.posonlyargs, *wanted.args)]
    names = [*placed, *(argument.arg for argument in wanted.kwonlyargs)]
    scope.names.update(dict.fromkeys(names, UNKNOWN))
    scope.names.update(routine.defaults)
    scope.names.update(zip(placed, arguments, strict=False))
    scope.names.update({name: value for name, value in keywords.items() if name in names})
    if wanted.vararg is not None:
        scope.names[wanted.vararg.arg] = Items(list(arguments[len(placed) :]))
    if wanted.kwarg is not None:
        rest = {name: value for name, value in keywords.items() if name not in names}
        scope.names[wanted.kwarg.arg] = named_table(rest)


def _fields(klass: Klass) -> list[str]:
    inherited = [name for base in klass.bases if isinstance(base, Klass) for name in _fields(base)]
    return [*inherited, *klass.fields]


# -- attributes


def attribute(machine: Machine, value: Value, name: str) -> Value:
    """Return what ``value.name`` is."""
    match value:
        case Module():
            return of_module(machine, value, name)
        case Klass():
            return _of_class(machine, value, name)
        case Made():
            return _of_made(machine, value, name)
        case Outside():
            return known_outside(machine, f"{value.name}.{name}")
        case Routine():
            return getattr(value.node, "name", UNKNOWN) if name == "__name__" else UNKNOWN
        case _:
            return _of_builtin(value, name)


def _of_builtin(value: Value, name: str) -> Value:
    if isinstance(value, str | Items | Table | Place):
        if name in METHODS[type(value)]:
            return Method(value, name)
        if isinstance(value, Place):
            return property_of(value, name)
    # A member of an enumeration stands for its value here.
    return value if name == "value" and isinstance(value, str | int | Items) else UNKNOWN


def of_module(machine: Machine, module: Module, name: str) -> Value:
    if not module.read and name not in module.names:
        machine.read(module)
    if name in module.names:
        return machine.settled(module.names[name])
    if name == "__dict__":
        return named_table(module.names)
    if name == "__name__":
        return module.dotted
    if module.is_package:
        found = machine.import_(f"{module.dotted}.{name}", module)
        if isinstance(found, Module):
            return found
    return ABSENT if module.whole else UNKNOWN


def attribute_of_class(klass: Klass, name: str, depth: int = 0) -> Value:
    """Return what a class or one of its bases has under *name*; `UNKNOWN` where nobody has it."""
    if name in klass.attributes:
        return klass.attributes[name]
    for base in klass.bases:
        if isinstance(base, Klass) and depth < DEEPEST:
            found = attribute_of_class(base, name, depth + 1)
            if found is not UNKNOWN:
                return found
    return UNKNOWN


def _of_class(machine: Machine, klass: Klass, name: str) -> Value:
    if name in {"__name__", "__qualname__"}:
        return klass.name
    if name == "__module__":
        return klass.module
    if name == "__dict__":
        return named_table(dict(klass.attributes))
    found = machine.settled(attribute_of_class(klass, name))
    if isinstance(found, Routine) and "classmethod" in found.decorators:
        return replace(found, receivers=(klass, *found.receivers))
    return found


def _of_made(machine: Machine, made: Made, name: str) -> Value:
    if name in made.attributes:
        return made.attributes[name]
    if name == "__dict__":
        return named_table(dict(made.attributes))
    match made.maker:
        case Outside(name=maker):
            return made.keywords.get(name, Outside(f"{maker}().{name}"))
        case Klass():
            return made.maker if name == "__class__" else _of_instance(machine, made, name)
        case _:
            return UNKNOWN


def _of_instance(machine: Machine, made: Made, name: str) -> Value:
    assert isinstance(made.maker, Klass)  # noqa: S101 - the caller has looked
    found = _of_class(machine, made.maker, name)
    if not isinstance(found, Routine) or found.decorators & {"staticmethod", "classmethod"}:
        return found
    bound = replace(found, receivers=(made, *found.receivers))
    is_value = found.decorators & {"property", "cached_property"}
    return machine.call(bound, [], {}) if is_value else bound
