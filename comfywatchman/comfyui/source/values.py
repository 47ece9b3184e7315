"""What an expression of a pack's source may stand for, as far as reading it tells.

Numbers, texts, truths and ``None`` stand for themselves; the rest are the classes below. Lists and
dictionaries are shared and changed as in Python, so that what one module adds to another's table
is seen there too.
"""

from __future__ import annotations

import ast
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol, TypeAlias

Value: TypeAlias = object
"""Any of the values of this module, or one that stands for itself."""


class Unknown(Enum):
    UNKNOWN = "unknown"
    """Only running the program would tell."""
    ABSENT = "absent"
    """There is none: asking for it raises."""


UNKNOWN, ABSENT = Unknown.UNKNOWN, Unknown.ABSENT

MOST_ITEMS = 20_000
"""In one list or dictionary that is made while reading."""


@dataclass(eq=False, slots=True)
class Items:
    """A list, tuple or set."""

    values: list[Value]
    open: bool = False
    """Whether there may be more in it than *values*."""

    def grow(self, other: Items) -> None:
        """Take in what is in *other*, as far as there is room: a list may be put into itself."""
        room = MOST_ITEMS - len(self.values)
        self.open = self.open or other.open or len(other.values) > room
        self.values.extend(other.values[: max(0, room)])


@dataclass(eq=False, slots=True)
class Table:
    """A dictionary."""

    entries: dict[Hashable, Value] = field(default_factory=dict)
    open: bool = False
    """Whether there may be more in it than *entries*."""
    lost: bool = False
    """Whether something was put in under a key that nobody could tell."""

    def put(self, key: Value, value: Value) -> None:
        known = key_of(key)
        if key is ABSENT or value is ABSENT:
            return
        if isinstance(known, Unknown):
            self.open = self.lost = True
        else:
            self.entries[known] = value

    def take_in(self, other: Value) -> None:
        """Do what ``update`` does."""
        if isinstance(other, Table):
            self.entries.update(other.entries)
            self.open = self.open or other.open
            self.lost = self.lost or other.open or other.lost
        elif isinstance(other, Items) and not other.open:
            for pair in other.values:
                if isinstance(pair, Items) and len(pair.values) == 2:
                    self.put(pair.values[0], pair.values[1])
                else:
                    self.open = self.lost = True
        elif other is not None and other is not ABSENT:
            self.open = self.lost = True


@dataclass(eq=False, slots=True)
class Outside:
    """Something that is not the pack's own, by its dotted name."""

    name: str
    is_module: bool = False
    """Whether it was imported as such."""


@dataclass(frozen=True, slots=True)
class Place:
    """A ``pathlib.Path``."""

    path: str


@dataclass(eq=False, slots=True)
class Scope:
    """Names of a module, a function or a class body."""

    module: Module
    names: dict[str, Value] = field(default_factory=dict)
    outer: Scope | None = None
    """Where a name is looked for that is not here; ``None``: among the built-in ones."""
    of_class: bool = False
    """A class body: functions in it do not see its names."""
    elsewhere: dict[str, Scope] = field(default_factory=dict)
    """Names that are said to be ``global`` or ``nonlocal``."""
    yielded: list[Value] = field(default_factory=list)
    returned: list[Value] = field(default_factory=list)
    """By ways that may be taken or not."""


@dataclass(eq=False, slots=True)
class Module:
    """A file of the pack, or a directory of it without ``__init__.py``."""

    file: str
    dotted: str
    """As Python would call it; the pack itself has its path for a name, as ComfyUI gives it."""
    is_package: bool
    read: bool = False
    whole: bool = False
    """Whether it was read to its end, so that a name which is not there does not exist."""
    vague: bool = False
    """Whether it may have names that reading did not tell."""
    scope: Scope = field(init=False)

    def __post_init__(self) -> None:
        self.scope = Scope(self)

    @property
    def names(self) -> dict[str, Value]:
        return self.scope.names

    @property
    def package(self) -> str:
        return self.dotted if self.is_package else self.dotted.rpartition(".")[0]


@dataclass(eq=False, slots=True)
class Imported:
    """A name that comes from another module and was not needed yet."""

    module: Module
    name: str


@dataclass(eq=False, slots=True)
class Klass:
    """A class of the pack."""

    name: str
    bases: tuple[Value, ...]
    attributes: dict[str, Value]
    module: str = ""
    """Dotted, where it is defined."""
    fields: tuple[str, ...] = ()
    """Its annotated names, in order: what a data class is made from."""


@dataclass(eq=False, slots=True)
class Made:
    """What came of calling a class of the pack, or something from outside."""

    maker: Value
    arguments: tuple[Value, ...] = ()
    keywords: Mapping[str, Value] = field(default_factory=dict)
    attributes: dict[str, Value] = field(default_factory=dict)


@dataclass(eq=False, slots=True)
class Routine:
    """A function of the pack."""

    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    scope: Scope
    defaults: Mapping[str, Value]
    decorators: frozenset[str] = frozenset()
    """Last parts of their names: staticmethod, classmethod, property …"""
    receivers: tuple[Value, ...] = ()
    """What goes before the arguments: ``self`` or ``cls``, or what ``partial`` gave."""


@dataclass(eq=False, slots=True)
class Method:
    """A method of a built-in type that is about to be called."""

    of: Value
    name: str


@dataclass(frozen=True, slots=True)
class Flow:
    """How a block ended other than at its end."""

    kind: str
    """return, break, continue or raise."""
    value: Value = None


class Exhausted(Exception):
    """Reading took more steps, files or time than allowed."""


class Machine(Protocol):
    """What the parts of the reader ask of each other."""

    registry: Table
    """ComfyUI's own table of node types, which a pack may add to by itself."""
    paths: Items
    """``sys.path``, as far as the pack adds to it."""
    root: str
    """The pack's directory."""

    def step(self) -> None:
        """Count a step.

        Raises:
            Exhausted: there were too many.
        """

    def doubt(self, why: str) -> None:
        """Note that the pack may register more than is read."""

    def evaluate(self, node: ast.expr, scope: Scope) -> Value: ...
    def execute(self, body: Sequence[ast.stmt], scope: Scope) -> Flow | None: ...
    def call(
        self, callee: Value, arguments: Sequence[Value], keywords: Mapping[str, Value]
    ) -> Value: ...
    def attribute(self, value: Value, name: str) -> Value: ...
    def import_(self, dotted: str, importer: Module) -> Value:
        """Return the module of that absolute name; `Outside` where the pack has none."""

    def has_module(self, dotted: str) -> bool:
        """Say whether the pack has a module of that absolute name."""

    def module_at(self, file: str) -> Module | None:
        """Return the module of a file or directory of the pack."""

    def read(self, module: Module) -> Module:
        """Read a module that was only named so far, and return it."""

    def settled(self, value: Value) -> Value:
        """Return what an imported name stands for."""


def named_table(names: dict[str, Value]) -> Table:
    """Return a table that is *names* itself: what is put in is a name from then on."""
    return Table(names)  # type: ignore[arg-type]  # a text is a key, and keys of others are rare


def merged(one: Value, other: Value) -> Value:
    """Return what a name may stand for after one of two ways was taken."""
    if one is other:
        return one
    if isinstance(one, Table) and isinstance(other, Table):
        both = {**other.entries, **one.entries}
        return Table(both, one.open or other.open, one.lost or other.lost)
    if isinstance(one, Items) and isinstance(other, Items):
        more = [value for value in other.values if not _holds(one.values, value)]
        return Items([*one.values, *more], one.open or other.open)
    for known, rival in ((one, other), (other, one)):
        found = _or_vague(known, rival)
        if found is not None:
            return found
    return one if type(one) is type(other) and one == other else UNKNOWN


def _or_vague(known: Value, rival: Value) -> Value:
    """Return what is left of *known* where it may be *rival* as well; ``None``: nothing is told."""
    if rival is UNKNOWN and isinstance(known, Table):
        return Table(dict(known.entries), open=True, lost=True)
    if rival is UNKNOWN and isinstance(known, Items):
        return Items(list(known.values), open=True)
    vague = rival is None or isinstance(rival, Outside | Unknown)
    if vague and not is_plain(known) and not isinstance(known, Unknown):
        return known
    # Found or not found: what follows is about the one that was found.
    return known if rival is None and isinstance(known, str) else None


def _holds(values: Sequence[Value], value: Value) -> bool:
    return any(each is value or (type(each) is type(value) and each == value) for each in values)


def is_plain(value: Value) -> bool:
    """Say whether *value* stands for itself."""
    return value is None or isinstance(value, bool | int | float | str)


def truth(value: Value) -> bool | None:
    """Say whether *value* counts as true; ``None`` where nobody can tell."""
    if is_plain(value):
        return bool(value)
    match value:
        case Items(values=values, open=more):
            return True if values else (None if more else False)
        case Table(entries=entries, open=more):
            return True if entries else (None if more else False)
        case Klass() | Routine() | Module() | Place():
            return True
        case _:
            return None


def key_of(value: Value) -> Hashable | Unknown:
    """Return *value* as a key of a dictionary; `UNKNOWN` where it is not known enough."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Klass | Routine | Module | Place | Outside):
        return value
    if isinstance(value, Items) and not value.open:
        parts = tuple(key_of(each) for each in value.values)
        return UNKNOWN if UNKNOWN in parts else parts
    return UNKNOWN
