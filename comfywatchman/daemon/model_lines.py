"""Model files as the API and the page show them, from the rows of the state."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from comfywatchman.server.window import ModelLine
from comfywatchman.state import care, claims, placed

if TYPE_CHECKING:
    from comfywatchman.domain.files import Folders
    from comfywatchman.state.care import Stored
    from comfywatchman.state.claims import Claim
    from comfywatchman.state.keeper import Connection

_UNLISTED: tuple[tuple[str, str] | None, ...] = (None,)
"""How a file counts that no folder lists: once, without a folder."""


def model_lines(
    connection: Connection, folders: Folders, folder: str | None = None, *, troubles: bool = False
) -> list[ModelLine]:
    """Return a line for each name of each file, by path.

    Args:
        connection: to ask with.
        folders: who lists them.
        folder: only this one.
        troubles: only what no loader could use.
    """
    claimed = _by_path(claims.every(connection))
    unproven = placed.unverifiable(connection)
    return [
        _line(stored, listed, claimed.get(stored.known.path, ()), unproven)
        for stored in care.every(connection)
        if stored.trouble is not None or not troubles
        for listed in (tuple(folders.named(stored.known.path)) or _UNLISTED)
        if folder is None or (listed is not None and listed[0] == folder)
    ]


def _by_path(found: Iterable[Claim]) -> dict[Path, list[Claim]]:
    by_path: dict[Path, list[Claim]] = defaultdict(list)
    for claim in found:
        by_path[claim.path].append(claim)
    return by_path


def _line(
    stored: Stored,
    listed: tuple[str, str] | None,
    told: Iterable[Claim],
    unproven: Collection[Path],
) -> ModelLine:
    known = stored.known
    believed = [c.sha256 for c in told if c.stamp == known.stamp and c.sha256 is not None]
    return ModelLine(
        path=str(known.path),
        folder=listed[0] if listed else None,
        name=listed[1] if listed else known.path.name,
        size=known.stamp.size,
        sha256=known.sha256,
        whole=known.whole,
        error=stored.trouble,
        verified_at=_time(known.verified_at),
        unverifiable=known.path in unproven,
        claimed_sha256=believed[0] if believed and known.sha256 is None else None,
    )


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
