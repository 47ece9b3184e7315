"""SVG: the metadata elements.

Sources: SVG 2, section 5.8 (metadata); XML 1.0, sections 2 to 4. The editor takes what stands
between ``<metadata><![CDATA[`` and its end, whether the rest is XML or not.
"""

from __future__ import annotations

import re
from typing import BinaryIO
from xml.parsers import expat

from comfywatchman.analyze.media.documents import members
from comfywatchman.analyze.media.source import Source, Texts, broken
from comfywatchman.domain.errors import WorkflowTooLarge, WorkflowUnreadable

_BEFORE_ROOT = 1 << 20
"""Bytes of declarations and comments that are looked through for the first element."""

_DEEPEST = 5_000
_MOST_ELEMENTS = 500_000

_BYTE_ORDERS = (b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")
_ROOT = re.compile(rb"<(?:!DOCTYPE\s+)?([A-Za-z_][A-Za-z0-9_.:-]{0,80})", re.IGNORECASE)
_OPENING = re.compile(rb"<metadata>\s{0,1000}<!\[CDATA\[", re.IGNORECASE)
_CLOSING = re.compile(rb"\]\]>\s{0,1000}</metadata>", re.IGNORECASE)


class _EntityDeclaredError(Exception):
    """An entity may stand for anything, and for millions of others; nothing is put in its place."""


class _RootFoundError(Exception):
    """The first element is known, which is all that was asked."""


def is_svg(file: BinaryIO) -> bool:
    """Return whether the first element of an XML file is that of a drawing."""
    head = file.read(_BEFORE_ROOT)
    names: list[str] = []
    parser = _parser()

    def found(name: str, _attributes: dict[str, str]) -> None:
        names.append(name)
        raise _RootFoundError

    parser.StartElementHandler = found
    try:
        parser.Parse(head[_leading(head) :], False)
    except _RootFoundError:
        return _local(names[0]) == "svg"
    except (_EntityDeclaredError, expat.ExpatError, LookupError, ValueError):
        pass
    first = _ROOT.search(_without_comments(head))
    return first is not None and _local(first[1].decode()).lower() == "svg"


def _without_comments(data: bytes) -> bytes:
    kept, at = [], 0
    while (begins := data.find(b"<!--", at)) >= 0:
        kept.append(data[at:begins])
        ends = data.find(b"-->", begins)
        if ends < 0:
            return b"".join(kept)
        at = ends + 3
    return b"".join((*kept, data[at:]))


def svg_texts(source: Source) -> Texts:
    """Yield what stands in the metadata elements; drawing programs have some of their own.

    Raises:
        WorkflowUnreadable: it is no XML from some place on, and the editor finds nothing either.
        WorkflowTooLarge: it has more elements, or deeper ones, than we read.
    """
    data = source.text(0, source.size)
    reader = _Metadata()
    error = reader.read(data)
    for text in reader.texts:
        yield from members(text.encode("utf-8", "replace"))
    if error is not None:
        yield from _as_the_editor_does(data)
        raise error


class _Metadata:
    """Gathers the texts of the metadata elements, and of each element inside them."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._open: list[list[str]] = []
        self._depth = 0
        self._elements = 0
        self._parser = _parser()
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end

    def read(self, data: bytes) -> WorkflowUnreadable | None:
        """Read as far as it is XML; return why no further.

        Raises:
            WorkflowTooLarge: it has more elements, or deeper ones, than we read.
        """
        first = _leading(data)
        try:
            self._parser.Parse(data[first:], True)
        except _EntityDeclaredError:
            if b"<metadata" not in data:  # as some drawing programs write it
                return None
            place = first + self._parser.CurrentByteIndex
            return broken(place, "it declares an entity, which is not read")
        except expat.ExpatError as error:
            place = first + max(0, self._parser.ErrorByteIndex)
            return broken(place, f"it is no XML ({expat.ErrorString(error.code)})")
        except (LookupError, ValueError):  # an encoding that nobody knows
            return broken(first, "its encoding is not known")
        return None

    def _start(self, name: str, _attributes: dict[str, str]) -> None:
        self._elements += 1
        self._depth += 1
        if self._elements > _MOST_ELEMENTS or self._depth > _DEEPEST:
            raise WorkflowTooLarge(
                f"The drawing has more than {_MOST_ELEMENTS} elements, or {_DEEPEST} inside each"
                " other.",
                remedy="If it is a workflow, save it as JSON; otherwise there is nothing to do.",
            )
        if self._open or _local(name) == "metadata":
            self._open.append([])
            self._parser.CharacterDataHandler = self._open[-1].append

    def _end(self, _name: str) -> None:
        self._depth -= 1
        if not self._open:
            return
        text = "".join(self._open.pop()).strip()
        if text.startswith("{"):
            self.texts.append(text)
        self._parser.CharacterDataHandler = self._open[-1].append if self._open else None


def _parser() -> expat.XMLParserType:
    """Return a reader of XML that asks for no other file and puts in no entity."""
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    parser.EntityDeclHandler = _refuse_entities
    return parser


def _refuse_entities(*_declared: object) -> None:
    raise _EntityDeclaredError


def _local(name: str) -> str:
    return name.rpartition(":")[2]


def _leading(data: bytes) -> int:
    """Return how many bytes of white space come first, which the editor does not mind."""
    if data.startswith(_BYTE_ORDERS):
        return 0
    return len(data) - len(data.lstrip(b" \t\r\n"))


def _as_the_editor_does(data: bytes) -> Texts:
    opening = _OPENING.search(data)
    closing = None if opening is None else _CLOSING.search(data, opening.end())
    if opening is not None and closing is not None:
        yield from members(data[opening.end() : closing.start()].strip())
