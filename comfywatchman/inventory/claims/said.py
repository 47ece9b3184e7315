"""What one program says of one file, before anybody stored it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from comfywatchman.domain.errors import ClaimsUnreadable
from comfywatchman.domain.files import Stamp, sha256_or_none

_HEX = re.compile(r"[0-9a-f]+")
_SECONDS = 0.002
"""How far a time may be off that went through a text."""


@dataclass(frozen=True, slots=True)
class Said:
    """A claim about the file that lies at *path* under *stamp*."""

    path: Path
    stamp: Stamp
    source: str
    told_by: Path
    sha256: str | None = None
    after_sha256: str | None = None
    autov3: str | None = None
    blake3: str | None = None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A cache that could not be read."""

    path: Path
    error: ClaimsUnreadable


def unreadable(path: Path, why: str) -> ClaimsUnreadable:
    return ClaimsUnreadable(
        f"{path}, the hash cache of another program, cannot be read: {why}.",
        remedy="Nothing to do: model files are measured all the same. Or set "
        'inventory.claims = "off".',
    )


def digest(text: object) -> str | None:
    """Return a SHA-256 as another program wrote it, or ``None`` where it is none."""
    return sha256_or_none(text)


def digits(text: object, count: int) -> str | None:
    """Return *text* as so many lowercase hex digits, or ``None``."""
    if not isinstance(text, str) or len(text) != count:
        return None
    lowered = text.lower()
    return lowered if _HEX.fullmatch(lowered) else None


def same_time(seconds: object, stamp: Stamp) -> bool:
    """Whether *seconds* since the epoch is the file's modification time."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return False
    return abs(seconds - stamp.mtime_ns / 1e9) < _SECONDS
