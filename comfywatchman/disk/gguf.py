"""How long a GGUF file should be, from its header.

Source: ggml, docs/gguf.md; block sizes from ggml-common.h and ggml.c (type_traits).
"""

from __future__ import annotations

import math
import struct
from typing import BinaryIO

_MOST_ENTRIES = 200_000
_MOST_HEADER = 128 << 20
_ALIGNMENT = 32
_ALIGNMENT_KEY = b"general.alignment"
_STRING, _ARRAY = 8, 9
_SCALARS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of each scalar value type."""

_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34),
    9: (32, 36), 10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210),
    15: (256, 292), 16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18),
    21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8),
    28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17),
}  # fmt: skip
"""Tensor type: weights in a block, bytes of a block."""


class NotGguf(ValueError):
    """The header contradicts the format."""


class _Reader:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.offset = 0

    def take(self, count: int) -> bytes:
        if self.offset + count > _MOST_HEADER:
            raise NotGguf("its header is larger than any")
        data = self._file.read(count)
        if len(data) < count:
            raise EOFError
        self.offset += count
        return data

    def skip(self, count: int) -> None:
        if count > _MOST_HEADER:
            raise NotGguf("its header is larger than any")
        self.take(count)

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "little")

    def u64(self) -> int:
        return int.from_bytes(self.take(8), "little")

    def string(self, most: int = _MOST_HEADER) -> bytes:
        length = self.u64()
        if length > most:
            raise NotGguf("a string in its header is longer than any")
        return self.take(length)


def expected_size(file: BinaryIO) -> int | None:
    """Return the length of the whole file; ``None`` where a type is unknown to us.

    Args:
        file: at its first byte.

    Raises:
        EOFError: it ends inside the header.
        NotGguf: the header contradicts the format.
    """
    reader = _Reader(file)
    if reader.take(4) != b"GGUF":
        raise NotGguf("it does not begin as GGUF does")
    version = reader.u32()
    if version not in {2, 3}:
        return None
    tensors, entries = reader.u64(), reader.u64()
    if max(tensors, entries) > _MOST_ENTRIES:
        raise NotGguf("its header promises more entries than any model has")
    alignment = _ALIGNMENT
    for _ in range(entries):
        key, kind = reader.string(1 << 16), reader.u32()
        if key == _ALIGNMENT_KEY and kind == 4:
            alignment = reader.u32()
        else:
            _skip_value(reader, kind)
    if alignment == 0:
        raise NotGguf("its alignment is zero")
    ends = [_tensor_end(reader) for _ in range(tensors)]
    if any(end is None for end in ends):
        return None
    begin = -(-reader.offset // alignment) * alignment
    return (
        begin + max((end for end in ends if end is not None), default=0) if ends else reader.offset
    )


def _skip_value(reader: _Reader, kind: int) -> None:
    if kind in _SCALARS:
        reader.skip(_SCALARS[kind])
    elif kind == _STRING:
        reader.string()
    elif kind == _ARRAY:
        _skip_array(reader)
    else:
        raise NotGguf(f"a value in its header has the unknown type {kind}")


def _skip_array(reader: _Reader) -> None:
    kind, count = reader.u32(), reader.u64()
    if kind in _SCALARS:
        reader.skip(count * _SCALARS[kind])
    elif kind == _STRING:
        if count * 8 > _MOST_HEADER:
            raise NotGguf("its header is larger than any")
        for _ in range(count):
            reader.string()
    else:
        raise NotGguf("a list in its header holds lists")


def _tensor_end(reader: _Reader) -> int | None:
    """Return where the tensor ends, counted from the start of the data, without padding."""
    reader.string(1 << 16)
    dimensions = reader.u32()
    if dimensions > 8:
        raise NotGguf("a tensor in its header has more dimensions than any")
    shape: tuple[int, ...] = struct.unpack(f"<{dimensions}Q", reader.take(8 * dimensions))
    kind, offset = reader.u32(), reader.u64()
    if kind not in _BLOCKS:
        return None
    weights, size = _BLOCKS[kind]
    return offset + -(-math.prod(shape) // weights) * size
