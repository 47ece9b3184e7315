"""Rows of model files: the inventory as it is kept."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, and_, case, delete, func, or_, select, update
from sqlalchemy.dialects.sqlite import Insert, insert

from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.files import ModelFile, Stamp
from comfywatchman.state.coding import searchable, trouble_bytes, trouble_from
from comfywatchman.state.schema import beneath, models, wants

_STAMP = (models.c.device, models.c.inode, models.c.size, models.c.mtime_ns, models.c.ctime_ns)


@dataclass(frozen=True, slots=True)
class Unmeasured:
    """A file whose bytes nobody has read yet."""

    path: Path
    stamp: Stamp


def note(
    connection: Connection,
    path: Path,
    stamp: Stamp,
    *,
    whole: bool,
    sha256: str | None = None,
    measured_at_ns: int | None = None,
    trouble: Trouble | None = None,
) -> None:
    """Store what is known of a file; a hash that was measured under the same stamp stays."""
    values = {
        **_values_of(path, stamp, whole=whole),
        "sha256": sha256,
        "measured_at_ns": measured_at_ns,
        "trouble": trouble_bytes(trouble),
    }
    connection.execute(_upsert(), [values])


def note_found(connection: Connection, found: Iterable[tuple[Path, Stamp, bool]]) -> None:
    """Store what is known of many files at once: path, stamp, whether it is whole."""
    nothing = {"sha256": None, "measured_at_ns": None, "trouble": None}
    rows = [{**_values_of(path, stamp, whole=whole), **nothing} for path, stamp, whole in found]
    if rows:
        connection.execute(_upsert(), rows)


def _values_of(path: Path, stamp: Stamp, *, whole: bool) -> dict[str, Any]:
    return {
        "path": path,
        "directory": path.parent,
        "base": searchable(path.name),
        "stem": searchable(path.stem),
        **_stamp_values(stamp),
        "whole": whole,
        "noted_at": time.time(),
    }


@cache
def _upsert() -> Insert:
    """Return the statement that stores a row, made once: making it costs more than running it."""
    statement = insert(models)
    new = statement.excluded
    same = and_(
        models.c.device == new.device,
        models.c.inode == new.inode,
        models.c.size == new.size,
        models.c.mtime_ns == new.mtime_ns,
        models.c.ctime_ns == new.ctime_ns,
    )
    kept = {"path", "sha256", "measured_at_ns"}
    changes: dict[str, Any] = {c.name: new[c.name] for c in models.c if c.name not in kept}
    changes["sha256"] = case((new.sha256.isnot(None), new.sha256), (same, models.c.sha256))
    changes["measured_at_ns"] = case(
        (new.sha256.isnot(None), new.measured_at_ns), (same, models.c.measured_at_ns)
    )
    return statement.on_conflict_do_update(index_elements=[models.c.path], set_=changes)


def measured(connection: Connection, path: Path, stamp: Stamp, sha256: str, at_ns: int) -> bool:
    """Store a hash if the row still has *stamp*; return whether it had."""
    found = connection.execute(
        update(models)
        .where(models.c.path == path, *_equals(stamp))
        .values(sha256=sha256, measured_at_ns=at_ns)
    )
    return found.rowcount == 1


def forget(connection: Connection, path: Path) -> None:
    connection.execute(delete(models).where(models.c.path == path))


def below(connection: Connection, path: Path) -> list[Path]:
    """Return the known files at *path*, and, were it a directory, below it."""
    inside = and_(models.c.path > beneath(path), models.c.path < beneath(path, b"0"))
    question = select(models.c.path).where(or_(models.c.path == path, inside))
    return list(connection.execute(question).scalars())


def same_inode(connection: Connection, stamp: Stamp) -> list[ModelFile]:
    """Return the files that may be this one under another path: a rename, or a hard link."""
    return _files(
        connection,
        and_(
            models.c.inode == stamp.inode,
            models.c.device == stamp.device,
            models.c.size == stamp.size,
            models.c.mtime_ns == stamp.mtime_ns,
        ),
    )


def move(connection: Connection, before: Path, after: Path, stamp: Stamp) -> None:
    """Give the row of *before* the path *after*: a rename keeps the hash."""
    connection.execute(delete(models).where(models.c.path == after))
    connection.execute(
        update(models)
        .where(models.c.path == before)
        .values(
            path=after,
            directory=after.parent,
            base=searchable(after.name),
            stem=searchable(after.stem),
            **_stamp_values(stamp),
        )
    )


def stamps_in(connection: Connection, directory: Path) -> dict[str, Stamp]:
    """Return what is known of the files directly in *directory*, by name."""
    rows = connection.execute(select(models.c.path, *_STAMP).where(models.c.directory == directory))
    return {row.path.name: Stamp(*row[1:]) for row in rows}


def in_directory(connection: Connection, directory: Path) -> list[ModelFile]:
    return _files(connection, models.c.directory == directory)


def directories(connection: Connection) -> list[Path]:
    """Return every directory in which a model file is known."""
    return list(connection.execute(select(models.c.directory).distinct()).scalars())


def whole_since(connection: Connection, path: Path, since: float) -> bool:
    """Whether *path* was noted as whole at or after *since*, seconds since the epoch."""
    found = connection.execute(
        select(models.c.path).where(
            models.c.path == path, models.c.whole, models.c.noted_at >= since
        )
    ).one_or_none()
    return found is not None


def one(connection: Connection, path: Path) -> ModelFile | None:
    row = connection.execute(select(models).where(models.c.path == path)).one_or_none()
    return None if row is None else _file(row)


def named(connection: Connection, basename: str) -> list[ModelFile]:
    """Return the files whose last path component is *basename*, letter case ignored."""
    return _files(connection, models.c.base == searchable(basename))


def stemmed(connection: Connection, stem: str) -> list[ModelFile]:
    return _files(connection, models.c.stem == searchable(stem))


def hashed(connection: Connection, sha256: str) -> list[ModelFile]:
    return _files(connection, models.c.sha256 == sha256)


def every(connection: Connection) -> list[ModelFile]:
    """Return the whole inventory, by path."""
    return [_file(row) for row in connection.execute(select(models).order_by(models.c.path))]


def troubles(connection: Connection) -> list[tuple[Path, Trouble]]:
    rows = connection.execute(
        select(models.c.path, models.c.trouble).where(models.c.trouble.isnot(None))
    )
    return [(row.path, told) for row in rows if (told := trouble_from(row.trouble)) is not None]


def unmeasured(connection: Connection, limit: int) -> list[Unmeasured]:
    """Return files to measure next: those a workflow asks for first, then the small ones."""
    wanted = select(wants.c.base).where(wants.c.base == models.c.base).exists()
    rows = connection.execute(
        select(models.c.path, *_STAMP)
        .where(models.c.sha256.is_(None), models.c.whole)
        .order_by(case((wanted, 0), else_=1), models.c.size)
        .limit(limit)
    )
    return [Unmeasured(row.path, Stamp(*row[1:])) for row in rows]


def backlog(connection: Connection) -> tuple[int, int]:
    """Return how many files and bytes wait to be measured."""
    row = connection.execute(
        select(func.count(), func.coalesce(func.sum(models.c.size), 0)).where(
            models.c.sha256.is_(None), models.c.whole
        )
    ).one()
    return row[0], row[1]


def count(connection: Connection) -> int:
    found: int = connection.execute(select(func.count()).select_from(models)).scalar_one()
    return found


def sizes(connection: Connection) -> Iterable[tuple[Path, int]]:
    """Return path and size of every file: what the totals by folder are made of."""
    return [
        (row.path, row.size) for row in connection.execute(select(models.c.path, models.c.size))
    ]


def _files(connection: Connection, condition) -> list[ModelFile]:  # type: ignore[no-untyped-def]  # SQLAlchemy's own expression type
    return [_file(row) for row in connection.execute(select(models).where(condition))]


def _file(row) -> ModelFile:  # type: ignore[no-untyped-def]  # SQLAlchemy's Row has no static columns
    stamp = Stamp(row.device, row.inode, row.size, row.mtime_ns, row.ctime_ns)
    return ModelFile(row.path, stamp, row.whole, row.sha256)


def _stamp_values(stamp: Stamp) -> dict[str, int]:
    return {
        "device": stamp.device,
        "inode": stamp.inode,
        "size": stamp.size,
        "mtime_ns": stamp.mtime_ns,
        "ctime_ns": stamp.ctime_ns,
    }


def _equals(stamp: Stamp) -> Sequence:  # type: ignore[type-arg]  # SQLAlchemy's own expression type
    return [column == value for column, value in zip(_STAMP, _values(stamp), strict=True)]


def _values(stamp: Stamp) -> tuple[int, ...]:
    return (stamp.device, stamp.inode, stamp.size, stamp.mtime_ns, stamp.ctime_ns)
