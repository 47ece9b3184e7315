"""A small picture with a workflow in it, as ComfyUI saves its results."""

from __future__ import annotations

import struct
import zlib

_SIDE = 128


def png_with_workflow(workflow: str) -> bytes:
    """Return a PNG of a gradient whose text chunk ``workflow`` is *workflow*, JSON in ASCII.

    Source: PNG specification (chunks, filter 0); ComfyUI's SaveImage writes the same chunk.
    """
    size = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 2, 0, 0, 0)
    rows = b"".join(
        b"\0" + bytes(channel for x in range(_SIDE) for channel in (x * 2, y * 2, 160))
        for y in range(_SIDE)
    )
    text = b"workflow\0" + workflow.encode("ascii")
    chunks = (
        (b"IHDR", size),
        (b"tEXt", text),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
