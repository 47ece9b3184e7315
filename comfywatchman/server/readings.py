"""Readings of model files that a command hands over, since the daemon owns the state."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from comfywatchman.disk.decoding import decoder_of
from comfywatchman.domain.errors import DiskFailed, FileUnreadable, Trouble
from comfywatchman.domain.files import Digests, Measured, Reading, Stamp, Unread, sha256_or_none
from comfywatchman.server.answers import bad_request

MOST_READINGS = 1000
_OF_READING = frozenset({FileUnreadable.code, DiskFailed.code})


class ReadingRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one reading of a whole file told."""

    path: str
    path_hex: str | None = None
    """The bytes of the path, where it is no UTF-8; *path* is then for people."""
    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    sha256: str
    at_ns: int
    links: int | None = None
    racy: bool = False
    after_sha256: str | None = None
    autov1: str | None = None
    blake3: str | None = None
    sample: str | None = None


class UnreadRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file that could not be read to its end, and why."""

    path: str
    path_hex: str | None = None
    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    error: Trouble


class Readings(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    models: list[ReadingRow]
    unreadable: list[UnreadRow] = []


def body_of(readings: Sequence[tuple[Path, Reading | Unread]]) -> Readings:
    """Return what hands *readings* over."""
    return Readings(
        [row_of(path, told) for path, told in readings if isinstance(told, Reading)],
        [_unread_row(path, told) for path, told in readings if isinstance(told, Unread)],
    )


def row_of(path: Path, reading: Reading) -> ReadingRow:
    stamp, digests = reading.stamp, reading.digests
    text, hexadecimal = _spelled(path)
    return ReadingRow(
        path=text,
        path_hex=hexadecimal,
        device=stamp.device,
        inode=stamp.inode,
        size=stamp.size,
        mtime_ns=stamp.mtime_ns,
        ctime_ns=stamp.ctime_ns,
        sha256=reading.measured.sha256,
        at_ns=reading.at_ns,
        links=reading.links,
        racy=reading.racy,
        after_sha256=digests.after_sha256,
        autov1=digests.autov1,
        blake3=digests.blake3,
        sample=digests.sample,
    )


def _unread_row(path: Path, unread: Unread) -> UnreadRow:
    stamp = unread.stamp
    text, hexadecimal = _spelled(path)
    return UnreadRow(
        path=text,
        path_hex=hexadecimal,
        device=stamp.device,
        inode=stamp.inode,
        size=stamp.size,
        mtime_ns=stamp.mtime_ns,
        ctime_ns=stamp.ctime_ns,
        error=unread.trouble,
    )


def _spelled(path: Path) -> tuple[str, str | None]:
    """Return a path as text, and its bytes where that is not enough."""
    text = str(path)
    try:
        text.encode()
    except UnicodeEncodeError:
        return ascii(text), os.fsencode(path).hex()
    return text, None


def readings_in(body: bytes) -> list[tuple[Path, Reading | Unread]]:
    """Return what *body* hands over.

    Raises:
        Refused: it is no such body.
    """
    remedy = 'Send {"models": [{"path", "size", "sha256", …}]}, as the command line does.'
    try:
        told = decoder_of(Readings).decode(body)
    except msgspec.DecodeError as error:
        raise bad_request(str(error), remedy) from error
    count = len(told.models) + len(told.unreadable)
    if count > MOST_READINGS:
        raise bad_request(f"The body has {count} readings.", f"Send {MOST_READINGS} at most.")
    try:
        return [*map(_reading, told.models), *map(_unread, told.unreadable)]
    except ValueError as error:
        raise bad_request(str(error), remedy) from error


def _reading(row: ReadingRow) -> tuple[Path, Reading]:
    sha256 = sha256_or_none(row.sha256)
    if sha256 is None:
        raise ValueError(f"{row.sha256[:80]!r} is no SHA-256")
    digests = Digests(
        _hex(row.after_sha256, 64), _hex(row.autov1, 8), _hex(row.blake3, 64), _hex(row.sample, 32)
    )
    stamp = Stamp(row.device, row.inode, row.size, row.mtime_ns, row.ctime_ns)
    measured = Measured(row.size, sha256)
    return _path(row), Reading(stamp, measured, row.at_ns, digests, row.links, row.racy)


def _unread(row: UnreadRow) -> tuple[Path, Unread]:
    if row.error.code not in _OF_READING:
        raise ValueError(f"{row.error.code[:80]!r} says not that a file cannot be read")
    stamp = Stamp(row.device, row.inode, row.size, row.mtime_ns, row.ctime_ns)
    return _path(row), Unread(stamp, row.error)


def _path(row: ReadingRow | UnreadRow) -> Path:
    path = row.path if row.path_hex is None else os.fsdecode(bytes.fromhex(row.path_hex))
    if "\0" in path:
        raise ValueError("a path has no NUL")
    return Path(path)


def _hex(text: str | None, digits: int) -> str | None:
    if text is None:
        return None
    if len(text) != digits or set(text) - set("0123456789abcdef"):
        raise ValueError(f"{text[:80]!r} has not {digits} digits")
    return text
