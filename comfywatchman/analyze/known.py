"""Saved graphs in which there is nothing but what editors write, which nearly all files are.

They are decoded as quickly as any others, and every text in which a secret might stand is at hand
afterwards, so that only these are searched, and not the places of nodes and their links. A file
with anything else in it is read as usual and searched as a whole.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from operator import attrgetter
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import UNSET, Raw

from comfywatchman.analyze.shapes import (
    Definition,
    Definitions,
    Id,
    Node,
    Part,
    Properties,
    Socket,
    Top,
    of_all,
)

SMALL = 4_000
"""Bytes of a file that is searched as a whole."""

_LARGE = 8 << 20

_SHORTEST = 16
"""Characters of a widget's text that is kept to be searched; a shorter one is judged by names."""

_MOST_KEPT = 5_000
"""Properties of nodes that are remembered: most nodes of a type have the same."""

_LONGEST_HARMLESS, _MOST_HARMLESS, _AROUND = 4_000, 8 << 20, 60
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


class _Told(type):
    """The class of everything, to which the decoder shows what it has read."""

    __instancecheck__ = id  # type: ignore[assignment]  # never false, and without a frame of ours


class _OfNode(metaclass=_Told):
    """A field of a node, told each time that one is read: a second one would hide the first."""


class _Id(_OfNode): ...


class _Type(_OfNode): ...


class _Mode(_OfNode): ...


class _Values(_OfNode): ...


_Never = Annotated[int, msgspec.Meta(ge=1, le=0)]
"""A value that no file has."""

_made = itertools.count()
"""Goes up with each input and output that is read, also in a list that another one hides."""

_Socket = _with(
    Socket,
    "localized_name shape color_off color_on dir locked nameLocked removable pos slot_index",
    ("label", str | None, None),
    ("made", _Never, msgspec.field(default_factory=_made.__next__)),
    gc=False,
)


class _Output(msgspec.Struct, gc=False):
    label: str | None = None
    links: list[Id] | None = None
    made: _Never = msgspec.field(default_factory=_made.__next__)


_Node = _with(
    Node,
    "pos size flags order color bgcolor shape showAdvanced",
    ("outputs", list[_Output] | None, None),
    ("id", _Id, ""),
    ("type", _Type, ""),
    ("mode", _Mode, 0),
    ("widgets_values", _Values, None),
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


def _teller(told: list[type[_OfNode]]) -> Callable[[type[_OfNode], Any], Any]:
    """Return what the decoder calls for each such field: as little as can be."""
    add = told.append

    def tell(field: type[_OfNode], value: Any) -> Any:
        add(field)
        return value

    return tell


def _are_nodes(nodes: Sequence[Any]) -> bool:
    """Return whether the fields of nodes that the decoder only told are what they should be."""
    return (
        _TEXT.issuperset(map(type, map(_TYPE, nodes)))
        and _NUMBER.issuperset(map(type, map(_MODE, nodes)))
        and _ID.issuperset(map(type, map(attrgetter("id"), nodes)))
    )


_TYPE, _MODE = attrgetter("type"), attrgetter("mode")
_TEXT, _NUMBER, _ID = frozenset({str}), frozenset({int}), frozenset({int, str})


class _Decoder:
    """Decodes one file after the other, and counts the fields of nodes in each."""

    def __init__(self) -> None:
        self._told: list[type[_OfNode]] = []
        self._sockets = 0
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
            _Top, float_hook=float, dec_hook=_teller(self._told)
        )

    def decode(self, raw: Raw) -> Any:
        self._told.clear()
        self._sockets = next(_made)
        return self._decoder.decode(raw)

    def has_more(self, nodes: int, with_values: int, sockets: int) -> bool:
        """Return whether the last text has more fields, or sockets, than what is left of it."""
        count = self._told.count
        return (
            count(_Values) > with_values
            or count(_Mode) > nodes
            or count(_Type) > nodes
            or count(_Id) > nodes
            or next(_made) - self._sockets - 1 > sockets
        )


_idle: list[_Decoder] = []
"""Decoders that wait for the next file: it takes as long to make one as to decode a small file."""


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
    repeats: bool = False
    """Whether a node has a key more than once."""


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


_NODES, _STORED, _TITLE = attrgetter("nodes"), attrgetter("widgets_values"), attrgetter("title")
_INPUTS, _OUTPUTS, _LABEL = attrgetter("inputs"), attrgetter("outputs"), attrgetter("label")
_NESTED = frozenset({list, dict})


@cache
def _remembered() -> dict[bytes, Properties]:
    return {}


def known_top(raw: Raw) -> tuple[Top, Texts] | None:
    """Return a saved graph and its texts; ``None`` for whatever has something else in it.

    Neither is a small file worth it, which is searched as a whole, nor can a huge one be kept.
    """
    if not SMALL < len(memoryview(raw)) < _LARGE:
        return None
    decoder = _idle.pop() if _idle else _Decoder()
    try:
        return _read(decoder, raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    finally:
        _idle.append(decoder)


def _read(decoder: _Decoder, raw: Raw) -> tuple[Top, Texts] | None:
    """Do so with a decoder.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError: something else is in it.
    """
    top = decoder.decode(raw)
    if top.nodes is None or top.groups is not None or top.subgraphs is not None:
        return None
    inside = (top.definitions and top.definitions.subgraphs) or ()
    if any(definition.definitions is not None for definition in inside):
        return None
    texts = Texts(_raws(top, _OF_TOP))
    for definition in inside:
        texts.parts += _raws(definition, _OF_DEFINITION)
    nodes = [*top.nodes, *of_all(_NODES, inside)] if inside else top.nodes
    if not _are_nodes(nodes):
        return None
    _settle(nodes, texts)
    stored = _take_values(nodes, texts)
    sockets = [*of_all(_INPUTS, nodes), *of_all(_OUTPUTS, nodes)]
    texts.values += filter(None, chain(map(_TITLE, nodes), map(_LABEL, sockets)))
    texts.repeats = decoder.has_more(len(nodes), stored, len(sockets))
    return top, texts


def _raws(record: Any, names: Sequence[str]) -> list[bytes]:
    parts = (getattr(record, name) for name in names)
    return [bytes(part) for part in parts if part is not UNSET]


def _settle(nodes: Sequence[Any], texts: Texts) -> None:
    """Decode what the nodes say of themselves, each text once."""
    remembered = _remembered()
    parts, known = texts.parts, remembered.get
    for node in nodes:
        if node.properties is UNSET:
            node.properties = None
        else:
            blob = bytes(node.properties)
            found = known(blob)
            if found is None:
                parts.append(blob)
                found = _properties(blob, remembered)
            node.properties = found
        if node.named is not UNSET:
            texts.named.append(bytes(node.named))


def _take_values(nodes: Sequence[Any], texts: Texts) -> int:
    """Take down the texts of widgets; return how many nodes have any values."""
    stored = [*map(_STORED, nodes)]
    values: list[Any] = []
    for each in stored:
        if type(each) is list:
            values += each
        elif each:
            values.append(each)
    texts.values += [each for each in values if type(each) is str and len(each) >= _SHORTEST]
    nested = [each for each in values if type(each) in _NESTED]
    if nested:
        texts.parts.append(msgspec.json.encode(nested))
    return len(stored) - stored.count(None)


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
