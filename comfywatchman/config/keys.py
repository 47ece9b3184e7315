"""What a key of the settings is, and walking them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Literal, get_args, get_origin

from msgspec import NODEFAULT, Struct
from msgspec.structs import FieldInfo, fields

PREFIX = "COMFYWATCHMAN_"

Kind = Literal[
    "",
    "size",
    "host",
    "host-and-port",
    "listen",
    "url",
    "url-or-off",
    "token",
    "backend",
    "in-comfyui",
    "hours",
    "event",
    "secret-url",
]


class Section(Struct, frozen=True):
    """A table of the settings file."""


@dataclass(frozen=True, slots=True)
class Says:
    """What a key is for, as an annotation of its type."""

    description: str
    """One or two sentences, for the reference and the default file."""
    kind: Kind = ""
    """Which check or conversion it gets besides that of its type; see ``config/convert.py``."""
    ge: float | None = None
    """The smallest value."""
    le: float | None = None
    """The largest value."""
    shown: str = ""
    """The default in words, where it depends on the machine or on another key."""
    example: object = None
    """A value for the default file, where there is no default to show."""
    planned: bool = False
    """Whether the key is accepted, but nothing reads it yet."""


@dataclass(frozen=True, slots=True)
class Key:
    """One thing that can be set."""

    name: str
    """With its sections: ``download.concurrency``."""
    type: object
    says: Says
    default: object
    """``NODEFAULT`` where it must be given; only keys inside a list are like that."""

    @property
    def section(self) -> str:
        return self.name.rpartition(".")[0]

    @property
    def last(self) -> str:
        return self.name.rpartition(".")[2]

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper().replace(".", "__")


def keys(section: type[Section], prefix: str = "") -> Iterator[Key]:
    """Yield every key below *section*, in the order in which it is written down."""
    for field in fields(section):
        inner = subsection(field.type)
        if inner is not None:
            yield from keys(inner, f"{prefix}{field.name}.")
        else:
            yield _key(field, prefix)


def sections(section: type[Section], prefix: str = "") -> Iterator[tuple[str, type[Section]]]:
    """Yield the name and type of *section* and of every section below it."""
    yield prefix, section
    for field in fields(section):
        inner = subsection(field.type)
        if inner is not None:
            yield from sections(inner, f"{prefix}.{field.name}".lstrip("."))


def subsection(type_: object) -> type[Section] | None:
    return type_ if isinstance(type_, type) and issubclass(type_, Section) else None


def holds(type_: object, wanted: type) -> bool:
    """Say whether a value of *type_* may have a *wanted* in it."""
    if type_ is wanted:
        return True
    inner = subsection(type_)
    parts = get_args(type_) if inner is None else [field.type for field in fields(inner)]
    return any(holds(part, wanted) for part in parts)


def nearest(name: str, known: list[str]) -> str:
    """Return the name among *known* that looks most like *name*."""
    return get_close_matches(name, known, n=1, cutoff=0.0)[0]


def _key(field: FieldInfo, prefix: str) -> Key:
    if get_origin(field.type) is not Annotated:
        raise TypeError(f"{prefix}{field.name} lacks a description")
    bare, says = get_args(field.type)
    default = field.default if field.default_factory is NODEFAULT else field.default_factory()
    return Key(f"{prefix}{field.name}", bare, says, default)
