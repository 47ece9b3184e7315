"""WebP and JPEG: the EXIF block, wherever it lies.

Sources: RFC 9649 (WebP), section 2.4 to 2.7; ITU-T T.81, annex B (JPEG).
"""

from __future__ import annotations

from comfywatchman.analyze.media.exif import exif_texts
from comfywatchman.analyze.media.source import Source, Texts, broken, utf8

_EXIF_MARKER = 0xE1
_COMMENT_MARKER = 0xFE
_ENDS = frozenset({0xD9, 0xDA})
"""End of image, start of scan."""

_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})


def webp_texts(source: Source) -> Texts:
    """Yield the texts of every EXIF chunk; it stands after the pixels, and some writers' before."""
    position = 12
    while position + 8 <= source.size:
        source.step()
        head = source.at(position, 8)
        length = int.from_bytes(head[4:], "little")
        source.reaches(position + 8, length)
        if head[:4] == b"EXIF":
            yield from source.aside(exif_texts(source.text(position + 8, length)))
        position += 8 + length
        if length % 2 and source.upto(position, 1) in {b"\0", b""}:  # some forget to fill up
            position += 1
    length = int.from_bytes(source.at(4, 4), "little")
    if 8 + length > source.size + 1:
        raise broken(source.size, f"it ends here, and says that it has {8 + length} bytes")


def jpeg_texts(source: Source) -> Texts:
    """Yield the texts of the segments before the pixels."""
    position = 2
    while True:
        source.step()
        marker = source.at(position, 2)
        if marker[0] != 0xFF:
            raise broken(position, "a JPEG segment should begin")
        kind = marker[1]
        if kind == 0xFF:  # filling
            position += 1
        elif kind in _WITHOUT_LENGTH:
            position += 2
        elif kind in _ENDS:
            return
        else:
            length = int.from_bytes(source.at(position + 2, 2), "big")
            source.reaches(position + 2, length)
            yield from _segment(source, kind, position + 4, length - 2)
            position += 2 + max(2, length)


def _segment(source: Source, kind: int, offset: int, length: int) -> Texts:
    if kind == _EXIF_MARKER and length > 6 and source.at(offset, 6) == b"Exif\0\0":
        yield from source.aside(exif_texts(source.text(offset, length)))
    elif kind == _COMMENT_MARKER and length > 0:
        yield "comment", utf8(source.text(offset, length))
