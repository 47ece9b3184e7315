"""WebM and Matroska: the tags.

Sources: RFC 8794 (EBML); RFC 9559 (Matroska), sections 5 and 6.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from comfywatchman.analyze.media.source import WANTED, Source, Texts, broken

_HEADER = 0x1A45DFA3
_SEGMENT = 0x18538067
_SEEK_HEAD = 0x114D9B74
_SEEK = 0x4DBB
_SEEK_ID = 0x53AB
_SEEK_POSITION = 0x53AC
_CLUSTER = 0x1F43B675
_TAGS = 0x1254C367
_TAG = 0x7373
_SIMPLE_TAG = 0x67C8
_TAG_NAME = 0x45A3
_TAG_STRING = 0x4487

_MOST_WALKED = 20_000
"""Elements of the segment that are stepped over in search of tags; then only its index helps."""

_DEEPEST = 8


@dataclass(frozen=True, slots=True)
class Element:
    kind: int
    start: int
    """Of what is in it."""
    end: int
    endless: bool = False
    """It does not say where it ends, and goes as far as what it lies in."""


def webm_texts(source: Source) -> Texts:
    """Yield the named texts of the tags, which lie before or behind the film.

    Of a film that breaks off those are read that come before.
    """
    whole = False
    for outer in _elements(source, 0, source.size, cut=True):
        if outer.kind == _SEGMENT:
            yield from _segment(source, outer)
        whole = whole or outer.kind == _CLUSTER or (outer.kind == _SEGMENT and not outer.endless)
    if not whole:
        raise broken(source.size, "it ends here, before its film")


def _segment(source: Source, segment: Element) -> Texts:
    seen: set[int] = set()
    elements = _elements(source, segment.start, segment.end, cut=True)
    for _ in range(_MOST_WALKED):
        element = next(elements, None)
        if element is None:
            return
        if element.kind == _SEEK_HEAD:
            for position in _indexed(source, element):
                yield from _indexed_tags(source, segment, position, seen)
        elif element.kind == _TAGS and element.start not in seen:
            seen.add(element.start)
            yield from _tags(source, element, _DEEPEST)


def _indexed(source: Source, head: Element) -> Iterator[int]:
    """Yield where the segment's index says that tags are, counted from the segment's start."""
    for seek in _elements(source, head.start, head.end):
        if seek.kind != _SEEK:
            continue
        found = {part.kind: part for part in _elements(source, seek.start, seek.end)}
        kind, position = found.get(_SEEK_ID), found.get(_SEEK_POSITION)
        if kind is not None and position is not None and _number(source, kind) == _TAGS:
            yield _number(source, position)


def _indexed_tags(source: Source, segment: Element, position: int, seen: set[int]) -> Texts:
    at = segment.start + position
    if at + 8 > segment.end:
        return
    element = next(_elements(source, at, segment.end), None)
    if element is not None and element.kind == _TAGS and element.start not in seen:
        seen.add(element.start)
        yield from _tags(source, element, _DEEPEST)


def _tags(source: Source, parent: Element, depth: int) -> Texts:
    name, text = "", None
    for element in _elements(source, parent.start, parent.end):
        length = element.end - element.start
        if element.kind in {_TAG, _SIMPLE_TAG} and depth > 0:
            yield from _tags(source, element, depth - 1)
        elif element.kind == _TAG_NAME:
            name = source.at(element.start, min(length, 100)).decode("utf-8", "replace")
        elif element.kind == _TAG_STRING:
            text = element  # its name may come behind it
    if text is not None and name.lower() in WANTED:
        yield name, source.text(text.start, text.end - text.start).rstrip(b"\0")


def _elements(source: Source, start: int, end: int, *, cut: bool = False) -> Iterator[Element]:
    """Yield the elements from *start* to *end*.

    One of unknown length is entered: what is in it follows as if it stood beside it. Where *cut*,
    the last one may lack its end, which is told after it.
    """
    position = start
    while position < end:
        source.step()
        head = source.upto(position, min(12, end - position))
        kind, width = _variable(head, 0, position, marked=True)
        length, more = _variable(head, width, position, marked=False)
        body = position + width + more
        unknown = length == (1 << 7 * more) - 1
        stop = end if unknown else body + length
        if stop > end:
            if cut:
                yield Element(kind, body, end)
            raise broken(position, f"an element of {length} bytes does not fit where it lies")
        yield Element(kind, body, stop, unknown)
        position = body if unknown else stop


def _variable(data: bytes, at: int, position: int, *, marked: bool) -> tuple[int, int]:
    """Return a number of variable width and its width; ids keep the mark of their width."""
    first = data[at] if at < len(data) else 0
    width = 9 - first.bit_length()
    if width > (4 if marked else 8) or at + width > len(data):
        raise broken(position, "an element should begin")
    number = int.from_bytes(data[at : at + width], "big")
    return (number if marked else number & (1 << 7 * width) - 1), width


def _number(source: Source, element: Element) -> int:
    return int.from_bytes(source.at(element.start, min(8, element.end - element.start)), "big")
