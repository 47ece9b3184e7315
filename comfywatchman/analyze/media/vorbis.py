"""FLAC and Ogg (Vorbis, Opus, FLAC, Theora): the Vorbis comment.

Sources: RFC 9639 (FLAC), section 8; RFC 3533 (Ogg); RFC 7845 (Opus), section 5.2; Xiph's Vorbis I
specification, section 5.
"""

from __future__ import annotations

from comfywatchman.analyze.media.id3 import tag_length
from comfywatchman.analyze.media.source import WANTED, Source, Texts, broken

_COMMENT_BLOCK = 4
_LAST_BLOCK = 0x80
_PREFIXES = (b"\x03vorbis", b"OpusTags", b"\x81theora")
_LAST_PAGE = 4
_MOST_STREAMS = 8
_MOST_PAGES = 2_000
"""Comments lie in the first ones; a page holds 64 KiB."""


def flac_texts(source: Source) -> Texts:
    """Yield the comments of all metadata blocks."""
    position = tag_length(source.upto(0, 10)) + 4
    last = False
    while not last:
        source.step()
        head = source.at(position, 4)
        kind, length = head[0] & 0x7F, int.from_bytes(head[1:], "big")
        last = bool(head[0] & _LAST_BLOCK)
        if kind == _COMMENT_BLOCK:
            yield from _comments(source, source.text(position + 4, length), position + 4)
        source.reaches(position + 4, length)
        position += 4 + length


def ogg_texts(source: Source) -> Texts:
    """Yield the comments of each stream: its second packet, gathered from pages."""
    packets: dict[bytes, list[bytearray]] = {}
    over: set[bytes] = set()
    position = 0
    for _ in range(_MOST_PAGES):
        if position >= source.size:
            break
        source.step()
        head = source.at(position, 27)
        if head[:4] != b"OggS":
            raise broken(position, "a page should begin")
        lengths = source.at(position + 27, head[26])
        serial = head[14:18]
        if serial not in packets and len(packets) < _MOST_STREAMS:
            packets[serial] = [bytearray()]
        body = position + 27 + len(lengths)
        source.reaches(body, sum(lengths))
        if serial in packets and len(packets[serial]) <= 2:
            _gather(source, packets[serial], body, lengths)
            if len(packets[serial]) > 2:
                yield from _packet(source, bytes(packets[serial][1]), body)
        if head[5] & _LAST_PAGE:
            over.add(serial)
        if packets and all(len(known) > 2 for known in packets.values()):
            return
        position = body + sum(lengths)
    if any(len(known) <= 2 and serial not in over for serial, known in packets.items()):
        raise broken(position, "it ends here, before the comments of a stream do")


def _gather(source: Source, packets: list[bytearray], offset: int, lengths: bytes) -> None:
    """Add a page's segments; one shorter than 255 bytes ends a packet."""
    for length in lengths:
        packets[-1] += source.text(offset, length)
        offset += length
        if length < 255:
            packets.append(bytearray())
            if len(packets) > 2:
                return


def _packet(source: Source, packet: bytes, offset: int) -> Texts:
    for prefix in _PREFIXES:
        if packet.startswith(prefix):
            yield from _comments(source, packet[len(prefix) :], offset)
            return
    if packet[:1] and packet[0] & 0x7F == _COMMENT_BLOCK:  # FLAC in Ogg
        yield from _comments(source, packet[4:], offset)


def _comments(source: Source, data: bytes, offset: int) -> Texts:
    vendor = int.from_bytes(data[:4], "little")
    position = 4 + vendor
    count = int.from_bytes(data[position : position + 4], "little")
    position += 4
    for _ in range(count):
        source.step()
        length = int.from_bytes(data[position : position + 4], "little")
        if position + 4 + length > len(data) or position + 4 > len(data):
            raise broken(offset + position, "a comment is longer than what it lies in")
        key, equals, value = data[position + 4 : position + 4 + length].partition(b"=")
        name = key[:40].decode("ascii", "replace")
        if equals and name.lower() in WANTED:
            yield name, value
        position += 4 + length
