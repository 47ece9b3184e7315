"""Reading a SQLite database of another program: a copy of it, bounded, with nothing of it run."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from comfywatchman.inventory.claims.said import unreadable

_LARGEST = 512 << 20
_MOST_STEPS = 20_000
"""Times a thousand instructions of the database's machine: some seconds."""
_MOST_ROWS = 1_000_000
_LONGEST_ROW = 64 << 20


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a copy of *path* for reading.

    The original is only read as a file: opening it, even for reading, could make files beside it
    and wait for locks of its owner.

    Raises:
        ClaimsUnreadable
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise unreadable(path, f"it is larger than {_LARGEST} bytes")
        with tempfile.TemporaryDirectory(prefix="comfywatchman-") as directory:
            copy = Path(directory) / "copy.sqlite"
            shutil.copyfile(path, copy)
            log = path.with_name(f"{path.name}-wal")
            if log.is_file() and log.stat().st_size <= _LARGEST:
                shutil.copyfile(log, copy.with_name(f"{copy.name}-wal"))
            with closing(sqlite3.connect(copy)) as connection:
                connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
                connection.execute("PRAGMA trusted_schema = OFF")
                connection.execute("PRAGMA query_only = ON")
                _limit(connection)
                yield connection
    except (OSError, sqlite3.Error) as error:
        raise unreadable(path, str(error)[:200]) from error


def _limit(connection: sqlite3.Connection) -> None:
    steps = 0

    def step() -> bool:
        nonlocal steps
        steps += 1
        return steps > _MOST_STEPS

    connection.set_progress_handler(step, 1000)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_ROW)


def rows(
    connection: sqlite3.Connection, table: str, columns: tuple[str, ...], where: str = ""
) -> Iterator[dict[str, Any]]:
    """Yield the *columns* of *table* that it has; none where it has not the first two.

    Both names are our own words, never those of the file.
    """
    known = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
    if not set(columns[:2]) <= known:
        return
    asked = [column for column in columns if column in known]
    condition = f" WHERE {where}" if where else ""
    question = f"SELECT {', '.join(asked)} FROM {table}{condition} LIMIT {_MOST_ROWS}"  # noqa: S608 - our own words
    for row in connection.execute(question):
        yield dict(zip(asked, row, strict=True))
