"""Many small questions in a row, asked of the driver itself.

SQLAlchemy takes thirty times as long to put such a question as SQLite to answer it, which counts
where files come and go by the thousand. The statements are made by it all the same, once.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from sqlalchemy import Connection, Select, Table, or_, select
from sqlalchemy.dialects import sqlite

from comfywatchman.domain.files import Stamp
from comfywatchman.state.coding import searchable
from comfywatchman.state.directories import at_or_below, signed
from comfywatchman.state.schema import models, wants, workflows

_UNSIGNED = 2**64
_HERE = Path("/here")
"""Stands for what is asked about; the driver gets the real values."""


class Lookups:
    """Questions over one connection; made for a moment, by the thread that asks."""

    def __init__(self, connection: Connection) -> None:
        self._cursor = connection.connection.cursor()

    def model(self, path: Path) -> tuple[Stamp, bool] | None:
        """Return the stamp of a known model file and whether it is whole."""
        row = self._one(_model(), (os.fsencode(path),))
        return None if row is None else (_stamp(row[:5]), bool(row[5]))

    def whole_models_like(self, stamp: Stamp) -> list[Path]:
        """Return the whole files that may be this one under another path."""
        numbers = (signed(stamp.inode), signed(stamp.device), stamp.size, stamp.mtime_ns)
        return self._paths(_like(), numbers)

    def names_of(self, stamp: Stamp) -> list[tuple[Path, Stamp, int | None]]:
        """Return every known name of what has this device and inode, hard links and symlinks.

        With the stamp of its row, and how many hard links there were when it was measured.
        """
        self._cursor.execute(_names(), (signed(stamp.inode), signed(stamp.device)))
        rows = self._cursor.fetchall()
        return [(Path(os.fsdecode(row[0])), _stamp(row[1:6]), row[6]) for row in rows]

    def models_below(self, path: Path) -> list[Path]:
        """Return the known files at *path*, and, were it a directory, below it."""
        return self._paths(_below(models), _range(path))

    def workflow(self, path: Path) -> Stamp | None:
        """Return the stamp under which a workflow was read last."""
        row = self._one(_workflow(), (os.fsencode(path),))
        return None if row is None or row[1] is None else _stamp(row)

    def workflows_below(self, path: Path) -> list[Path]:
        return self._paths(_below(workflows), _range(path))

    def wanting(self, filename: str) -> tuple[Path, ...]:
        """Return the workflows that ask for a file of this name, by name or by stem."""
        stem = searchable(filename.rpartition(".")[0] or filename)
        return tuple(self._paths(_wanting(), (searchable(filename), stem)))

    def _one(self, question: str, values: Sequence[object]) -> tuple[int, ...] | None:
        self._cursor.execute(question, values)
        row: tuple[int, ...] | None = self._cursor.fetchone()
        return row

    def _paths(self, question: str, values: Sequence[object]) -> list[Path]:
        self._cursor.execute(question, values)
        return [Path(os.fsdecode(path)) for (path,) in self._cursor.fetchall()]


def _stamp(row: tuple[int, ...]) -> Stamp:
    device, inode, size, mtime_ns, ctime_ns = row
    return Stamp(device % _UNSIGNED, inode % _UNSIGNED, size, mtime_ns, ctime_ns)


def _range(path: Path) -> tuple[bytes, bytes, bytes]:
    encoded = os.fsencode(path)
    return encoded, encoded + b"/", encoded + b"0"


def _columns(table: Table) -> list[object]:
    return [table.c[name] for name in ("device", "inode", "size", "mtime_ns", "ctime_ns")]


@cache
def _model() -> str:
    return _text(select(*_columns(models), models.c.whole).where(models.c.path == _HERE))  # type: ignore[call-overload]  # columns by name have no static type


@cache
def _workflow() -> str:
    return _text(select(*_columns(workflows)).where(workflows.c.path == _HERE))  # type: ignore[call-overload]  # as above


@cache
def _like() -> str:
    same = (
        models.c.inode == 0,
        models.c.device == 0,
        models.c.size == 0,
        models.c.mtime_ns == 0,
    )
    return _text(select(models.c.path).where(*same, models.c.whole))


@cache
def _names() -> str:
    columns = (models.c.path, *_columns(models), models.c.links)
    same = (models.c.inode == 0, models.c.device == 0)
    return _text(select(*columns).where(*same))  # type: ignore[call-overload]  # as above


@cache
def _below(table: Table) -> str:
    return _text(select(table.c.path).where(at_or_below(table.c.path, _HERE)))


@cache
def _wanting() -> str:
    named = or_(wants.c.base == "", wants.c.stem == "")
    return _text(select(wants.c.workflow).where(named).distinct())


def _text(question: Select[tuple[object, ...]]) -> str:
    """Return *question* for the driver; the values come in the order in which they stand there."""
    return str(question.compile(dialect=sqlite.dialect()))
