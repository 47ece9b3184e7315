"""What programs say that they have downloaded: lines of a file of their own, appended.

Whoever writes need not own the state: a line is written whole, also beside a running daemon.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
from sqlalchemy import Connection, select

from comfywatchman.disk.decoding import decoder_of
from comfywatchman.disk.errors import reading_failed, writing_failed
from comfywatchman.state.schema import placements

FILE = "history.jsonl"


class Download(msgspec.Struct, frozen=True, kw_only=True):
    """One file that came."""

    filename: str
    source: str
    source_id: str | None = None
    at: float
    """Unix seconds."""
    folder: str | None = None
    path: str | None = None
    size: int | None = None
    sha256: str | None = None


class _Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    download: Download | None = None
    cleared_at: float | None = None
    """Everything before is forgotten."""


@dataclass(frozen=True, slots=True)
class History:
    """The file in one state directory."""

    directory: Path

    def note(self, download: Download) -> None:
        """Append a download.

        Raises:
            FolderNotWritable, DiskFull, DiskFailed
        """
        self._append(_Line(download=download))

    def clear(self) -> None:
        """Forget what came before now; nothing on the disk but this list is changed.

        Raises:
            FolderNotWritable, DiskFull, DiskFailed
        """
        self._append(_Line(cleared_at=time.time()))

    def read(self) -> tuple[list[Download], float]:
        """Return what was noted since it was last cleared, and when that was (0: never).

        Raises:
            FileUnreadable, DiskFailed
        """
        found: list[Download] = []
        cleared = 0.0
        for line in self._lines():
            if line.cleared_at is not None:
                found, cleared = [], line.cleared_at
            elif line.download is not None:
                found.append(line.download)
        return found, cleared

    def _lines(self) -> Iterator[_Line]:
        path = self.directory / FILE
        try:
            texts = path.read_bytes().splitlines()
        except FileNotFoundError:
            return
        except OSError as error:
            raise reading_failed(error, path) from error
        for text in texts:
            try:
                yield decoder_of(_Line).decode(text)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue  # cut short by a full disk

    def _append(self, line: _Line) -> None:
        path = self.directory / FILE
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(path, flags, 0o600)
            try:
                os.write(descriptor, msgspec.json.encode(line) + b"\n")
            finally:
                os.close(descriptor)
        except OSError as error:
            raise writing_failed(error, path) from error


def placed_since(connection: Connection, since: float) -> list[Download]:
    """Return what we placed ourselves after *since*, oldest first."""
    rows = connection.execute(
        select(placements).where(placements.c.placed_at > since).order_by(placements.c.id)
    )
    return [
        Download(
            filename=row.name if isinstance(row.name, str) else str(row.name),
            source=row.source,
            at=row.placed_at,
            folder=row.folder,
            path=str(row.path),
            size=row.size,
            sha256=row.sha256,
        )
        for row in rows
    ]
