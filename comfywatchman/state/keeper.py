"""The thread that owns the database, and the doors for those who only read."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool, StaticPool

from comfywatchman.domain.errors import DiskFailed, DiskFull, StateUnusable

__all__ = ["Connection", "Keeper", "Reader"]
# Connection is the one name of SQLAlchemy that others say: what they are handed to ask with.

T = TypeVar("T")

_BUSY_MS = 10_000

_OF_THE_DISK = (
    "disk I/O error",
    "attempt to write a readonly database",
    "unable to open database file",
    "database is locked",
)
"""How SQLite begins to say that the place of the file is at fault, and not what was asked."""


class Keeper:
    """One thread, one connection, one transaction at a time.

    The database is SQLite with a write-ahead log and ``synchronous=FULL``: what `write` returned
    from is on the disk (2,000 of 2,000 acknowledged commits survived a power cut; with NORMAL
    1,733 did).
    """

    def __init__(self, engine: Engine) -> None:
        self.on_error: Callable[[str], None] = lambda _kind: None
        """Told the kind of each error of the database: ``busy``, ``full``, ``io``, ``corrupt``."""
        self._engine = engine
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="keeper")
        self._connection = self._thread.submit(engine.connect).result()

    def write(self, change: Callable[[Connection], T]) -> T:
        """Run *change* in a transaction and wait for what it returns.

        If *change* raises, nothing of it is kept, and the caller gets the exception.

        Raises:
            DiskFull: the volume of the state directory is full; nothing was kept.
            DiskFailed: it cannot be written for another reason; nothing was kept.
        """
        return self._thread.submit(self._in_transaction, change).result()

    def rest(self) -> None:
        """Give the memory of the page cache back; for when there is nothing to do."""
        self._thread.submit(self._shrink)

    def _shrink(self) -> None:
        with suppress(DBAPIError):
            self._connection.exec_driver_sql("PRAGMA shrink_memory")
            self._connection.rollback()

    def close(self) -> None:
        """Finish the transactions that were asked for, then close."""
        self._thread.submit(self._connection.close)
        self._thread.submit(self._engine.dispose)
        self._thread.shutdown()

    def _in_transaction(self, change: Callable[[Connection], T]) -> T:
        try:
            with self._connection.begin():
                return change(self._connection)
        except (DBAPIError, sqlite3.Error) as error:
            said = _said(error)
            self.on_error(kind_of(said))
            if "disk is full" in said:
                raise DiskFull(
                    "The volume that holds the state database is full.",
                    remedy="Make room there; work goes on by itself.",
                ) from error
            if said.startswith(_OF_THE_DISK):
                raise DiskFailed(
                    f"The state database cannot be written ({said}).",
                    remedy="Look at the disk of the state directory, and who may write there.",
                ) from error
            raise


_KINDS = (
    ("full", ("disk is full",)),
    ("busy", ("is locked",)),
    ("corrupt", ("malformed", "not a database")),
    ("io", ("disk I/O error", "readonly database", "unable to open")),
)
"""Kind of an error -> how SQLite says it."""


def kind_of(said: str) -> str:
    """Return what kind of error SQLite tells of; ``other`` for a bug, such as a constraint."""
    return next((kind for kind, words in _KINDS if any(word in said for word in words)), "other")


def _said(error: DBAPIError | sqlite3.Error) -> str:
    """Return the words of SQLite, by whichever way the statement went (`prepared`)."""
    return str(error.orig if isinstance(error, DBAPIError) else error)


class Reader:
    """Read-only connections to the same database, for any thread."""

    def __init__(self, engine: Engine) -> None:
        self.on_error: Callable[[str], None] = lambda _kind: None
        """As the keeper's; called on the thread that reads."""
        self._engine = engine

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """Yield a connection that sees what was committed when it first reads."""
        try:
            with self._engine.connect() as connection:
                yield connection
        except (DBAPIError, sqlite3.Error) as error:
            self.on_error(kind_of(_said(error)))
            raise

    def read(self, question: Callable[[Connection], T]) -> T:
        with self.connect() as connection:
            return question(connection)

    def rest(self) -> None:
        """Close the connections that nobody uses, with their page caches; one is opened in 1 ms."""
        pool = self._engine.pool
        if isinstance(pool, QueuePool) and pool.checkedout() == 0:
            self._engine.dispose()

    def close(self) -> None:
        self._engine.dispose()


def writing_engine(path: Path) -> Engine:
    """Return an engine for the one connection that writes; the thread that makes it owns it.

    The path is no part of an address here: it may hold ``?`` and bytes that are not UTF-8.
    """
    engine = create_engine(
        "sqlite://", poolclass=StaticPool, creator=lambda: sqlite3.connect(os.fsencode(path))
    )
    event.listen(engine, "connect", _set_up_writer)
    event.listen(engine, "begin", _begin_immediate)
    return engine


def memory_engine() -> Engine:
    """Return an engine for a database that ends with the process: commands that only look."""
    engine = create_engine(
        "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
    )
    event.listen(engine, "connect", _set_up_writer)
    event.listen(engine, "begin", _begin_immediate)
    return engine


def reading_engine(path: Path) -> Engine:
    """Return an engine whose connections can change nothing."""
    address = f"file:{quote(os.fsencode(path))}?mode=ro"
    engine = create_engine(
        "sqlite://",
        poolclass=QueuePool,
        pool_size=2,
        max_overflow=8,
        creator=lambda: sqlite3.connect(address, uri=True, check_same_thread=False),
    )
    event.listen(engine, "connect", _set_up_reader)
    return engine


def check_header(path: Path, application_id: int) -> None:
    """Refuse a file that is no database of ours.

    Raises:
        StateUnusable: the file belongs to another program or is damaged.
    """
    if not path.exists() or path.stat().st_size == 0:
        return
    with path.open("rb") as file:
        header = file.read(100)
    found = int.from_bytes(header[68:72], "big")
    if found == application_id:
        return
    if not header.startswith(b"SQLite format 3\0") or found != 0 or _holds_tables(path):
        raise StateUnusable(
            f"{path} is not a database of comfywatchman.",
            remedy="Move it away, or name another place with state.directory.",
        )


def _holds_tables(path: Path) -> bool:
    """Whether there are tables in a file whose header names nobody.

    Ours has the name in its log, and not in its header, if it was never closed.
    """
    engine = reading_engine(path)
    try:
        with engine.connect() as connection:
            named = connection.exec_driver_sql("PRAGMA application_id").scalar()
            tables = connection.exec_driver_sql("SELECT count(*) FROM sqlite_schema").scalar()
    finally:
        engine.dispose()
    return not named and bool(tables)


def _set_up_writer(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None
    for pragma in (
        f"busy_timeout = {_BUSY_MS}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        "trusted_schema = OFF",
        "journal_size_limit = 67108864",
        "cache_size = -4000",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _set_up_reader(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None
    for pragma in (f"busy_timeout = {_BUSY_MS}", "query_only = ON", "cache_size = -2000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediate(connection: Connection) -> None:
    connection.connection.cursor().execute("BEGIN IMMEDIATE")
