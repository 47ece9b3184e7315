"""MP4, MOV and AVIF, which are boxes in boxes.

Sources: ISO/IEC 14496-12 (boxes, ``meta``, ``iloc``), ISO/IEC 23008-12 (the EXIF item), Apple's
QuickTime File Format (``udta``, ``keys``, ``ilst``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from comfywatchman.analyze.media.exif import exif_texts
from comfywatchman.analyze.media.source import WANTED, Source, Texts, broken, utf8

_DEEPEST = 8
_OUTER = frozenset({b"moov", b"udta", b"trak"})
"""Boxes that are looked into on the way to ``meta``."""

_ITUNES = {b"\xa9cmt": "comment", b"desc": "description", b"\xa9des": "description"}
_UTF16 = 2
"""The type of a value in UTF-16; nearly all are of type 1, UTF-8."""

_LONGEST_KEYS = 1 << 20


@dataclass(frozen=True, slots=True)
class Box:
    kind: bytes
    start: int
    """Of what is in it."""
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start


def box_texts(source: Source) -> Texts:
    """Yield the texts of every list of metadata, before or after the film, and of EXIF items.

    A moving picture may have both.
    """
    yield from _inside(source, 0, source.size, _DEEPEST)
    if not any(box.kind in _DESCRIBE for box in _boxes(source, 0, source.size)):
        raise broken(source.size, "it ends here, before what describes the film or picture")


_DESCRIBE = frozenset({b"moov", b"meta", b"udta"})
"""One of them is in every whole file."""


def _inside(source: Source, start: int, end: int, depth: int) -> Texts:
    for box in _boxes(source, start, end):
        if box.kind in _OUTER and depth > 0:
            yield from _inside(source, box.start, box.end, depth - 1)
        elif box.kind == b"meta":
            yield from _metadata(source, box)
        elif box.kind == b"\xa9cmt" and box.length > 4:  # QuickTime's own: length, language, text
            length = int.from_bytes(source.at(box.start, 2), "big")
            text = source.text(box.start + 4, min(length, box.length - 4))
            yield "comment", utf8(text)


def _boxes(source: Source, start: int, end: int) -> Iterator[Box]:
    """Yield the boxes from *start* to *end*.

    Raises:
        WorkflowUnreadable: one of them is longer than what it lies in.
    """
    position = start
    while position + 8 <= end:
        source.step()
        head = source.at(position, 8)
        size, header = int.from_bytes(head[:4], "big"), 8
        if size == 1:
            size, header = int.from_bytes(source.at(position + 8, 8), "big"), 16
        elif size == 0:  # up to the end
            size = end - position
        if size < header or position + size > end:
            raise broken(position, f"a box of {size} bytes does not fit where it lies")
        yield Box(head[4:], position + header, position + size)
        position += size


def _metadata(source: Source, meta: Box) -> Texts:
    by_kind = {box.kind: box for box in _boxes(source, _first_box(source, meta), meta.end)}
    if b"iinf" in by_kind and b"iloc" in by_kind:
        yield from source.aside(_exif_items(source, by_kind))
    listed = by_kind.get(b"ilst")
    if listed is None:
        return
    keys = _keys(source, by_kind[b"keys"]) if b"keys" in by_kind else {}
    for item in _boxes(source, listed.start, listed.end):
        yield from _item(source, item, keys)


def _first_box(source: Source, meta: Box) -> int:
    """Return where the boxes in ``meta`` begin: QuickTime's has no version and flags before."""
    head = source.at(meta.start, min(8, meta.length))
    return meta.start if head[4:] == b"hdlr" else meta.start + 4


def _keys(source: Source, box: Box) -> Mapping[int, str]:
    """Return the names of the items, numbered from 1."""
    data = source.at(box.start, min(box.length, _LONGEST_KEYS))
    keys: dict[int, str] = {}
    position = 8
    while position + 8 <= len(data):
        size = int.from_bytes(data[position : position + 4], "big")
        if size < 8:
            break
        keys[len(keys) + 1] = data[position + 8 : position + size].decode("utf-8", "replace")
        position += size
    return keys


def _item(source: Source, item: Box, keys: Mapping[int, str]) -> Texts:
    name = keys.get(int.from_bytes(item.kind, "big")) or _ITUNES.get(item.kind, "")
    for box in _boxes(source, item.start, item.end):
        if box.kind == b"name" and 4 < box.length < 100:  # an item with a name of its own
            name = source.at(box.start + 4, box.length - 4).decode("utf-8", "replace")
        elif box.kind == b"data" and name.lower() in WANTED and box.length > 8:
            kind = int.from_bytes(source.at(box.start, 4), "big")
            value = source.text(box.start + 8, box.length - 8)
            yield name, value.decode("utf-16-be", "replace").encode() if kind == _UTF16 else value


# -- AVIF


def _exif_items(source: Source, by_kind: Mapping[bytes, Box]) -> Texts:
    wanted = set(_items_of_type(source, by_kind[b"iinf"], b"Exif"))
    places = by_kind[b"iloc"]
    data = source.text(places.start, places.length)
    for place in _places(source, data, places.start):
        if place.item in wanted:
            base = by_kind[b"idat"].start if place.in_idat and b"idat" in by_kind else 0
            parts = (source.text(base + start, length) for start, length in place.extents)
            block = b"".join(parts)
            skipped = int.from_bytes(block[:4], "big")
            yield from source.aside(exif_texts(block[4 + skipped :]))


def _items_of_type(source: Source, items: Box, kind: bytes) -> Iterator[int]:
    version = source.at(items.start, 1)[0]
    for box in _boxes(source, items.start + (6 if version == 0 else 8), items.end):
        head = source.at(box.start, min(box.length, 16))
        wide = 4 if head[:1] == b"\3" else 2  # versions 2 and 3 have a type
        if box.kind == b"infe" and head[6 + wide : 10 + wide] == kind:
            yield int.from_bytes(head[4 : 4 + wide], "big")


@dataclass(frozen=True, slots=True)
class _Place:
    item: int
    extents: tuple[tuple[int, int], ...]
    """Where each part of it begins, and how long it is."""
    in_idat: bool


class _Numbers:
    """Big-endian numbers of changing width, one after the other."""

    def __init__(self, data: bytes, offset: int) -> None:
        self._data = data
        self._offset = offset
        self._at = 0

    def skip(self, length: int) -> None:
        self._at += length

    def next(self, width: int) -> int:
        end = self._at + width
        if end > len(self._data):
            raise broken(self._offset + self._at, "the list of places ends in the middle")
        number = int.from_bytes(self._data[self._at : end], "big")
        self._at = end
        return number


def _places(source: Source, data: bytes, offset: int) -> Iterator[_Place]:
    """Yield where every item lies."""
    numbers = _Numbers(data, offset)
    version = numbers.next(1)
    numbers.next(3)
    widths = numbers.next(2)
    offset_width, length_width = widths >> 12, widths >> 8 & 15
    base_width, index_width = widths >> 4 & 15, (widths & 15 if version else 0)
    for _ in range(numbers.next(4 if version == 2 else 2)):
        source.step()
        item = numbers.next(4 if version == 2 else 2)
        method = numbers.next(2) & 15 if version else 0
        numbers.next(2)
        base = numbers.next(base_width)
        extents = []
        for _ in range(numbers.next(2)):
            source.step()
            numbers.next(index_width)
            extents.append((base + numbers.next(offset_width), numbers.next(length_width)))
        if method in {0, 1}:
            yield _Place(item, tuple(extents), method == 1)
