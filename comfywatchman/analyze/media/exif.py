"""EXIF, which WebP, JPEG, AVIF and PNG share: the texts of a TIFF structure.

Sources: TIFF 6.0, section 2; Exif 2.3, sections 4.6.2 and 4.6.5 (UserComment). ComfyUI writes
``key:text`` into the fields from Model (0x0110) and Make (0x010F) downwards.
"""

from __future__ import annotations

import re
import struct

from comfywatchman.analyze.media.source import Texts, broken, utf8

_PREFIX = b"Exif\0\0"
_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_MOST_FIELDS = 1_000
_MOST_DIRECTORIES = 8
_TEXT_TYPES = frozenset({1, 2, 7})
"""Bytes, ASCII, undefined; each one byte wide."""

_EXIF_FIELDS = 0x8769
_USER_COMMENT = 0x9286
_KEY = re.compile(rb"\s*([A-Za-z_]{1,40})\s*:")


def exif_texts(data: bytes) -> Texts:
    """Yield the texts of an EXIF block.

    Raises:
        WorkflowUnreadable: it is none, or refers to bytes that it does not have.
    """
    data = data.removeprefix(_PREFIX)
    order = _ORDERS.get(data[:4])
    if order is None:
        raise broken(0, "its EXIF block does not begin as one")
    block = _Block(data, order)
    yield from block.fields(block.number(4), {0})


class _Block:
    """The bytes of a block, its byte order, and how much text it may still hold."""

    def __init__(self, data: bytes, order: str) -> None:
        self._data = data
        self._order = order
        self._left = len(data)

    def fields(self, offset: int, seen: set[int]) -> Texts:
        """Yield the texts of a directory, and of the one that it refers to."""
        if offset in seen or len(seen) > _MOST_DIRECTORIES:
            return
        seen.add(offset)
        (count,) = self._unpacked("H", offset)
        for number in range(min(count, _MOST_FIELDS)):
            at = offset + 2 + 12 * number
            tag, kind, length = self._unpacked("HHI", at)
            if tag == _EXIF_FIELDS:
                yield from self.fields(self.number(at + 8), seen)
            elif kind in _TEXT_TYPES:
                start = at + 8 if length <= 4 else self.number(at + 8)
                yield from _text(tag, self._bytes(start, length), self._order)

    def number(self, offset: int) -> int:
        (number,) = self._unpacked("I", offset)
        return int(number)

    def _bytes(self, start: int, length: int) -> bytes:
        self._left -= length
        if start + length > len(self._data):
            raise broken(start, f"an EXIF text of {length} bytes does not fit in its block")
        if self._left < 0:
            raise broken(start, "its EXIF texts lie over each other")
        return self._data[start : start + length]

    def _unpacked(self, layout: str, offset: int) -> tuple[int, ...]:
        try:
            return struct.unpack_from(self._order + layout, self._data, offset)
        except struct.error as error:
            raise broken(offset, "its EXIF block ends in the middle of a field") from error


def _text(tag: int, value: bytes, order: str) -> Texts:
    if tag == _USER_COMMENT:
        yield "usercomment", _user_comment(value, order)
        return
    value = value.rstrip(b"\0")
    key = _KEY.match(value)
    if key is not None:
        yield key[1].decode("ascii"), utf8(value[key.end() :])
    else:
        yield "description", utf8(value)


def _user_comment(value: bytes, order: str) -> bytes:
    """Return a comment, whose first eight bytes name its encoding."""
    code, text = value[:8], value[8:]
    if code != b"UNICODE\0":
        return utf8((text if code in {b"ASCII\0\0\0", bytes(8)} else value).rstrip(b"\0"))
    # big endian by some programs, as the block by others: Latin letters have a zero on that side
    even, odd = text[0:200:2].count(0), text[1:200:2].count(0)
    if even == odd:
        encoding = "utf-16-be" if order == ">" else "utf-16-le"
    else:
        encoding = "utf-16-be" if even > odd else "utf-16-le"
    return text.decode(encoding, "replace").lstrip("\ufeff").rstrip("\0").encode()
