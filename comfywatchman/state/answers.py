"""What the hubs answered: a cache in a SQLite file of its own, which any process may use.

It is no state: losing it costs requests and nothing else. So it is written without waiting for the
disk, made anew where it is damaged, and kept in memory where the directory cannot be written.
Neither tokens nor signed addresses get here; see `pipeline.questions`.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct, json

from comfywatchman.state.turns import TABLES

T = TypeVar("T")
_Row = tuple[Any, ...]
"""As SQLite gives it; the columns have no static types."""

FORMAT = 1
"""Of the tables; a file with another number is emptied."""
_BUSY_SECONDS = 5.0
_TRIM_TO = 0.9
"""How full the cache is left after it was too full."""
_LEAST_AGE = 60.0
"""Seconds; a cache that is used again sooner is not marked once more."""

_TABLES = """
CREATE TABLE IF NOT EXISTS answers (
  question BLOB PRIMARY KEY, host TEXT NOT NULL, kind TEXT NOT NULL, verdict TEXT NOT NULL,
  url TEXT NOT NULL, status INTEGER NOT NULL, headers BLOB NOT NULL, body BLOB NOT NULL,
  cut INTEGER NOT NULL, came_from TEXT NOT NULL, asked_at REAL NOT NULL,
  expires_at REAL NOT NULL, used_at REAL NOT NULL, times INTEGER NOT NULL, bytes INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS answers_by_use ON answers (used_at, bytes);
CREATE TABLE IF NOT EXISTS documents (
  name TEXT PRIMARY KEY, etag TEXT, body BLOB NOT NULL, checked_at REAL NOT NULL
);
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """One answer as it is kept."""

    host: str
    kind: str
    """``search`` or ``metadata``."""
    verdict: str
    """``found``, ``nothing`` (a 404, or an empty list) or ``refused``."""
    url: str
    status: int
    headers: dict[str, str]
    body: bytes
    cut: bool
    came_from: str
    asked_at: float
    """Seconds since the epoch."""
    expires_at: float
    times: int = 1
    """How often in a row the answer was ``nothing``."""


@dataclass(frozen=True, slots=True)
class Document:
    """A file that is fetched as a whole, such as a list of models."""

    body: bytes
    etag: str | None
    checked_at: float
    """Seconds since the epoch, when it was last found to be the newest."""


class Share(Struct, frozen=True, kw_only=True):
    """Answers of one host and kind."""

    host: str
    kind: str
    verdict: str
    answers: int
    bytes: int
    expired: int
    """Those among them that would be asked again."""


class Stats(Struct, frozen=True, kw_only=True):
    """What the cache holds."""

    path: str
    answers: int
    bytes: int
    """Of the answers, compressed."""
    max_bytes: int
    file_bytes: int
    documents: dict[str, int]
    """Files kept as a whole, and their bytes."""
    shares: tuple[Share, ...]


def cache_path(state_directory: Path) -> Path:
    return state_directory / "answers.sqlite3"


class Answers:
    """The cache of one state directory; for all threads, which take turns."""

    def __init__(self, path: Path | None, max_bytes: int) -> None:
        """Open the cache at *path*; ``None`` for one that ends with the process."""
        self.path = path
        self.max_bytes = max_bytes
        self._lock = threading.Lock()
        self._connection = self._opened()

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def get(self, question: bytes, now: float) -> Kept | None:
        """Return the answer to *question*, however old; *now* notes that it was of use."""
        row = self.safely(lambda c: _read(c, question, now), None)
        return None if row is None else _kept(row)

    def put(self, question: bytes, kept: Kept) -> None:
        """Keep an answer in place of the one before; the least used go where there is no room."""
        self.safely(lambda c: self._write(c, question, kept), None)

    def document(self, name: str) -> Document | None:
        row = self.safely(
            lambda c: c.execute(
                "SELECT body, etag, checked_at FROM documents WHERE name = ?", (name,)
            ).fetchone(),
            None,
        )
        return None if row is None else Document(zlib.decompress(row[0]), row[1], row[2])

    def keep_document(self, name: str, document: Document) -> None:
        values = (name, document.etag, zlib.compress(document.body, 6), document.checked_at)
        statement = "INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?)"
        self.safely(lambda c: c.execute(statement, values), None)

    def forget(self, *, host: str | None = None, found: bool = True) -> int:
        """Forget answers and return how many: of one host or of all, the good ones too or not."""

        def change(connection: sqlite3.Connection) -> int:
            wheres, values = ["1"], []
            if host is not None:
                wheres, values = [*wheres, "host = ?"], [host]
            if not found:
                wheres.append("verdict <> 'found'")
            statement = f"DELETE FROM answers WHERE {' AND '.join(wheres)}"  # noqa: S608 - no stranger's text
            gone = connection.execute(statement, values).rowcount
            if found and host is None:
                connection.execute("DELETE FROM documents")
                connection.execute("VACUUM")
            return gone

        return self.safely(change, 0)

    def stats(self, now: float) -> Stats:
        """Say what there is; *now* is seconds since the epoch."""
        shares: list[_Row] = self.safely(
            lambda c: c.execute(
                "SELECT host, kind, verdict, count(*), sum(bytes), sum(expires_at <= ?) "
                "FROM answers GROUP BY host, kind, verdict ORDER BY host, kind, verdict",
                (now,),
            ).fetchall(),
            [],
        )
        documents: list[_Row] = self.safely(
            lambda c: c.execute("SELECT name, length(body) FROM documents").fetchall(), []
        )
        return Stats(
            path="" if self.path is None else os.fsdecode(self.path),
            answers=sum(row[3] for row in shares),
            bytes=sum(row[4] for row in shares),
            max_bytes=self.max_bytes,
            file_bytes=_size(self.path),
            documents={row[0]: row[1] for row in documents},
            shares=tuple(
                Share(host=h, kind=k, verdict=v, answers=n, bytes=b, expired=e)
                for h, k, v, n, b, e in shares
            ),
        )

    # -- the file

    def _write(self, connection: sqlite3.Connection, question: bytes, kept: Kept) -> None:
        body = zlib.compress(kept.body, 6)
        headers = json.encode(kept.headers)
        size = len(body) + len(headers) + len(kept.url) + len(question)
        connection.execute(
            "INSERT OR REPLACE INTO answers VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                question,
                kept.host,
                kept.kind,
                kept.verdict,
                kept.url,
                kept.status,
                headers,
                body,
                kept.cut,
                kept.came_from,
                kept.asked_at,
                kept.expires_at,
                kept.asked_at,
                kept.times,
                size,
            ),
        )
        held = connection.execute("SELECT coalesce(sum(bytes), 0) FROM answers").fetchone()[0]
        if held > self.max_bytes:
            _trim(connection, held - int(self.max_bytes * _TRIM_TO))

    def _opened(self) -> sqlite3.Connection:
        if self.path is not None:
            for _ in range(2):
                try:
                    self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                    return _open(self.path)
                except (sqlite3.DatabaseError, OSError):
                    _remove(self.path)
        self.path = None
        return _open(None)

    def safely(self, change: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """Run *change*; a cache that cannot be used is begun anew, and nobody has to know."""
        with self._lock:
            try:
                return change(self._connection)
            except (sqlite3.DatabaseError, zlib.error):
                pass
            except sqlite3.Error:
                return otherwise
            with suppress(sqlite3.Error):
                self._connection.close()
            if self.path is not None and not _is_sound(self.path):
                _remove(self.path)
            self._connection = self._opened()
            return otherwise


def _open(path: Path | None) -> sqlite3.Connection:
    connection = sqlite3.connect(
        ":memory:" if path is None else os.fsencode(path),
        isolation_level=None,
        check_same_thread=False,
        timeout=_BUSY_SECONDS,
    )
    try:
        if path is not None:
            with suppress(OSError):
                path.chmod(0o600)
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found not in {0, FORMAT}:
            connection.executescript("DROP TABLE IF EXISTS answers; DROP TABLE IF EXISTS documents")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cache_size = -1000")
        connection.execute("PRAGMA journal_size_limit = 4194304")
        connection.executescript(_TABLES)
        connection.executescript(TABLES)
        connection.execute(f"PRAGMA user_version = {FORMAT}")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _is_sound(path: Path) -> bool:
    try:
        connection = sqlite3.connect(os.fsencode(path), timeout=_BUSY_SECONDS)
    except sqlite3.Error:
        return False
    try:
        return bool(connection.execute("PRAGMA quick_check").fetchone()[0] == "ok")
    except sqlite3.OperationalError:
        return True  # busy: somebody else uses it
    except sqlite3.Error:
        return False
    finally:
        connection.close()


def _remove(path: Path) -> None:
    for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        with suppress(OSError):
            name.unlink()


def _read(connection: sqlite3.Connection, question: bytes, now: float) -> _Row | None:
    row: _Row | None = connection.execute(
        "SELECT host, kind, verdict, url, status, headers, body, cut, came_from, asked_at, "
        "expires_at, times, used_at FROM answers WHERE question = ?",
        (question,),
    ).fetchone()
    if row is not None and abs(now - row[12]) > _LEAST_AGE:
        connection.execute("UPDATE answers SET used_at = ? WHERE question = ?", (now, question))
    return row


def _kept(row: _Row) -> Kept | None:
    host, kind, verdict, url, status, headers, body, cut, came_from, asked, expires, times, _ = row
    try:
        told = json.decode(headers, type=dict[str, str])
        text = zlib.decompress(body)
    except (zlib.error, ValueError):
        return None
    return Kept(
        host, kind, verdict, url, status, told, text, bool(cut), came_from, asked, expires, times
    )


def _trim(connection: sqlite3.Connection, most: int) -> None:
    """Let go of the answers that were not used for longest, *most* bytes of them."""
    gone = 0
    rows = connection.execute("SELECT question, bytes FROM answers ORDER BY used_at").fetchall()
    for question, size in rows:
        if gone >= most:
            return
        connection.execute("DELETE FROM answers WHERE question = ?", (question,))
        gone += size


def _size(path: Path | None) -> int:
    total = 0
    for name in () if path is None else (path, Path(f"{path}-wal")):
        with suppress(OSError):
            total += name.stat().st_size
    return total
