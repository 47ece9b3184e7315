"""Opens the database of a state directory: made, migrated, or refused with a reason."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DatabaseError

from comfywatchman.domain.errors import DiskFailed, StateUnusable
from comfywatchman.state.keeper import (
    Keeper,
    Reader,
    check_header,
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
        DiskFailed: the directory cannot be made or written.
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
    except DatabaseError as error:
        raise StateUnusable(
            f"The state database {path} cannot be used: {error.orig}.",
            remedy="Move it away; everything but the history is found again by a sweep.",
        ) from error


def open_reader(directory: Path) -> Reader | None:
    """Open the database for reading, or return ``None`` where there is none of this version."""
    path = database_path(directory)
    if not path.exists():
        return None
    reader = Reader(reading_engine(path))
    try:
        if reader.read(_revision) == REVISION:
            return reader
    except DatabaseError:
        pass
    reader.close()
    return None


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
        _migrate(path, found)


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


def _migrate(path: Path, found: str) -> None:
    """Run alembic in a process of its own: it costs 9 MB that the daemon would keep.

    It imports nothing from the current directory, which may be anybody's.
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
