"""What hash caches of other programs say of model files. Nobody believes it before a measure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, and_, delete, or_, select
from sqlalchemy.dialects.sqlite import insert

from comfywatchman.domain.files import Stamp
from comfywatchman.state.schema import beneath, claims, models

Standing = Literal["claimed", "confirmed", "refuted"]
"""Nobody measured the file yet; a measure says the same; a measure says otherwise."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What one other program says of one file."""

    path: Path
    source: str
    """Which program: one word."""
    stamp: Stamp
    """Of the file when the claim was taken in; under another one it means nothing."""
    sha256: str | None = None
    after_sha256: str | None = None
    autov3: str | None = None
    blake3: str | None = None
    told_by: Path | None = None
    """The cache or side-car file that it stands in."""


def note(connection: Connection, found: Iterable[Claim], now: float) -> None:
    """Store claims, each in place of what the same program said of the same file before.

    One that says what it said before is not touched, so that its time stays.
    """
    rows = [_row(claim, now) for claim in found]
    if not rows:
        return
    statement = insert(claims)
    said = [c for c in claims.c if c.name not in {"path", "source", "noted_at"}]
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[claims.c.path, claims.c.source],
            set_={c.name: statement.excluded[c.name] for c in (*said, claims.c.noted_at)},
            where=or_(*(c.is_distinct_from(statement.excluded[c.name]) for c in said)),
        ),
        rows,
    )


def in_directory(connection: Connection, directory: Path) -> dict[str, list[Claim]]:
    """Return the claims of the files directly in *directory*, by name."""
    inside = and_(claims.c.path > beneath(directory), claims.c.path < beneath(directory, b"0"))
    found: dict[str, list[Claim]] = {}
    for row in connection.execute(select(claims).where(inside).order_by(claims.c.source)):
        if row.path.parent == directory:
            found.setdefault(row.path.name, []).append(_claim(row))
    return found


def every(connection: Connection) -> list[Claim]:
    return [_claim(row) for row in connection.execute(select(claims).order_by(claims.c.source))]


def of(connection: Connection, path: Path) -> list[Claim]:
    rows = connection.execute(select(claims).where(claims.c.path == path).order_by(claims.c.source))
    return [_claim(row) for row in rows]


def wrong(connection: Connection, since: float = 0.0) -> list[tuple[Claim, str]]:
    """Return the claims that a measure refuted, each with the measured SHA-256.

    *since* (Unix seconds) leaves out those that were noted and measured before.
    """
    same = and_(
        claims.c.path == models.c.path,
        claims.c.device == models.c.device,
        claims.c.inode == models.c.inode,
        claims.c.size == models.c.size,
        claims.c.mtime_ns == models.c.mtime_ns,
    )
    rows = connection.execute(
        select(claims, models.c.sha256.label("measured")).where(
            same,
            claims.c.sha256 != models.c.sha256,
            models.c.racy.is_(False),
            or_(
                claims.c.noted_at > since,
                models.c.measured_at_ns > int(since * 1e9),
            ),
        )
    )
    return [(_claim(row), row.measured) for row in rows]


def forget_gone(connection: Connection) -> int:
    """Drop the claims about files that are not in the inventory any more; return how many."""
    found = connection.execute(delete(claims).where(claims.c.path.not_in(select(models.c.path))))
    return found.rowcount


def standing(claim: Claim, sha256: str | None, after_sha256: str | None) -> Standing:
    """Compare a claim with what was measured, where both speak of the same hash."""
    after = claim.after_sha256 or claim.autov3
    pairs: Sequence[tuple[str | None, str | None]] = (
        (claim.sha256, sha256),
        (after, None if after_sha256 is None or after is None else after_sha256[: len(after)]),
    )
    compared = [said == measured for said, measured in pairs if said and measured]
    if not compared:
        return "claimed"
    return "confirmed" if all(compared) else "refuted"


def _row(claim: Claim, now: float) -> dict[str, Any]:
    return {
        "path": claim.path,
        "source": claim.source,
        "device": claim.stamp.device,
        "inode": claim.stamp.inode,
        "size": claim.stamp.size,
        "mtime_ns": claim.stamp.mtime_ns,
        "ctime_ns": claim.stamp.ctime_ns,
        "sha256": claim.sha256,
        "after_sha256": claim.after_sha256,
        "autov3": claim.autov3,
        "blake3": claim.blake3,
        "told_by": claim.told_by,
        "noted_at": now,
    }


def _claim(row: Any) -> Claim:
    return Claim(
        row.path,
        row.source,
        Stamp(row.device, row.inode, row.size, row.mtime_ns, row.ctime_ns),
        row.sha256,
        row.after_sha256,
        row.autov3,
        row.blake3,
        row.told_by,
    )
