"""What the tables of files share: ranges of paths, and rows asked for directory by directory."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    LargeBinary,
    Table,
    and_,
    func,
    or_,
    select,
    type_coerce,
)
from sqlalchemy.dialects import sqlite

from comfywatchman.disk.marks import Row
from comfywatchman.domain.files import Stamp
from comfywatchman.state.schema import beneath

_STAMP = ("device", "inode", "size", "mtime_ns", "ctime_ns")


def at_or_below(column: Column[Any], path: Path) -> ColumnElement[bool]:
    """Return the condition that *column* is *path* or lies below it."""
    return or_(column == path, and_(column > beneath(path), column < beneath(path, b"0")))


def known_in(connection: Connection, table: Table) -> Callable[[bytes], dict[bytes, Row]]:
    """Return what gives the rows of *table* that lie directly in a directory, by path.

    A sweep asks it once for each directory of a tree, and compares a hundred thousand rows: so it
    asks the driver itself, and the rows stay as the driver gives them.
    """
    cursor = connection.connection.cursor()
    question = _in_directory(table)

    def ask(directory: bytes) -> dict[bytes, Row]:
        cursor.execute(question, (directory,))
        return {row[0]: row for row in cursor.fetchall()}

    return ask


def directories(connection: Connection, table: Table, below: Path | None) -> list[bytes]:
    """Return every directory in which *table* knows a file, or those at and *below* one."""
    question = select(type_coerce(table.c.directory, LargeBinary)).distinct()
    if below is not None:
        question = question.where(at_or_below(table.c.directory, below))
    return list(connection.execute(question).scalars())


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a table knows of directories in which files are missing."""

    connection: Connection
    table: Table
    noted_at: Column[float]

    def noted_ns(self, directory: Path) -> int:
        """Return when a row of *directory* was last stored, nanoseconds since the epoch."""
        return int(
            (self._asked(func.max(self.noted_at), self.table.c.directory == directory) or 0.0) * 1e9
        )

    def first_noted_ns(self, directory: Path, devices: Collection[int]) -> int | None:
        """Return when the first row on *devices* in or below *directory* was stored, if any."""
        first = self._asked(
            func.min(self.noted_at),
            at_or_below(self.table.c.path, directory),
            self.table.c.device.in_(devices),
        )
        return None if first is None else int(first * 1e9)

    def count_on(self, directory: Path, devices: Collection[int]) -> int:
        """Return how many rows of *directory* are on *devices*."""
        here = self.table.c.directory == directory
        return int(self._asked(func.count(), here, self.table.c.device.in_(devices)) or 0)

    def _asked(self, what: ColumnElement[Any], *where: ColumnElement[bool]) -> float | None:
        found: float | None = self.connection.execute(
            select(what).select_from(self.table).where(*where)
        ).scalar()
        return found


def known_inode(connection: Connection, table: Table) -> Callable[[int], bool]:
    """Return what says whether a row of *table* has this inode number, on whatever device."""
    cursor = connection.connection.cursor()
    question = _with_inode(table)

    def ask(inode: int) -> bool:
        cursor.execute(question, (signed(inode),))
        return cursor.fetchone() is not None

    return ask


def renumber(connection: Connection, table: Table, found: Iterable[tuple[Path, Stamp]]) -> None:
    """Give the rows of files that are the same the numbers that device and inode have now."""
    rows = [(signed(stamp.device), signed(stamp.inode), os.fsencode(path)) for path, stamp in found]
    if rows:
        connection.exec_driver_sql(
            f"UPDATE {table.name} SET device = ?, inode = ? WHERE path = ?",  # noqa: S608 - our own
            rows,
        )


@cache
def _with_inode(table: Table) -> str:
    dialect = sqlite.dialect()
    return str(select(table.c.path).where(table.c.inode == 0).compile(dialect=dialect))


@cache
def _in_directory(table: Table) -> str:
    columns = [table.c[name] for name in _STAMP]
    question = select(table.c.path, *columns).where(
        table.c.directory == Path(), table.c.inode.isnot(None)
    )
    dialect = sqlite.dialect()
    return str(question.compile(dialect=dialect))


def signed(number: int) -> int:
    """Return a device or inode number as SQL holds it, which has no 64 bits without a sign."""
    return number - 2**64 if number >= 2**63 else number
