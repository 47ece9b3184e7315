"""Follows the stack of a pickle without making what it asks for.

No object is made but tuples, lists and texts. Source: PEP 307, PEP 3154, and pickletools of the
standard library.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

_LONGEST_KEPT = 4096
_MOST_STACK = 200_000
_MOST_MEMO = 1_000_000
_MOST_ITEMS = 1_000_000
_MOST_IMPORTS = 1000


class TooMuchError(ValueError):
    """More than any checkpoint has."""


@dataclass(frozen=True, slots=True)
class Name:
    """An imported name."""

    module: str
    name: str


@dataclass(slots=True, eq=False)
class Made:
    """What calling something, or a persistent id, would have given."""

    maker: object
    arguments: object = None
    items: list[tuple[object, object]] = field(default_factory=list)
    """For what is filled like a dictionary."""


class _Mark:
    pass


_MARK = _Mark()
_UNKNOWN = object()


@dataclass(slots=True)
class Machine:
    """Follows the stack of one pickle."""

    imports: dict[Name, None]
    stack: list[Any] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)
    result: object = None
    items: int = 0
    """Pairs that were put into dictionaries so far."""

    def step(self, name: str, argument: Any) -> None:
        handler = _HANDLERS.get(name)
        if handler is not None:
            handler(self, argument)
        else:
            long = isinstance(argument, str | bytes) and len(argument) > _LONGEST_KEPT
            self.push(_UNKNOWN if argument is None or long else argument)
        if len(self.stack) > _MOST_STACK or len(self.memo) > _MOST_MEMO:
            raise TooMuchError("a deeper stack than any checkpoint has")

    def push(self, value: object) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        if not self.stack:
            raise TooMuchError("the stack is empty where something is taken from it")
        return self.stack.pop()

    def to_mark(self) -> list[Any]:
        """Take everything down to the last mark."""
        taken: list[Any] = []
        while True:
            value = self.pop()
            if value is _MARK:
                taken.reverse()
                return taken
            taken.append(value)

    def fill(self, target: object, pairs: list[tuple[object, object]]) -> None:
        """Put *pairs* into what is filled like a dictionary."""
        self.items += len(pairs)
        if self.items > _MOST_ITEMS:
            raise TooMuchError("more entries than any checkpoint has")
        if isinstance(target, Made):
            target.items.extend(pairs)

    def top(self) -> object:
        return self.stack[-1] if self.stack else None

    def asked(self, module: object, name: object) -> None:
        """Push an imported name, and note it."""
        known = isinstance(module, str) and isinstance(name, str)
        found = Name(module[:200], name[:200]) if known else Name("?", "?")  # type: ignore[index]  # both are str there
        if len(self.imports) < _MOST_IMPORTS:
            self.imports.setdefault(found)
        self.push(found)


def _global(machine: Machine, argument: Any) -> None:
    module, _, name = str(argument).partition(" ")
    machine.asked(module, name)


def _stack_global(machine: Machine, _: Any) -> None:
    name, module = machine.pop(), machine.pop()
    machine.asked(module, name)


def _inst(machine: Machine, argument: Any) -> None:
    arguments = tuple(machine.to_mark())
    _global(machine, argument)
    machine.push(Made(machine.pop(), arguments))


def _obj(machine: Machine, _: Any) -> None:
    taken = machine.to_mark()
    machine.push(Made(taken[0] if taken else _UNKNOWN, tuple(taken[1:])))


def _extension(machine: Machine, argument: Any) -> None:
    machine.asked("copyreg", f"extension {argument}")


def _reduce(machine: Machine, _: Any) -> None:
    arguments, maker = machine.pop(), machine.pop()
    machine.push(Made(maker, arguments))


def _newobj_ex(machine: Machine, _: Any) -> None:
    machine.pop()
    _reduce(machine, None)


def _build(machine: Machine, _: Any) -> None:
    state = machine.pop()
    if isinstance(state, Made):
        machine.fill(machine.top(), list(state.items))


def _persistent(machine: Machine, _: Any) -> None:
    machine.push(Made("storage", machine.pop()))


def _text_persistent(machine: Machine, argument: Any) -> None:
    machine.push(Made("storage", argument))


def _empty_dict(machine: Machine, _: Any) -> None:
    machine.push(Made("dict"))


def _dict(machine: Machine, _: Any) -> None:
    made = Made("dict")
    machine.fill(made, _pairs(machine.to_mark()))
    machine.push(made)


def _set_item(machine: Machine, _: Any) -> None:
    value, key = machine.pop(), machine.pop()
    machine.fill(machine.top(), [(key, value)])


def _set_items(machine: Machine, _: Any) -> None:
    pairs = _pairs(machine.to_mark())
    machine.fill(machine.top(), pairs)


def _pairs(values: list[Any]) -> list[tuple[object, object]]:
    return list(zip(values[::2], values[1::2], strict=False))


def _append(machine: Machine, _: Any) -> None:
    machine.pop()


def _appends(machine: Machine, _: Any) -> None:
    machine.to_mark()


def _tuple(machine: Machine, _: Any) -> None:
    machine.push(tuple(machine.to_mark()))


def _short_tuple(count: int) -> Any:
    def handler(machine: Machine, _: Any) -> None:
        taken = [machine.pop() for _ in range(count)]
        machine.push(tuple(reversed(taken)))

    return handler


def _pop_mark(machine: Machine, _: Any) -> None:
    machine.to_mark()


def _list(machine: Machine, _: Any) -> None:
    machine.to_mark()
    machine.push(_UNKNOWN)


def _put(machine: Machine, argument: Any) -> None:
    machine.memo[int(argument)] = machine.stack[-1] if machine.stack else _UNKNOWN


def _memoize(machine: Machine, _: Any) -> None:
    _put(machine, len(machine.memo))


def _get(machine: Machine, argument: Any) -> None:
    machine.push(machine.memo.get(int(argument), _UNKNOWN))


def _nothing(machine: Machine, _: Any) -> None:
    pass


def _stop(machine: Machine, _: Any) -> None:
    machine.result = machine.stack[-1] if machine.stack else None


_HANDLERS = {
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "INST": _inst,
    "OBJ": _obj,
    "EXT1": _extension,
    "EXT2": _extension,
    "EXT4": _extension,
    "REDUCE": _reduce,
    "NEWOBJ": _reduce,
    "NEWOBJ_EX": _newobj_ex,
    "BUILD": _build,
    "BINPERSID": _persistent,
    "PERSID": _text_persistent,
    "EMPTY_DICT": _empty_dict,
    "DICT": _dict,
    "SETITEM": _set_item,
    "SETITEMS": _set_items,
    "APPEND": _append,
    "APPENDS": _appends,
    "ADDITEMS": _appends,
    "TUPLE": _tuple,
    "TUPLE1": _short_tuple(1),
    "TUPLE2": _short_tuple(2),
    "TUPLE3": _short_tuple(3),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "LIST": _list,
    "FROZENSET": _list,
    "POP_MARK": _pop_mark,
    "POP": lambda machine, _: machine.pop(),
    "DUP": lambda machine, _: machine.push(machine.stack[-1] if machine.stack else _UNKNOWN),
    "MARK": lambda machine, _: machine.push(_MARK),
    "PUT": _put,
    "BINPUT": _put,
    "LONG_BINPUT": _put,
    "MEMOIZE": _memoize,
    "GET": _get,
    "BINGET": _get,
    "LONG_BINGET": _get,
    "PROTO": _nothing,
    "FRAME": _nothing,
    "READONLY_BUFFER": _nothing,
    "NONE": lambda machine, _: machine.push(None),
    "STOP": _stop,
}
