"""PNG: the text chunks.

Source: PNG (Third Edition), sections 5.3 and 11.3; ComfyUI's animated PNGs add chunks of type
``comf`` with the layout of ``tEXt``.
"""

from __future__ import annotations

import zlib

from comfywatchman.analyze.media.exif import exif_texts
from comfywatchman.analyze.media.source import WANTED, Source, Texts, utf8

_SIGNATURE_LENGTH = 8
_TEXT_TYPES = frozenset({b"tEXt", b"zTXt", b"iTXt", b"comf"})
_LONGEST_KEY = 79


def png_texts(source: Source) -> Texts:
    """Yield the texts of all chunks."""
    position = _SIGNATURE_LENGTH
    while True:
        source.step()
        head = source.at(position, 8)
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        if kind == b"IEND":
            return
        if kind in _TEXT_TYPES:
            yield from _text(kind, source, position + 8, length)
        elif kind == b"eXIf":
            yield from exif_texts(source.text(position + 8, length))
        else:
            source.reaches(position + 8, length)
        position += 12 + length  # length, type, data, checksum


def _text(kind: bytes, source: Source, offset: int, length: int) -> Texts:
    source.reaches(offset, length)
    start = source.at(offset, min(length, _LONGEST_KEY + 1))
    key, separator, _ = start.partition(b"\0")
    name = key.decode("latin-1")
    if not separator or name.lower() not in WANTED:
        return
    value = _value(kind, source.text(offset, length)[len(key) + 1 :], source)
    if value is not None:
        yield name, value


def _value(kind: bytes, data: bytes, source: Source) -> bytes | None:
    if kind == b"zTXt":
        inflated = _inflated(data[1:], source)
        return None if inflated is None else utf8(inflated)
    if kind == b"iTXt":
        compressed, rest = data[:1] == b"\1", data[2:]
        _language, _, rest = rest.partition(b"\0")
        _translated, _, text = rest.partition(b"\0")
        return _inflated(text, source) if compressed else text
    return utf8(data)  # Latin-1 by the standard


def _inflated(data: bytes, source: Source) -> bytes | None:
    """Unpack, up to a bound; ``None`` where the data is not what it says."""
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(data, source.text_left + 1)
    except zlib.error:
        return None
    source.spend(len(text))
    return text
