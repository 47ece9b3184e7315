"""MP3: the ID3 tag at its beginning.

Sources: the informal standards ID3v2.2.0, ID3v2.3.0 and ID3v2.4.0 (structure and native frames).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from comfywatchman.analyze.media.source import Source, Texts, broken

_ENCODINGS = ("latin-1", "utf-16", "utf-16-be", "utf-8")
_OWN_TEXTS = frozenset({b"TXX", b"TXXX"})
_COMMENT = frozenset({b"COM", b"COMM"})
_UNSYNCHRONIZED = 0x80
_EXTENDED = 0x40
_HEADER = 10
_LONGEST_TAG = 1 << 28


def tag_length(head: bytes) -> int:
    """Return the length of the tag that begins with *head*, ten bytes; 0 where none does."""
    if head[:3] != b"ID3" or len(head) < _HEADER:
        return 0
    return _HEADER + _seven_bits(head[6:10]) + (10 if head[5] & 0x10 else 0)


def mp3_texts(source: Source) -> Texts:
    """Yield the texts that have a name of their own, and comments; pictures are skipped."""
    head = source.upto(0, _HEADER)
    if head[:3] != b"ID3":
        return
    if len(head) < _HEADER:
        raise broken(len(head), "it ends here, in the middle of its tag's header")
    version, flags, size = head[3], head[5], _seven_bits(head[6:10])
    if flags & _UNSYNCHRONIZED and version < 4:
        tag = _Tag(source, size, _synchronized(source.text(_HEADER, size)))
    else:
        tag = _Tag(source, size)
    if version == 2:
        frames = _short_frames(tag)
    else:
        frames = _frames(tag, version, _extended(tag, version) if flags & _EXTENDED else 0)
    for kind, body in frames:
        if kind in _OWN_TEXTS:
            yield from _own_text(body)
        else:
            yield from _comment(body)


@dataclass(frozen=True, slots=True)
class _Tag:
    """The bytes behind a tag's header: in the file, or in memory once they were unpacked."""

    source: Source
    length: int
    data: bytes | None = None

    @property
    def size(self) -> int:
        return self.length if self.data is None else len(self.data)

    def at(self, position: int, length: int) -> bytes:
        if self.data is not None:
            return self.data[position : position + length]
        return self.source.at(_HEADER + position, length)

    def body(self, position: int, length: int) -> bytes:
        """Return a frame's bytes, which count as text."""
        if self.data is not None:
            return self.data[position : position + length]
        return self.source.text(_HEADER + position, length)

    def holds(self, position: int, length: int) -> None:
        """Check that a frame ends where the tag does, or before.

        Raises:
            WorkflowUnreadable: it does not.
        """
        self.source.step()
        if position + length > self.size:
            at = _HEADER + position
            raise broken(at, f"a frame of {length} bytes is longer than its tag")


def _seven_bits(data: bytes) -> int:
    number = 0
    for byte in data:
        number = number << 7 | byte & 0x7F
    return number


def _synchronized(data: bytes) -> bytes:
    return data.replace(b"\xff\0", b"\xff")


def _extended(tag: _Tag, version: int) -> int:
    """Return the length of the header before the frames."""
    head = tag.at(0, 4)
    return _seven_bits(head) if version >= 4 else 4 + int.from_bytes(head, "big")


def _short_frames(tag: _Tag) -> Iterator[tuple[bytes, bytes]]:
    position = 0
    while position + 6 <= tag.size:
        head = tag.at(position, 6)
        if not head[0]:
            return
        kind, length = head[:3], int.from_bytes(head[3:], "big")
        tag.holds(position + 6, length)
        if kind in _OWN_TEXTS or kind in _COMMENT:
            yield kind, tag.body(position + 6, length)
        position += 6 + length


def _frames(tag: _Tag, version: int, position: int) -> Iterator[tuple[bytes, bytes]]:
    while position + _HEADER <= tag.size:
        head = tag.at(position, _HEADER)
        if not head[0]:
            return
        kind, flags = head[:4], head[9]
        length = _length(tag, position, head) if version >= 4 else int.from_bytes(head[4:8], "big")
        tag.holds(position + _HEADER, length)
        if kind in _OWN_TEXTS or kind in _COMMENT:
            body = tag.body(position + _HEADER, length)
            left = tag.source.text_left
            plain = _plain(body, flags, left) if version >= 4 else _older_plain(body, flags, left)
            if plain is None:
                at = _HEADER + position
                tag.source.troubles.append(broken(at, "a text in it cannot be unpacked"))
            else:
                if len(plain) > length:
                    tag.source.spend(len(plain))
                yield kind, plain
        position += _HEADER + length


def _length(tag: _Tag, position: int, head: bytes) -> int:
    """Return a frame's length in version 4; some programs write it as if it were version 3."""
    length, plain = _seven_bits(head[4:8]), int.from_bytes(head[4:8], "big")
    behind = position + _HEADER + length
    if length == plain or behind + 4 > tag.size:
        return length
    follows = tag.at(behind, 4)
    return length if follows[:1] == b"\0" or follows.isalnum() else plain


def _plain(body: bytes, flags: int, most: int) -> bytes | None:
    """Return a frame of version 4 as it was before it was packed; ``None`` if that cannot be."""
    if flags & 0x04:  # encrypted
        return None
    body = body[1 if flags & 0x40 else 0 :]
    expected = None
    if flags & 0x01:
        expected, body = _seven_bits(body[:4]), body[4:]
    if flags & 0x02:
        body = _synchronized(body)
    return _inflated(body, expected, most) if flags & 0x08 else body


def _older_plain(body: bytes, flags: int, most: int) -> bytes | None:
    if flags & 0x40:  # encrypted
        return None
    if flags & 0x80:
        return _inflated(body[4:], int.from_bytes(body[:4], "big"), most)
    return body[1:] if flags & 0x20 else body


def _inflated(body: bytes, expected: int | None, most: int) -> bytes | None:
    """Unpack up to *most* bytes and one more, which is then one too many."""
    if expected is None or expected > _LONGEST_TAG:
        return None
    try:
        return zlib.decompressobj().decompress(body, min(expected, most + 1) or 1)
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
        end = rest.find(b"\0\0")
        while end % 2:  # -1 as well: a zero between two letters is none of the end
            if end < 0:
                return []
            end = rest.find(b"\0\0", end + 1)
        name, text = rest[:end], rest[end + 2 :]
    return [part.decode(encoding, "replace").rstrip("\0") for part in (name, text)]
