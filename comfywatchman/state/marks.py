"""Marks of directories of models: a digest of the rows of each, which ends when one changes.

Triggers of the database take a mark away in the transaction that changes or removes a row of its
directory (see `schema`), and one that knows of fewer rows than there are is none. So a mark says
what the rows say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sqlalchemy import Connection

from comfywatchman.disk.marks import MOST_ROWS, Mark, digest
from comfywatchman.state.directories import known_in
from comfywatchman.state.schema import models

Unmarked = tuple[bytes, tuple[bytes, ...]]
"""A directory, and the names of what is in it and has no row."""

_ASK = """SELECT digest, beside FROM sweep_marks AS mark WHERE directory = ? AND (files, last_row) =
(SELECT count(*), max(rowid) FROM models WHERE directory = mark.directory)"""

_NOTE = """INSERT OR REPLACE INTO sweep_marks (directory, digest, beside, files, last_row)
SELECT ?1, ?2, ?3, count(*), max(rowid) FROM models WHERE directory = ?1"""


def mark_of(connection: Connection) -> Callable[[bytes], Mark | None]:
    """Return what gives the mark of a directory; it asks the driver itself, as `known_in` does."""
    cursor = connection.connection.cursor()

    def ask(directory: bytes) -> Mark | None:
        found = cursor.execute(_ASK, (directory,)).fetchone()
        if found is None:
            return None
        return Mark(found[0], frozenset(found[1].split(b"/") if found[1] else ()))

    return ask


def note(connection: Connection, directories: Iterable[Unmarked]) -> None:
    """Mark *directories* by the rows that they have in this transaction, where they have any."""
    ask = known_in(connection, models)
    marks = [
        (directory, digest(rows.values()), b"/".join(beside))
        for directory, beside in directories
        if 0 < len(rows := ask(directory)) <= MOST_ROWS
    ]
    if marks:
        connection.exec_driver_sql(_NOTE, marks)
