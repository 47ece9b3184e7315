"""The chain of the audit log: each line carries the SHA-256 of the one before."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from comfywatchman.domain.errors import FileUnreadable

FILE = "audit.jsonl"

FIRST = "0" * 64
"""What the first line of a chain has in the place of a hash."""

_LONGEST = 1 << 20
"""Bytes of a line that are looked at; ours stay below 16 KB."""
_STEP = 1 << 16


@dataclass(frozen=True, slots=True)
class Break:
    """A place where the log is not as it was written."""

    line: int
    """Counted from 1."""
    problem: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a reading of the whole log came to."""

    lines: int
    chained: int
    """Lines that carry the hash of the one before."""
    unchained: int
    """Lines at the beginning, of versions that wrote no hashes."""
    breaks: tuple[Break, ...]
    head: str | None
    """SHA-256 of the last line. Kept elsewhere, it proves later that nothing was cut off."""

    @property
    def sound(self) -> bool:
        return not self.breaks


def digest(line: bytes) -> str:
    """Return the SHA-256 of a line, which has no newline at its end."""
    return hashlib.sha256(line).hexdigest()


def last_line(descriptor: int, size: int) -> tuple[bytes | None, bool]:
    """Return the last line of a log of *size* bytes, and whether its newline is there.

    Of a line that is longer than any of ours the end is returned, which no chain has.
    """
    data, start = b"", size
    while start > 0 and len(data) < _LONGEST:
        step = min(_STEP, start)
        start -= step
        data = os.pread(descriptor, step, start) + data
        body = data.removesuffix(b"\n")
        at = body.rfind(b"\n")
        if at >= 0:
            return body[at + 1 :], data.endswith(b"\n")
    if not data:
        return None, True
    return data.removesuffix(b"\n"), data.endswith(b"\n")


def verify(directory: Path) -> Verdict:
    """Read the audit log of a state *directory* and compare each line with the one before.

    A log that is not there holds nothing and is sound.

    Raises:
        FileUnreadable: it cannot be read.
    """
    path = directory / FILE
    try:
        with path.open("rb") as file:
            return check(_until(file, _whole(file.fileno())))
    except FileNotFoundError:
        return Verdict(0, 0, 0, (), None)
    except OSError as error:
        raise FileUnreadable(
            f"The audit log {path} cannot be read: {error.strerror or error}.",
            remedy="Run this as the user who runs the daemon.",
        ) from error


def _whole(descriptor: int) -> int:
    """Return how long the log is while nobody is in the middle of a line; it only grows."""
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    try:
        return os.fstat(descriptor).st_size
    finally:
        # Writers must not wait while we read all of it.
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def _until(lines: Iterable[bytes], size: int) -> Iterator[bytes]:
    for line in lines:
        if size <= 0:
            return
        yield line
        size -= len(line)


def check(lines: Iterable[bytes]) -> Verdict:
    """Compare each of *lines* with the one before."""
    before: str | None = None
    chained = unchained = number = 0
    breaks: list[Break] = []
    for number, raw in enumerate(lines, 1):
        body = raw.removesuffix(b"\n")
        previous = _previous(body)
        if isinstance(previous, str):
            breaks += _compared(number, previous, before)
            chained += 1
        elif previous is None and not chained:
            unchained += 1
        else:
            breaks.append(Break(number, _NO_HASH if previous is None else _NOT_JSON))
        if raw == body:
            breaks.append(Break(number, "the line has no end: it was cut off"))
        before = digest(body)
    return Verdict(number, chained, unchained, tuple(breaks), before)


_NO_HASH = "the line carries no hash of the one before: it was put in by somebody else"
_NOT_JSON = "the line is no JSON object: it was changed, or cut off by a crash"


def _compared(number: int, previous: str, before: str | None) -> Iterator[Break]:
    if previous == (FIRST if before is None else before):
        return
    if number == 1:
        yield Break(number, "the log begins in the middle: lines before this one were taken out")
    else:
        yield Break(number, "the line before it was changed, or lines between were taken out")


def _previous(line: bytes) -> str | bool | None:
    """Return the hash that *line* carries, ``None`` for none, or ``False`` for no JSON object."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return False
    if not isinstance(found, dict):
        return False
    previous = found.get("previous")
    return previous if isinstance(previous, str) else None
