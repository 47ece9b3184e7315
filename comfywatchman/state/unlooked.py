"""Model files that nobody has seen whole: not looked into yet, or still arriving."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import ColumnElement, Connection, Integer, literal_column, or_, select, update

from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.files import Stamp
from comfywatchman.state.coding import trouble_bytes
from comfywatchman.state.schema import models, wants

_ROW = literal_column("models.rowid", Integer)
_STAMP = (models.c.device, models.c.inode, models.c.size, models.c.mtime_ns, models.c.ctime_ns)


@dataclass(frozen=True, slots=True)
class Unlooked:
    row: int
    """Its number in the table, by which they are in order."""
    path: Path
    stamp: Stamp


def after(connection: Connection, row: int, limit: int) -> list[Unlooked]:
    """Return those behind *row* against which nothing is known."""
    return _unlooked(connection, row < _ROW, limit)


def wanted(connection: Connection, limit: int) -> list[Unlooked]:
    """Return those that a workflow names."""
    named = or_(models.c.base.in_(select(wants.c.base)), models.c.stem.in_(select(wants.c.stem)))
    return _unlooked(connection, named, limit)


def blame(connection: Connection, path: Path, trouble: Trouble) -> None:
    """Note why a file is none that a loader could use; the next note of the file forgets it."""
    connection.execute(
        update(models).where(models.c.path == path).values(trouble=trouble_bytes(trouble))
    )


def _unlooked(connection: Connection, condition: ColumnElement[bool], limit: int) -> list[Unlooked]:
    rows = connection.execute(
        select(_ROW, models.c.path, *_STAMP)
        .where(~models.c.whole, models.c.trouble.is_(None), condition)
        .order_by(_ROW)
        .limit(limit)
    )
    return [Unlooked(row[0], row.path, Stamp(*row[2:])) for row in rows]
