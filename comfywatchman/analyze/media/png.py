"""PNG: the text chunks.

Source: PNG (Third Edition), sections 5.3 and 11.3; ComfyUI's animated PNGs add chunks of type
``comf`` with the layout of ``tEXt``.
"""

from __future__ import annotations

import zlib

from comfywatchman.analyze.media.exif import exif_texts
from comfywatchman.analyze.media.source import WANTED, Source, Texts, broken, utf8

_SIGNATURE_LENGTH = 8
_TEXT_TYPES = frozenset({b"tEXt", b"zTXt", b"iTXt", b"comf"})
_LONGEST_KEY = 79
_AROUND = 12
"""Bytes of a chunk beside its data: length, type, checksum."""


def png_texts(source: Source) -> Texts:
    """Yield the texts of all chunks."""
    position = _SIGNATURE_LENGTH
    while True:
        source.step()
        head = source.at(position, 8)
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        if kind == b"IEND":
            break
        if kind in _TEXT_TYPES:
            yield from _text(kind, source, position + 8, length)
        elif kind == b"eXIf":
            yield from source.aside(exif_texts(source.text(position + 8, length)))
        else:
            source.reaches(position + 8, length)
        position += _AROUND + length
    yield from _behind(source, position + _AROUND + length)


def _behind(source: Source, position: int) -> Texts:
    """Yield texts that somebody put behind the end, where the editor finds them as well."""
    while position + _AROUND <= source.size:
        source.step()
        head = source.at(position, 8)
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        if kind not in _TEXT_TYPES or position + _AROUND + length > source.size:
            return
        yield from _text(kind, source, position + 8, length)
        position += _AROUND + length


def _text(kind: bytes, source: Source, offset: int, length: int) -> Texts:
    source.reaches(offset, length)
    start = source.at(offset, min(length, _LONGEST_KEY + 1))
    key, separator, _ = start.partition(b"\0")
    name = key.decode("latin-1")
    if not separator or name.lower() not in WANTED:
        return
    data = source.text(offset, length)[len(key) + 1 :]
    yield from source.aside(_unpacked(name, kind, data, source, offset))


def _unpacked(name: str, kind: bytes, data: bytes, source: Source, offset: int) -> Texts:
    yield name, _value(kind, data, source, offset)


def _value(kind: bytes, data: bytes, source: Source, offset: int) -> bytes:
    if kind == b"zTXt":
        return utf8(_inflated(data[1:], source, offset))
    if kind == b"iTXt":
        compressed, rest = data[:1] == b"\1", data[2:]
        _language, _, rest = rest.partition(b"\0")
        _translated, _, text = rest.partition(b"\0")
        return _inflated(text, source, offset) if compressed else text
    return utf8(data)  # Latin-1 by the standard


def _inflated(data: bytes, source: Source, offset: int) -> bytes:
    """Unpack, up to a bound.

    Raises:
        WorkflowUnreadable: the data is not what it says.
        WorkflowTooLarge: that is more than we read.
    """
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(data, source.text_left + 1)
    except zlib.error as error:
        raise broken(offset, f"a text in it cannot be unpacked ({error})") from error
    source.spend(len(text))
    if not unpacker.eof:
        raise broken(offset, "a text in it was packed only in part")
    return text
