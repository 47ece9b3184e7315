"""What a row of a model says of the file's stamp, and what holds only as long as that does."""

from __future__ import annotations

from functools import cache

from sqlalchemy import Connection

from comfywatchman.domain.files import Stamp
from comfywatchman.state.directories import signed
from comfywatchman.state.schema import models

STAMP = (models.c.device, models.c.inode, models.c.size, models.c.mtime_ns, models.c.ctime_ns)

OF_THE_BYTES = (
    models.c.sha256,
    models.c.measured_at_ns,
    models.c.links,
    models.c.after_sha256,
    models.c.autov1,
    models.c.blake3,
    models.c.sample,
    models.c.verified_at,
    models.c.rot,
    models.c.racy,
)
"""What a measure told; it holds as long as the stamp does."""


def signed_values(stamp: Stamp) -> tuple[int, int, int, int, int]:
    return (
        signed(stamp.device),
        signed(stamp.inode),
        stamp.size,
        stamp.mtime_ns,
        stamp.ctime_ns,
    )


def restamp(connection: Connection, rows: list[tuple[object, ...]]) -> None:
    """Give the rows of files that changed their stamp of now, and forget what a measure told.

    It is no part of the upsert: as that touches no stamp, the trigger on them does not slow it.
    """
    connection.exec_driver_sql(_text(), rows)


@cache
def _text() -> str:
    stamp = {column.name: f"?{number}" for number, column in enumerate(STAMP, start=2)}
    values = {c.name: "NULL" if c.nullable else "0" for c in OF_THE_BYTES}
    changes = ", ".join(f"{name} = {value}" for name, value in {**stamp, **values}.items())
    other = " OR ".join(f"{name} != {value}" for name, value in stamp.items())
    return f"UPDATE models SET {changes} WHERE path = ?1 AND ({other})"  # noqa: S608 - our own names


def restamp_some(connection: Connection, rows: list[tuple[object, ...]]) -> None:
    """Do that for *rows* that are to be stored, with all that a row begins with.

    Where no file of a directory is known, none has changed: so are most of 100,000 new ones.
    """
    cursor = connection.connection.cursor()
    known = {
        directory
        for directory in {row[1] for row in rows}
        if cursor.execute(_ANY, (directory,)).fetchone()
    }
    changed = [(row[0], *row[4:9]) for row in rows if row[1] in known]
    if changed:
        restamp(connection, changed)


_ANY = "SELECT 1 FROM models WHERE directory = ? LIMIT 1"
