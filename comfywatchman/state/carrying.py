"""Carries a state over: what nobody could find again, out of one database and into another."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from comfywatchman.domain.candidates import Candidate
from comfywatchman.domain.errors import StateUnusable, Trouble
from comfywatchman.domain.jobs import JOB_TYPES
from comfywatchman.state import store
from comfywatchman.state.bundle import Head, Line, read_bundle
from comfywatchman.state.coding import loads
from comfywatchman.state.schema import REVISION

KEPT: Mapping[str, tuple[str, ...]] = {
    "choices": ("folder", "name"),
    "placements": ("folder", "name", "path", "sha256", "placed_at"),
    "verified_places": ("sha256", "url"),
    "jobs": ("kind", "key"),
    "timers": ("name",),
    "told": ("subject",),
    "deliveries": ("delivery",),
}
"""Tables that nobody could fill again, and by which columns a row is the same one."""

MEASURED: Mapping[str, tuple[str, ...]] = {"models": ("path",)}
"""What could be found again, by reading every model file: hashes, valid as long as the stamp is."""

_NUMBERED = frozenset({"placements", "jobs", "deliveries"})
"""Tables whose ``id`` is a number of their own, given anew where they go."""


@dataclass(frozen=True, slots=True)
class Carried:
    """What came of an import."""

    added: dict[str, int] = field(default_factory=dict)
    """Rows by table."""
    kept: dict[str, int] = field(default_factory=dict)
    """Rows that were there already, and stayed as they were."""
    unreadable: int = 0
    """Rows that are none."""


# -- out


def revision_of(path: Path) -> str | None:
    """Return the revision of a database of ours; ``None`` where it tells none."""
    try:
        with closing(_reading(path)) as connection:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error:
        return None
    return None if row is None else str(row[0])


def rows_of(path: Path, tables: Sequence[str]) -> Iterator[Line]:
    """Yield the rows of *tables* as they are, all of one moment.

    Of a damaged table those that can be read: from its beginning to the damage, and back to it
    from its end.
    """
    with closing(_reading(path)) as connection:
        connection.execute("BEGIN")
        for table in tables:
            where = "WHERE sha256 IS NOT NULL" if table == "models" else ""
            yield from (Line(table=table, row=row) for row in _rows(connection, table, where))


def _rows(connection: sqlite3.Connection, table: str, where: str) -> Iterator[dict[str, object]]:
    last: int | None = None
    try:
        for number, row in _numbered(connection, f"{table} {where} ORDER BY rowid"):
            last = number
            yield row
    except sqlite3.Error:
        again = f"{table} {where} ORDER BY rowid DESC"
        try:
            for number, row in _numbered(connection, again):
                if last is not None and number <= last:
                    return
                yield row
        except sqlite3.Error:
            return


def _numbered(connection: sqlite3.Connection, rest: str) -> Iterator[tuple[int, dict[str, object]]]:
    cursor = connection.execute(f"SELECT rowid AS _rowid, * FROM {rest}")  # noqa: S608 - our names
    names = [column[0] for column in cursor.description[1:]]
    for number, *values in cursor:
        yield number, dict(zip(names, values, strict=True))


def _reading(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"file:{quote(os.fsencode(path))}?mode=ro", uri=True, isolation_level=None
    )
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    return connection


# -- in


def take_in(directory: Path, source: Path, *, dry_run: bool = False) -> Carried:
    """Add what *source* has to the state in *directory*, whose lock the caller holds.

    What is there already stays as it is. *source* is what `write_bundle` wrote, or a database of
    ours, also of an older version; it is not changed.

    Raises:
        StateUnusable: it is neither, is damaged, or is of a newer version.
        DiskFailed, DiskFull: the state cannot be written; it is as it was.
    """
    with tempfile.TemporaryDirectory(prefix="comfywatchman-state-") as scratch:
        fresh = Path(scratch) / "source.sqlite3"
        if store.is_database(source):
            _copy(source, fresh)
        else:
            _unpack(*read_bundle(source), source, fresh)
        _to_this_version(source, fresh)
        unreadable = _without_unreadable(fresh)
        if not dry_run:
            store.open_keeper(directory).close()
        return _merge(store.database_path(directory), fresh, unreadable, dry_run=dry_run)


def _copy(source: Path, fresh: Path) -> None:
    try:
        with closing(_reading(source)) as connection, closing(sqlite3.connect(fresh)) as copy:
            connection.backup(copy)
            (said,) = copy.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.Error as error:
        said = str(error)
    if said != "ok":
        raise StateUnusable(
            f"{source} is damaged: {said}",
            remedy="Name an older backup; a daemon that finds its own database damaged saves what "
            "can be read of it.",
        )


def _unpack(head: Head, lines: Sequence[Line], source: Path, fresh: Path) -> None:
    """Make a database of the version that the rows are from, and put them in."""
    if head.revision == REVISION:
        store.make(fresh)
    else:
        _make_older(head, source, fresh)
    with closing(sqlite3.connect(fresh)) as connection, connection:
        columns = {table: _columns(connection, table) for table in (*KEPT, *MEASURED)}
        for line in lines:
            if line.row is None or not columns.get(line.table):
                continue
            row = {k: v for k, v in line.row.items() if k in columns[line.table]}
            names, gaps = ", ".join(row), ", ".join("?" * len(row))
            try:
                connection.execute(
                    f"INSERT OR IGNORE INTO {line.table} ({names}) VALUES ({gaps})",  # noqa: S608 - our names
                    tuple(row.values()),
                )
            except sqlite3.Error as error:
                raise StateUnusable(
                    f"{source} holds what is no row of {line.table}: {error}.",
                    remedy="Export it again.",
                ) from error


def _make_older(head: Head, source: Path, fresh: Path) -> None:
    newer = StateUnusable(
        f"{source} was written by a newer version (revision {head.revision}).",
        remedy="Install that version, or a later one.",
    )
    if head.revision > REVISION:  # they count upwards
        raise newer
    done = subprocess.run(
        [sys.executable, "-P", "-m", "comfywatchman.state.migrate", str(fresh), head.revision],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if done.returncode != 0:
        raise newer


def _to_this_version(source: Path, fresh: Path) -> None:
    found = revision_of(fresh)
    if found is None:
        raise StateUnusable(
            f"{source} is not a database of comfywatchman.",
            remedy="Name a file that `comfywatchman state export` wrote.",
        )
    if found != REVISION:
        store.bring_to_head(fresh, found)


def _without_unreadable(fresh: Path) -> int:
    """Take rows out that are none; return how many."""
    gone = 0
    with closing(sqlite3.connect(fresh)) as connection, connection:
        for number, kind, payload in connection.execute(
            "SELECT rowid, kind, payload FROM jobs"
        ).fetchall():
            if not (kind in JOB_TYPES and _reads(payload, JOB_TYPES[kind])):
                gone += connection.execute("DELETE FROM jobs WHERE rowid = ?", (number,)).rowcount
        for number, offers, trouble, answer in connection.execute(
            "SELECT rowid, candidates, trouble, answer FROM choices"
        ).fetchall():
            well = _reads(offers, tuple[Candidate, ...]) and _reads(trouble, Trouble)
            if not (well and (answer is None or _reads(answer, Candidate))):
                gone += connection.execute(
                    "DELETE FROM choices WHERE rowid = ?", (number,)
                ).rowcount
    return gone


def _reads(data: object, kind: object) -> bool:
    try:
        loads(data, kind)  # type: ignore[arg-type]  # that is what is tried
    except (ValueError, TypeError, RecursionError):
        return False
    return True


def _merge(target: Path, fresh: Path, unreadable: int, *, dry_run: bool) -> Carried:
    added: dict[str, int] = {}
    kept: dict[str, int] = {}
    every = {**KEPT, **MEASURED}
    if not target.exists() or revision_of(target) != REVISION:  # a dry run: nothing was brought up
        with closing(sqlite3.connect(fresh)) as connection:
            return Carried({table: _count(connection, table) for table in every}, {}, unreadable)
    with closing(sqlite3.connect(target, isolation_level=None, timeout=10)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("ATTACH ? AS source", (str(fresh),))
        connection.execute("BEGIN IMMEDIATE")
        for table, keys in every.items():
            added[table] = connection.execute(_adding(connection, table, keys)).rowcount
            kept[table] = _count(connection, f"source.{table}") - added[table]
        connection.execute("ROLLBACK" if dry_run else "COMMIT")
    return Carried(added, kept, unreadable)


def _count(connection: sqlite3.Connection, table: str) -> int:
    (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - our names
    return int(count)


def _adding(connection: sqlite3.Connection, table: str, keys: Sequence[str]) -> str:
    without = {"id"} if table in _NUMBERED else set()
    names = [name for name in _columns(connection, table) if name not in without]
    same = " AND ".join(f"mine.{key} IS theirs.{key}" for key in keys)
    picked = ", ".join(_picked(table, name) for name in names)
    return (
        f"INSERT INTO main.{table} ({', '.join(names)}) SELECT {picked} "  # noqa: S608 - our names
        f"FROM source.{table} AS theirs WHERE NOT EXISTS "
        f"(SELECT 1 FROM main.{table} AS mine WHERE {same})"
    )


def _picked(table: str, name: str) -> str:
    """What was under way elsewhere waits here."""
    if (table, name) == ("jobs", "state"):
        return "CASE theirs.state WHEN 'running' THEN 'waiting' ELSE theirs.state END"
    return f"theirs.{name}"


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in connection.execute(f"PRAGMA main.table_info({table})")]
