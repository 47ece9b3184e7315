"""Statements that are asked thousands of times: put into SQL once, then handed to the driver.

SQLAlchemy takes 0.1 to 1 ms to find out each time that a statement is one that it knows.
"""

from __future__ import annotations

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, Text, bindparam, func, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.expression import ClauseElement
from sqlalchemy.types import TypeEngine

_DIALECT = sqlite.dialect(dbapi=sqlite3)

_Change = Callable[[Any], Any] | None
"""What makes a value of ours one of the driver's, or back; ``None`` where they are the same."""


class Prepared:
    """A statement with named gaps; values go in and out as they do by way of SQLAlchemy.

    Errors are the driver's own (`sqlite3.Error`).
    """

    def __init__(self, statement: ClauseElement, columns: Iterable[str] | None = None) -> None:
        self._statement = statement
        self._columns = None if columns is None else list(columns)
        """Of an insert: what each row has."""

    def rows(self, connection: Connection, **values: object) -> list[Any]:
        """Return the rows, their columns by name."""
        cursor = connection.connection.cursor()
        cursor.execute(self._sql, self._given(values))
        make, changes = self._row
        if not any(changes):
            return [make(*row) for row in cursor.fetchall()]
        return [make(*map(_changed, changes, row)) for row in cursor.fetchall()]

    def first(self, connection: Connection, **values: object) -> Any:
        """Return the first row, or ``None``."""
        found = self.rows(connection, **values)
        return found[0] if found else None

    def run(self, connection: Connection, **values: object) -> None:
        connection.connection.cursor().execute(self._sql, self._given(values))

    def run_many(self, connection: Connection, rows: Iterable[Mapping[str, object]]) -> None:
        given = [self._given(row) for row in rows]
        connection.connection.cursor().executemany(self._sql, given)

    @cached_property
    def _compiled(self) -> Any:
        return self._statement.compile(dialect=_DIALECT, column_keys=self._columns)

    @cached_property
    def _sql(self) -> str:
        return str(self._compiled)

    @cached_property
    def _gaps(self) -> Sequence[tuple[str, object, _Change]]:
        """Name, usual value and change of each gap, in the order in which the driver wants them."""
        usual, binds = self._compiled.params, self._compiled.binds
        return [
            (name, usual.get(name), _to_driver(binds[name].type))
            for name in self._compiled.positiontup
        ]

    @cached_property
    def _row(self) -> tuple[Callable[..., Any], Sequence[_Change]]:
        columns = self._statement.exported_columns  # type: ignore[attr-defined]  # of what returns
        make = namedtuple("Row", columns.keys())  # type: ignore[misc]  # names of the statement
        return make, [_from_driver(column.type) for column in columns]

    def _given(self, values: Mapping[str, object]) -> list[object]:
        return [_changed(change, values.get(name, usual)) for name, usual, change in self._gaps]


def as_list(values: Iterable[str]) -> str:
    """Return what goes into a gap that `from_list` left."""
    return msgspec.json.encode(list(values)).decode()


def from_list(name: str) -> Select[tuple[str]]:
    """Return the values of a list that is given as one: a statement need not know how many."""
    values = func.json_each(bindparam(name, type_=Text)).table_valued("value")
    return select(values.c.value)


def _changed(change: _Change, value: object) -> object:
    return value if change is None else change(value)


def _to_driver(kind: TypeEngine[Any]) -> _Change:
    return kind.dialect_impl(_DIALECT).bind_processor(_DIALECT)


def _from_driver(kind: TypeEngine[Any]) -> _Change:
    return kind.dialect_impl(_DIALECT).result_processor(_DIALECT, None)
