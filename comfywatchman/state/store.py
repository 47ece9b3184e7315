"""Opens the database of a state directory: made, migrated, or refused with a reason."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DatabaseError

from comfywatchman.domain.errors import DiskFailed, DiskFull, StateUnusable
from comfywatchman.state.keeper import (
    Keeper,
    Reader,
    check_header,
    kind_of,
    memory_engine,
    reading_engine,
    writing_engine,
)
from comfywatchman.state.schema import APPLICATION_ID, REVISION, metadata

_MIGRATION_LIMIT = 600.0


def database_path(directory: Path) -> Path:
    return directory / "comfywatchman.sqlite3"


def open_keeper(directory: Path) -> Keeper:
    """Open the database below *directory* for writing; the caller holds the lock.

    Raises:
        StateUnusable: the file is not ours, damaged, or of a newer version.
        DiskFailed, DiskFull: the directory cannot be made or written.
    """
    path = database_path(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise DiskFailed(
            f"The state directory {directory} cannot be made: {error.strerror}.",
            remedy="Name another one with state.directory, or make it writable.",
        ) from error
    try:
        check_header(path, APPLICATION_ID)
        _bring_up(path)
        return Keeper(writing_engine(path))
    except sqlite3.OperationalError as error:  # of our own BEGIN, which SQLAlchemy does not wrap
        raise DiskFailed(
            f"The state database {path} cannot be written ({error}).",
            remedy="Look at the disk of the state directory: whether it has room, and who may "
            "write there.",
        ) from error
    except DatabaseError as error:
        if kind_of(str(error.orig)) == "full":
            raise DiskFull(
                f"No room is left for the state database {path} ({error.orig}).",
                remedy=f"Free some space, or raise the quota, on the disk of {directory}.",
            ) from error
        raise StateUnusable(
            f"The state database {path} cannot be used: {error.orig}.",
            remedy="Start the daemon: one that is damaged it sets aside, saves what can be read of "
            "it, and makes a new one; everything but the history is found again by a sweep.",
        ) from error


def open_reader(directory: Path) -> Reader | None:
    """Open the database for reading, or return ``None`` where there is none of this version.

    Raises:
        DiskFailed: the directory may not be looked into.
    """
    path = database_path(directory)
    if not is_there(path):
        return None
    reader = Reader(reading_engine(path))
    try:
        if reader.read(_revision) == REVISION:
            return reader
    except DatabaseError:
        pass
    reader.close()
    return None


def is_there(path: Path) -> bool:
    """Whether there is a database *path*.

    Raises:
        DiskFailed: the directory may not be looked into.
    """
    try:
        return path.exists()
    except OSError as error:
        raise DiskFailed(
            f"The state directory {path.parent} cannot be read: {error.strerror or error}.",
            remedy="Run this as the user who runs the daemon, or name another one with "
            "state.directory.",
        ) from error


def is_database(source: Path) -> bool:
    """Whether *source* is one of SQLite; what else it may be is for others to say.

    Raises:
        StateUnusable: it cannot be read.
    """
    try:
        with source.open("rb") as file:
            return file.read(16) == b"SQLite format 3\0"
    except OSError as error:
        raise StateUnusable(
            f"{source} cannot be read: {error.strerror}.",
            remedy="Name a file that `comfywatchman state export` wrote.",
        ) from error


def open_beside(directory: Path) -> Keeper | None:
    """Open the database for a small change, whoever else owns it; it is neither made nor migrated.

    Returns ``None`` where there is none of this version.
    """
    reader = open_reader(directory)
    if reader is None:
        return None
    reader.close()
    return Keeper(writing_engine(database_path(directory)))


def open_in_memory() -> tuple[Keeper, Reader]:
    """Return a database that ends with the process."""
    engine = memory_engine()
    keeper = Keeper(engine)
    keeper.write(_create)
    return keeper, Reader(engine)


def _bring_up(path: Path) -> None:
    engine = writing_engine(path)
    try:
        with engine.begin() as connection:
            found = _revision(connection)
            if found is None:
                _create(connection)
                found = REVISION
    finally:
        engine.dispose()
    if found != REVISION:
        bring_to_head(path, found)


def _create(connection: Connection) -> None:
    metadata.create_all(connection)
    connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
    connection.execute(text("INSERT INTO alembic_version VALUES (:v)"), {"v": REVISION})
    connection.execute(text(f"PRAGMA application_id = {APPLICATION_ID}"))


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def make(path: Path) -> None:
    """Make an empty database at *path*."""
    engine = writing_engine(path)
    try:
        with engine.begin() as connection:
            _create(connection)
    finally:
        engine.dispose()


def bring_to_head(path: Path, found: str) -> None:
    """Bring the database *path*, of revision *found*, to the newest one; a copy is made before.

    Alembic runs in a process of its own: it costs 9 MB that the daemon would keep. It imports
    nothing from the current directory, which may be anybody's.

    Raises:
        StateUnusable: no way leads from that revision to ours.
    """
    done = subprocess.run(
        [sys.executable, "-P", "-m", "comfywatchman.state.migrate", str(path)],
        capture_output=True,
        text=True,
        timeout=_MIGRATION_LIMIT,
        check=False,
    )
    if done.returncode != 0:
        raise StateUnusable(
            f"The state database {path} is at revision {found} and this program needs {REVISION}: "
            f"{done.stderr.strip().splitlines()[-1] if done.stderr.strip() else 'no reason given'}",
            remedy="Install the version of comfywatchman that wrote it, or a newer one.",
        )
