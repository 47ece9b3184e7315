"""Readings of model files that a command hands over, since the daemon owns the state."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
from msgspec import Struct

from comfywatchman.domain.files import Digests, Measured, Reading, Stamp, sha256_or_none
from comfywatchman.server.answers import bad_request

MOST_READINGS = 1000


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


class Readings(Struct, frozen=True, forbid_unknown_fields=True):
    models: list[ReadingRow]


def row_of(path: Path, reading: Reading) -> ReadingRow:
    stamp, digests = reading.stamp, reading.digests
    text, hexadecimal = str(path), None
    try:
        text.encode()
    except UnicodeEncodeError:
        text, hexadecimal = ascii(text), os.fsencode(path).hex()
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


def readings_in(body: bytes) -> list[tuple[Path, Reading]]:
    """Return what *body* hands over.

    Raises:
        Refused: it is no such body.
    """
    remedy = 'Send {"models": [{"path", "size", "sha256", …}]}, as the command line does.'
    try:
        rows = msgspec.json.decode(body, type=Readings).models
    except msgspec.DecodeError as error:
        raise bad_request(str(error), remedy) from error
    if len(rows) > MOST_READINGS:
        raise bad_request(f"The body has {len(rows)} readings.", f"Send {MOST_READINGS} at most.")
    try:
        return [_reading(row) for row in rows]
    except ValueError as error:
        raise bad_request(str(error), remedy) from error


def _reading(row: ReadingRow) -> tuple[Path, Reading]:
    sha256 = sha256_or_none(row.sha256)
    if sha256 is None:
        raise ValueError(f"{row.sha256[:80]!r} is no SHA-256")
    path = row.path if row.path_hex is None else os.fsdecode(bytes.fromhex(row.path_hex))
    if "\0" in path:
        raise ValueError("a path has no NUL")
    digests = Digests(
        _hex(row.after_sha256, 64), _hex(row.autov1, 8), _hex(row.blake3, 64), _hex(row.sample, 32)
    )
    stamp = Stamp(row.device, row.inode, row.size, row.mtime_ns, row.ctime_ns)
    measured = Measured(row.size, sha256)
    return Path(path), Reading(stamp, measured, row.at_ns, digests, row.links, row.racy)


def _hex(text: str | None, digits: int) -> str | None:
    if text is None:
        return None
    if len(text) != digits or set(text) - set("0123456789abcdef"):
        raise ValueError(f"{text[:80]!r} has not {digits} digits")
    return text
