"""A damaged database at the start: saved from it what nobody could find again, and set aside."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from comfywatchman.domain.errors import DiskFailed, StateUnusable, Trouble, WatchmanError
from comfywatchman.state import store
from comfywatchman.state.bundle import Head, write_bundle
from comfywatchman.state.carrying import KEPT, Carried, revision_of, rows_of, take_in
from comfywatchman.state.keeper import kind_of
from comfywatchman.state.schema import REVISION
from comfywatchman.state.soundness import Soundness, soundness


@dataclass(frozen=True, slots=True)
class Mended:
    """What was done about a damaged database."""

    aside: Path
    """Where it lies now."""
    saved: Path
    """What could be read of it that nobody could find again, as `state export` writes it."""
    rows: int
    carried: Carried
    complaint: str

    def trouble(self) -> Trouble:
        rows = "1 row" if self.rows == 1 else f"{self.rows} rows"
        return Trouble(
            StateUnusable.code,
            f"The state database was damaged ({self.complaint}). It lies in {self.aside} now; "
            f"choices, history and learned places were saved from it ({rows}, {self.saved}).",
            "Nothing to do: models and workflows are found again, and hashes measured again. Look "
            "at the disk and the memory of this machine.",
        )


def mend(directory: Path, clock: Callable[[], float] = time.time) -> Mended | None:
    """Look through the database in *directory*, and replace it if it is damaged.

    The caller holds the lock. ``None``: it is sound, there is none, or it is for others to refuse.

    Raises:
        DiskFailed: it cannot be read, or nothing can be written beside it.
    """
    path = store.database_path(directory)
    complaint = _complaint(directory, path)
    if complaint is None:
        return None
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(clock()))
    saved = path.with_name(f"state-{stamp}.jsonl")
    lines = [] if _is_blank(path) else list(rows_of(path, tuple(KEPT)))
    rows = write_bundle(saved, Head(revision_of(path) or REVISION, clock()), lines)
    aside = _set_aside(path, stamp)
    store.open_keeper(directory).close()
    try:
        carried = take_in(directory, saved)
    except WatchmanError:
        carried = Carried(unreadable=rows)  # the file stays, for whoever can make sense of it
    return Mended(aside, saved, rows, carried, complaint)


def _complaint(directory: Path, path: Path) -> str | None:
    """Return what is wrong with the bytes of the database, in SQLite's words."""
    if not path.exists() or path.stat().st_size == 0:
        return None
    if _is_blank(path):
        return "its beginning was overwritten with zeros"
    try:
        found = soundness(directory)
    except StateUnusable:
        return None  # another program's, as far as one can see: refused when it is opened
    except sqlite3.Error as error:
        return str(error)
    except OSError as error:
        raise DiskFailed(
            f"{path} cannot be read: {error.strerror}.",
            remedy="Look at the disk of the state directory, and who may read there.",
        ) from error
    return None if found is None or found.newer else _of_bytes(found)


def _of_bytes(found: Soundness) -> str | None:
    if not found.complaints:
        return None
    first = found.complaints[0]
    return None if kind_of(first) in {"busy", "full", "io"} else first.splitlines()[0][:200]


def _is_blank(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(100) == bytes(100)


def _set_aside(path: Path, stamp: str) -> Path:
    """Rename the file with its log; nothing of it is deleted."""
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    for end in ("-wal", "-shm", ""):
        part = path.with_name(path.name + end)
        if part.exists():
            os.replace(part, aside.with_name(aside.name + end))  # noqa: PTH105 - as beside it
    return aside
