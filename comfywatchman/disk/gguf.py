"""The header of a GGUF file: what it says, and how long the whole file should be.

Source: ggml, docs/gguf.md; block sizes from ggml-common.h and ggml.c (type_traits).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import BinaryIO

from comfywatchman.disk.heads.values import Head, Tensor

_MOST_ENTRIES = 200_000
_MOST_HEADER = 128 << 20
_ALIGNMENT = 32
_ALIGNMENT_KEY = b"general.alignment"
_STRING, _ARRAY = 8, 9
_LONGEST_TEXT = 64 << 10
_MOST_TOLD = 2000
"""Values that are kept of the metadata."""
_FORMATS = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"
}  # fmt: skip
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

_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 9: "Q8_1",
    10: "Q2_K", 11: "Q3_K", 12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 15: "Q8_K", 16: "IQ2_XXS",
    17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS",
    24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 29: "IQ1_M", 30: "BF16", 34: "TQ1_0",
    35: "TQ2_0", 39: "MXFP4",
}  # fmt: skip


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
    return _parse(file, None, lambda _name, _shape, _kind: None)


def head(file: BinaryIO, size: int) -> Head:
    """Return metadata and tensors as the header of a file of *size* bytes gives them."""
    file.seek(0)
    metadata: dict[str, str] = {}
    tensors: list[Tensor] = []

    def take(name: str, shape: tuple[int, ...], kind: int) -> None:
        called = _TYPES.get(kind, f"type {kind}")
        tensors.append(Tensor(name, called, shape, _bytes_of(shape, kind)))

    problem = None
    warnings: tuple[str, ...] = ()
    try:
        wanted = _parse(file, metadata, take)
    except EOFError:
        problem = "it ends inside its header"
    except NotGguf as error:
        problem = str(error)
    else:
        if wanted is None:
            warnings = ("its length cannot be told from its header",)
        elif size < wanted:
            problem = f"it is truncated: {wanted - size} bytes are missing"
    facts = {"version": str(_version(file))}
    return Head("gguf", tuple(tensors), metadata, facts, problem=problem, warnings=warnings)


def _version(file: BinaryIO) -> int:
    file.seek(4)
    return int.from_bytes(file.read(4), "little")


def _parse(
    file: BinaryIO,
    told: dict[str, str] | None,
    on_tensor: Callable[[str, tuple[int, ...], int], None],
) -> int | None:
    """Read the header; return the expected length of the file, `None` where nobody can tell.

    *told* takes the metadata, lists as what they hold.
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
            continue
        value = _value(reader, kind)
        if told is not None and len(told) < _MOST_TOLD:
            told[key.decode("utf-8", "replace")[:1024]] = value
    if alignment == 0:
        raise NotGguf("its alignment is zero")
    ends = [_tensor_end(reader, on_tensor) for _ in range(tensors)]
    if any(end is None for end in ends):
        return None
    begin = -(-reader.offset // alignment) * alignment
    return (
        begin + max((end for end in ends if end is not None), default=0) if ends else reader.offset
    )


def _value(reader: _Reader, kind: int) -> str:
    if kind in _SCALARS:
        (value,) = struct.unpack(f"<{_FORMATS[kind]}", reader.take(_SCALARS[kind]))
        return str(value)
    if kind == _STRING:
        return reader.string()[:_LONGEST_TEXT].decode("utf-8", "replace")
    if kind == _ARRAY:
        return _array(reader)
    raise NotGguf(f"a value in its header has the unknown type {kind}")


def _array(reader: _Reader) -> str:
    """Pass over a list, and say what it holds; short lists of numbers in full."""
    kind, count = reader.u32(), reader.u64()
    if kind in _SCALARS:
        if count <= 16:
            data = reader.take(count * _SCALARS[kind])
            return str(list(struct.unpack(f"<{count}{_FORMATS[kind]}", data)))
        reader.skip(count * _SCALARS[kind])
        return f"{count} numbers"
    if kind != _STRING:
        raise NotGguf("a list in its header holds lists")
    if count * 8 > _MOST_HEADER:
        raise NotGguf("its header is larger than any")
    for _ in range(count):
        reader.string()
    return f"{count} texts"


def _tensor_end(
    reader: _Reader, on_tensor: Callable[[str, tuple[int, ...], int], None]
) -> int | None:
    """Return where the tensor ends, counted from the start of the data, without padding."""
    name = reader.string(1 << 16)
    dimensions = reader.u32()
    if dimensions > 8:
        raise NotGguf("a tensor in its header has more dimensions than any")
    shape: tuple[int, ...] = struct.unpack(f"<{dimensions}Q", reader.take(8 * dimensions))
    kind, offset = reader.u32(), reader.u64()
    # Dimensions stand in reverse: the first is the one that runs fastest.
    on_tensor(name.decode("utf-8", "replace")[:1024], shape[::-1], kind)
    size = _bytes_of(shape, kind)
    return None if size is None else offset + size


def _bytes_of(shape: tuple[int, ...], kind: int) -> int | None:
    if kind not in _BLOCKS:
        return None
    weights, size = _BLOCKS[kind]
    return -(-math.prod(shape) // weights) * size
