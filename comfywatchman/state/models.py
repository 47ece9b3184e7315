"""Rows of model files: the inventory as it is kept."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    LargeBinary,
    and_,
    bindparam,
    case,
    delete,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite import Insert, insert

from comfywatchman.disk.marks import Row
from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.files import ModelFile, Stamp
from comfywatchman.state import directories as by_directory
from comfywatchman.state.coding import searchable, trouble_bytes, trouble_from
from comfywatchman.state.directories import at_or_below
from comfywatchman.state.prepared import Prepared
from comfywatchman.state.schema import models
from comfywatchman.state.stamps import OF_THE_BYTES, STAMP, restamp, restamp_some, signed_values


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
    restamp(connection, [(os.fsencode(path), *signed_values(stamp))])
    connection.execute(_upsert(), [values])


def note_found(connection: Connection, found: Iterable[tuple[Path, Stamp, bool]]) -> None:
    """Store what is known of many files at once: path, stamp, whether it is whole."""
    now = time.time()
    _store(
        connection,
        [
            _plain(os.fsencode(path), path.name, stamp, whole=whole, now=now)
            for path, stamp, whole in found
        ],
    )


def note_seen(connection: Connection, seen: Iterable[tuple[Path, str, Stamp]]) -> None:
    """Store many files that nobody has looked into yet: directory, name, stamp.

    None of them counts as whole before somebody has.
    """
    now = time.time()
    _store(
        connection,
        [
            _plain(os.fsencode(f"{directory}/{name}"), name, stamp, whole=False, now=now)
            for directory, name, stamp in seen
        ],
    )


def _store(connection: Connection, rows: list[tuple[object, ...]]) -> None:
    """Hand *rows* to the driver as they are: SQLAlchemy's way to it costs three times as much."""
    if rows:
        # Of two words on one file the later one counts.
        rows = list({row[0]: row for row in rows}.values())
        restamp_some(connection, rows)
        connection.exec_driver_sql(_upsert_text(), rows)


_PLAIN = (
    "path",
    "directory",
    "base",
    "stem",
    "device",
    "inode",
    "size",
    "mtime_ns",
    "ctime_ns",
    "whole",
    "noted_at",
)


def _plain(path: bytes, name: str, stamp: Stamp, *, whole: bool, now: float) -> tuple[object, ...]:
    """Return a row as the driver takes it, in the order of `_PLAIN`."""
    dot = name.rfind(".")
    return (
        path,
        path[: path.rindex(b"/")] or b"/",
        searchable(name),
        searchable(name[:dot] if 0 < dot < len(name) - 1 else name),
        *signed_values(stamp),
        whole,
        now,
    )


@cache
def _upsert_text() -> str:
    dialect = sqlite.dialect()
    compiled = _upsert().compile(dialect=dialect, column_keys=_PLAIN)
    # The driver gets the values by their place, and so the places have to be these.
    assert tuple(compiled.positiontup or ()) == _PLAIN  # noqa: S101 - a statement of our own
    return str(compiled)


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
    """Return the statement that stores a row, made once: making it costs more than running it.

    A row that is there has its stamp already, see `stamps`.
    """
    statement = insert(models)
    new = statement.excluded
    kept = {"path", "directory", *(column.name for column in (*STAMP, *OF_THE_BYTES))}
    changes: dict[str, Any] = {c.name: new[c.name] for c in models.c if c.name not in kept}
    for column in OF_THE_BYTES:
        changes[column.name] = case((new.sha256.isnot(None), new[column.name]), else_=column)
    return statement.on_conflict_do_update(index_elements=[models.c.path], set_=changes)


def forget(connection: Connection, path: Path) -> None:
    connection.execute(delete(models).where(models.c.path == path))


def forget_many(connection: Connection, paths: Iterable[Path]) -> None:
    rows = [(os.fsencode(path),) for path in paths]
    if rows:
        connection.exec_driver_sql("DELETE FROM models WHERE path = ?", rows)


def below(connection: Connection, path: Path) -> list[Path]:
    """Return the known files at *path*, and, were it a directory, below it."""
    question = select(models.c.path).where(at_or_below(models.c.path, path))
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


def known_in(connection: Connection) -> Callable[[bytes], dict[bytes, Row]]:
    """Return what gives the rows of the files directly in a directory, by path.

    It is asked once for each directory of a tree, and so it asks the driver itself.
    """
    return by_directory.known_in(connection, models)


def in_directory(connection: Connection, directory: Path) -> list[ModelFile]:
    return _files(connection, models.c.directory == directory)


def directories(connection: Connection, below: Path | None = None) -> list[bytes]:
    """Return every directory in which a file is known, or those at and *below* one."""
    return by_directory.directories(connection, models, below)


def remembered(connection: Connection) -> by_directory.Remembered:
    """Return what to ask about directories in which files are missing."""
    return by_directory.Remembered(connection, models, models.c.noted_at)


def any_row(connection: Connection, below: Path | None = None) -> bool:
    """Whether there is any row, or any at or *below* a directory."""
    question = select(models.c.path).limit(1)
    if below is not None:
        question = question.where(at_or_below(models.c.path, below))
    return connection.execute(question).first() is not None


def known_inode(connection: Connection) -> Callable[[int], bool]:
    """Return what says whether a row has this inode number."""
    return by_directory.known_inode(connection, models)


def renumber(connection: Connection, found: Iterable[tuple[Path, Stamp]]) -> None:
    """Give the rows of files that are the same the numbers that device and inode have now."""
    by_directory.renumber(connection, models, found)


def whole_since(connection: Connection, path: Path, since: float) -> bool:
    """Whether *path* was noted as whole at or after *since*, seconds since the epoch."""
    found = connection.execute(
        select(models.c.path).where(
            models.c.path == path, models.c.whole, models.c.noted_at >= since
        )
    ).one_or_none()
    return found is not None


def blamed_since(connection: Connection, path: Path, since: float) -> bool:
    """Whether *path* was noted as no model that can be used at or after *since*."""
    found = connection.execute(
        select(models.c.path).where(
            models.c.path == path,
            ~models.c.whole,
            models.c.trouble.isnot(None),
            models.c.noted_at >= since,
        )
    ).one_or_none()
    return found is not None


def one(connection: Connection, path: Path) -> ModelFile | None:
    row = connection.execute(select(models).where(models.c.path == path)).one_or_none()
    return None if row is None else _file(row)


def named(connection: Connection, basename: str) -> list[ModelFile]:
    """Return the files whose last path component is *basename*, letter case ignored."""
    return [_file(row) for row in _NAMED.rows(connection, base=searchable(basename))]


def stemmed(connection: Connection, stem: str) -> list[ModelFile]:
    return [_file(row) for row in _STEMMED.rows(connection, stem=searchable(stem))]


_NAMED = Prepared(select(models).where(models.c.base == bindparam("base")))
_STEMMED = Prepared(select(models).where(models.c.stem == bindparam("stem")))


def containing(connection: Connection, text: str) -> list[ModelFile]:
    """Return the files whose path has *text* in it; every row is looked at."""
    wanted = literal(text.encode("utf-8", "replace"), LargeBinary)
    return _files(connection, func.instr(models.c.path, wanted) > 0)


def hashed(connection: Connection, sha256: str) -> list[ModelFile]:
    """Return the files of that hash, but those whose stamp does not prove it yet, or no more."""
    return _files(connection, and_(models.c.sha256 == sha256, _PROVEN))


_PROVEN = and_(models.c.racy.is_(False), models.c.rot.is_(None))


def hash_begins(connection: Connection, digits: str) -> list[ModelFile]:
    """Return the files whose SHA-256 begins with *digits*, lowercase hex."""
    return _files(connection, and_(_begins(models.c.sha256, digits), _PROVEN))


def after_begins(connection: Connection, digits: str) -> list[ModelFile]:
    """Return the same for the SHA-256 of what follows a safetensors header."""
    return _files(connection, and_(_begins(models.c.after_sha256, digits), _PROVEN))


def _begins(column: Column[Any], digits: str) -> ColumnElement[bool]:
    above_every_digit = digits + "g"
    return and_(column >= digits, column < above_every_digit)


def every(connection: Connection) -> list[ModelFile]:
    """Return the whole inventory, by path."""
    return [_file(row) for row in connection.execute(select(models).order_by(models.c.path))]


def troubles(connection: Connection) -> list[tuple[Path, Trouble]]:
    rows = connection.execute(
        select(models.c.path, models.c.trouble).where(models.c.trouble.isnot(None))
    )
    return [(row.path, told) for row in rows if (told := trouble_from(row.trouble)) is not None]


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
    told = trouble_from(row.trouble)
    return ModelFile(row.path, stamp, row.whole, row.sha256, row.after_sha256, told)


def _stamp_values(stamp: Stamp) -> dict[str, int]:
    return {
        "device": stamp.device,
        "inode": stamp.inode,
        "size": stamp.size,
        "mtime_ns": stamp.mtime_ns,
        "ctime_ns": stamp.ctime_ns,
    }
