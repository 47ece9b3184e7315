"""The text chunks of a PNG file, read without decoding a pixel.

Source: PNG (Third Edition), sections 5.3 and 11.3.3; ComfyUI's animated PNGs add chunks of type
``comf`` with the layout of ``tEXt``.
"""

from __future__ import annotations

import zlib
from typing import BinaryIO

from comfywatchman.analyze.limits import Limits
from comfywatchman.domain.errors import WorkflowTooLarge

_SIGNATURE_LENGTH = 8
_TEXT_TYPES = frozenset({b"tEXt", b"zTXt", b"iTXt", b"comf"})
_LONGEST_KEY = 79
_MOST_CHUNKS = 100_000
_KEYS = frozenset({b"workflow", b"prompt", b"parameters"})


def png_texts(source: BinaryIO, limits: Limits) -> dict[str, bytes]:
    """Return the texts under the keys that hold workflows, as UTF-8; the first of a key counts.

    A file that breaks off, or whose chunks lie about their length, gives the texts before that.

    Raises:
        WorkflowTooLarge: the texts, or what they unpack to, are larger than we read.
    """
    source.seek(0, 2)
    size = source.tell()
    position = _SIGNATURE_LENGTH
    texts: dict[str, bytes] = {}
    left = limits.max_text_bytes
    for _ in range(_MOST_CHUNKS):
        source.seek(position)
        head = source.read(8)
        if len(head) < 8:
            break
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        if kind == b"IEND" or length > size - position - 8:
            break
        if kind in _TEXT_TYPES:
            found = _text(kind, source, length, left)
            if found is not None and found[0] not in texts:
                texts[found[0]] = found[1]
                left -= len(found[1])
        position += 12 + length  # length, type, data, checksum
    return texts


def _text(kind: bytes, source: BinaryIO, length: int, left: int) -> tuple[str, bytes] | None:
    start = source.read(min(length, _LONGEST_KEY + 1))
    key, separator, rest = start.partition(b"\0")
    if not separator or key.lower() not in _KEYS:
        return None
    if length > left:
        raise _too_large(left)
    data = rest + source.read(length - len(start))
    value = _value(kind, data, left)
    return None if value is None else (key.decode("latin-1"), value)


def _value(kind: bytes, data: bytes, left: int) -> bytes | None:
    if kind == b"zTXt":
        inflated = _inflated(data[1:], left)
        return None if inflated is None else inflated.decode("latin-1").encode()
    if kind == b"iTXt":
        compressed, rest = data[:1] == b"\1", data[2:]
        _language, _, rest = rest.partition(b"\0")
        _translated, _, text = rest.partition(b"\0")
        return _inflated(text, left) if compressed else text
    # Latin-1 by the standard; browsers' canvases and some scripts write UTF-8 all the same
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1").encode()
    return data


def _inflated(data: bytes, left: int) -> bytes | None:
    """Unpack, up to a bound; ``None`` where the data is not what it says."""
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(data, left + 1)
    except zlib.error:
        return None
    if len(text) > left:
        raise _too_large(left)
    return text


def _too_large(left: int) -> WorkflowTooLarge:
    return WorkflowTooLarge(
        f"A text in the image is larger than the {left} bytes that we read.",
        remedy="No real workflow is; look where the file comes from.",
    )
