"""Saved graphs in which there is nothing but what editors write, which nearly all files are.

They are decoded as quickly as any others, and every text in which a secret might stand is at hand
afterwards, so that only these are searched, and not the places of nodes and their links. A file
with anything else in it is read as usual and searched as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

from comfywatchman.analyze.shapes import (
    Definition,
    Definitions,
    Node,
    Part,
    Properties,
    Socket,
    Top,
)

SMALL = 4_000
"""Bytes of a file that is searched as a whole."""

_LARGE = 8 << 20

_SHORTEST = 16
"""Characters of a widget's text that is kept to be searched; a shorter one is judged by names."""

_MOST_KEPT = 5_000
"""Properties of nodes that are remembered: most nodes of a type have the same."""

_LONGEST_HARMLESS, _MOST_HARMLESS, _AROUND = 4_000, 4 << 20, 60
"""Bytes of a text that is remembered, of all of them, and what each takes besides."""

_Text = TypeVar("_Text", bytes, str)

_LONGEST_KEPT = 1_000
"""Bytes of them."""


def _with(base: type[msgspec.Struct], names: str, *fields: Any, gc: bool) -> Any:
    """Return *base* with more fields, and no others: those of *names* are kept as they are."""
    kept = [(name, Part, UNSET) for name in names.split()]
    return msgspec.defstruct(
        f"Known{base.__name__}",
        [*kept, *fields],
        bases=(base,),
        forbid_unknown_fields=True,
        gc=gc,
    )


_Socket = _with(
    Socket,
    "localized_name shape color_off color_on dir locked nameLocked removable pos slot_index",
    ("label", str | None, None),
    gc=False,
)


class _Output(msgspec.Struct, gc=False):
    label: str | None = None


class _Told(type):
    """The class of everything, to which the decoder shows what it has read."""

    def __instancecheck__(cls, instance: object) -> bool:
        return True


class _Mode(metaclass=_Told):
    """A node's mode, told each time that one is read: a second one would hide the first."""


_Node = _with(
    Node,
    "pos size flags order color bgcolor shape showAdvanced",
    ("outputs", list[_Output] | None, None),
    ("mode", _Mode, 0),
    ("title", str | None, None),
    ("properties", Part, UNSET),
    ("inputs", list[_Socket] | None, None),  # type: ignore[valid-type]  # made above
    gc=False,
)
_Definition = _with(
    Definition,
    "version state revision config widgets groups extra category floatingLinks reroutes",
    ("nodes", list[_Node] | None, None),  # type: ignore[valid-type]  # made above
    ("name", Part, UNSET),
    ("description", Part, UNSET),
    gc=True,
)
_Definitions = _with(
    Definitions,
    "",
    ("subgraphs", list[_Definition] | None, None),  # type: ignore[valid-type]  # made above
    gc=True,
)
_Top = _with(
    Top,
    "id revision last_node_id last_link_id state config floatingLinks reroutes seed_widgets",
    ("nodes", list[_Node] | None, None),  # type: ignore[valid-type]  # made above
    ("definitions", _Definitions | None, None),
    ("frames", Part, msgspec.field(name="groups", default=UNSET)),
    gc=True,
)


class _Decoder:
    """Decodes a file, and counts the modes in it."""

    def __init__(self) -> None:
        self.modes = 0
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
            _Top, float_hook=float, dec_hook=self._told
        )

    def decode(self, raw: Raw) -> Any:
        return self._decoder.decode(raw)

    def _told(self, _: type[Any], value: Any) -> Any:
        self.modes += 1
        if type(value) is not int:
            raise ValueError
        return value


_PROPERTIES = msgspec.json.Decoder(Properties, float_hook=float)
_OF_TOP = ("extra", "frames", "config", "models", "state")
_OF_DEFINITION = ("config", "widgets", "groups", "extra", "name", "description")


@dataclass(slots=True)
class Texts:
    """What may hold a secret in one file."""

    parts: list[bytes] = field(default_factory=list)
    """JSON, with names that tell what is in it."""
    values: list[str] = field(default_factory=list)
    """Of widgets, titles and labels."""
    named: list[bytes] = field(default_factory=list)
    """JSON: widgets of one node by their names."""
    nodes: int = 0
    repeats: bool = False
    """Whether a node has its mode more than once."""


class Harmless:
    """Texts that hold no secret: a file that is saved again has nearly all of them again."""

    def __init__(self) -> None:
        self._texts: set[bytes | str] = set()
        self._size = 0

    def fresh(self, texts: Iterable[_Text]) -> set[_Text]:
        """Return those that nobody has searched."""
        return set(texts).difference(self._texts)

    def remember(self, *several: Iterable[bytes | str]) -> None:
        for texts in several:
            short = [text for text in texts if len(text) <= _LONGEST_HARMLESS]
            self._size += sum(map(len, short)) + _AROUND * len(short)
            if self._size > _MOST_HARMLESS:
                self._texts.clear()
                self._size = sum(map(len, short)) + _AROUND * len(short)
            self._texts.update(short)


@cache
def harmless() -> Harmless:
    """Return those of this process."""
    return Harmless()


@cache
def _remembered() -> dict[bytes, Properties]:
    return {}


def known_top(raw: Raw) -> tuple[Top, Texts] | None:
    """Return a saved graph and its texts; ``None`` for whatever has something else in it.

    Neither is a small file worth it, which is searched as a whole, nor can a huge one be kept.
    """
    if not SMALL < len(memoryview(raw)) < _LARGE:
        return None
    try:
        decoder = _Decoder()
        top = decoder.decode(raw)
        if top.nodes is None or top.groups is not None or top.subgraphs is not None:
            return None
        texts = Texts(_raws(top, _OF_TOP))
        _settle(top.nodes, texts)
        for definition in (top.definitions and top.definitions.subgraphs) or ():
            if definition.definitions is not None:
                return None
            texts.parts += _raws(definition, _OF_DEFINITION)
            _settle(definition.nodes or (), texts)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    texts.repeats = decoder.modes > texts.nodes
    return top, texts


def _raws(record: Any, names: Sequence[str]) -> list[bytes]:
    parts = (getattr(record, name) for name in names)
    return [bytes(part) for part in parts if not isinstance(part, UnsetType)]


def _settle(nodes: Sequence[Any], texts: Texts) -> None:
    """Decode what the nodes say of themselves, each text once, and take down their texts."""
    remembered = _remembered()
    parts, add = texts.parts, texts.values.append
    texts.nodes += len(nodes)
    sockets = (each for node in nodes for each in chain(node.inputs or (), node.outputs or ()))
    texts.values += [each.label for each in sockets if each.label]
    for node in nodes:
        if node.properties is UNSET:
            node.properties = None
        else:
            blob = bytes(node.properties)
            found = remembered.get(blob)
            if found is None:
                parts.append(blob)
                found = _properties(blob, remembered)
            node.properties = found
        if node.title:
            add(node.title)
        if node.named is not UNSET:
            texts.named.append(bytes(node.named))
        values = node.widgets_values
        if type(values) is list:
            for value in values:
                kind = type(value)
                if kind is str:
                    if len(value) >= _SHORTEST:
                        add(value)
                elif kind is list or kind is dict:
                    parts.append(msgspec.json.encode(value))
        elif values:
            parts.append(msgspec.json.encode(values))


def _properties(blob: bytes, remembered: dict[bytes, Properties]) -> Properties:
    found = _PROPERTIES.decode(blob)
    if len(blob) <= _LONGEST_KEPT and found.models is None:
        if len(remembered) >= _MOST_KEPT:
            remembered.clear()
        remembered[blob] = found
    return found


def forget(texts: Texts) -> None:
    """Let what nodes say be searched again in the next file, since a secret may be in it."""
    remembered = _remembered()
    for part in texts.parts:
        remembered.pop(part, None)
