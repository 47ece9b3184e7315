"""What a model file is, and whether it is whole, told from a few bytes of it.

No model is loaded, nothing is unpickled or unpacked, and what is read is bounded.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import BinaryIO

from comfywatchman.disk import gguf
from comfywatchman.disk.errors import reading_failed
from comfywatchman.disk.files import open_regular
from comfywatchman.disk.heads.safetensors import (
    LARGEST_HEADER,
    Entries,
    Header,
    NotSafetensorsError,
    UnreadHeaderError,
    header_length,
    read_header,
    tiled,
)
from comfywatchman.domain.files import MODEL_SUFFIXES

_HEAD = 4096
_PAGE_STARTS = (b"<!doctype", b"<html", b"<head", b"<body", b"<?xml", b"<script")
_LFS_START = b"version https://git-lfs.github.com/spec/"
_WANTED_KIND = {".safetensors": "safetensors", ".sft": "safetensors", ".gguf": "gguf"}
PICKLE_SUFFIXES = frozenset({".ckpt", ".pt", ".pt2", ".pth", ".bin", ".pkl"})
_MOST_ZIP_DIRECTORY = 16 << 20
_ZIP_TAIL = (64 << 10) + 22
_SHORT_MESSAGE = 4096

_PEEK = 4096
_TAIL_FROM = 1 << 20
"""Bytes of zeros from which on a tail is called unwritten."""
_STEP = 1 << 20
_LOOK_BACK = 256 << 20
_SLACK = 64


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


def zeros_at_end(descriptor: int) -> int:
    """Return how many zeros end an open file: 0 where they are no more than any file may have.

    For formats that do not tell how long their weights are; a safetensors header does.
    """
    with open(descriptor, "rb", closefd=False) as file:
        size = os.fstat(descriptor).st_size
        if size < _TAIL_FROM or any(_tail(file, size, _PEEK)):
            return 0
        zeros = size - _zeros_from(file, size, 0)
    return zeros if zeros >= max(_TAIL_FROM, size >> 6) else 0


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
    return 2 <= length <= LARGEST_HEADER and head[8:64].lstrip(b" ")[:1] == b"{"


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
    try:
        header = read_header(file, size)
    except NotSafetensorsError as error:
        return Structure(kind, problem=str(error))
    except UnreadHeaderError as error:
        return Structure(kind, warnings=(str(error),))
    if header is None:
        needed = 8 + header_length(file)
        return Structure(kind, False, f"its header alone needs {needed} bytes, it has {size}")
    return _held(file, size, header)


def _held(file: BinaryIO, size: int, header: Header) -> Structure:
    """Compare the length of the file, and its tail, with what its header says."""
    kind = "safetensors"
    warnings: list[str] = []
    end = tiled(header.entries, warnings)
    if end is None:
        return Structure(kind, problem="its tensors overlap, leave holes or contradict their shape")
    wanted = header.begin + end
    if size < wanted:
        missing = wanted - size
        return Structure(kind, False, f"it is truncated: {missing} bytes are missing", missing)
    if size > wanted:
        return Structure(kind, problem=f"{size - wanted} bytes follow after its end")
    unwritten = _unwritten(file, size, header.begin, header.entries)
    if unwritten is not None:
        return Structure(kind, False, f"its last {unwritten} bytes were never written", unwritten)
    return Structure(kind, warnings=tuple(dict.fromkeys(warnings)))


def _unwritten(file: BinaryIO, size: int, begin: int, entries: Entries) -> int | None:
    """Return how many bytes at the end are room that was set aside and never filled.

    Zeros from the middle of one tensor on: a tensor that is zero by training begins where the
    zeros begin.
    """
    if size < _TAIL_FROM or any(_tail(file, size, _PEEK)):
        return None
    start = _zeros_from(file, size, begin)
    # A table of embeddings may end in some rows that no word has: a small part of a file.
    if size - start < max(_TAIL_FROM, size >> 6) or start <= begin:
        return None
    boundaries = {begin + offset for entry in entries.values() for offset in _begins(entry)}
    # The last weight before may end in a zero byte or two of its own.
    near = any(start <= boundary <= start + _SLACK for boundary in boundaries)
    return None if near else size - start


def _begins(entry: dict[str, str | list[int]]) -> list[int]:
    offsets = entry["data_offsets"]
    return [offsets[0]] if isinstance(offsets, list) else []


def _zeros_from(file: BinaryIO, size: int, begin: int) -> int:
    """Return where the zeros at the end of the file begin, looking back a bounded way."""
    at = size
    floor = max(begin, size - _LOOK_BACK)
    while at > floor:
        step = min(_STEP, at - floor)
        file.seek(at - step)
        block = file.read(step).rstrip(b"\0")
        if block:
            return at - step + len(block)
        at -= step
    return at


def _tail(file: BinaryIO, size: int, count: int) -> bytes:
    file.seek(max(0, size - count))
    return file.read(count)


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
    **dict.fromkeys(PICKLE_SUFFIXES, frozenset[str]()),
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
