"""The header of a safetensors file.

Source: the format's README and safetensors 0.8.0, ``tensor.rs``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

import msgspec

from comfywatchman.disk.heads.values import Head, Tensor

LARGEST_HEADER = 100_000_000
"""The library refuses more (MAX_HEADER_SIZE)."""

READ_HEADER = 16 << 20
"""What we read of it: a hundred thousand tensors need 11 MB; more is somebody's joke."""

_MOST_BRACES = 1_000_000
_MOST_COMMAS = 4_000_000
"""More objects or values than this no model has; unread, they cost twenty times their length."""

MOST_DIMENSIONS = 32
_LARGEST = 1 << 48
"""One dimension; no disk holds so many weights."""

LONGEST_TEXT = 64 << 10
"""Characters kept of one value of the metadata."""

DTYPE_BITS = {
    "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8,
    "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64,
}  # fmt: skip
"""Newer ones will come, so an unknown one is a warning."""

Entries = dict[str, dict[str, str | list[int]]]


class NotSafetensorsError(ValueError):
    """The header contradicts the format; the message says how."""


class UnreadHeaderError(ValueError):
    """The header is larger than we read; the message says how large."""


@dataclass(frozen=True, slots=True)
class Header:
    """A header as it stands there; whether it is consistent `tiled` says."""

    begin: int
    """Where the data begins."""
    entries: Entries
    """By tensor name, without ``__metadata__``."""
    metadata: dict[str, str]


_Decoder = msgspec.json.Decoder(Entries)


def read_header(file: BinaryIO, size: int) -> Header | None:
    """Return the header, or ``None`` where the file ends inside it.

    Args:
        file: at any place.
        size: of the whole file, in bytes.

    Raises:
        NotSafetensorsError, UnreadHeaderError
    """
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if size < 8 + length:
        return None
    if length > READ_HEADER:
        raise UnreadHeaderError(f"a header of {length} bytes was not read")
    text = file.read(length)
    if len(text) < length:
        return None
    if text.count(b"{") > _MOST_BRACES or text.count(b",") > _MOST_COMMAS:
        raise UnreadHeaderError("a header with more values than any model has was not read")
    try:
        entries = _Decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotSafetensorsError("its header is not what the format says") from error
    metadata = entries.pop("__metadata__", {})
    if not all(isinstance(value, str) for value in metadata.values()):
        raise NotSafetensorsError("its header is not what the format says")
    return Header(8 + length, entries, {key: str(value) for key, value in metadata.items()})


def header_length(file: BinaryIO) -> int:
    file.seek(0)
    return int.from_bytes(file.read(8), "little")


def tiled(entries: Entries, warnings: list[str]) -> int | None:
    """Return where the last tensor ends, or ``None`` where they do not tile the data."""
    spans: list[tuple[int, int]] = []
    for tensor in entries.values():
        offsets, dtype, shape = (tensor.get(k) for k in ("data_offsets", "dtype", "shape"))
        if not isinstance(offsets, list) or not isinstance(shape, list) or len(offsets) != 2:
            return None
        if not _believable(shape):
            return None  # before anything is multiplied: a lying shape can have a million factors
        begin, end = offsets
        bits = DTYPE_BITS.get(dtype) if isinstance(dtype, str) else None
        if bits is None:
            warnings.append(f"unknown dtype {str(dtype)[:20]!a}")
        elif (end - begin) * 8 != math.prod(shape) * bits:
            return None
        spans.append((begin, end))
    reached = 0
    for begin, end in sorted(spans):
        if begin != reached or end < begin:
            return None
        reached = end
    return reached


def head(file: BinaryIO, size: int) -> Head:
    """Return what the header says; a file that is cut short still says what it should hold."""
    try:
        found = read_header(file, size)
    except NotSafetensorsError as error:
        return Head("safetensors", problem=str(error))
    except UnreadHeaderError as error:
        return Head("safetensors", warnings=(str(error),))
    if found is None:
        needed = 8 + header_length(file)
        return Head("safetensors", problem=f"its header alone needs {needed} bytes, it has {size}")
    warnings: list[str] = []
    end = tiled(found.entries, warnings)
    problem = None
    if end is None:
        problem = "its tensors overlap, leave holes or contradict their shape"
    elif size != found.begin + end:
        problem = length_problem(size, found.begin + end)
    tensors = tuple(_tensor(name, entry) for name, entry in found.entries.items())
    return Head(
        "safetensors",
        tensors,
        {key[:1024]: value[:LONGEST_TEXT] for key, value in found.metadata.items()},
        {"header_bytes": str(found.begin - 8)},
        problem=problem,
        warnings=tuple(dict.fromkeys(warnings)),
    )


def length_problem(size: int, wanted: int) -> str | None:
    """Say how a file of *size* bytes differs from the *wanted* length."""
    if size < wanted:
        return f"it is truncated: {wanted - size} bytes are missing"
    return f"{size - wanted} bytes follow after its end" if size > wanted else None


def _tensor(name: str, entry: dict[str, str | list[int]]) -> Tensor:
    """Return a tensor as far as its entry makes sense; a lying one has no shape and no size."""
    shape, offsets, dtype = (entry.get(k) for k in ("shape", "data_offsets", "dtype"))
    dimensions = tuple(shape) if isinstance(shape, list) else ()
    sized = isinstance(offsets, list) and len(offsets) == 2 and offsets[1] >= offsets[0]
    return Tensor(
        name[:1024],
        dtype[:20] if isinstance(dtype, str) else "unknown",
        dimensions if _believable(dimensions) else (),
        offsets[1] - offsets[0] if sized and isinstance(offsets, list) else None,
    )


def _believable(shape: Sequence[int]) -> bool:
    return len(shape) <= MOST_DIMENSIONS and all(0 <= each < _LARGEST for each in shape)
