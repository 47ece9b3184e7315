"""What later readings of model files told: the bytes are as they were, or they decayed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, func, or_, select, tuple_, update

from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.files import Digests, Reading, Stamp
from comfywatchman.state.coding import trouble_bytes, trouble_from
from comfywatchman.state.hashes import OF_READING, Known
from comfywatchman.state.schema import models

_STAMP = (models.c.device, models.c.inode, models.c.size, models.c.mtime_ns, models.c.ctime_ns)

_PROVEN = and_(models.c.sha256.isnot(None), models.c.racy.is_(False), models.c.whole)
"""Rows whose bytes are known under a stamp that proves them."""


@dataclass(frozen=True, slots=True)
class Due:
    """A file whose bytes were not read for longest."""

    path: Path
    stamp: Stamp
    verified_at: float | None

    @property
    def place(self) -> tuple[float, Path]:
        """Where it stands among those that are due."""
        return self.verified_at or 0.0, self.path


def verified(connection: Connection, path: Path, reading: Reading) -> bool:
    """Note that all of *path* was read and found as noted; return whether the row still is."""
    if not _is_there(connection, path, reading.stamp):
        return False
    digests = reading.digests
    values = {
        "verified_at": reading.at_ns / 1e9,
        "links": reading.links,
        "rot": None,
        "trouble": case((or_(models.c.rot.isnot(None), OF_READING), None), else_=models.c.trouble),
        **{
            name: func.coalesce(getattr(digests, name), models.c[name])
            for name in ("after_sha256", "autov1", "blake3", "sample")
        },
    }
    connection.execute(update(models).where(*_same(reading.stamp)).values(**values))
    return True


def decayed(connection: Connection, path: Path, reading: Reading, trouble: Trouble) -> bool:
    """Note that *path* has other bytes now under an equal stamp; the good hash stays.

    Every other name of the same file has the same bytes. Returns whether the row still is.
    """
    if not _is_there(connection, path, reading.stamp):
        return False
    connection.execute(
        update(models)
        .where(*_same(reading.stamp))
        .values(rot=reading.measured.sha256, trouble=trouble_bytes(trouble))
    )
    return True


def in_trouble(connection: Connection) -> int:
    """Return how many model files no loader could use."""
    question = select(func.count()).select_from(models).where(models.c.trouble.isnot(None))
    count: int = connection.execute(question).scalar_one()
    return count


def due(
    connection: Connection, limit: int, before: float, after: tuple[float, Path] | None = None
) -> list[Due]:
    """Return the files whose last whole reading was before that time, the oldest first.

    What decayed already was told, and is not among them. *after* is the place of the file to go
    on behind.
    """
    last = func.coalesce(models.c.verified_at, 0.0)
    question = select(models.c.path, *_STAMP, models.c.verified_at).where(
        _PROVEN, models.c.rot.is_(None), last < before
    )
    if after is not None:
        question = question.where(tuple_(last, models.c.path) > after)
    rows = connection.execute(question.order_by(last, models.c.path).limit(limit))
    return [Due(row.path, Stamp(*row[1:6]), row.verified_at) for row in rows]


def proven_bytes(connection: Connection) -> int:
    """Return how many bytes a whole cycle reads; a file with several names counts once."""
    once = select(models.c.size).where(_PROVEN).group_by(models.c.device, models.c.inode)
    found: int = connection.execute(
        select(func.coalesce(func.sum(once.subquery().c.size), 0))
    ).scalar_one()
    return found


def _is_there(connection: Connection, path: Path, stamp: Stamp) -> bool:
    row = connection.execute(
        select(models.c.path).where(models.c.path == path, *_same(stamp))
    ).one_or_none()
    return row is not None


def _same(stamp: Stamp) -> Sequence[ColumnElement[bool]]:
    values = (stamp.device, stamp.inode, stamp.size, stamp.mtime_ns, stamp.ctime_ns)
    return [column == value for column, value in zip(_STAMP, values, strict=True)]


# -- rows, as the commands look at them


@dataclass(frozen=True, slots=True)
class Stored:
    """A row with everything in it."""

    known: Known
    trouble: Trouble | None


def stored_in(connection: Connection, directory: Path) -> dict[str, Stored]:
    """Return what is known of the files directly in *directory*, by name."""
    rows = connection.execute(select(models).where(models.c.directory == directory))
    return {row.path.name: _stored(row) for row in rows}


def every(connection: Connection) -> list[Stored]:
    """Return the whole inventory, by path."""
    return [_stored(row) for row in connection.execute(select(models).order_by(models.c.path))]


def _stored(row: Any) -> Stored:
    known = Known(
        path=row.path,
        stamp=Stamp(row.device, row.inode, row.size, row.mtime_ns, row.ctime_ns),
        whole=row.whole,
        sha256=row.sha256,
        digests=Digests(row.after_sha256, row.autov1, row.blake3, row.sample),
        links=row.links,
        measured_at_ns=row.measured_at_ns,
        verified_at=row.verified_at,
        rot=row.rot,
        racy=row.racy,
    )
    return Stored(known, trouble_from(row.trouble))
