"""What a model file is, and whether it is whole, told from a few bytes of it.

No model is loaded, nothing is unpickled or unpacked, and what is read is bounded.
"""

from __future__ import annotations

import math
import os
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import BinaryIO

import msgspec

from comfywatchman.disk import gguf
from comfywatchman.disk.errors import reading_failed
from comfywatchman.disk.files import open_regular
from comfywatchman.domain.files import MODEL_SUFFIXES

_HEAD = 4096
_LARGEST_HEADER = 100_000_000
"""The safetensors library refuses more (tensor.rs, MAX_HEADER_SIZE)."""

_READ_HEADER = 16 << 20
"""What we read of it: a hundred thousand tensors need 11 MB; more is somebody's joke."""

_DTYPE_BITS = {
    "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8,
    "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64,
}  # fmt: skip
"""Source: safetensors 0.8.0, tensor.rs. Newer ones will come, so an unknown one is a warning."""

_PAGE_STARTS = (b"<!doctype", b"<html", b"<head", b"<body", b"<?xml", b"<script")
_LFS_START = b"version https://git-lfs.github.com/spec/"
_WANTED_KIND = {".safetensors": "safetensors", ".sft": "safetensors", ".gguf": "gguf"}
_PICKLE_SUFFIXES = frozenset({".ckpt", ".pt", ".pt2", ".pth", ".bin", ".pkl"})
_MOST_ZIP_DIRECTORY = 16 << 20
_ZIP_TAIL = (64 << 10) + 22
_SHORT_MESSAGE = 4096


@dataclass(frozen=True, slots=True)
class Structure:
    """What the bytes say about themselves."""

    kind: str
    """safetensors, gguf, torch-zip, zip, pickle, html, json, text, lfs-pointer, zeros, empty or
    unknown."""
    whole: bool = True
    """False where bytes are still to come: truncated, or not yet written."""
    problem: str | None = None
    """Why no loader could use it under this suffix."""
    missing_bytes: int | None = None
    """How many bytes are to come, where the file says so."""
    warnings: tuple[str, ...] = ()


_Header = msgspec.json.Decoder(dict[str, dict[str, str | list[int]]])


def examine(source: Path | int, suffix: str) -> Structure:
    """Return what the file is.

    Args:
        source: a path, or an open descriptor, which is left open.
        suffix: of the name it has or will have, with the dot.

    Raises:
        FileUnreadable, DiskFailed
    """
    path = Path(f"/dev/fd/{source}") if isinstance(source, int) else source
    descriptor = source if isinstance(source, int) else open_regular(source)
    try:
        with open(descriptor, "rb", closefd=not isinstance(source, int)) as file:
            file.seek(0)
            return _judged(_examine(file, os.fstat(descriptor).st_size), suffix.lower())
    except OSError as error:
        raise reading_failed(error, path) from error


def kind_of(head: bytes, size: int) -> str:
    """Name what begins with *head*, the first bytes (4096 at most) of *size*."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:64].lower()
    short = size <= _SHORT_MESSAGE
    checks = {
        "empty": size == 0,
        "lfs-pointer": head.startswith(_LFS_START),
        "html": text.startswith(_PAGE_STARTS),
        "gguf": head.startswith(b"GGUF"),
        "zip": head.startswith((b"PK\x03\x04", b"PK\x05\x06")),
        "zeros": not any(head),
        "safetensors": _begins_safetensors(head, size),
        "pickle": re.match(rb"\x80[\x02-\x05]", head) is not None,
        "json": (text.startswith(b"{") or (short and text.startswith(b"["))) and _is_text(head),
        "text": short and _is_text(head),
    }
    return next((kind for kind, true in checks.items() if true), "unknown")


def _begins_safetensors(head: bytes, size: int) -> bool:
    length = int.from_bytes(head[:8], "little")
    if size < 10:
        return False
    return 2 <= length <= _LARGEST_HEADER and head[8:64].lstrip(b" ")[:1] == b"{"


def _is_text(head: bytes) -> bool:
    return all(byte >= 32 or byte in b"\t\r\n" for byte in head)


def _examine(file: BinaryIO, size: int) -> Structure:
    head = file.read(_HEAD)
    kind = kind_of(head, size)
    match kind:
        case "safetensors":
            return _safetensors(file, size)
        case "gguf":
            return _gguf(file, size)
        case "zip":
            return _zip(file, size)
        case "empty":
            return Structure(kind, whole=False, problem="it is empty")
        case "zeros":
            return Structure(kind, whole=False, problem="it begins with nothing but zeros")
        case _:
            return Structure(kind)


def _safetensors(file: BinaryIO, size: int) -> Structure:
    kind = "safetensors"
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if size < 8 + length:
        return Structure(
            kind, whole=False, problem=f"its header alone needs {8 + length} bytes, it has {size}"
        )
    if length > _READ_HEADER:
        return Structure(kind, warnings=(f"a header of {length} bytes was not read",))
    try:
        header = _Header.decode(file.read(length))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Structure(kind, problem="its header is not what the format says")
    header.pop("__metadata__", None)
    warnings: list[str] = []
    end = _tiled(header, warnings)
    if end is None:
        return Structure(kind, problem="its tensors overlap, leave holes or contradict their shape")
    wanted = 8 + length + end
    if size < wanted:
        missing = wanted - size
        return Structure(kind, False, f"it is truncated: {missing} bytes are missing", missing)
    problem = f"{size - wanted} bytes follow after its end" if size > wanted else None
    return Structure(kind, problem=problem, warnings=tuple(warnings))


def _tiled(tensors: dict[str, dict[str, str | list[int]]], warnings: list[str]) -> int | None:
    """Return where the last tensor ends, or ``None`` where they do not tile the data."""
    spans: list[tuple[int, int]] = []
    for tensor in tensors.values():
        offsets, dtype, shape = (tensor.get(k) for k in ("data_offsets", "dtype", "shape"))
        if not isinstance(offsets, list) or not isinstance(shape, list) or len(offsets) != 2:
            return None
        begin, end = offsets
        bits = _DTYPE_BITS.get(dtype) if isinstance(dtype, str) else None
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


def _gguf(file: BinaryIO, size: int) -> Structure:
    file.seek(0)
    try:
        wanted = gguf.expected_size(file)
    except EOFError:
        return Structure("gguf", whole=False, problem="it ends inside its header")
    except gguf.NotGguf as error:
        return Structure("gguf", problem=str(error))
    if wanted is None:
        return Structure("gguf", warnings=("its length cannot be told from its header",))
    if size < wanted:
        missing = wanted - size
        return Structure("gguf", False, f"it is truncated: {missing} bytes are missing", missing)
    return Structure("gguf")


def _zip(file: BinaryIO, size: int) -> Structure:
    file.seek(max(0, size - _ZIP_TAIL))
    tail = file.read(_ZIP_TAIL)
    record = tail.rfind(b"PK\x05\x06")
    if record < 0 or len(tail) - record < 22:
        return Structure("zip", whole=False, problem="it ends before its table of contents")
    if int.from_bytes(tail[record + 12 : record + 16], "little") > _MOST_ZIP_DIRECTORY:
        return Structure("zip", warnings=("a table of contents this large was not read",))
    try:
        with zipfile.ZipFile(file) as archive:
            names: Sequence[str] = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OverflowError):
        return Structure("zip", problem="its table of contents cannot be read")
    return Structure("torch-zip" if any(PurePath(n).suffix == ".pkl" for n in names) else "zip")


_SAYS = {
    "html": "it is a web page",
    "json": "it is a JSON text",
    "text": "it is a short text",
    "lfs-pointer": "it is a Git LFS pointer and not the file it points to",
    "zip": "it is an archive and no checkpoint",
}


_FINE_ELSEWHERE = frozenset({"json", "text", "zip"})
"""What a file may be whose suffix is none of a model."""

_FINE_AS = {
    **dict.fromkeys(MODEL_SUFFIXES, frozenset({"zip"})),
    **dict.fromkeys(_PICKLE_SUFFIXES, frozenset[str]()),
    **dict.fromkeys((".html", ".htm"), frozenset({"html"})),
}


def _judged(found: Structure, suffix: str) -> Structure:
    """Add what speaks against the file under its *suffix*."""
    if found.problem is not None:
        return found
    wanted = _WANTED_KIND.get(suffix)
    problem = _SAYS.get(found.kind)
    if found.kind in _FINE_AS.get(suffix, _FINE_ELSEWHERE):
        problem = None
    if wanted is not None and found.kind != wanted and problem is None:
        called = "something else" if found.kind == "unknown" else found.kind
        problem = f"it is called {suffix} but is {called}"
    return Structure(found.kind, found.whole, problem, found.missing_bytes, found.warnings)
