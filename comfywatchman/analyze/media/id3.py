"""MP3: the ID3 tag at its beginning.

Sources: the informal standards ID3v2.2.0, ID3v2.3.0 and ID3v2.4.0 (structure and native frames).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from comfywatchman.analyze.media.source import Source, Texts, broken

_ENCODINGS = ("latin-1", "utf-16", "utf-16-be", "utf-8")
_OWN_TEXTS = frozenset({"TXX", "TXXX"})
_COMMENT = frozenset({"COM", "COMM"})
_UNSYNCHRONIZED = 0x80
_EXTENDED = 0x40
_LONGEST_TAG = 1 << 28


def tag_length(head: bytes) -> int:
    """Return the length of the tag that begins with *head*, ten bytes; 0 where none does."""
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    return 10 + _seven_bits(head[6:10]) + (10 if head[5] & 0x10 else 0)


def mp3_texts(source: Source) -> Texts:
    """Yield the texts that have a name of their own, and comments."""
    head = source.upto(0, 10)
    if head[:3] != b"ID3" or len(head) < 10:
        return
    version, flags = head[3], head[5]
    data = source.text(10, _seven_bits(head[6:10]))
    if flags & _UNSYNCHRONIZED and version < 4:
        data = _synchronized(data)
    if version == 2:
        frames = _short_frames(data)
    else:
        frames = _frames(data, version, _extended(data, version) if flags & _EXTENDED else 0)
    for kind, body in frames:
        if kind in _OWN_TEXTS:
            yield from _own_text(body)
        elif kind in _COMMENT:
            yield from _comment(body)


def _seven_bits(data: bytes) -> int:
    number = 0
    for byte in data:
        number = number << 7 | byte & 0x7F
    return number


def _synchronized(data: bytes) -> bytes:
    return data.replace(b"\xff\0", b"\xff")


def _extended(data: bytes, version: int) -> int:
    """Return the length of the header before the frames."""
    return _seven_bits(data[:4]) if version >= 4 else 4 + int.from_bytes(data[:4], "big")


def _short_frames(data: bytes) -> Iterator[tuple[str, bytes]]:
    position = 0
    while position + 6 <= len(data) and data[position]:
        length = int.from_bytes(data[position + 3 : position + 6], "big")
        yield _kind(data, position, 3), _body(data, position + 6, length)
        position += 6 + length


def _frames(data: bytes, version: int, position: int) -> Iterator[tuple[str, bytes]]:
    while position + 10 <= len(data) and data[position]:
        size, flags = data[position + 4 : position + 8], data[position + 9]
        length = _length(data, position, size) if version >= 4 else int.from_bytes(size, "big")
        body = _body(data, position + 10, length)
        plain = _plain(body, flags) if version >= 4 else _older_plain(body, flags)
        if plain is not None:
            yield _kind(data, position, 4), plain
        position += 10 + length


def _kind(data: bytes, position: int, length: int) -> str:
    return data[position : position + length].decode("latin-1")


def _body(data: bytes, start: int, length: int) -> bytes:
    if start + length > len(data):
        raise broken(10 + start, f"a frame of {length} bytes is longer than its tag")
    return data[start : start + length]


def _length(data: bytes, position: int, size: bytes) -> int:
    """Return a frame's length in version 4; some programs write it as if it were version 3."""
    length, plain = _seven_bits(size), int.from_bytes(size, "big")
    if length == plain:
        return length
    follows = data[position + 10 + length : position + 14 + length]
    return length if follows[:1] in {b"", b"\0"} or follows.isalnum() else plain


def _plain(body: bytes, flags: int) -> bytes | None:
    """Return a frame of version 4 as it was before it was packed; ``None`` if that cannot be."""
    if flags & 0x04:  # encrypted
        return None
    body = body[1 if flags & 0x40 else 0 :]
    expected = None
    if flags & 0x01:
        expected, body = _seven_bits(body[:4]), body[4:]
    if flags & 0x02:
        body = _synchronized(body)
    return _inflated(body, expected) if flags & 0x08 else body


def _older_plain(body: bytes, flags: int) -> bytes | None:
    if flags & 0x40:  # encrypted
        return None
    if flags & 0x80:
        return _inflated(body[4:], int.from_bytes(body[:4], "big"))
    return body[1:] if flags & 0x20 else body


def _inflated(body: bytes, expected: int | None) -> bytes | None:
    if expected is None or expected > _LONGEST_TAG:
        return None
    try:
        return zlib.decompressobj().decompress(body, min(expected, 1 << 24) or 1)
    except zlib.error:
        return None


def _own_text(body: bytes) -> Texts:
    parts = _parts(body)
    if len(parts) == 2:
        yield parts[0], parts[1].encode("utf-8", "replace")


def _comment(body: bytes) -> Texts:
    """A comment has a language of three letters between its encoding and its name."""
    parts = _parts(body[:1] + body[4:])
    if len(parts) == 2:
        yield parts[0] or "comment", parts[1].encode("utf-8", "replace")


def _parts(body: bytes) -> list[str]:
    """Return the name and the text of a frame."""
    if not body or body[0] >= len(_ENCODINGS):
        return []
    encoding, rest = _ENCODINGS[body[0]], body[1:]
    if body[0] in {0, 3}:
        name, _, text = rest.partition(b"\0")
    else:
        end = next((at for at in range(0, len(rest) - 1, 2) if rest[at : at + 2] == b"\0\0"), -1)
        if end < 0:
            return []
        name, text = rest[:end], rest[end + 2 :]
    return [part.decode(encoding, "replace").rstrip("\0") for part in (name, text)]
